//! A run that was interrupted or killed goes on where it stopped.

use std::cell::Cell;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use indicatif::ProgressBar;
use obcache::scoring::{self, Heads, Request, ScoringError};
use obd_core::QueryWindow;

use super::{Kind, PLAIN, folder, refused, score, write_capture};
use crate::toy::files;

fn request(folder: &Path) -> Request {
    Request {
        capture: folder.join("made.safetensors"),
        out: folder.join("scores.safetensors"),
        window: QueryWindow::All,
        heads: Heads::Each,
        precision: None,
        layers: None,
        shard: None,
        memory: 1 << 30,
        threads: NonZero::<usize>::MIN,
    }
}

fn is_part(file: &std::io::Result<std::fs::DirEntry>) -> bool {
    file.as_ref()
        .is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "safetensors"))
}

/// A run that stops after so many groups.
fn interrupted_run(request: &Request, after: usize) -> ScoringError {
    let parts = PathBuf::from(format!("{}.parts", request.out.display()));
    let kept = || std::fs::read_dir(&parts).map_or(0, |files| files.filter(is_part).count());
    scoring::run(request, &ProgressBar::hidden(), &|| kept() >= after).unwrap_err()
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let folder = folder(PLAIN);
    let expected = score(folder.path(), "unbroken.safetensors", &[]);
    let request = request(folder.path());
    let ScoringError::Unfinished { done, all, .. } = interrupted_run(&request, 2) else {
        panic!("another error");
    };
    assert_eq!((done, all, request.out.exists()), (2, 6, false));
    // What a process that was killed while it wrote leaves behind.
    std::fs::write(folder.path().join("scores.safetensors.parts/.tmpAbC123"), "half").unwrap();
    let outcome = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((outcome.kept, outcome.computed), (2, 4));
    assert!(std::fs::read(&request.out).unwrap() == expected);
    assert_eq!(files(folder.path()).len(), 3);
    let again = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((again.kept, again.computed), (6, 0));
}

#[test]
fn an_interrupt_while_the_parts_are_joined_leaves_no_half_file() {
    let folder = folder(PLAIN);
    let request = request(folder.path());
    let looked_up = Cell::new(0);
    // Six groups are looked up once each at least; far beyond that, the file is being written.
    let late = || {
        looked_up.set(looked_up.get() + 1);
        let parts = std::fs::read_dir(folder.path().join("scores.safetensors.parts")).unwrap();
        parts.filter(is_part).count() == 6 && looked_up.get() > 20
    };
    let stopped = scoring::run(&request, &ProgressBar::hidden(), &late).unwrap_err();
    assert!(
        matches!(stopped, ScoringError::Unfinished { done: 6, all: 6, .. }),
        "{stopped}"
    );
    assert!(
        files(folder.path())
            .keys()
            .all(|name| !name.contains(".tmp") && name != "scores.safetensors")
    );
    let outcome = scoring::run(&request, &ProgressBar::hidden(), &|| false).unwrap();
    assert_eq!((outcome.kept, outcome.computed), (6, 0));
}

#[test]
fn parts_of_another_run_are_refused_and_kept() {
    let folder = folder(PLAIN);
    interrupted_run(&request(folder.path()), 1);
    let score = ["score", "made.safetensors", "--out", "scores.safetensors"];
    refused(
        folder.path(),
        &[&score[..], &["--window", "last-3"]].concat(),
        &["belongs to another run: its window is \"all\", expected \"last-3\"; finish that run, or delete scores"],
    );
    write_capture(&folder.path().join("made.safetensors"), Kind { seed: 2, ..PLAIN });
    refused(
        folder.path(),
        &score,
        &["belongs to another run: its capture_sha256 is "],
    );
}

/// Starts a run that takes a while, and waits for its first part.
fn started(folder: &Path) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("obcache"));
    command.args([
        "score",
        "made.safetensors",
        "--out",
        "scores.safetensors",
        "--threads",
        "1",
    ]);
    command.current_dir(folder).stderr(Stdio::piped()).stdout(Stdio::null());
    let child = command.spawn().unwrap();
    let parts = folder.join("scores.safetensors.parts");
    while std::fs::read_dir(&parts).map_or(0, |files| files.filter(is_part).count()) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[test]
fn a_killed_run_goes_on_to_the_bytes_of_an_unbroken_one() {
    let folder = folder(Kind { tokens: 400, ..PLAIN });
    let mut child = started(folder.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        !folder.path().join("scores.safetensors").exists(),
        "it was done before it was killed"
    );
    let resumed = score(folder.path(), "scores.safetensors", &[]);
    assert!(score(folder.path(), "unbroken.safetensors", &[]) == resumed);
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_whole_parts_and_says_how_to_go_on() {
    let folder = folder(Kind { tokens: 400, ..PLAIN });
    let child = started(folder.path());
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(
        stderr.starts_with("error: interrupted: ")
            && stderr.contains(" of 6 KV heads are done and kept in scores.safetensors.parts; the same"),
        "{stderr}"
    );
    assert!(
        files(folder.path())
            .keys()
            .all(|name| !name.contains(".tmp") && name != "scores.safetensors")
    );
}
