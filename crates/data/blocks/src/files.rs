//! Directories of numbered files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The files in a directory that have a number for a name, and this extension, in the order of numbers.
pub(crate) fn numbered<N: FromStr + Ord>(
    dir: &Path,
    extension: &str,
) -> io::Result<Vec<(N, PathBuf)>> {
    let mut found = Vec::new();
    for file in fs::read_dir(dir)? {
        let path = file?.path();
        let number = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.parse::<N>().ok());
        if let Some(number) = number
            && path.extension().is_some_and(|name| name == extension)
        {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes durable which files a directory has.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
