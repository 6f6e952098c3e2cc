//! One KV head at a time is what the whole file holds.

use capture::{Capture, CaptureFile};
use ndarray::{Axis, s};
use obd_core::QueryWindow;
use safetensors::Dtype;

use crate::{bytes, f32s, repository};

#[test]
fn one_kv_head_at_a_time_is_what_the_whole_file_holds() {
    let files = [
        "captures/needle-512.safetensors",
        "captures/text-384.safetensors",
        "captures/recall-480.safetensors",
    ];
    for file in files {
        let path = repository(file);
        let (whole, open) = (Capture::read(&path).unwrap(), CaptureFile::open(&path).unwrap());
        assert!(open.fits_f32() && open.metadata() == whole.metadata());
        assert_eq!(open.layers().count(), whole.layers().len());
        for (layer, shape) in whole.layers().iter().zip(open.layers()) {
            assert_eq!((shape.index, shape.kv_len), (layer.index, layer.key.len_of(Axis(1))));
            for kv_head in 0..2 {
                let wide = open
                    .group(layer.index, kv_head, QueryWindow::All, |number| number)
                    .unwrap();
                let (heads, last) = (3 * kv_head..3 * kv_head + 3, shape.query_len - 7);
                assert_eq!(wide.query, layer.query.slice(s![heads.clone(), .., ..]));
                assert_eq!(wide.key, layer.key.index_axis(Axis(0), kv_head));
                assert_eq!(wide.value, layer.value.index_axis(Axis(0), kv_head));
                let narrow = open.group(layer.index, kv_head, QueryWindow::Last(7), |number| number as f32);
                let narrow = narrow.unwrap().query.map(|&number| f64::from(number));
                assert_eq!(narrow, layer.query.slice(s![heads, last.., ..]));
            }
        }
    }
}

#[test]
fn one_kv_head_of_an_npz_is_what_the_whole_file_holds() {
    let path = repository("capture/tests/numpy/toy.npz");
    let (whole, open) = (Capture::read(&path).unwrap(), CaptureFile::open(&path).unwrap());
    let layer = &whole.layers()[0];
    let groups = whole.groups();
    for kv_head in 0..groups.num_kv_heads() {
        let group = open
            .group(layer.index, kv_head, QueryWindow::Last(1), |number| number)
            .unwrap();
        let last = layer.query.len_of(Axis(1)) - 1;
        assert_eq!(
            group.query,
            layer.query.slice(s![groups.query_heads(kv_head), last.., ..])
        );
        assert_eq!(group.key, layer.key.index_axis(Axis(0), kv_head));
        assert_eq!(group.value, layer.value.index_axis(Axis(0), kv_head));
    }
}

#[test]
fn a_head_that_is_not_there_and_a_number_that_is_none_are_named() {
    let spoilt = ("layer.3.value", Dtype::F32, vec![1, 3, 1], f32s(&[1.0, 2.0, f32::NAN]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.safetensors");
    std::fs::write(&path, bytes(Some(spoilt))).unwrap();
    let open = CaptureFile::open(&path).unwrap();
    let refusal = |layer, kv_head| {
        let read = open.group(layer, kv_head, QueryWindow::All, |number| number);
        read.unwrap_err().to_string()
    };
    assert!(
        refusal(3, 0).ends_with("toy.safetensors: layer.3.value: element [0, 2, 0] is NaN, expected a finite number")
    );
    assert!(refusal(3, 1).ends_with("layer.3.key: has no KV head 1, expected one below 1"));
    assert!(refusal(4, 0).ends_with("layer.4.query: is missing"));
}
