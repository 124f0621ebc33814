//! Looking at a whole store, block by block, and mending it (REPO-67, REPO-68).
//!
//! [`Repo::check`](crate::Repo::check) judges what a space says. This judges what is kept: that each
//! block is the one that it is stored as, and that all of what references need is there.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use allod_blocks::{Aside, Batch, Block, Cid, Codec, Store, StoreError, StoreErrorKind};
use allod_tree::BlockSource;
use bytes::Bytes;

use crate::check::{Problem, ProblemKind};
use crate::error::RepoError;
use crate::event::{RefMove, said_begin};
use crate::files::ALL;
use crate::layout;
use crate::reach::{Met, Named, Parts, roots_of};

/// Names, references or log entries read at a time.
pub(crate) const PAGE: usize = 1024;

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
    /// Damaged blocks that the engine could not read: nothing was left to put aside.
    pub unreadable: Vec<Cid>,
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
    let listed = each_block(store, &mut |cid, read| {
        report.blocks += 1;
        match read {
            Ok(block) => report.bytes += block.map_or(0, |block| block.bytes().len() as u64),
            Err(error) => tell(ProblemKind::Corrupt, Some(cid), error.to_string()),
        }
        progress(report.blocks)
    })?;
    if let Listed::Until(_, error) = &listed {
        let text = format!("not all names of blocks can be listed: {error}");
        tell(ProblemKind::Corrupt, None, text);
    }
    report.stopped = matches!(listed, Listed::Stopped);
    if !report.stopped {
        let seen = report.blocks;
        let reached = walk(store, &listed, &mut |lost| {
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
                Lost::Corrupt if !listed.has(&lost.cid) => {
                    let text = format!("block {} cannot be read", lost.cid);
                    tell(ProblemKind::Corrupt, Some(lost.cid), text);
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
    // Names that cannot be listed are found below, as far as something leads to them.
    let listed = each_block(store, &mut |cid, read| {
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
        if mended.put_aside(store, &cid)? && fetch(&cid)?.is_some() {
            mended.fetched.push(cid);
        }
    }
    walk(store, &listed, &mut |missing| {
        if matches!(missing.read, Lost::Corrupt) && !mended.put_aside(store, &missing.cid)? {
            return store.get(&missing.cid);
        }
        let found = fetch(&missing.cid)?;
        match &found {
            Some(_) => mended.fetched.push(missing.cid),
            None => mended.lost.push(missing.cid),
        }
        Ok(found)
    })?;
    Ok(mended)
}

/// What references need and is missing or damaged, as far as what is here leads to it.
pub fn lost_blocks(store: &dyn Store) -> Result<Vec<Cid>, RepoError> {
    let mut lost = Vec::new();
    walk(store, &Listed::All, &mut |missing| {
        lost.push(missing.cid);
        Ok(None)
    })?;
    Ok(lost)
}

impl Mended {
    /// Whether it was damaged still, when nothing else could happen to it.
    fn put_aside(&mut self, store: &dyn Store, cid: &Cid) -> Result<bool, StoreError> {
        match store.set_aside(cid)? {
            // Somebody has put it again since it was read.
            Aside::Nothing => return Ok(false),
            Aside::Kept => self.set_aside.push(*cid),
            Aside::Unreadable => self.unreadable.push(*cid),
        }
        Ok(true)
    }
}

/// How far the names of a store could be listed.
pub(crate) enum Listed {
    All,
    Stopped,
    /// Up to this name; the engine refused to say what follows.
    Until(Option<Cid>, StoreError),
}

impl Listed {
    fn has(&self, cid: &Cid) -> bool {
        match self {
            Self::All | Self::Stopped => true,
            Self::Until(None, _) => false,
            Self::Until(Some(last), _) => cid.to_bytes() <= last.to_bytes(),
        }
    }
}

/// Reads every block of a store in the order of names; a damaged one is an error that `on` gets.
pub(crate) fn each_block(
    store: &dyn Store,
    on: &mut dyn FnMut(Cid, Result<Option<Block>, StoreError>) -> ControlFlow<()>,
) -> Result<Listed, StoreError> {
    let mut after: Option<Cid> = None;
    loop {
        let page = match store.scan_blocks(after.as_ref(), PAGE) {
            Err(error) if error.kind() == StoreErrorKind::Corrupt => {
                return Ok(Listed::Until(after, error));
            }
            page => page?,
        };
        let Some(last) = page.last() else {
            return Ok(Listed::All);
        };
        after = Some(*last);
        for cid in page {
            let read = match store.get(&cid) {
                Err(error) if error.kind() != StoreErrorKind::Corrupt => return Err(error),
                read => read,
            };
            if on(cid, read).is_break() {
                return Ok(Listed::Stopped);
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
    /// It is there and damaged, or the disk under it is.
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

/// Follows all that references need (REPO-63); `lost` is asked for what cannot be had. What is
/// `listed` was read before.
fn walk(
    store: &dyn Store,
    listed: &Listed,
    lost: &mut dyn FnMut(Missing<'_>) -> Result<Option<Block>, StoreError>,
) -> Result<Reached, StoreError> {
    let mut reached = Reached::default();
    let (mut met, mut missed) = (Met::default(), BTreeSet::new());
    let parts = Parts::of(store)?;
    each_reference(store, &mut |name, value| {
        reached.references += 1;
        let mut open: Vec<(Cid, u64, bool)> = Vec::new();
        if layout::is_needed(name) {
            let roots = roots_of(name, value);
            open.extend(roots.into_iter().map(|cid| (cid, ALL, true)));
        } else if let Some(commit) = layout::marked_commit(name) {
            // A mark says that all of the commit is here (REPO-64).
            open.push((commit, ALL, true));
        }
        while let Some((cid, most, is_root)) = open.pop() {
            let is_new = !met.has(&cid);
            if !met.meet(&cid, most) || missed.contains(&cid) {
                continue;
            }
            let absent = if is_root {
                Lost::Root(name)
            } else {
                Lost::Absent
            };
            let named = named_here((store, &parts), (&cid, most), absent, listed, lost)?;
            if let Some(named) = named {
                reached.found += u64::from(is_new);
                met.note_needs(&cid, named.needs);
                let links = named.links.into_iter().rev();
                open.extend(links.map(|(link, most)| (link, most, false)));
            } else {
                missed.insert(cid);
            }
        }
        Ok(())
    })?;
    Ok(reached)
}

/// Reads every reference of a store, a page at a time.
pub(crate) fn each_reference(
    store: &dyn Store,
    on: &mut dyn FnMut(&Bytes, &Bytes) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut after: Option<Bytes> = None;
    loop {
        let page = store.scan_refs(b"", after.as_deref(), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        for (name, value) in &page {
            on(name, value)?;
        }
    }
}

/// What a block names; `None` if it cannot be had.
fn named_here(
    (store, parts): (&dyn Store, &Parts),
    (cid, most): (&Cid, u64),
    absent: Lost<'_>,
    listed: &Listed,
    lost: &mut dyn FnMut(Missing<'_>) -> Result<Option<Block>, StoreError>,
) -> Result<Option<Named>, StoreError> {
    let mut ask = |read| lost(Missing { cid: *cid, read });
    let is_read_leaf = cid.codec() == Codec::Raw.code() && listed.has(cid);
    let block = if is_read_leaf && matches!(store.has(cid), Ok(true)) {
        // It leads nowhere.
        return Ok(Some(Named::default()));
    } else {
        match store.get(cid) {
            Ok(Some(block)) => Some(block),
            Ok(None) => ask(absent)?,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => ask(Lost::Corrupt)?,
            Err(error) => return Err(error),
        }
    };
    let Some(block) = block else { return Ok(None) };
    let named = parts.named_by(store, &block, most)?;
    if named.is_none() {
        ask(Lost::Unreadable)?;
    }
    Ok(named)
}

fn check_log(
    store: &dyn Store,
    tell: &mut dyn FnMut(ProblemKind, Option<Cid>, String),
) -> Result<u64, StoreError> {
    let stats = store.stats()?;
    let end = stats.log_end;
    let Some(mut next) = said_begin(store)? else {
        let text = "the reference log/begin is no position".to_owned();
        tell(ProblemKind::LogGap, None, text);
        return Ok(0);
    };
    if next > 0 && next >= end {
        let text = format!("it is said to begin at {next}, and has no entry from there on");
        tell(ProblemKind::LogGap, None, text);
    }
    let mut read = 0;
    while next < end {
        let page = store.read_log(next, PAGE)?;
        for entry in &page {
            if entry.position != next {
                // Somebody may have removed more meanwhile.
                next = said_begin(store)?.unwrap_or(next).max(next);
            }
            if entry.position != next {
                let last = entry.position.saturating_sub(1);
                let text = format!("entries {next} to {last} are missing");
                tell(ProblemKind::LogGap, None, text);
            }
            next = entry.position + 1;
            read += 1;
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
    Ok(read)
}
