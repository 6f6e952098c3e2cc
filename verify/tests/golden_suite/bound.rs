//! C20: the forward error bound holds for honest renderings, is tight, and catches and names every known bug.

use golden::Dtype;
use golden::rendering::Deviation;
use verify::golden::catches::honest;
use verify::golden::tables::{bound_page, catches_page};
use verify::golden::tightness::tightness;

use crate::{SUITE, root};

/// The committed page, which must be what the command writes.
fn assert_committed(name: &str, page: &str) {
    let committed = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    assert!(
        committed == page,
        "docs/{name} is not what `obcache golden tables` writes:\n{page}"
    );
}

#[test]
fn c20_honest_renderings_meet_the_bound_in_every_number() {
    let honest = honest(&SUITE).unwrap();
    assert_eq!(honest.len(), 9, "three renderings in three formats");
    for rendering in honest {
        assert!(rendering.elements > 50_000 && rendering.worst <= 1.0, "{rendering:?}");
    }
}

#[test]
fn c20_the_bound_is_within_a_factor_of_fifty_of_the_error_at_the_median() {
    let (families, outputs) = tightness(&SUITE).unwrap();
    for family in &families {
        assert!(family.median <= 50.0 && family.worst <= 1.0, "{family:?}");
    }
    assert!(outputs.iter().all(|output| output.worst <= 1.0), "{outputs:?}");
    assert_committed("golden-bound.md", &bound_page(&SUITE).unwrap());
}

#[test]
fn every_known_bug_is_caught_and_named_in_every_format() {
    assert!(Deviation::ALL.len() >= 40);
    let page = catches_page(&SUITE).unwrap();
    assert_eq!(page.matches("(not named)").count(), 0, "{page}");
    for bug in Deviation::ALL {
        let line = page
            .lines()
            .find(|line| line.starts_with(&format!("| {bug} |")))
            .expect("a line a bug");
        let counts: Vec<&str> = line.split(" | ").skip(1).take(Dtype::ALL.len()).collect();
        for (dtype, count) in Dtype::ALL.into_iter().zip(counts) {
            let caught = count.parse::<usize>().is_ok_and(|cases| cases > 0);
            assert!(caught || (count == "-" && !bug.exists_in(dtype)), "{line}");
        }
    }
    assert_committed("golden-catches.md", &page);
}
