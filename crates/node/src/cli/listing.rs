//! `ls`.

use allod::Node;
use allod::shown::state_kind;
use allod_repo::{Entry, Span};
use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cli::io::{Io, size};
use crate::cli::keys::{key_bytes, key_text};
use crate::cli::list_args::Ls;
use crate::cli::space::say_part;
use crate::cli::values::view;

pub(crate) fn ls(node: &Node, space: Option<&str>, options: &Ls, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let view = view(node, &repo, options.at.as_deref())?;
    let mut span = span(
        options.prefix.as_deref(),
        options.from.as_deref(),
        options.to.as_deref(),
    )?;
    let prefix = options.prefix.as_ref().and(span.from.as_deref());
    say_part(&repo, prefix, io)?;
    if let Some(after) = &options.after {
        let after = key_bytes(after)?;
        if options.reverse {
            // A range without an end goes on for ever.
            let to = span.to.take();
            span.to = Some(to.map_or(after.to_vec(), |to| to.min(after.to_vec())));
        } else {
            // The least key after it. A prefix keeps its own start if that is later.
            span.from = span.from.max(Some([&after[..], b"\0"].concat()));
        }
    }
    if options.count {
        let keys = if options.live {
            view.range(&span, false)
                .try_fold(0, |keys, item| item.map(|_| keys + 1))?
        } else {
            view.count(&span)?
        };
        return io.data(&json!({ "keys": keys }), || keys.to_string());
    }
    if let Some(index) = options.nth {
        let there = view.count(&span)?;
        let item = view.nth(&span, index)?;
        let item = item.with_context(|| format!("there are {there} keys, numbered from 0"))?;
        return print(node, &item, options.long, io);
    }
    if let Some(count) = options.sample {
        let seed = options.seed.unwrap_or_else(allod::now_ms);
        for item in view.sample(&span, count, seed)? {
            print(node, &item, options.long, io)?;
        }
        return Ok(());
    }
    let items = view.range(&span, options.reverse);
    for item in items.take(options.limit.unwrap_or(usize::MAX)) {
        print(node, &item?, options.long, io)?;
    }
    Ok(())
}

fn print(
    node: &Node,
    (key, entry): &(bytes::Bytes, Entry),
    long: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let (kind, bytes) = state_kind(node.store().as_ref(), &entry.state)?;
    let key = key_text(key);
    let time = allod::utc(entry.stamp.millis());
    let value = json!({ "key": key, "kind": kind, "size": bytes, "time": time });
    io.data(&value, || {
        if long {
            format!("{time}  {:>10}  {kind:<12}  {key}", size(bytes))
        } else {
            key.clone()
        }
    })
}

/// The keys with a prefix, else those between two keys.
pub(crate) fn span(prefix: Option<&str>, from: Option<&str>, to: Option<&str>) -> Result<Span> {
    let bytes = |key: Option<&str>| -> Result<Option<Vec<u8>>> {
        key.map(|key| Ok(key_bytes(key)?.to_vec())).transpose()
    };
    Ok(match prefix {
        Some(prefix) => Span::prefix(&key_bytes(prefix)?),
        None => Span {
            from: bytes(from)?,
            to: bytes(to)?,
        },
    })
}
