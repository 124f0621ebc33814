//! `put`, `get`, `del`, `export`, `add` and `cat`.

use allod::shown::as_text;
use allod::shown::hex;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use allod::{Node, NodeError, Position};
use allod_blocks::{
    Cid, FileError, FileProfile, add_file, export_car_with, file_size, parse_cid, proto_uri,
    read_file,
};
use allod_repo::{BranchName, Content, Edit, Entry, Repo, RepoError, Span, View, pin};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::data_args::{Export, Format, Get};
use crate::cli::io::{Io, count, size};
use crate::cli::keys::key_bytes;
use crate::cli::listing::span;
use crate::cli::net::end_of;
use crate::cli::space::say_part;
use crate::cli::{Usage, with_net};

/// The branch that edits are staged on.
pub(crate) fn branch(node: &Node, repo: &Repo) -> Result<BranchName> {
    match node.position(repo)? {
        Position::Branch(name) => Ok(name),
        Position::Detached(id) => Err(Usage(format!(
            "the space stands at commit {}, where nothing can be changed; make a branch there with \
             `allod branch NAME` and go to it with `allod switch NAME`",
            id.short()
        ))
        .into()),
    }
}

/// What a command reads: a named state, else where the space stands with what is staged.
pub(crate) fn view(node: &Node, repo: &Repo, at: Option<&str>) -> Result<View> {
    if at.is_some() {
        return Ok(node.state_at(repo, None, at)?);
    }
    Ok(match node.position(repo)? {
        Position::Branch(name) => repo.working(&name)?,
        Position::Detached(id) => repo.at(id)?,
    })
}

pub(crate) fn put(
    node: &Node,
    space: Option<&str>,
    key: &str,
    value: Option<&str>,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let edit = match value {
        Some(value) if value != "-" => Edit::Put(Bytes::copy_from_slice(value.as_bytes())),
        _ => node.edit_from(io.input)?,
    };
    let key = key_bytes(key)?;
    Ok(repo.stage(&branch, [(key, edit)], allod::now_ms())?)
}

