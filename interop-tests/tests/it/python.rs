//! Programs that come by way of Python.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder of this crate.
pub(crate) fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program of `python/requirements.txt`, installed the first time; `None` if it cannot be had.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let python = Command::new("python3").arg("--version").output();
    if !python.is_ok_and(|output| output.status.success()) {
        println!("skipped: python3 is not installed");
        return None;
    }
    let target = here().join("../target");
    std::fs::create_dir_all(&target).unwrap();
    let venv = target.join("interop");
    let lock = File::create(target.join("interop.lock")).unwrap();
    lock.lock().unwrap();
    let wanted = std::fs::read(here().join("python/requirements.txt")).unwrap();
    let stamp = venv.join("installed.txt");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Some(venv.join("bin").join(name));
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&venv)
        .output();
    let made = made.unwrap();
    if !made.status.success() {
        println!(
            "skipped: python3 -m venv failed: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        return None;
    }
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args(["install", "-q", "-r"])
        .arg(here().join("python/requirements.txt"));
    let output = pip.output().unwrap();
    if !output.status.success() {
        println!(
            "skipped: pip failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return None;
    }
    std::fs::write(stamp, wanted).unwrap();
    Some(venv.join("bin").join(name))
}
