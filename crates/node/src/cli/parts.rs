//! `space parts`: what can be read without the rest of a space (PART-20).

use allod::{Node, now_ms};
use allod_access::{Op, Request, Target};
use allod_repo::{BranchName, PREFIX_BYTES_MAX, Repo};
use anyhow::Result;
use serde_json::json;

use crate::cli::Usage;
use crate::cli::access::may_read;
use crate::cli::access_args::Gift;
use crate::cli::io::Io;
use crate::cli::keys::key_bytes;

/// Declares a prefix for some more branches: `main` where none is named.
pub(crate) fn declare(
    node: &Node,
    repo: &Repo,
    prefix: &str,
    branches: &[BranchName],
) -> Result<()> {
    declare_bytes(node, repo, &key_bytes(prefix)?, branches)
}

fn declare_bytes(node: &Node, repo: &Repo, prefix: &[u8], branches: &[BranchName]) -> Result<()> {
    let declared = repo.declared_parts()?;
    let mut all = declared.get(prefix).cloned().unwrap_or_default();
    all.extend_from_slice(branches);
    if branches.is_empty() {
        all.push(BranchName::main());
    }
    if repo
        .declare_part(prefix, &all, node.author()?, now_ms())?
        .is_some()
    {
        for branch in &all {
            repo.sign_parts(branch, node.author()?, now_ms())?;
        }
    }
    node.touch();
    Ok(())
}

pub(crate) fn remove(node: &Node, repo: &Repo, prefix: &str) -> Result<()> {
    repo.declare_part(&key_bytes(prefix)?, &[], node.author()?, now_ms())?;
    node.touch();
    Ok(())
}

pub(crate) fn list(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let declared = repo.declared_parts()?;
    for (prefix, branches) in declared.iter() {
        let prefix = prefix.escape_ascii().to_string();
        let names: Vec<&str> = branches.iter().map(BranchName::as_str).collect();
        let value = json!({ "prefix": prefix, "branches": names });
        io.data(&value, || format!("{prefix}*  of {}", names.join(", ")))?;
    }
    if declared.is_empty() {
        io.say("no part is declared; `allod space parts --declare PREFIX` does so")?;
    }
    Ok(())
}

/// Refuses prefixes that no part can have, before anything is granted.
pub(crate) fn check(gift: &Gift) -> Result<()> {
    let is_part = |prefix: &String| (1..=PREFIX_BYTES_MAX).contains(&prefix.len());
    if may_read(gift)? && !gift.prefix.iter().all(is_part) {
        let what = format!("a prefix that may be read has 1 to {PREFIX_BYTES_MAX} bytes");
        return Err(Usage(what).into());
    }
    Ok(())
}

/// Declares the prefixes that a grant lets somebody read, so that they get them over the wire; says so where that is for
/// somebody else to do.
pub(crate) fn declare_for(node: &Node, repo: &Repo, gift: &Gift, io: &mut Io<'_>) -> Result<()> {
    if gift.prefix.is_empty() || !may_read(gift)? {
        return Ok(());
    }
    // A pattern of branches is no branch.
    let branches = gift.branch.iter().filter_map(|name| name.parse().ok());
    let branches: Vec<BranchName> = branches.collect();
    if branches.is_empty() && !gift.branch.is_empty() {
        return say_undeclared(gift, io);
    }
    let who = node.principal()?;
    let may = repo.may(&Request {
        who: &who,
        op: Op::Admin,
        branch: BranchName::meta().as_str(),
        target: Target::Branch,
        at: now_ms(),
    })?;
    for prefix in &gift.prefix {
        let declared = repo.declared_parts()?;
        let of = declared.get(prefix.as_bytes());
        let main = [BranchName::main()];
        let wanted = if branches.is_empty() {
            &main[..]
        } else {
            &branches
        };
        if of.is_some_and(|of| wanted.iter().all(|branch| of.contains(branch))) {
            continue;
        }
        if !may.is_allowed() {
            return say_undeclared(gift, io);
        }
        declare_bytes(node, repo, prefix.as_bytes(), &branches)?;
    }
    if branches.len() < gift.branch.len() {
        return say_undeclared(gift, io);
    }
    Ok(())
}

fn say_undeclared(gift: &Gift, io: &mut Io<'_>) -> Result<()> {
    io.warn(format!(
        "{} is no declared part of each branch that is meant, so nothing of it goes over the wire to who may read no more; whoever \
         administers the space declares it with `allod space parts --declare`",
        gift.prefix.join(", ")
    ))
}
