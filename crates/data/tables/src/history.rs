//! The history of a space as tables (TAB-10).

use std::sync::Arc;

use allod_repo::{BranchName, Content, Entry, Heads, Repo, Span};
use allod_sql::{At, Column, ColumnType, Scalar, TableError};
use allod_views::Snapshot;

use crate::catalog::Own;
use crate::convert::moment;
use crate::fault::{fault, no_state};
use crate::keys::key_text;
use crate::list::List;
use crate::visibility::Visibility;

/// The functions that give tables.
pub(crate) const FUNCTIONS: [&str; 5] = [
    "allod_log",
    "allod_blame",
    "allod_conflicts",
    "allod_branches",
    "allod_tags",
];

/// Rows of a function at most: the newest commits, the first keys.
const ROWS_MAX: usize = 100_000;

/// The table of a function.
pub(crate) fn function(
    name: &str,
    arguments: &[Scalar],
    (snapshot, own): (&Snapshot, &Own),
    visibility: &Arc<dyn Visibility>,
) -> Result<Option<List>, TableError> {
    let texts: Option<Vec<&str>> = arguments.iter().map(text).collect();
    let texts = texts.ok_or_else(|| no_state(format!("{name} takes texts")))?;
    let repo = snapshot.repo();
    let list = match (name.to_ascii_lowercase().as_str(), &texts[..]) {
        ("allod_log", []) => {
            check_whole(&**visibility)?;
            log(repo, snapshot.view().heads())?
        }
        ("allod_log", [branch]) => {
            check_whole(&*elsewhere(visibility, named(branch))?)?;
            log(repo, &heads(repo, branch)?)?
        }
        ("allod_blame", [key]) => blame(snapshot, key, visibility)?,
        ("allod_conflicts", []) => conflicts(repo, &branch_of(own)?, visibility)?,
        ("allod_conflicts", [branch]) => {
            let branch: BranchName = branch
                .parse()
                .map_err(|_error| no_state(format!("no branch {branch:?}")))?;
            let visibility = elsewhere(visibility, on_branch(branch.as_str()))?;
            conflicts(repo, &branch, &visibility)?
        }
        ("allod_branches", []) => branches(repo, visibility)?,
        ("allod_tags", []) => tags(repo, visibility)?,
        (known, _) if FUNCTIONS.contains(&known) => {
            let usage = match known {
                "allod_log" | "allod_conflicts" => "no argument, or a branch",
                "allod_blame" => "a key, or a prefix and *",
                _ => "no argument",
            };
            return Err(no_state(format!("{known} takes {usage}")));
        }
        _ => return Ok(None),
    };
    Ok(Some(list))
}

fn named(text: &str) -> At {
    At {
        as_of: Some(text.to_owned()),
        branch: None,
    }
}

fn on_branch(name: &str) -> At {
    At {
        as_of: None,
        branch: Some(name.to_owned()),
    }
}

/// What the reader sees of another state.
fn elsewhere(visibility: &Arc<dyn Visibility>, at: At) -> Result<Arc<dyn Visibility>, TableError> {
    let seen = visibility.elsewhere(&at)?;
    Ok(seen.unwrap_or_else(|| Arc::clone(visibility)))
}

/// Refuses who does not see everything: a commit tells of all that it changes.
fn check_whole(visibility: &dyn Visibility) -> Result<(), TableError> {
    if visibility.sees_all() {
        return Ok(());
    }
    Err(no_state("the history is for who may read all of it"))
}

fn text(value: &Scalar) -> Option<&str> {
    match value {
        Scalar::Text(text) => Some(text),
        _ => None,
    }
}

fn branch_of(own: &Own) -> Result<BranchName, TableError> {
    match own {
        Own::Working(branch) => Ok(branch.clone()),
        Own::Commit(_) | Own::Commits(_) => {
            Err(no_state("a commit has no conflicts; name a branch"))
        }
    }
}

fn heads(repo: &Repo, text: &str) -> Result<Heads, TableError> {
    let found = repo.find(text).map_err(fault)?;
    if found.is_empty() {
        return Err(no_state(format!("no branch or commit {text:?}")));
    }
    Ok(found.into_iter().collect())
}

fn columns(names: &[&str]) -> Vec<Column> {
    let kind = |name: &str| match name {
        "generation" | "heads" => ColumnType::Integer,
        "parents" => ColumnType::Json,
        "kept" | "aside" => ColumnType::Any,
        _ => ColumnType::Text,
    };
    names
        .iter()
        .map(|name| Column::new(*name, kind(name)))
        .collect()
}

