//! `unstage`: what becomes of edits that are not committed.

use allod::Node;
use anyhow::Result;
use bytes::Bytes;
use serde_json::json;

use crate::cli::io::{Io, count};
use crate::cli::values::branch as current_branch;
use crate::cli::work_args::Unstage;

pub(crate) fn unstage(
    node: &Node,
    space: Option<&str>,
    options: &Unstage,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let branch = current_branch(node, &repo)?;
    let dropped = if options.all {
        repo.unstage(&branch)?
    } else {
        let keys = options.keys.iter();
        let keys = keys.map(|key| Bytes::copy_from_slice(key.as_bytes()));
        repo.unstage_keys(&branch, &keys.collect())?
    };
    io.data(&json!({ "unstaged": dropped }), || {
        format!("{} keys are no longer staged", count(dropped as u64))
    })
}
