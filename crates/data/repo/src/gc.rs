//! Collecting garbage: what no reference reaches goes, beside readers and writers.
//!
//! ```text
//! references, log --mark--> Marked --sweep marks--> --sweep blocks--> --reclaim--> room
//! ```
//! Before each removal, references that changed meanwhile are looked at again, the last of them
//! while nothing can commit (REPO-65). So a removal never takes what a reference reaches, whatever
//! was removed before it and whenever the machine stops.

mod pins;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use allod_blocks::{
    Changed, Cid, Codec, Collecting, Garbage, Store, StoreError, StoreErrorKind, Swept,
};
use allod_tree::Node;
use bytes::Bytes;

use crate::beside::sweep_notes;
use crate::error::RepoError;
use crate::files::ALL;
use crate::layout;
use crate::part::Part;
use crate::reach::{Met, Named, Parts, cids_in, hints_in_reference, roots_of};
use crate::repo::Repo;

pub use pins::{pin, pins, unpin};

/// Moves of heads whose commits are kept, unless said otherwise (REPO-60): months of a busy
/// device, and a bound on what they keep.
pub const MOVES_KEPT: u64 = 10_000;

/// References, log entries or names of blocks read at a time.
const PAGE: usize = 1024;

/// Blocks or marks removed at a time: writers wait for it, a millisecond or two.
const SWEEP: usize = 128;

/// Rest between two removals: the engine tidies up behind them, and on a small machine writers wait
/// for a core, not for a lock.
const REST: Duration = Duration::from_millis(1);

/// References looked at while writers wait.
const LOOK_NAMES: usize = 128;

/// Blocks read while writers wait; a small commit makes ten.
const LOOK_BLOCKS: usize = 64;

/// Lost blocks that are named; more are only counted.
const LOST_MAX: usize = 10;

/// How to collect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GcOptions {
    /// How many of the last log entries keep the commits that they name.
    pub moves_kept: u64,
    /// Only count.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            moves_kept: MOVES_KEPT,
            dry_run: false,
        }
    }
}

/// What a collection is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum GcPhase {
    /// Following references; counts blocks that live.
    Mark,
    /// Removing; counts blocks that were looked at.
    Sweep,
    /// Giving room back.
    Reclaim,
}

/// What a collection found and did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GcReport {
    /// Blocks that references reach.
    pub live_blocks: u64,
    /// Blocks removed; in a dry run, that would be.
    pub dead_blocks: u64,
    /// What they took in the store, in bytes.
    pub dead_bytes: u64,
    /// Commits among them.
    pub dead_commits: u64,
    /// Blocks that nothing reaches and that stay because somebody uses them.
    pub in_use: u64,
    /// Bytes on disk before.
    pub disk_before: u64,
    /// Bytes on disk after.
    pub disk_after: u64,
    /// Memory that the marks took, in bytes.
    pub memory_bytes: usize,
    /// Whether it was stopped before its end. What it removed was garbage all the same.
    pub stopped: bool,
}

/// Why garbage could not be collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GcError {
    /// Another collection of this store is open. Blame: the caller.
    #[error("garbage is being collected already")]
    Busy,
    /// Something reachable is missing or damaged: what lies below it cannot be told from garbage,
    /// so nothing was removed (REPO-63). Blame: the environment.
    #[error("{count} blocks that are needed are missing or damaged, the first {}; run `check`", some[0])]
    Lost {
        /// How many.
        count: u64,
        /// Some of them, at least one.
        some: Vec<Cid>,
    },
    /// The space could not be read.
    #[error(transparent)]
    Repo(#[from] RepoError),
}

impl From<StoreError> for GcError {
    fn from(error: StoreError) -> Self {
        Self::Repo(error.into())
    }
}

