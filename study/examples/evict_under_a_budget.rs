//! Keeps a fifth of a captured head's tokens and compares the error with greedy exact removal.

use std::error::Error;
use std::path::Path;

use capture::Capture;
use obcache_scores::exact::set;
use obcache_scores::select::sets::greedy;
use obcache_scores::select::{Budget, Protection, evicted, select};
use obcache_scores::{Score, accumulate};
use obd_core::QueryWindow;
use reference_attention::attend;

fn main() -> Result<(), Box<dyn Error>> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures");
    let capture = Capture::read(&captures.join("text-384.safetensors"))?;
    let head = capture.head(0, 0)?;
    let trace = attend(&head);

    // ANCHOR: select
    let window = QueryWindow::Last(32);
    let saliency = accumulate(&Score::Value.contributions(&head, &trace), window);
    let protection = Protection { sinks: 4, recent: 16 };
    let kept = select(&saliency, Budget::Fraction(0.2), protection)?;
    let gone = evicted(head.kv_len(), &kept);
    let error = set::removal_error(&head, &trace, &gone, window);
    // ANCHOR_END: select

    // ANCHOR: greedy
    let order = greedy::order(&head, &trace, window);
    let greedy_error = set::removal_error(&head, &trace, &order[..gone.len()], window);
    println!("evicted {} of {} tokens", gone.len(), head.kv_len());
    println!("value score: error {error:.3e}, greedy exact removal: {greedy_error:.3e}");
    // ANCHOR_END: greedy
    Ok(())
}
