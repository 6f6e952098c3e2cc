//! `./x` on machines with every package manager, and with none: each branch runs, with stubs in place of the programs.

#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Programs of the system that `x` itself uses.
const SYSTEM: [&str; 6] = ["dirname", "sed", "mktemp", "rm", "cat", "env"];

fn program(folder: &Path, name: &str, script: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A folder of programs in which no OpenBLAS links, and `managers` say what they were asked to do.
fn machine(managers: &[&str], user: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    for name in SYSTEM {
        let found = path
            .split(':')
            .map(|folder| Path::new(folder).join(name))
            .find(|file| file.is_file());
        std::os::unix::fs::symlink(found.unwrap(), folder.path().join(name)).unwrap();
    }
    program(folder.path(), "id", &format!("echo {user}"));
    program(folder.path(), "cc", "exit 1");
    program(folder.path(), "cargo", "echo \"cargo $*\"");
    program(folder.path(), "sudo", "echo -n 'sudo '; exec \"$@\"");
    for manager in managers {
        // brew is also asked where OpenBLAS lies: it is not there.
        program(
            folder.path(),
            manager,
            &format!("[ \"$1\" = --prefix ] && exit 1\necho \"{manager} $*\""),
        );
    }
    folder
}

fn run(machine: &TempDir, arguments: &[&str]) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../x");
    Command::new("/bin/bash")
        .arg(script)
        .args(arguments)
        .env_clear()
        .env("PATH", machine.path())
        .output()
        .unwrap()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
}

#[test]
fn every_package_manager_is_told_what_to_install() {
    let test = "cargo test --release --workspace --locked -p capture";
    for (manager, commands) in [
        (
            "apt-get",
            &[
                "apt-get update",
                "apt-get install -y --no-install-recommends libopenblas-dev pkg-config",
            ][..],
        ),
        ("dnf", &["dnf install -y openblas-devel pkgconf-pkg-config"]),
        ("pacman", &["pacman -Sy --needed --noconfirm openblas pkgconf"]),
        ("brew", &["brew install openblas libomp pkg-config"]),
    ] {
        let output = run(&machine(&[manager], 0), &["test", "-p", "capture"]);
        assert!(output.status.success(), "{manager}: {output:?}");
        let expected: Vec<&str> = commands.iter().copied().chain([test]).collect();
        assert_eq!(lines(&output.stdout), expected, "{manager}");
        assert_eq!(
            lines(&output.stderr),
            ["x: OpenBLAS or pkg-config is missing; installing"]
        );
    }
}

#[test]
fn who_is_not_root_asks_sudo_but_never_for_brew() {
    let output = run(&machine(&["dnf"], 1000), &["report", "a.npz"]);
    let installed = "sudo dnf install -y openblas-devel pkgconf-pkg-config";
    let report = "cargo run --release --locked --bin obcache -- report a.npz";
    assert_eq!(lines(&output.stdout), [installed, report]);
    let output = run(&machine(&["brew"], 1000), &["report"]);
    assert_eq!(lines(&output.stdout)[0], "brew install openblas libomp pkg-config");
}

#[test]
fn without_sudo_the_command_to_run_as_root_is_printed() {
    let machine = machine(&["pacman"], 1000);
    fs::remove_file(machine.path().join("sudo")).unwrap();
    let output = run(&machine, &["test"]);
    assert!(!output.status.success());
    let command = "x: not root and no sudo; run as root: pacman -Sy --needed --noconfirm openblas pkgconf";
    assert_eq!(lines(&output.stderr)[1], command);
    assert!(output.stdout.is_empty(), "nothing is built");
}

#[test]
fn without_a_package_manager_it_says_exactly_what_to_install() {
    let output = run(&machine(&[], 0), &["test"]);
    assert!(!output.status.success());
    assert_eq!(
        lines(&output.stderr),
        [
            "x: OpenBLAS or pkg-config is missing; installing",
            "x: no apt-get, dnf, pacman or brew here. Install by hand, then run this again:",
            "     OpenBLAS with its development files (libopenblas-dev, openblas-devel, openblas)",
            "     pkg-config (pkg-config, pkgconf)",
        ]
    );
    assert!(output.stdout.is_empty(), "nothing is built");
}

#[test]
fn what_is_there_is_not_installed_again() {
    let machine = machine(&["dnf"], 0);
    program(machine.path(), "pkg-config", "exit 0");
    let output = run(&machine, &["test"]);
    assert_eq!(lines(&output.stdout), ["cargo test --release --workspace --locked"]);
    assert!(output.stderr.is_empty());
}

#[test]
fn a_missing_compiler_is_named() {
    for tool in ["cargo", "cc"] {
        let machine = machine(&["dnf"], 0);
        fs::remove_file(machine.path().join(tool)).unwrap();
        let output = run(&machine, &["report"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(lines(&output.stderr)[0].starts_with(&format!("x: {tool} is missing; install Rust")));
    }
}