/// Removes what no reference of the store reaches (REPO-60 to REPO-66).
///
/// `progress` hears of the phase and a count every thousand blocks or so, and at the end of a phase;
/// it may stop the collection there.
/// Writers and readers go on beside it. Memory: 20 to 30 bytes for each block that lives, some 50
/// more for each node and index below a part with a maximum of values, and up to 8 MiB for what is in use.
pub fn collect_garbage(
    store: &dyn Store,
    options: GcOptions,
    progress: &mut dyn FnMut(GcPhase, u64) -> ControlFlow<()>,
) -> Result<GcReport, GcError> {
    let collecting = store.uses().collect().ok_or(GcError::Busy)?;
    let mut report = GcReport {
        disk_before: store.stats()?.bytes,
        ..GcReport::default()
    };
    let mut marker = Marker::new(store, &collecting)?;
    report.stopped = marker.mark_all(options, progress)?.is_break();
    report.live_blocks = marker.met.len();
    if !report.stopped {
        marker.sweep_commits(options, &mut report)?;
        let swept = marker.sweep_blocks(options, &mut report, progress)?;
        report.stopped = swept.is_break();
    }
    report.memory_bytes = marker.met.memory_bytes();
    drop(marker);
    drop(collecting);
    if !options.dry_run && !report.stopped {
        // Also if nothing was dead: an earlier collection may have been cut off before this.
        if progress(GcPhase::Reclaim, 0).is_continue() {
            store.reclaim()?;
        }
    }
    report.disk_after = store.stats()?.bytes;
    Ok(report)
}

/// What a reference names, with all that it leads to.
fn all(cids: Vec<Cid>) -> impl Iterator<Item = (Cid, u64)> {
    cids.into_iter().map(|cid| (cid, ALL))
}

/// Where a tree that is kept in part was walked: a node, by which keys, behind which one, and whether beside
/// what is kept, and at the end of the tree.
type Place = (Cid, Vec<u8>, Option<Bytes>, [bool; 2]);

struct Marker<'a> {
    store: &'a dyn Store,
    collecting: &'a Collecting,
    met: Met,
    parts: Parts,
    /// Whether files stay, all of them: what is kept of them is about to change in a space.
    spares_files: bool,
    /// Where such a tree was walked.
    walked: BTreeSet<Place>,
    /// Met, with how much is kept from there on, and not yet read.
    open: Vec<(Cid, u64)>,
    /// What is named and need not be here, and was not yet looked for.
    hints: Vec<Cid>,
    /// References that changed and were not yet looked at.
    changed: Vec<Bytes>,
    /// Whether more changed than anybody remembers.
    rescan: bool,
    /// Whether what is below must all be there.
    needed: bool,
    lost: u64,
    some_lost: Vec<Cid>,
}

impl<'a> Marker<'a> {
    fn new(store: &'a dyn Store, collecting: &'a Collecting) -> Result<Self, StoreError> {
        let parts = Parts::of(store)?;
        Ok(Self {
            store,
            collecting,
            met: Met::default(),
            spares_files: parts.change_values(),
            parts,
            walked: BTreeSet::new(),
            open: Vec::new(),
            hints: Vec::new(),
            changed: Vec::new(),
            rescan: false,
            needed: true,
            lost: 0,
            some_lost: Vec::new(),
        })
    }

