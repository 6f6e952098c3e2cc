//! Scores 4,096 cached tokens for two query heads on one KV head, without keeping a trace.

use ndarray::{Array1, Array2, Array3};
use obd_core::{GroupReduction, QueryWindow};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use strip_engine::{Buffers, Column, Engine, Problem};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut number = || rng.random_range(-1.0..1.0f32);
    let query = Array3::from_shape_simple_fn((2, 4096, 64), &mut number);
    let key = Array2::from_shape_simple_fn((4096, 64), &mut number);
    let value = Array2::from_shape_simple_fn((4096, 64), &mut number);

    // ANCHOR: score
    // Shapes (group_size, query_len, head_dim), (kv_len, head_dim), (kv_len, value_dim); f32 or f64.
    let problem = Problem::new(query.view(), key.view(), value.view())?.with_queries(QueryWindow::Last(512));
    let heads = Engine::new().run(&problem);
    let removal: Vec<_> = heads.iter().map(|head| head.column(Column::Removal).clone()).collect();
    let of_the_group = GroupReduction::Sum.reduce(&removal);
    // ANCHOR_END: score

    let (token, error) = dearest(&of_the_group.unwrap_or_default());
    println!("evicting token {token} alone costs the most, {error:.3e}, over the last 512 queries");

    // ANCHOR: many
    let mut buffers = Buffers::new();
    for window in [QueryWindow::All, QueryWindow::Last(32)] {
        let problem = problem.clone().with_queries(window);
        // The closure is called after every 256 queries, for a progress bar.
        let (heads, profile) = Engine::new().run_in(&mut buffers, &problem, &|| {});
        let share = profile.products.as_secs_f64() / profile.total().as_secs_f64();
        println!("{window:?}: {:.0} % of the time in matrix products", 100.0 * share);
        for (head, saliencies) in heads.iter().enumerate() {
            let (token, error) = dearest(saliencies.column(Column::Removal));
            println!("  head {head}: token {token}, {error:.3e}");
        }
    }
    // ANCHOR_END: many
    Ok(())
}

/// The token whose eviction costs the most, and what it costs.
fn dearest(saliency: &Array1<f64>) -> (usize, f64) {
    let costs = saliency.iter().copied().enumerate();
    costs.fold((0, 0.0), |most, cost| if cost.1 > most.1 { cost } else { most })
}
