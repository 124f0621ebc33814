//! A write is a commit (HTTP-50 to HTTP-53).

use allod_repo::{
    BranchName, CommitId, Edit, Heads, MESSAGE_BYTES_MAX, Repo, RepoError, Transaction,
};
use axum::http::{HeaderMap, HeaderName};
use bytes::Bytes;

use super::blob::Value;
use super::etag::{Conditions, state_tag};
use super::percent;
use super::problem::Problem;
use crate::clock::now_ms;
use crate::node::Node;

/// The header with the message of a commit.
const MESSAGE: HeaderName = HeaderName::from_static("allod-message");

/// How often a write is tried anew where others write to the same keys.
const TRIES: u32 = 8;

/// The message of a commit from its header: percent-encoded text (HTTP-51).
pub(crate) fn message(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(MESSAGE) else {
        return Ok(String::new());
    };
    let text = value
        .to_str()
        .ok()
        .and_then(|text| percent::decode(text, false));
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
    let bad = || Problem::request("Allod-Message is percent-encoded UTF-8");
    checked(text.ok_or_else(bad)?)
}

/// A message that is not too long.
pub(crate) fn checked(message: String) -> Result<String, Problem> {
    if message.len() <= MESSAGE_BYTES_MAX {
        return Ok(message);
    }
    let words = format!("a message has at most {MESSAGE_BYTES_MAX} bytes");
    Err(Problem::new("E_HTTP_VALUE", words))
}

/// What a commit changes, and on which conditions.
pub(crate) struct Draft {
    pub(crate) branch: BranchName,
    pub(crate) message: String,
    pub(crate) conditions: Conditions,
    pub(crate) edits: Vec<(Bytes, Edit)>,
    /// Whether the conditions are about the first key too, and not about the branch alone.
    pub(crate) is_of_key: bool,
}

/// A commit that was made.
pub(crate) struct Written {
    pub(crate) commit: CommitId,
    pub(crate) branch: BranchName,
    /// The name of the state after it.
    pub(crate) state: String,
    /// Whether the first key had a value before.
    pub(crate) was_there: bool,
}

/// Commits a draft, anew as long as others change the same keys. What was a condition is looked at each time.
pub(crate) fn commit(node: &Node, repo: &Repo, draft: Draft) -> Result<Written, Problem> {
    let mut left = TRIES;
    loop {
        let mut transaction = repo.begin(&draft.branch)?;
        let was_there = check(node, repo, &draft, &mut transaction)?;
        for (key, edit) in &draft.edits {
            let edited = transaction.edit(key.clone(), edit.clone());
            edited.map_err(|error| match error {
                RepoError::Missing(cid) => {
                    let words = format!("block {cid} of a file is not here");
                    Problem::new("E_HTTP_NEEDS_FILE", words)
                }
                error => error.into(),
            })?;
        }
        let made = transaction.commit(node.author()?, &draft.message, now_ms());
        match made {
            Err(RepoError::MovedOn(_)) => {
                let state = state_tag(&repo.heads(&draft.branch)?)?;
                return Err(Problem::condition(format!("the branch is \"{state}\" now")));
            }
            Err(RepoError::Conflict { .. } | RepoError::Contended(_)) if left > 0 => left -= 1,
            made => {
                let commit = made?;
                node.touch();
                let heads: Heads = repo.heads(&draft.branch)?;
                return Ok(Written {
                    commit,
                    branch: draft.branch,
                    state: state_tag(&heads)?,
                    was_there,
                });
            }
        }
    }
}

/// Whether the conditions of a draft hold now. What they are about counts when the transaction commits.
fn check(
    node: &Node,
    repo: &Repo,
    draft: &Draft,
    transaction: &mut Transaction,
) -> Result<bool, Problem> {
    let state = state_tag(transaction.snapshot().heads())?;
    let key = draft.edits.first().filter(|_| draft.is_of_key);
    let Some((key, edit)) = key else {
        if draft.conditions.of_branch(&state)? {
            transaction.expect_heads();
        }
        return Ok(false);
    };
    // The transaction writes the key, so that another write to it is a conflict.
    let entry = transaction.snapshot().entry(key)?;
    let value = entry
        .map(|entry| Value::of(node, repo, &entry))
        .transpose()?
        .flatten();
    let tag = value.as_ref().map(|value| &value.tag[..]);
    if draft.conditions.of_write(tag, &state)? {
        transaction.expect_heads();
    }
    if tag.is_none() && *edit == Edit::Delete {
        return Err(Problem::new("E_HTTP_ENTRY", "there is nothing to remove"));
    }
    Ok(tag.is_some())
}
