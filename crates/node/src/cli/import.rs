//! `import`: rows and files become staged values, all of them or none.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use allod::Node;
use allod_repo::Edit;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::json;
use serde_json::value::RawValue;

use crate::cli::Usage;
use crate::cli::data_args::Import;
use crate::cli::io::{Io, count};
use crate::cli::keys::key_text;
use crate::cli::values::branch;

type Edits = Vec<(Bytes, Edit)>;

pub(crate) fn import(
    node: &Node,
    space: Option<&str>,
    options: &Import,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let mut edits = Edits::new();
    for file in &options.files {
        let path = io.path(file);
        let read = if path.is_dir() {
            read_directory(node, &path, &options.prefix, &mut edits, io)
        } else {
            read_rows(&path, options, &mut edits, io)
        };
        read.with_context(|| format!("{}: nothing was imported", path.display()))?;
    }
    let mut keys: Vec<&Bytes> = edits.iter().map(|(key, _)| key).collect();
    keys.sort_unstable();
    if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!(
            "the key {} appears twice; nothing was imported",
            key_text(pair[0])
        );
    }
    let rows = edits.len() as u64;
    repo.stage(&branch, edits, allod::now_ms())?;
    let value = json!({ "staged": rows });
    io.data(&value, || {
        format!("{} rows staged on {branch}", count(rows))
    })?;
    io.say("next: `allod commit -m TEXT`")
}

fn read_rows(path: &Path, options: &Import, edits: &mut Edits, io: &mut Io<'_>) -> Result<()> {
    let file = File::open(path)?;
    let total = file.metadata().map_or(0, |meta| meta.len());
    let mut progress = io.progress("reading");
    let mut input = Counting {
        input: BufReader::new(file),
        bytes: 0,
    };
    let extension = path.extension().and_then(|extension| extension.to_str());
    match extension.map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => read_csv(&mut input, options, edits, &mut |bytes| {
            progress.at(bytes, total);
        }),
        Some("ndjson" | "jsonl") => {
            for (number, row) in
                (1..).zip(serde_json::Deserializer::from_reader(&mut input).into_iter())
            {
                let row: Box<RawValue> = row.with_context(|| format!("row {number} is no JSON"))?;
                edits.push(row_edit(&row, number, options)?);
            }
            Ok(())
        }
        Some("json") => {
            let rows: Vec<Box<RawValue>> =
                serde_json::from_reader(&mut input).map_err(|error| {
                    let what = if error.is_data() {
                        "a JSON file to import is an array"
                    } else {
                        "not JSON"
                    };
                    anyhow::Error::new(error).context(what)
                })?;
            for (number, row) in (1..).zip(&rows) {
                edits.push(row_edit(row, number, options)?);
            }
            Ok(())
        }
        _ => Err(
            Usage("import reads .json, .ndjson, .jsonl, .csv and directories".to_owned()).into(),
        ),
    }
}

fn read_csv(
    input: &mut Counting<BufReader<File>>,
    options: &Import,
    edits: &mut Edits,
    progress: &mut dyn FnMut(u64),
) -> Result<()> {
    let mut reader = csv::Reader::from_reader(input);
    let header = reader.headers()?.clone();
    let mut names: Vec<&str> = header.iter().collect();
    names.sort_unstable();
    if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
        bail!("two columns are named {name:?}");
    }
    for (number, record) in (1..).zip(reader.into_records()) {
        let record = record.map_err(|error| match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => anyhow::anyhow!("row {number} has {len} fields, the header has {expected_len}"),
            _ => anyhow::anyhow!("row {number}: {error}"),
        })?;
        let fields = header.iter().zip(record.iter());
        let row: serde_json::Map<String, serde_json::Value> = fields
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        let row = serde_json::value::to_raw_value(&row)?;
        edits.push(row_edit(&row, number, options)?);
        progress(record.position().map_or(0, csv::Position::byte));
    }
    Ok(())
}

/// A row becomes a value as it is written, but for white space: numbers keep their digits.
fn row_edit(row: &RawValue, number: u64, options: &Import) -> Result<(Bytes, Edit)> {
    let mut row_json = serde_json::Deserializer::from_str(row.get());
    let found = row_json
        .deserialize_map(KeyField(&options.key))
        .with_context(|| format!("row {number}"))?;
    let field = found.with_context(|| {
        format!(
            "row {number} has no field {:?}; name another with --key",
            options.key
        )
    })?;
    let key = match field.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(field.get())?,
        Some(b'-' | b'0'..=b'9') => field.get().to_owned(),
        _ => bail!(
            "row {number}: the field {:?} is neither text nor a number",
            options.key
        ),
    };
    if key.is_empty() {
        bail!("row {number}: the field {:?} is empty", options.key);
    }
    let key = format!("{}{key}", options.prefix);
    Ok((key.into(), Edit::Put(compact(row.get()).into())))
}

/// Finds the field that is the key of a row, in which no name may be twice.
struct KeyField<'a>(&'a str);

impl<'de> Visitor<'de> for KeyField<'_> {
    type Value = Option<Box<RawValue>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut names = BTreeSet::new();
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            let value: Box<RawValue> = map.next_value()?;
            if name == self.0 {
                found = Some(value);
            }
            if let Some(name) = names.replace(name) {
                let twice = format!("two fields are named {name:?}");
                return Err(serde::de::Error::custom(twice));
            }
        }
        Ok(found)
    }
}

/// JSON without the white space between its tokens.
fn compact(json: &str) -> String {
    let (mut in_text, mut escaped) = (false, false);
    json.chars()
        .filter(|letter| {
            let keep = in_text || !letter.is_ascii_whitespace();
            match letter {
                '"' if !escaped => in_text = !in_text,
                _ => {}
            }
            escaped = in_text && *letter == '\\' && !escaped;
            keep
        })
        .collect()
}

/// Each file of a directory becomes a value under its path in it. Links are not followed.
fn read_directory(
    node: &Node,
    root: &Path,
    prefix: &str,
    edits: &mut Edits,
    io: &mut Io<'_>,
) -> Result<()> {
    let mut files: Vec<PathBuf> = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    let total = files.len() as u64;
    let mut progress = io.progress("reading files");
    for (done, path) in (0..).zip(&files) {
        progress.at(done, total);
        let relative = path.strip_prefix(root)?.to_str();
        let relative = relative.with_context(|| format!("{} is no text", path.display()))?;
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        edits.push((
            format!("{prefix}{relative}").into(),
            node.edit_from(&mut file)?,
        ));
    }
    Ok(())
}

/// Counts the bytes that pass.
struct Counting<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_tokens_goes() {
        let json = r#" { "a b" : [ 1.50 , "c \" d \\" ] , "e" : " " } "#;
        assert_eq!(compact(json), r#"{"a b":[1.50,"c \" d \\"],"e":" "}"#);
    }
}
