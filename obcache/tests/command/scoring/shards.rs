//! Shards merge to the bytes of an unsplit run, and parts that do not are refused by name.

use super::{Kind, PLAIN, folder, refused, score, write_capture};
use crate::toy::{obcache, stdout};

#[test]
fn three_shards_merge_to_the_bytes_of_an_unsplit_run() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "whole.safetensors", &[]);
    for shard in ["1/3", "2/3", "3/3"] {
        score(
            folder.path(),
            &format!("{}.part", &shard[..1]),
            &["--shard", shard, "--threads", "2"],
        );
    }
    let merge = ["merge", "2.part", "3.part", "1.part", "--out", "merged.safetensors"];
    stdout(obcache().current_dir(folder.path()).args(merge));
    assert!(std::fs::read(folder.path().join("merged.safetensors")).unwrap() == expected);
}

#[test]
fn parts_that_do_not_make_a_whole_are_refused_by_name() {
    let folder = folder(PLAIN);
    let path = folder.path();
    for shard in ["1/3", "2/3", "3/3"] {
        score(path, &format!("{}.part", &shard[..1]), &["--shard", shard]);
    }
    score(path, "half.part", &["--shard", "1/2"]);
    score(path, "window.part", &["--shard", "3/3", "--window", "last-7"]);
    let whole = score(path, "whole.safetensors", &[]);
    write_capture(&path.join("made.safetensors"), Kind { seed: 2, ..PLAIN });
    score(path, "other.part", &["--shard", "3/3"]);
    std::fs::write(path.join("short.part"), &whole[..100]).unwrap();
    let merge = |parts: &[&str], expected: &[&str]| {
        refused(path, &[&["merge", "--out", "merged"], parts].concat(), expected);
    };
    merge(
        &["1.part", "3.part"],
        &["no part holds layer 1, KV head 0; layer 1, KV head 1 (shard 2/3)"],
    );
    merge(
        &["1.part", "half.part"],
        &["half.part: holds layer 0, KV head 0, which 1.part holds too"],
    );
    merge(
        &["1.part", "2.part", "window.part"],
        &["window.part: does not belong to 1.part: its window is \"last-7\", expected \"all\""],
    );
    merge(
        &["1.part", "2.part", "other.part"],
        &["other.part: does not belong to 1.part: its capture_sha256 is \""],
    );
    merge(
        &["whole.safetensors"],
        &["whole.safetensors: no metadata obcache_scores_part"],
    );
    merge(&["short.part"], &["short.part: damaged file: "]);
    merge(&["none.part"], &["none.part: No such file"]);
    refused(
        path,
        &["merge", "1.part", "2.part", "3.part", "--out", "3.part"],
        &["3.part: is one of the parts"],
    );
    refused(path, &["merge", "--out", "merged"], &["<PARTS>..."]);
}