fn of_text(value: impl ToString) -> Scalar {
    Scalar::Text(value.to_string())
}

fn at(millis: u64) -> Scalar {
    let micros = i64::try_from(millis)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    Scalar::Text(moment(micros))
}

fn log(repo: &Repo, heads: &Heads) -> Result<List, TableError> {
    let mut rows = Vec::new();
    for item in repo.log(heads).map_err(fault)?.take(ROWS_MAX) {
        let (id, commit) = item.map_err(fault)?;
        let said = commit.payload();
        let parents: Vec<String> = said
            .parents
            .iter()
            .map(|parent| format!("\"{parent}\""))
            .collect();
        rows.push(vec![
            of_text(id),
            at(said.stamp.millis()),
            of_text(said.author),
            of_text(&said.message),
            of_text(&said.branch),
            Scalar::Integer(i64::try_from(said.generation).unwrap_or(i64::MAX)),
            of_text(format!("[{}]", parents.join(","))),
            of_text(said.tree),
        ]);
    }
    let names = [
        "id",
        "at",
        "author",
        "message",
        "branch",
        "generation",
        "parents",
        "tree",
    ];
    Ok(List::new(columns(&names), rows))
}

fn blame(
    snapshot: &Snapshot,
    key: &str,
    visibility: &Arc<dyn Visibility>,
) -> Result<List, TableError> {
    let span = match key.strip_suffix('*') {
        Some(prefix) => Span::prefix(prefix.as_bytes()),
        None => Span {
            from: Some(key.as_bytes().to_vec()),
            to: Some([key.as_bytes(), &[0]].concat()),
        },
    };
    let repo = snapshot.repo();
    let blamed = repo.blame_range(snapshot.view().heads(), &span, ROWS_MAX);
    let mut rows = Vec::new();
    for blame in blamed.map_err(fault)? {
        if visibility.sees(&blame.key) {
            rows.push(vec![
                of_text(key_text(&blame.key)),
                of_text(blame.id),
                at(blame.commit.payload().stamp.millis()),
                of_text(blame.author()),
                of_text(blame.device()),
                of_text(&blame.commit.payload().message),
            ]);
        }
    }
    let names = ["_key", "id", "at", "author", "device", "message"];
    Ok(List::new(columns(&names), rows))
}

fn conflicts(
    repo: &Repo,
    branch: &BranchName,
    visibility: &Arc<dyn Visibility>,
) -> Result<List, TableError> {
    let shown = |entry: &Entry| -> Result<Scalar, TableError> {
        Ok(match repo.content(entry).map_err(fault)? {
            Some(Content::Bytes(bytes)) => match std::str::from_utf8(&bytes) {
                Ok(text) => Scalar::Text(text.to_owned()),
                Err(_) => Scalar::Blob(bytes.to_vec()),
            },
            Some(Content::File(cid)) => of_text(cid),
            None => Scalar::Null,
        })
    };
    let mut rows = Vec::new();
    for conflict in repo.conflicts(branch, ROWS_MAX).map_err(fault)? {
        if visibility.sees(&conflict.key) {
            rows.push(vec![
                of_text(key_text(&conflict.key)),
                shown(&conflict.kept)?,
                shown(&conflict.aside)?,
                of_text(conflict.met),
            ]);
        }
    }
    Ok(List::new(columns(&["_key", "kept", "aside", "met"]), rows))
}

fn branches(repo: &Repo, visibility: &Arc<dyn Visibility>) -> Result<List, TableError> {
    let all = repo.branches().map_err(fault)?.into_iter();
    let all = all.filter(|(name, _)| visibility.sees_branch(name));
    let rows = all.map(|(name, heads)| {
        let first = heads.first().map_or(Scalar::Null, of_text);
        vec![
            of_text(name),
            Scalar::Integer(i64::try_from(heads.len()).unwrap_or(i64::MAX)),
            first,
        ]
    });
    Ok(List::new(
        columns(&["name", "heads", "head"]),
        rows.collect(),
    ))
}

fn tags(repo: &Repo, visibility: &Arc<dyn Visibility>) -> Result<List, TableError> {
    let all = repo.tags().map_err(fault)?.into_iter();
    let all = all.filter(|(_, tag)| visibility.sees_commit(tag.commit));
    let rows = all.map(|(name, tag)| {
        vec![
            of_text(name),
            of_text(tag.commit),
            at(tag.at),
            of_text(tag.by),
            of_text(tag.message),
        ]
    });
    let names = ["name", "id", "at", "author", "message"];
    Ok(List::new(columns(&names), rows.collect()))
}
