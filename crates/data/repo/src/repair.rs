//! Looking at a whole store, block by block, and mending it (REPO-67, REPO-68).
//!
//! [`Repo::check`](crate::Repo::check) judges what a space says. This judges what is kept: that each
//! block is the one that it is stored as, and that all of what references need is there.

use std::ops::ControlFlow;

use allod_blocks::{Batch, Block, Cid, Codec, Marked, Store, StoreError, StoreErrorKind};
use allod_tree::BlockSource;
use bytes::Bytes;

use crate::check::{Problem, ProblemKind};
use crate::error::RepoError;
use crate::event::RefMove;
use crate::layout;
use crate::reach::{named_by, roots_of};

/// Names, references or log entries read at a time.
const PAGE: usize = 1024;

/// Hears of how many blocks, references and log entries were looked at; may stop it.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// What a look at a store found.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StoreReport {
    /// Blocks read, every one in the store, and hashed.
    pub blocks: u64,
    /// Their contents, in bytes.
    pub bytes: u64,
    /// Blocks that nothing needed leads to: garbage, or what a log entry keeps. No problem.
    pub orphaned: u64,
    /// References read.
    pub references: u64,
    /// Log entries read.
    pub log_entries: u64,
    /// How many problems there are.
    pub problems: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// What a repair did.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mended {
    /// Damaged blocks that were put aside.
    pub set_aside: Vec<Cid>,
    /// Blocks that came from the source.
    pub fetched: Vec<Cid>,
    /// Blocks that are needed and were nowhere.
    pub lost: Vec<Cid>,
}

/// Reads every block, reference and log entry of a store, and tells `on` of each problem.
pub fn check_store(
    store: &dyn Store,
    on: &mut dyn FnMut(&Problem),
    progress: Progress<'_>,
) -> Result<StoreReport, RepoError> {
    let mut report = StoreReport::default();
    let mut problems = 0;
    let mut tell = |kind, block, text: String| {
        problems += 1;
        on(&Problem { kind, block, text });
    };
    let flow = each_block(store, &mut |cid, read| {
        report.blocks += 1;
        match read {
            Ok(block) => report.bytes += block.map_or(0, |block| block.bytes().len() as u64),
            Err(error) => tell(ProblemKind::Corrupt, Some(cid), error.to_string()),
        }
        progress(report.blocks)
    })?;
    report.stopped = flow.is_break();
    if !report.stopped {
        let seen = report.blocks;
        let reached = walk(store, &mut |lost| {
            match lost.read {
                Lost::Root(name) => {
                    let text = format!("{} names {}", name.escape_ascii(), lost.cid);
                    tell(ProblemKind::DanglingRef, Some(lost.cid), text);
                }
                Lost::Absent => {
                    let text = format!("block {} is missing", lost.cid);
                    tell(ProblemKind::Missing, Some(lost.cid), text);
                }
                Lost::Unreadable => {
                    let text = format!("block {} does not say what it leads to", lost.cid);
                    tell(ProblemKind::BadLink, Some(lost.cid), text);
                }
                // Told of above.
                Lost::Corrupt => {}
            }
            Ok(None)
        })?;
        report.references = reached.references;
        report.orphaned = seen.saturating_sub(reached.found);
        report.log_entries = check_log(store, &mut tell)?;
    }
    report.problems = problems;
    Ok(report)
}

/// Puts damaged blocks aside and fetches what is damaged or missing from `source`, as far down as
/// references need it. Removes nothing else, and changes no reference.
///
/// What `source` gives is believed as far as its hash goes, so it may be anybody.
pub fn mend(
    store: &dyn Store,
    source: Option<&dyn BlockSource>,
    progress: Progress<'_>,
) -> Result<Mended, RepoError> {
    let _hold = store.uses().hold();
    let mut mended = Mended::default();
    let mut corrupt = Vec::new();
    let mut seen = 0;
    let _stopped = each_block(store, &mut |cid, read| {
        if read.is_err() {
            corrupt.push(cid);
        }
        seen += 1;
        progress(seen)
    })?;
    let fetch = |cid: &Cid| -> Result<Option<Block>, StoreError> {
        let Some(block) = source
            .map(|source| source.block(cid))
            .transpose()?
            .flatten()
        else {
            return Ok(None);
        };
        let mut batch = Batch::new();
        batch.put(block.clone());
        let _outcome = store.commit(batch)?;
        Ok(Some(block))
    };
    for cid in corrupt {
        match store.set_aside(&cid) {
            Ok(_) => mended.set_aside.push(cid),
            // The engine cannot read it either, so there is nothing to keep; a put replaces it.
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {}
            Err(error) => return Err(error.into()),
        }
        if fetch(&cid)?.is_some() {
            mended.fetched.push(cid);
        }
    }
    let (mut fetched, mut lost) = (Vec::new(), Vec::new());
    walk(store, &mut |missing| {
        let found = fetch(&missing.cid)?;
        match &found {
            Some(_) => fetched.push(missing.cid),
            None => lost.push(missing.cid),
        }
        Ok(found)
    })?;
    mended.fetched.extend(fetched);
    mended.lost = lost;
    Ok(mended)
}