    fn mark_all(
        &mut self,
        options: GcOptions,
        progress: &mut dyn FnMut(GcPhase, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, GcError> {
        // First what must be whole: what is also reached otherwise is judged by the stricter rule.
        for needed in [true, false] {
            if self.mark_references(needed, progress)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let end = self.store.stats()?.log_end;
        let mut from = end.saturating_sub(options.moves_kept);
        while from < end {
            let page = self.store.read_log(from, PAGE)?;
            let Some(last) = page.last() else { break };
            from = last.position + 1;
            for entry in &page {
                self.mark(all(cids_in(&entry.bytes)));
            }
            if self.follow(progress)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.check_whole()?;
        self.follow_hints()?;
        Ok(progress(GcPhase::Mark, self.met.len()))
    }

    fn hint(&mut self, cids: Vec<Cid>) {
        let new = cids.into_iter().filter(|cid| !self.met.has(cid));
        self.hints.extend(new);
    }

    /// Keeps what is named, as far as it is here.
    fn follow_hints(&mut self) -> Result<(), StoreError> {
        let needed = std::mem::replace(&mut self.needed, false);
        while let Some(cid) = self.hints.pop() {
            if self.collecting.look(|| self.store.has(&cid))? {
                self.mark([(cid, ALL)]);
                let _never = self.follow(&mut |_, _| ControlFlow::Continue(()))?;
            }
        }
        self.needed = needed;
        Ok(())
    }

    fn check_whole(&mut self) -> Result<(), GcError> {
        if self.lost == 0 {
            return Ok(());
        }
        Err(GcError::Lost {
            count: self.lost,
            some: std::mem::take(&mut self.some_lost),
        })
    }

    fn mark_references(
        &mut self,
        needed: bool,
        progress: &mut dyn FnMut(GcPhase, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut after: Option<Bytes> = None;
        loop {
            let page = self.store.scan_refs(b"", after.as_deref(), PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(ControlFlow::Continue(()));
            };
            after = Some(last.clone());
            self.needed = needed;
            for (name, value) in &page {
                if layout::is_needed(name) == needed {
                    self.mark_reference(name, value);
                }
            }
            if self.follow(progress)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    /// Marks what a reference names (REPO-60, REPO-61).
    fn mark_reference(&mut self, name: &[u8], value: &[u8]) {
        match layout::marked_commit(name) {
            Some(commit) if !self.store.uses().is_used(&commit) => {}
            Some(commit) => self.mark([(commit, ALL)]),
            None => {
                self.mark(all(roots_of(name, value)));
                self.hint(hints_in_reference(name, value));
            }
        }
    }

    fn mark(&mut self, links: impl IntoIterator<Item = (Cid, u64)>) {
        for (cid, most) in links {
            if self.met.meet(&cid, most) && cid.codec() != Codec::Raw.code() {
                self.open.push((cid, most));
            }
        }
    }

    /// Follows links until nothing is open.
    fn follow(
        &mut self,
        progress: &mut dyn FnMut(GcPhase, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        while !self.follow_some(PAGE)? {
            if progress(GcPhase::Mark, self.met.len()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Reads at most `budget` blocks; whether nothing is open afterwards.
    fn follow_some(&mut self, budget: usize) -> Result<bool, StoreError> {
        for _ in 0..budget {
            let Some((cid, most)) = self.open.pop() else {
                return Ok(true);
            };
            let named = match self.collecting.look(|| self.store.get(&cid)) {
                Ok(Some(block)) => self.parts.named_by(self.store, &block, most)?,
                Ok(None) => None,
                Err(error) if error.kind() == StoreErrorKind::Corrupt => None,
                Err(error) => return Err(error),
            };
            match named {
                Some(Named {
                    links,
                    needs,
                    hints,
                    parts,
                }) => {
                    self.met.note_needs(&cid, needs);
                    self.hint(hints);
                    for (tree, part) in parts {
                        self.keep_part(tree, &part)?;
                    }
                    for (link, _) in &links {
                        self.expect_leaf(link)?;
                    }
                    // Of a commit, its tree is then the next and its parents the last, and what is
                    // open at a time stays small however long the history is.
                    self.mark(links.into_iter().rev());
                }
                None => self.lose(cid),
            }
        }
        Ok(self.open.is_empty())
    }

    /// Marks the nodes of a tree that may have some keys, or to which one that comes after all others would be
    /// added, as far as they are here. What they lead to besides is kept by others, or not at all.
    fn keep_part(&mut self, tree: Cid, part: &Part) -> Result<(), StoreError> {
        let (keys, digest) = (part.keys(), part.digest());
        let mut open = vec![(tree, None::<Bytes>, false, true)];
        while let Some((cid, floor, beside, is_last)) = open.pop() {
            if !self
                .walked
                .insert((cid, digest.clone(), floor.clone(), [beside, is_last]))
            {
                continue;
            }
            let block = match self.collecting.look(|| self.store.get(&cid)) {
                Ok(Some(block)) => block,
                Ok(None) => continue,
                Err(error) if error.kind() == StoreErrorKind::Corrupt => continue,
                Err(error) => return Err(error),
            };
            self.met.meet_alone(&cid);
            let Ok(node) = Node::decode(block.bytes()) else {
                continue;
            };
            if node.is_leaf() {
                continue;
            }
            let last = node.len().saturating_sub(1);
            let mut children = keys.children(&node, floor.as_deref(), beside);
            let is_among = children.iter().any(|(index, _)| *index == last);
            if is_last && !is_among && node.key(last).is_some_and(|key| keys.go_beyond(&key)) {
                children.push((last, false));
            }
            for (index, beside) in children {
                let before = index.checked_sub(1).and_then(|before| node.key(before));
                let floor = before.or_else(|| floor.clone());
                let child = node.link(index);
                open.extend(child.map(|cid| (cid, floor, beside, is_last && index == last)));
            }
        }
        Ok(())
    }

    /// A raw block is never read; that it is there is asked the first time.
    fn expect_leaf(&mut self, cid: &Cid) -> Result<(), StoreError> {
        let is_leaf = cid.codec() == Codec::Raw.code();
        if is_leaf && self.needed && !self.met.has(cid) && self.store.size(cid)?.is_none() {
            self.lose(*cid);
        }
        Ok(())
    }

    fn lose(&mut self, cid: Cid) {
        if self.needed {
            self.lost += 1;
            if self.some_lost.len() < LOST_MAX {
                self.some_lost.push(cid);
            }
        }
    }

    fn is_dead(&self, cid: &Cid) -> bool {
        let is_of_file = cid.codec() != Codec::DagCbor.code();
        !(self.met.has(cid) || self.spares_files && is_of_file)
    }

    /// Looks at what changed, however much it is.
    fn look(&mut self) -> Result<(), StoreError> {
        let on = &mut |_, _| ControlFlow::Continue(());
        let _never = self.follow(on)?;
        self.take_changed()?;
        if std::mem::take(&mut self.rescan) {
            for needed in [true, false] {
                let _never = self.mark_references(needed, on)?;
            }
        }
        while let Some(name) = self.changed.pop() {
            self.look_at(&name)?;
            let _never = self.follow(on)?;
        }
        self.follow_hints()
    }

    /// Looks at what changed since the last look, if that is quick; whether all was looked at.
    fn look_briefly(&mut self) -> Result<bool, StoreError> {
        self.take_changed()?;
        if self.rescan || self.changed.len() > LOOK_NAMES {
            return Ok(false);
        }
        while let Some(name) = self.changed.pop() {
            self.look_at(&name)?;
            // What is only named takes as long as it likes: it is for the next look.
            if !self.follow_some(LOOK_BLOCKS)? || !self.hints.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn take_changed(&mut self) -> Result<(), StoreError> {
        let may_be_other = match self.collecting.changed() {
            Changed::Names(names) => {
                let may_be_other = names.iter().any(|name| layout::is_part(name));
                self.changed.extend(names);
                may_be_other
            }
            Changed::Unknown => {
                self.rescan = true;
                true
            }
        };
        if may_be_other {
            let parts = Parts::of(self.store)?;
            self.spares_files |= parts != self.parts;
            self.parts = parts;
        }
        Ok(())
    }

    fn look_at(&mut self, name: &[u8]) -> Result<(), StoreError> {
        let Some(value) = self.store.get_ref(name)? else {
            return Ok(());
        };
        // A mark that was set since is a commit that somebody is about to place.
        if let Some(commit) = layout::marked_commit(name) {
            self.needed = true;
            self.met.meet(&commit, ALL);
            // Also if it was met before: more may be held of it now.
            self.open.push((commit, ALL));
        } else {
            self.needed = layout::is_needed(name);
            self.mark_reference(name, &value);
        }
        Ok(())
    }

    /// Removes what of `refs` and `blocks` is dead at this moment.
    fn sweep(&mut self, blocks: &[Cid], refs: &[(Bytes, Cid)]) -> Result<(Swept, u64), GcError> {
        let store = self.store;
        loop {
            self.look()?;
            self.check_whole()?;
            let mut done = false;
            let mut commits = 0;
            let swept = store.sweep(&mut || {
                done = self.look_briefly()? && self.lost == 0;
                let mut garbage = Garbage::default();
                if done {
                    let dead = |cid: &&Cid| self.is_dead(cid);
                    garbage.blocks = blocks.iter().filter(dead).copied().collect();
                    garbage.refs = refs
                        .iter()
                        .filter(|(_, commit)| dead(&commit) && !store.uses().is_used(commit))
                        .map(|(name, _)| name.clone())
                        .collect();
                    commits = garbage.refs.len() as u64;
                }
                Ok(garbage)
            })?;
            if done {
                return Ok((swept, commits));
            }
        }
    }

    /// Removes the marks of dead commits, all of them before any block (REPO-64).
    fn sweep_commits(&mut self, options: GcOptions, report: &mut GcReport) -> Result<(), GcError> {
        for space in Repo::spaces(self.store)? {
            let prefix = layout::commits(space);
            let mut after: Option<Bytes> = None;
            loop {
                let page = self.store.scan_refs(&prefix, after.as_deref(), SWEEP)?;
                let Some((last, _)) = page.last() else { break };
                after = Some(last.clone());
                let mut dead = Vec::new();
                for (name, _) in &page {
                    match layout::marked_commit(name) {
                        Some(commit) if self.met.has(&commit) => {}
                        // Somebody works with it: it lives, with all below it.
                        Some(commit) if self.store.uses().is_used(&commit) => {
                            self.mark([(commit, ALL)]);
                        }
                        Some(commit) => dead.push((name.clone(), commit)),
                        None => {}
                    }
                }
                report.dead_commits += if options.dry_run || dead.is_empty() {
                    dead.len() as u64
                } else {
                    self.sweep(&[], &dead)?.1
                };
            }
            if !options.dry_run {
                sweep_notes(self.store, space)?;
            }
        }
        Ok(self.look()?)
    }

    fn sweep_blocks(
        &mut self,
        options: GcOptions,
        report: &mut GcReport,
        progress: &mut dyn FnMut(GcPhase, u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, GcError> {
        let mut after: Option<Cid> = None;
        let mut seen = 0;
        loop {
            let page = self.store.scan_blocks(after.as_ref(), PAGE)?;
            let Some(last) = page.last() else {
                return Ok(ControlFlow::Continue(()));
            };
            after = Some(*last);
            seen += page.len() as u64;
            let dead = page.iter().filter(|cid| self.is_dead(cid));
            let dead: Vec<Cid> = dead.copied().collect();
            for dead in dead.chunks(SWEEP) {
                let mut sizes = Vec::with_capacity(dead.len());
                for cid in dead {
                    sizes.push((*cid, self.store.size(cid)?.unwrap_or_default()));
                }
                let (gone, in_use) = if options.dry_run {
                    let used = |cid: &&Cid| self.store.uses().is_used(cid);
                    let in_use = dead.iter().filter(used).count();
                    let gone = dead.iter().filter(|cid| !used(cid)).copied().collect();
                    (gone, in_use as u64)
                } else {
                    let (swept, _) = self.sweep(dead, &[])?;
                    std::thread::sleep(REST);
                    (swept.blocks, swept.in_use)
                };
                report.in_use += in_use;
                report.dead_blocks += gone.len() as u64;
                // Both are in the order of the scan.
                let mut sizes = sizes.iter();
                for cid in &gone {
                    let size = sizes.by_ref().find(|(sized, _)| sized == cid);
                    report.dead_bytes += size.map_or(0, |(_, size)| *size);
                }
            }
            if progress(GcPhase::Sweep, seen).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }
}
