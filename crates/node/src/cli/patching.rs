//! `diff` and `apply`.

use allod::shown::state_kind;
use allod::shown::state_value;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use allod::{Node, Position};
use allod_repo::{Difference, Patch, PatchError, Span, State, View, write_patch};
use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::cli::history::state_text;
use crate::cli::io::{Io, count, size};
use crate::cli::keys::key_text;
use crate::cli::listing::span;
use crate::cli::patch_args::{ApplyArgs, DiffArgs};
use crate::cli::values::{branch, view};

pub(crate) fn diff(
    node: &Node,
    space: Option<&str>,
    options: &DiffArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let before = match (&options.before, node.position(&repo)?) {
        (Some(at), _) => node.state_at(&repo, None, Some(at))?,
        (None, Position::Branch(name)) => repo.state(&name)?,
        (None, Position::Detached(id)) => repo.at(id)?,
    };
    let after = view(node, &repo, options.after.as_deref())?;
    let span = span(
        options.prefix.as_deref(),
        options.from.as_deref(),
        options.to.as_deref(),
    )?;
    if options.patch {
        let changes = write_patch(&before, &after, &span, io.out)?;
        return io.say(format!("{} changes", count(changes)));
    }
    if options.stat {
        return stat(node, (&before, &after), &span, io);
    }
    for change in before.diff(&after, &span) {
        print(node, &change?, io)?;
    }
    Ok(())
}

fn print(node: &Node, change: &Difference, io: &mut Io<'_>) -> Result<()> {
    let key = key_text(&change.key);
    let whole = |state: &State| state_value(node.store().as_ref(), state);
    let value =
        json!({ "key": key, "before": whole(&change.before), "after": whole(&change.after) });
    let words = |state: &State| (*state != State::Tombstone).then(|| state_text(state));
    io.data(&value, || {
        match (words(&change.before), words(&change.after)) {
            (Some(before), None) => format!("- {key}  {before}"),
            (None, after) => format!("+ {key}  {}", after.unwrap_or_default()),
            (Some(_), Some(after)) => format!("~ {key}  {after}"),
        }
    })
}

/// Keys that a failing `apply` names.
const DIFFERING_SHOWN: usize = 20;

/// Keys, and the bytes of their values before and after.
#[derive(Default)]
struct Sum {
    keys: u64,
    before: u64,
    after: u64,
}

fn stat(node: &Node, (before, after): (&View, &View), span: &Span, io: &mut Io<'_>) -> Result<()> {
    let [mut added, mut changed, mut removed] = [Sum::default(), Sum::default(), Sum::default()];
    for change in before.diff(after, span) {
        let change = change?;
        let sum = match (&change.before, &change.after) {
            (State::Tombstone, _) => &mut added,
            (_, State::Tombstone) => &mut removed,
            _ => &mut changed,
        };
        sum.keys += 1;
        sum.before = sum
            .before
            .saturating_add(state_kind(node.store().as_ref(), &change.before)?.1);
        sum.after = sum
            .after
            .saturating_add(state_kind(node.store().as_ref(), &change.after)?.1);
    }
    let value = json!({
        "added": added.keys,
        "added_bytes": added.after,
        "changed": changed.keys,
        "changed_bytes_before": changed.before,
        "changed_bytes_after": changed.after,
        "removed": removed.keys,
        "removed_bytes": removed.before,
    });
    io.data(&value, || {
        format!(
            "added    {}, {}\nchanged  {}, {} before, {} after\nremoved  {}, {}",
            count(added.keys),
            size(added.after),
            count(changed.keys),
            size(changed.before),
            size(changed.after),
            count(removed.keys),
            size(removed.before),
        )
    })
}

pub(crate) fn apply(
    node: &Node,
    space: Option<&str>,
    options: &ApplyArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = branch(node, &repo)?;
    let mut patch = if options.file == Path::new("-") {
        Patch::read(&mut BufReader::new(&mut *io.input))?
    } else {
        let path = io.path(&options.file);
        let file = File::open(&path).with_context(|| path.display().to_string())?;
        Patch::read(&mut BufReader::new(file))?
    };
    if options.reverse {
        patch = patch.reversed();
    }
    let result = if options.check {
        let checked = repo.check_patch(&branch, &patch);
        checked.map(|()| patch.changes().len() as u64)
    } else {
        repo.apply_patch(&branch, &patch, allod::now_ms())
    };
    if let Err(PatchError::Differs { keys, total }) = &result {
        let keys: Vec<String> = keys.iter().map(|key| key_text(key)).collect();
        if io.json {
            io.data(&json!({ "differs": total, "keys": keys }), String::new)?;
        }
        let shown = keys.iter().take(DIFFERING_SHOWN).cloned();
        let shown: Vec<String> = shown.collect();
        bail!(
            "{} keys are not as the patch says they were before: {}",
            count(*total),
            shown.join(", ")
        );
    }
    let changes = result?;
    let name = if options.check { "applies" } else { "staged" };
    io.data(&json!({ name: changes }), || {
        format!("{} changes {name}", count(changes))
    })
}
