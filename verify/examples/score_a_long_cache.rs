//! Scores 4,096 cached tokens for two query heads on one KV head, without keeping a trace.

use ndarray::{Array2, Array3};
use obcache_scores::strip::{Engine, Problem};
use obcache_scores::{GroupReduction, Score};
use obd_core::QueryWindow;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

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
    let removal: Vec<_> = heads.iter().map(|head| head.score(Score::Removal).clone()).collect();
    let of_the_group = GroupReduction::Sum.reduce(&removal);
    // ANCHOR_END: score

    let saliency = of_the_group.unwrap_or_default();
    let (dearest, error) =
        saliency.iter().enumerate().fold(
            (0, 0.0),
            |best, (token, &error)| if error > best.1 { (token, error) } else { best },
        );
    println!("evicting token {dearest} alone costs the most, {error:.3e}, over the last 512 queries");
    Ok(())
}
