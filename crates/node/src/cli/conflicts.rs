//! `conflicts` and `resolve`, and how a conflict is shown.

use allod::Node;
use allod::shown::state_value;
use allod_repo::{Conflict, Edit, Entry, MergeConflict, Repo, Resolution, State};
use anyhow::Result;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::cli::history::state_text;
use crate::cli::io::{Io, count};
use crate::cli::keys::{key_bytes, key_text};
use crate::cli::merge_args::Resolve;
use crate::cli::merging::{named_branch, resolving, task_text};

fn side_text(entry: Option<&Entry>) -> String {
    entry.map_or_else(|| "none".to_owned(), |entry| state_text(&entry.state))
}

pub(crate) fn conflict_row(
    repo: &Repo,
    conflict: &MergeConflict,
    resolved: Option<&State>,
) -> Value {
    let side = |entry: &Option<Entry>| {
        let entry = entry.as_ref();
        entry.map_or(Value::Null, |entry| {
            state_value(repo.store().as_ref(), &entry.state)
        })
    };
    json!({
        "kind": "merge",
        "key": key_text(&conflict.key),
        "base": side(&conflict.base),
        "ours": side(&conflict.ours),
        "theirs": side(&conflict.theirs),
        "note": conflict.note,
        "resolved": resolved.map(|state| match state {
            State::Tombstone => json!({ "deleted": true }),
            state => state_value(repo.store().as_ref(), state),
        }),
    })
}

pub(crate) fn conflict_text(conflict: &MergeConflict, resolved: Option<&str>) -> String {
    let mut text = format!(
        "{}\n  base    {}\n  ours    {}\n  theirs  {}",
        key_text(&conflict.key),
        side_text(conflict.base.as_ref()),
        side_text(conflict.ours.as_ref()),
        side_text(conflict.theirs.as_ref()),
    );
    if let Some(note) = &conflict.note {
        text = format!("{text}\n  note    {note}");
    }
    if let Some(resolved) = resolved {
        text = format!("{text}\n  resolved to {resolved}");
    }
    text
}

pub(crate) fn resolve(
    node: &Node,
    space: Option<&str>,
    options: &Resolve,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = named_branch(node, &repo, options.on.as_deref())?;
    let resolution = match (&options.value, options.ours, options.theirs) {
        (Some(value), _, _) if value == "-" => Resolution::Edit(node.edit_from(io.input)?),
        (Some(value), _, _) => {
            Resolution::Edit(Edit::Put(Bytes::copy_from_slice(value.as_bytes())))
        }
        (None, true, _) => Resolution::Ours,
        (None, _, true) => Resolution::Theirs,
        (None, _, _) => Resolution::Edit(Edit::Delete),
    };
    repo.resolve(&branch, &key_bytes(&options.key)?, resolution)?;
    let (mut left, mut after) = (0, None);
    loop {
        let from = after.as_deref();
        let page = repo.open_conflicts(&branch, resolving(&[]), from, allod_repo::KEYS_LISTED)?;
        left += page.iter().filter(|(_, state)| state.is_none()).count();
        match page.last() {
            Some((last, _)) if page.len() == allod_repo::KEYS_LISTED => {
                after = Some(last.key.clone());
            }
            _ => break,
        }
    }
    let value = json!({ "key": options.key, "left": left });
    io.data(&value, || match left {
        0 => "no conflict is left; go on with --continue".to_owned(),
        left => format!("{} conflicts are left", count(left as u64)),
    })
}

pub(crate) fn conflicts(
    node: &Node,
    space: Option<&str>,
    (limit, on): (usize, Option<&str>),
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = named_branch(node, &repo, on)?;
    let mut open = Vec::new();
    if let Some(under_way) = repo.under_way(&branch)? {
        io.say(format!("{} on {branch}:", task_text(&under_way)))?;
        open = repo.open_conflicts(&branch, resolving(&[]), None, limit)?;
    }
    for (conflict, state) in &open {
        io.data(&conflict_row(&repo, conflict, state.as_ref()), || {
            conflict_text(conflict, state.as_ref().map(state_text).as_deref())
        })?;
    }
    for conflict in repo.conflicts(&branch, limit.saturating_sub(open.len()))? {
        put_aside(&repo, &conflict, io)?;
    }
    Ok(())
}

fn put_aside(repo: &Repo, conflict: &Conflict, io: &mut Io<'_>) -> Result<()> {
    let (kept, aside) = (&conflict.kept.state, &conflict.aside.state);
    let value = json!({
        "kind": "join",
        "key": key_text(&conflict.key),
        "kept": state_value(repo.store().as_ref(), kept),
        "aside": state_value(repo.store().as_ref(), aside),
        "aside_time": allod::utc(conflict.aside.stamp.millis()),
        "met": conflict.met.to_string(),
    });
    io.data(&value, || {
        format!(
            "{}\n  kept   {}\n  aside  {}",
            key_text(&conflict.key),
            state_text(kept),
            state_text(aside)
        )
    })
}