/// Whether something is not kept here, of which another replica may have all.
fn is_elsewhere(error: &anyhow::Error) -> bool {
    let of_repo = match error.downcast_ref() {
        Some(NodeError::Repo(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    matches!(
        of_repo,
        Some(RepoError::OutOfPart { .. } | RepoError::Bare(_) | RepoError::NotKept { .. })
    )
}

/// Whether all of a file is here, as it is but where large ones are not kept.
fn is_whole(repo: &Repo, file: Cid) -> Result<bool> {
    let keeps_all = repo.part().is_none_or(|part| part.value_max().is_none());
    Ok(keeps_all || repo.has_file(file)?)
}

/// What a peer has under a key that is not kept here.
fn fetched(
    node: &Node,
    repo: &Repo,
    (key, at): (&[u8], Option<&str>),
    here: anyhow::Error,
    io: &mut Io<'_>,
) -> Result<Option<Content>> {
    if !node.has_keys() {
        return Err(here.context("`allod get --ask` asks a peer for it"));
    }
    let commits = node.commits_at(repo, None, at)?;
    let peers = node.whole_first(repo)?;
    with_net(node, io, |io, net| {
        let mut last = here.context("no peer is known that could be asked");
        for (device, peer) in &peers {
            let way = (&net.endpoint, &net.handle);
            match node.fetch_value(way, repo, (&commits, key), (*device, peer)) {
                Ok(content) => {
                    let from = end_of(*device);
                    io.say(format!("not kept here; this is what {from} has of it"))?;
                    return Ok(content);
                }
                Err(error) => last = anyhow::Error::from(error).context("it is not kept here"),
            }
        }
        Err(last)
    })
}

pub(crate) fn get(node: &Node, space: Option<&str>, options: &Get, io: &mut Io<'_>) -> Result<()> {
    let Get { key, raw, at, .. } = options;
    let (key, raw, at) = (key.as_str(), *raw, at.as_deref());
    if raw && io.json {
        return Err(Usage("either --raw or --json".to_owned()).into());
    }
    let repo = node.space(space)?;
    let bytes = key_bytes(key)?;
    // What is fetched stays until it was read.
    let _hold = node.store().uses().hold();
    let here = view(node, &repo, at).and_then(|view| Ok(view.get(&bytes)?));
    let here = here.and_then(|content| match content {
        Some(Content::File(cid)) if raw && !is_whole(&repo, cid)? => Err(RepoError::NotKept {
            key: bytes.to_vec(),
        }
        .into()),
        content => Ok(content),
    });
    let content = match here {
        Err(error) if is_elsewhere(&error) => fetched(node, &repo, (&bytes, at), error, io)?,
        content => content?,
    };
    match content.with_context(|| format!("no value under {key:?}"))? {
        Content::File(cid) if raw => {
            read_file(node.store().as_ref(), &cid, io.out)?;
            Ok(())
        }
        Content::File(cid) => {
            let bytes = file_size(node.store().as_ref(), &cid)?;
            let value = json!({
                "key": key,
                "file": cid.to_string(),
                "size": bytes,
                "here": is_whole(&repo, cid)?,
            });
            no_text(&value, &format!("a file of {}", size(bytes)), key, io)
        }
        Content::Bytes(bytes) if raw => Ok(io.out.write_all(&bytes)?),
        Content::Bytes(bytes) => match as_text(&bytes) {
            Some(text) => io.data(&json!({ "key": key, "value": text }), || text.to_owned()),
            None => {
                let value = json!({ "key": key, "size": bytes.len(), "base16": hex(&bytes) });
                let what = format!("{} that are no text", size(bytes.len() as u64));
                no_text(&value, &what, key, io)
            }
        },
    }
}

/// Tells programs of a value that is no text; people hear how to get it. That fails: whoever reads
/// the output would take a hint for the value.
fn no_text(value: &Value, what: &str, key: &str, io: &mut Io<'_>) -> Result<()> {
    if io.json {
        return io.data(value, String::new);
    }
    bail!("{key:?} is {what}; `allod get {key} --raw` writes it out")
}

pub(crate) fn del(
    node: &Node,
    space: Option<&str>,
    keys: &[String],
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let working = repo.working(&branch)?;
    let mut edits = Vec::new();
    for text in keys {
        let key = key_bytes(text)?;
        let entry = working.entry(&key)?;
        let there = entry.is_some_and(|entry| entry.is_live());
        anyhow::ensure!(there, "no value under {text:?}; nothing was removed");
        edits.push((key, Edit::Delete));
    }
    repo.stage(&branch, edits, allod::now_ms())?;
    io.say(format!("{} staged for removal", count(keys.len() as u64)))
}

pub(crate) fn export(
    node: &Node,
    space: Option<&str>,
    options: &Export,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let view = view(node, &repo, options.at.as_deref())?;
    let out = options.out.as_ref().map(|path| io.path(path));
    let span = span(options.prefix.as_deref(), None, None)?;
    say_part(&repo, span.from.as_deref(), io)?;
    match (options.format, out) {
        (Format::Dir, None) => Err(Usage("--format dir needs --out DIR".to_owned()).into()),
        (Format::Dir, Some(dir)) => export_dir((node, &repo), &view, &span, &dir, io),
        (Format::Car, out) => {
            if options.prefix.is_some() {
                return Err(Usage(
                    "a CAR archive holds the whole state; leave the prefix out".to_owned(),
                )
                .into());
            }
            let root = view.tree().root();
            let linked = linked(&view)?;
            let store = node.store().as_ref();
            let info = match out {
                None => export_car_with(store, &root, &linked, io.out)?,
                Some(path) => whole_file(&path, |file| {
                    Ok(export_car_with(store, &root, &linked, file)?)
                })?,
            };
            io.say(format!(
                "{} blocks, {}, root {root}",
                count(info.blocks),
                size(info.bytes)
            ))
        }
        (Format::Ndjson, None) => {
            let rows = export_rows(node, &view, &span, io.out)?;
            io.say(format!("{} rows", count(rows)))
        }
        (Format::Ndjson, Some(path)) => {
            let rows = whole_file(&path, |file| export_rows(node, &view, &span, file))?;
            io.say(format!(
                "{} rows written to {}",
                count(rows),
                path.display()
            ))
        }
    }
}

/// What the entries of a state link to: large values and files.
fn linked(view: &View) -> Result<Vec<Cid>> {
    let entries = view.tree().range(..).map(|item| {
        let (_, entry) = item?;
        Ok(Entry::decode(&entry)?.state.link().copied())
    });
    entries.filter_map(Result::transpose).collect()
}

/// Writes a file under another name and gives it its own when it is whole.
fn whole_file<T>(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<T>) -> Result<T> {
    let (file, temporary) = allod::beside(path, 0o666)?;
    let mut file = BufWriter::new(file);
    let result = write(&mut file).and_then(|result| {
        file.flush()?;
        fs::rename(&temporary, path)?;
        Ok(result)
    });
    if result.is_err() {
        // Half a file helps nobody; that it cannot be removed either changes nothing.
        fs::remove_file(&temporary).ok();
    }
    result.with_context(|| path.display().to_string())
}

fn export_rows(node: &Node, view: &View, span: &Span, out: &mut dyn std::io::Write) -> Result<u64> {
    let mut rows = 0;
    for item in view.range(span, false) {
        let (key, entry) = item?;
        let mut row = serde_json::Map::new();
        match std::str::from_utf8(&key) {
            Ok(key) => row.insert("key".into(), key.into()),
            Err(_) => row.insert("key_base16".into(), hex(&key).into()),
        };
        match view.content(&entry)? {
            Some(Content::Bytes(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) => row.insert("value".into(), text.into()),
                Err(_) => row.insert("value_base16".into(), hex(&bytes).into()),
            },
            Some(Content::File(cid)) => {
                let size = file_size(node.store().as_ref(), &cid)?;
                row.insert("size".into(), size.into());
                row.insert("file".into(), cid.to_string().into())
            }
            None => continue,
        };
        writeln!(out, "{}", Value::Object(row))?;
        rows += 1;
    }
    Ok(rows)
}

fn export_dir(
    (node, repo): (&Node, &Repo),
    view: &View,
    span: &Span,
    dir: &Path,
    io: &mut Io<'_>,
) -> Result<()> {
    let mut files = 0;
    for item in view.range(span, false) {
        let (key, entry) = item?;
        let path = dir.join(relative(&key)?);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        }
        match view.content(&entry)? {
            Some(Content::Bytes(bytes)) => {
                fs::write(&path, bytes).with_context(|| path.display().to_string())?;
            }
            Some(Content::File(cid)) => {
                whole_file(&path, |file| {
                    read_file(node.store().as_ref(), &cid, file).map_err(|error| match error {
                        FileError::Missing(_) if repo.part().is_some() => {
                            RepoError::NotKept { key: key.to_vec() }.into()
                        }
                        error => error.into(),
                    })
                })?;
            }
            None => continue,
        }
        files += 1;
    }
    io.say(format!(
        "{} files written to {}",
        count(files),
        dir.display()
    ))
}

/// A key as a path that stays below the directory it is joined to.
fn relative(key: &[u8]) -> Result<PathBuf> {
    let text = std::str::from_utf8(key).ok();
    // Spelled as the only name of its path: `a//b` and `a/./b` would be written over `a/b`.
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let path = text.filter(|text| text.split('/').all(plain));
    path.map(PathBuf::from).with_context(|| {
        format!(
            "the key {} is no relative path; use --format ndjson",
            key.escape_ascii()
        )
    })
}

pub(crate) fn add(node: &Node, file: &Path, io: &mut Io<'_>) -> Result<()> {
    let profile = FileProfile::UNIXFS_V1_2025;
    let store = node.store().as_ref();
    let info = if file == Path::new("-") {
        add_file(store, profile, io.input, &mut |_| {})?
    } else {
        let path = io.path(file);
        let mut input = File::open(&path).with_context(|| path.display().to_string())?;
        let total = input.metadata().map_or(0, |meta| meta.len());
        let mut progress = io.progress("adding");
        add_file(store, profile, &mut input, &mut |done| {
            progress.at(done, total);
        })
        .with_context(|| path.display().to_string())?
    };
    // No space refers to it.
    pin(store, &info.cid)?;
    let value = json!({
        "cid": info.cid.to_string(),
        "size": info.size,
        "proto": proto_uri(&info.cid),
    });
    io.data(&value, || info.cid.to_string())
}

pub(crate) fn cat(node: &Node, cid: &str, io: &mut Io<'_>) -> Result<()> {
    let cid = parse_cid(cid).with_context(|| format!("{cid:?} names nothing"))?;
    read_file(node.store().as_ref(), &cid, io.out).map_err(|error| match error {
        FileError::Missing(_) => anyhow::Error::from(error).context(
            "not all of it is here; where large files are not kept, `allod get KEY --raw --ask` reads one from a peer",
        ),
        error => error.into(),
    })?;
    Ok(())
}
