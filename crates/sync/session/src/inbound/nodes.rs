//! The nodes of the commit at hand, compared and walked, and the blocks that come.

use allod_blocks::{Block, Cid, Codec};
use allod_repo::{Arriving, BranchName, Refusal, Rejected, Repo};

use super::{Current, Inbound, fetching};
use crate::comparing::{Comparing, Made, Progress};
use crate::limits::{STORE_BATCH_BYTES, WANT_FRAME_MAX, WANTED_MAX};
use crate::message::Message;
use crate::reading::identify;
use crate::session::{Fault, Refused, Stats};

/// Blocks looked at in one step, whether they come from the store or from the peer.
const STEP: usize = 512;

impl Inbound {
    /// Takes blocks that were wanted. `Err` with a code if one was not.
    pub(crate) fn blocks(
        &mut self,
        repo: &Repo,
        blocks: Vec<Option<Block>>,
        absent: &[Cid],
        stats: &mut Stats,
    ) -> Result<Result<Option<Message>, &'static str>, Fault> {
        let mut refused = None;
        for block in blocks {
            stats.blocks_in += 1;
            let Some(block) = block.and_then(|block| self.identify(&block)) else {
                return Ok(Err("E_ORDER"));
            };
            refused = self.feed(repo, block, stats)?.or(refused);
        }
        for cid in absent {
            if self.stale.remove(cid) {
                continue;
            }
            if !self.wanted.remove(cid) {
                return Ok(Err("E_ORDER"));
            }
            self.claimed.let_go(cid);
            if self.came_from_elsewhere(repo, cid)? {
                continue;
            }
            refused = refused.or(self.refuse_current(Refusal::Missing, stats));
        }
        Ok(Ok(refused))
    }

    /// The wanted block with this content. Contents carry no name: the hash finds it.
    fn identify(&mut self, block: &Block) -> Option<Block> {
        let likely = match self.current {
            Current::Walking { .. } => [Codec::DagCbor, Codec::Raw, Codec::DagPb],
            _ => [Codec::Raw, Codec::DagPb, Codec::DagCbor],
        };
        let block = identify(block, likely, &[&self.wanted, &self.stale])?;
        self.wanted.remove(block.cid());
        self.stale.remove(block.cid());
        // The peer offers its links with it.
        if block.cid().codec() == Codec::DagPb.code() {
            self.opened.insert(*block.cid());
        }
        Some(block)
    }

    fn feed(
        &mut self,
        repo: &Repo,
        block: Block,
        stats: &mut Stats,
    ) -> Result<Option<Message>, Fault> {
        let checked = match &mut self.current {
            Current::Walking { tree, .. } => match tree.feed(block.clone()) {
                Ok(asked_for) => asked_for,
                Err(refusal) => return Ok(self.refuse_current(refusal, stats)),
            },
            _ => false,
        };
        // Nodes are kept only if a walk has checked them; parts of files need no more than a name.
        if !checked && block.cid().codec() == Codec::DagCbor.code() {
            self.claimed.let_go(block.cid());
            return Ok(None);
        }
        if !checked && !self.take_part(repo, &block)? {
            return Ok(None);
        }
        self.keep(repo, block)?;
        Ok(None)
    }

    fn keep(&mut self, repo: &Repo, block: Block) -> Result<(), Fault> {
        self.batch_bytes += block.bytes().len();
        self.batch.put(block);
        if self.batch_bytes >= STORE_BATCH_BYTES {
            self.flush(repo)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, repo: &Repo) -> Result<(), Fault> {
        if !self.batch.is_empty() {
            let _outcome = repo.store().commit(std::mem::take(&mut self.batch))?;
            self.batch_bytes = 0;
            self.claimed.stored();
        }
        Ok(())
    }

    /// Goes on with a comparison, and walks once it is over.
    pub(super) fn compare(
        &mut self,
        (tree, branch): (Box<Arriving>, BranchName),
        mut with: Box<Comparing>,
        send: &mut Vec<Message>,
    ) -> bool {
        match with.step(send) {
            Progress::Over(made) => {
                self.current = Current::Walking { tree, branch, made };
                true
            }
            progress => {
                self.current = Current::Comparing { tree, branch, with };
                matches!(progress, Progress::Again)
            }
        }
    }

    /// Takes what answers a comparison. `Err` with a code if it may not come now.
    pub(crate) fn compared(&mut self, message: Message) -> Result<(), &'static str> {
        let Current::Comparing { with, .. } = &mut self.current else {
            return Err("E_ORDER");
        };
        match message {
            Message::Sketch {
                total,
                first,
                symbols,
                last,
            } => with.symbols((first, total), &symbols, last),
            Message::Entries { entries, last } => with.entries(entries, last),
            _ => Err("E_ORDER"),
        }
    }

    /// Feeds the walk what is here, and asks the peer for the rest (SYNC-7).
    pub(super) fn walk(
        &mut self,
        repo: &Repo,
        (mut tree, branch): (Box<Arriving>, BranchName),
        mut made: Made,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let id = tree.id();
        let mut ask = Vec::new();
        let mut local = 0;
        while ask.len() < WANT_FRAME_MAX
            && local < STEP
            && self.outstanding() + ask.len() + WANT_FRAME_MAX <= WANTED_MAX
        {
            let names = tree.want(1);
            let Some(cid) = names.first().copied() else {
                break;
            };
            if self.stale.remove(&cid) {
                // On its way already, for a commit that was refused meanwhile.
                self.wanted.insert(cid);
                continue;
            }
            let new = made.remove(&cid);
            let block = match &new {
                Some(block) => Some(block.clone()),
                // Who may not read all has to have what it sends: of a root it may just have heard (SYNC-66).
                None if self.from_here => repo.store().get(&cid)?,
                None => None,
            };
            let Some(block) = block else {
                ask.push(cid);
                continue;
            };
            local += 1;
            self.untold.push(cid);
            if let Err(refusal) = tree.feed(block) {
                self.stale.append(&mut self.wanted);
                send.push(stats.refuse(Refused::new(id, refusal)));
                return Ok(true);
            }
            if let Some(block) = new {
                self.keep(repo, block)?;
            }
        }
        let again = local >= STEP || ask.len() >= WANT_FRAME_MAX;
        if !ask.is_empty() {
            self.wanted.extend(ask.iter().copied());
            self.ask(ask, send);
        }
        if tree.is_done() && tree.lacks_parts() {
            self.flush(repo)?;
            return Ok(true);
        }
        if tree.is_done() {
            self.flush(repo)?;
            let progress = tree.progress();
            stats.entries_in += progress.seen;
            match tree.finish(repo) {
                Ok(complete) => {
                    self.current = fetching(complete, branch);
                }
                Err(Rejected::Refused(refusal)) => {
                    send.push(stats.refuse(Refused::new(id, refusal)));
                }
                Err(Rejected::Fault(fault)) => return Err(fault.into()),
            }
            return Ok(true);
        }
        stats.walk = Some(tree.progress());
        self.current = Current::Walking { tree, branch, made };
        Ok(again)
    }

    /// Asks for blocks. The peer is told before of what is here that leads to them, and only then: who
    /// lacks nothing has nothing to tell.
    pub(super) fn ask(&mut self, names: Vec<Cid>, send: &mut Vec<Message>) {
        let mut untold = std::mem::take(&mut self.untold);
        while untold.len() > WANTED_MAX {
            let rest = untold.split_off(WANTED_MAX);
            send.push(Message::Want {
                opened: untold,
                names: Vec::new(),
            });
            untold = rest;
        }
        send.push(Message::Want {
            opened: untold,
            names,
        });
    }

    /// Blocks that the peer has been asked for and has not answered.
    pub(super) fn outstanding(&self) -> usize {
        self.wanted.len() + self.stale.len()
    }

    fn refuse_current(&mut self, refusal: Refusal, stats: &mut Stats) -> Option<Message> {
        let id = match std::mem::replace(&mut self.current, Current::None) {
            Current::Walking { tree, .. } => tree.id(),
            Current::Fetching { complete, .. } => complete.id(),
            current => {
                self.current = current;
                return None;
            }
        };
        self.want_no_more();
        Some(stats.refuse(Refused::new(id, refusal)))
    }
}
