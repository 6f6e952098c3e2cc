//! Scores every token of one captured head and sets them beside what removal really costs.

use std::error::Error;
use std::path::Path;

use capture::Capture;
use obcache_scores::{Score, accumulate};
use obd_core::{Perturbation, QueryWindow};
use reference_attention::{attend, oracle};

fn main() -> Result<(), Box<dyn Error>> {
    // ANCHOR: score
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let capture = Capture::read(&captures.join("text-384.safetensors"))?;
    let head = capture.head(0, 0)?;
    let trace = attend(&head);
    let saliency = accumulate(&Score::Joint.contributions(&head, &trace), QueryWindow::Last(32));
    // ANCHOR_END: score

    // ANCHOR: brute_force
    let window = QueryWindow::Last(32);
    let removal = oracle::perturbation(&head, Perturbation::Removal, 100);
    println!("token 100: saliency {:.3e}", saliency[100]);
    println!("token 100: removal costs {:.3e}", oracle::error(&removal, window));
    // ANCHOR_END: brute_force
    Ok(())
}
