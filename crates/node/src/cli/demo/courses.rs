//! The data of the demo: five courses that ship with the project, and generated rows.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

include!(concat!(env!("OUT_DIR"), "/courses.rs"));

/// Writes the courses below `dir`; returns how many files that are.
pub(crate) fn write(dir: &Path) -> Result<usize> {
    for (path, content) in COURSES {
        let path = dir.join(path);
        let parent = path.parent().context("a course without a directory")?;
        fs::create_dir_all(parent)?;
        fs::write(path, content)?;
    }
    Ok(COURSES.len())
}

/// Writes `rows` rows of made-up progress.
pub(crate) fn generate(path: &Path, rows: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for row in 0..rows {
        // xorshift64: the same rows on every machine.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let line = json!({
            "id": format!("{row:06}"),
            "learner": format!("learner-{:04}", state % 5000),
            "course": format!("course-{:02}", (state >> 16) % 40),
            "step": (state >> 32) % 12,
            "minutes": (state >> 40) % 90,
        });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}

/// Writes the edits of one device: `contested` rows that the other edits too, `own` rows that only
/// this one does.
pub(crate) fn edits(path: &Path, device: &str, contested: usize, own: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let first = if device == "laptop" { 1_000 } else { 2_000 };
    let rows = (0..contested)
        .map(|row| row * 7)
        .chain((0..own).map(|row| first + row));
    for row in rows {
        let line = json!({ "id": format!("{row:06}"), "edited": device, "done": true });
        writeln!(file, "{line}")?;
    }
    Ok(file.flush()?)
}
