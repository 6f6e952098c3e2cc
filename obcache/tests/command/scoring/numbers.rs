//! Every number is the engine's, or a trace's, at its place.

use capture::Capture;
use ndarray::{Array2, Array3, Axis};
use obcache::scoring::Column;
use obcache_scores::{accumulate, exact};
use obd_core::{GroupReduction, Perturbation, QueryWindow};
use safetensors::{Dtype, SafeTensors};
use strip_engine::{Engine, Problem};

use super::{Kind, PLAIN, folder, refused, score};

/// A tensor of a file of scores.
fn tensor(file: &[u8], name: &str) -> Array2<f64> {
    let file = SafeTensors::deserialize(file).unwrap();
    let view = file.tensor(name).unwrap();
    let (words, _) = view.data().as_chunks::<8>();
    let numbers = words.iter().map(|&word| f64::from_le_bytes(word)).collect();
    Array2::from_shape_vec((view.shape()[0], view.shape()[1]), numbers).unwrap()
}

#[test]
fn every_number_is_the_engines_at_its_place() {
    let folder = folder(PLAIN);
    let file = score(folder.path(), "scores.safetensors", &["--window", "last-9"]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for (position, layer) in capture.layers().iter().enumerate() {
        let narrow = |tensor: &Array3<f64>| tensor.map(|&number| number as f32);
        let (query, key, value) = (narrow(&layer.query), narrow(&layer.key), narrow(&layer.value));
        for head in 0..4 {
            let rows = |tensor: &Array3<f32>, head: usize| tensor.index_axis(Axis(0), head).to_owned();
            let (query, key, value) = (rows(&query, head), rows(&key, head / 2), rows(&value, head / 2));
            let problem = Problem::one_head(query.view(), key.view(), value.view()).unwrap();
            let problem = problem.with_scale(0.5).unwrap().with_queries(QueryWindow::Last(9));
            let expected = &Engine::new().run(&problem)[0];
            for column in Column::all() {
                let expected = match column {
                    Column::Score(score) => expected.score(score),
                    Column::Exact(perturbation) => expected.exact(perturbation),
                };
                // What the engine does not have is tested where it is computed.
                let Some(expected) = expected else { continue };
                let name = format!("layer.{position}.{}", column.name());
                assert_eq!(tensor(&file, &name).row(head), expected, "{name}, head {head}");
            }
        }
    }
}

#[test]
fn windows_sinks_and_order_reach_the_engine() {
    let folder = folder(Kind {
        dtype: Dtype::F64,
        kv_heads: 4,
        more: r#""causal": false, "sliding_window": 5, "sinks": [0.5, -1.0, 2.0, 0.0]"#,
        ..PLAIN
    });
    let file = score(folder.path(), "scores.safetensors", &[]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for head in 0..4 {
        let problem = capture.head(1, head).unwrap();
        let expected = &Engine::new().run(&Problem::try_from(&problem).unwrap())[0];
        assert_eq!(
            tensor(&file, "layer.1.removal").row(head),
            expected.column(strip_engine::Column::Removal)
        );
        assert_eq!(
            tensor(&file, "layer.1.key-zeroing").row(head),
            expected.column(strip_engine::Column::KeyZeroing)
        );
    }
}

#[test]
fn a_soft_cap_is_scored_from_traces() {
    let folder = folder(Kind {
        more: r#""causal": true, "softcap": 2.0"#,
        ..PLAIN
    });
    let file = score(folder.path(), "scores.safetensors", &["--window", "9"]);
    let capture = Capture::read(&folder.path().join("made.safetensors")).unwrap();
    for query_head in 0..4 {
        let head = capture.head(2, query_head).unwrap();
        let trace = reference_attention::attend(&head);
        let zeroing = exact::contributions(Perturbation::JointZeroing, &head, &trace);
        let expected = accumulate(&zeroing, QueryWindow::Last(9));
        assert_eq!(tensor(&file, "layer.2.joint-zeroing").row(query_head), expected);
    }
    let arguments = [
        "score",
        "made.safetensors",
        "--out",
        "x.safetensors",
        "--memory",
        "100KB",
    ];
    // 8 bytes each: numbers of a trace, of the tensors, of the columns.
    let numbers = 6 * 70 * 70 + (2 * 70 * 4 + 70 * 7) + 2 * Column::all().count() * 2 * 70;
    let needed = bytesize::ByteSize(8 * numbers as u64);
    let expected = format!(" needs {needed} at least, --memory allows 97.7 KiB: with a soft-cap, which the engine");
    refused(folder.path(), &arguments, &["made.safetensors: ", &expected]);
}

#[test]
fn heads_are_reduced_within_their_group() {
    let folder = folder(PLAIN);
    let each = tensor(&score(folder.path(), "each.safetensors", &[]), "layer.1.joint");
    for (name, reduction) in [
        ("sum", GroupReduction::Sum),
        ("mean", GroupReduction::Mean),
        ("max", GroupReduction::Max),
    ] {
        let file = score(folder.path(), &format!("{name}.safetensors"), &["--heads", name]);
        let reduced = tensor(&file, "layer.1.joint");
        assert_eq!(reduced.dim(), (2, PLAIN.tokens));
        for kv_head in 0..2 {
            let heads: Vec<_> = (0..2).map(|head| each.row(2 * kv_head + head).to_owned()).collect();
            assert_eq!(reduced.row(kv_head), reduction.reduce(&heads).unwrap());
        }
    }
}

#[test]
fn the_file_says_what_it_holds() {
    let folder = folder(PLAIN);
    let file = score(
        folder.path(),
        "scores.safetensors",
        &["--layers", "0,2", "--window", "32"],
    );
    let (_, header) = SafeTensors::read_metadata(&file).unwrap();
    let text = &header.metadata().as_ref().unwrap()["obcache_scores"];
    let metadata: serde_json::Value = serde_json::from_str(text).unwrap();
    for (key, expected) in [
        ("version", "1"),
        ("capture", "\"made\""),
        ("model", "\"made\""),
        ("window", "\"last-32\""),
        ("heads", "\"each\""),
        ("precision", "\"f32\""),
    ] {
        assert_eq!(metadata[key].to_string(), expected);
    }
    assert_eq!(metadata["capture_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(metadata["layers"][1]["layer"], 2);
    let layers = SafeTensors::deserialize(&file).unwrap();
    let columns = Column::all().count();
    assert_eq!(
        (layers.len(), layers.tensor("layer.1.key").is_err()),
        (2 * columns, true)
    );
    assert_eq!(layers.tensor("layer.2.key").unwrap().shape(), [4, PLAIN.tokens]);
}

#[test]
fn threads_and_memory_move_no_bit() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "one.safetensors", &["--threads", "1"]);
    for (name, options) in [
        ("a", &["--threads", "5"][..]),
        ("b", &["--threads", "3", "--memory", "600KB"]),
        ("c", &["--memory", "400KB", "--threads", "2"]),
    ] {
        assert!(score(folder.path(), name, options) == expected, "{options:?}");
    }
}