/// Reads every block of a store in the order of names; a damaged one is an error that `on` gets.
fn each_block(
    store: &dyn Store,
    on: &mut dyn FnMut(Cid, Result<Option<Block>, StoreError>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, StoreError> {
    let mut after: Option<Cid> = None;
    loop {
        let page = store.scan_blocks(after.as_ref(), PAGE)?;
        let Some(last) = page.last() else {
            return Ok(ControlFlow::Continue(()));
        };
        after = Some(*last);
        for cid in page {
            let read = match store.get(&cid) {
                Err(error) if error.kind() != StoreErrorKind::Corrupt => return Err(error),
                read => read,
            };
            if on(cid, read).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}

/// How something that is needed cannot be had.
enum Lost<'a> {
    /// It is named by this reference and not there.
    Root(&'a [u8]),
    /// Another block leads to it and it is not there.
    Absent,
    /// It is there and damaged.
    Corrupt,
    /// It is whole and makes no sense.
    Unreadable,
}

struct Missing<'a> {
    cid: Cid,
    read: Lost<'a>,
}

#[derive(Default)]
struct Reached {
    references: u64,
    /// Distinct blocks that are there.
    found: u64,
}

/// Follows all that references need (REPO-63); `lost` is asked for what cannot be had.
fn walk(
    store: &dyn Store,
    lost: &mut dyn FnMut(Missing<'_>) -> Result<Option<Block>, StoreError>,
) -> Result<Reached, StoreError> {
    let mut reached = Reached::default();
    let mut marked = Marked::new();
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan_refs(b"", after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(reached);
        };
        after = Some(last.clone());
        reached.references += page.len() as u64;
        for (name, value) in &page {
            let mut open: Vec<(Cid, bool)> = Vec::new();
            if layout::is_needed(name) {
                let roots = roots_of(name, value);
                open.extend(roots.into_iter().map(|cid| (cid, true)));
            } else if let Some(commit) = layout::marked_commit(name) {
                // A mark says that all of the commit is here (REPO-64).
                open.push((commit, true));
            }
            while let Some((cid, is_root)) = open.pop() {
                if !marked.insert(&cid) {
                    continue;
                }
                let absent = if is_root {
                    Lost::Root(name)
                } else {
                    Lost::Absent
                };
                let links = links_here(store, &cid, absent, lost)?;
                if let Some(links) = links {
                    reached.found += 1;
                    open.extend(links.into_iter().rev().map(|link| (link, false)));
                }
            }
        }
    }
}

/// What a block leads to; `None` if it cannot be had.
fn links_here(
    store: &dyn Store,
    cid: &Cid,
    absent: Lost<'_>,
    lost: &mut dyn FnMut(Missing<'_>) -> Result<Option<Block>, StoreError>,
) -> Result<Option<Vec<Cid>>, StoreError> {
    let mut ask = |read| lost(Missing { cid: *cid, read });
    let block = if cid.codec() == Codec::Raw.code() && store.has(cid)? {
        // Read with all blocks already; it leads nowhere.
        return Ok(Some(Vec::new()));
    } else {
        match store.get(cid) {
            Ok(Some(block)) => Some(block),
            Ok(None) => ask(absent)?,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => ask(Lost::Corrupt)?,
            Err(error) => return Err(error),
        }
    };
    let Some(block) = block else { return Ok(None) };
    let links = named_by(&block).map(|named| named.links);
    if links.is_none() {
        ask(Lost::Unreadable)?;
    }
    Ok(links)
}

fn check_log(
    store: &dyn Store,
    tell: &mut dyn FnMut(ProblemKind, Option<Cid>, String),
) -> Result<u64, StoreError> {
    let end = store.stats()?.log_end;
    let mut next = 0;
    while next < end {
        let page = store.read_log(next, PAGE)?;
        for entry in &page {
            if entry.position != next {
                let last = entry.position.saturating_sub(1);
                let text = format!("entries {next} to {last} are missing");
                tell(ProblemKind::LogGap, None, text);
            }
            next = entry.position + 1;
            if RefMove::decode(&entry.bytes).is_err() {
                let text = format!("entry {} cannot be read", entry.position);
                tell(ProblemKind::LogGap, None, text);
            }
        }
        if page.is_empty() {
            let text = format!("entries {next} to {} are missing", end - 1);
            tell(ProblemKind::LogGap, None, text);
            break;
        }
    }
    Ok(end)
}
