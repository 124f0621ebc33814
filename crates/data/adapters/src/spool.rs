//! Rows on the disk, and files that appear when they are whole.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::path::{Path, PathBuf};

use allod_sql::Scalar;

/// A path beside another, for this process alone.
fn beside(path: &Path, what: &str) -> Result<PathBuf> {
    let name = path.file_name();
    let name = name.ok_or_else(|| Error::other("is no name of a file"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.{what}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

/// The path of the file that is to be written: behind links. A device or pipe would be replaced, so it is
/// refused.
pub(crate) fn target(path: &Path) -> Result<PathBuf> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => std::fs::canonicalize(path),
        Ok(_) => Err(Error::other("is not a file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path.to_owned()),
        Err(error) => Err(error),
    }
}

/// A file that has no name: it goes with whoever has it open.
pub(crate) fn open(path: &Path) -> Result<File> {
    let beside = beside(path, "rows")?;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&beside)?;
    std::fs::remove_file(&beside)?;
    Ok(file)
}

/// A file that is not whole yet; removed unless it is kept.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    pub(crate) fn new(path: &Path) -> Result<Self> {
        let path = beside(path, "part")?;
        let file = File::create(&path)?;
        Ok(Self { file, path })
    }

    pub(crate) fn file(&self) -> Result<File> {
        self.file.try_clone()
    }

    /// Puts it in the place of what is called so.
    pub(crate) fn keep(self, path: &Path) -> Result<()> {
        std::fs::rename(&self.path, path)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It is not there any more if it was kept.
        std::fs::remove_file(&self.path).ok();
    }
}

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

pub(crate) fn write(out: &mut impl Write, row: &[Scalar]) -> Result<()> {
    for value in row {
        match value {
            Scalar::Null => out.write_all(&[NULL])?,
            Scalar::Integer(number) => {
                out.write_all(&[INTEGER])?;
                out.write_all(&number.to_le_bytes())?;
            }
            Scalar::Real(number) => {
                out.write_all(&[REAL])?;
                out.write_all(&number.to_le_bytes())?;
            }
            Scalar::Text(text) => long(out, TEXT, text.as_bytes())?,
            Scalar::Blob(bytes) => long(out, BLOB, bytes)?,
        }
    }
    Ok(())
}

fn long(out: &mut impl Write, kind: u8, bytes: &[u8]) -> Result<()> {
    out.write_all(&[kind])?;
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

pub(crate) fn read(input: &mut impl Read) -> Result<Scalar> {
    let mut kind = [0];
    input.read_exact(&mut kind)?;
    if kind == [NULL] {
        return Ok(Scalar::Null);
    }
    let mut eight = [0; 8];
    input.read_exact(&mut eight)?;
    Ok(match kind[0] {
        INTEGER => Scalar::Integer(i64::from_le_bytes(eight)),
        REAL => Scalar::Real(f64::from_le_bytes(eight)),
        kind => {
            // What this process wrote itself, bounded by the engine.
            let mut bytes = vec![0; u64::from_le_bytes(eight) as usize];
            input.read_exact(&mut bytes)?;
            match kind {
                TEXT => Scalar::Text(String::from_utf8(bytes).map_err(Error::other)?),
                _ => Scalar::Blob(bytes),
            }
        }
    })
}
