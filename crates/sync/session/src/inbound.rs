//! What comes from the peer: commits, completed one after the other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use allod_blocks::{Batch, Block, Cid, Codec};
use allod_repo::{
    Arriving, BranchName, CommitId, Complete, Heads, Refusal, Rejected, Repo, Reviewed,
};
use bytes::Bytes;

use crate::limits::{COMMITS_MAX, CREDIT_BYTES, STORE_BATCH_BYTES, WANT_FRAME_MAX, WANTED_MAX};
use crate::message::{Message, Mode};
use crate::scope::Scope;
use crate::session::{Fault, Refused, Stats};

/// Blocks looked at in one step, whether they come from the store or from the peer.
const STEP: usize = 512;

/// Missing blocks that are looked up at a time: 6 MiB of names.
const FETCH_SCAN_MAX: usize = 65_536;

/// The receiving half of a session.
#[derive(Debug)]
pub(crate) struct Inbound {
    /// What the peer offers; a branch that is not wanted is without heads here.
    branches: Vec<(BranchName, Vec<CommitId>)>,
    scope: Scope,
    /// Messages that wait for the commit at hand, with the bytes they were charged.
    queue: VecDeque<(Message, usize)>,
    queued_bytes: u64,
    current: Current,
    /// Indexes of files that were here already, and that the peer was told of.
    opened: BTreeSet<Cid>,
    /// Blocks on their way for the commit at hand.
    wanted: BTreeSet<Cid>,
    /// Blocks on their way for commits that were refused meanwhile.
    stale: BTreeSet<Cid>,
    batch: Batch,
    batch_bytes: usize,
    /// What is dealt with and not yet given back as credit.
    owed: u64,
    commits: usize,
    /// Commits of which the statement is here, in the order in which they came.
    bare: Vec<(CommitId, BranchName)>,
    /// Those whose entries are fetched once all messages were dealt with, the next one first.
    fills: Option<VecDeque<(CommitId, BranchName)>>,
    in_changes: bool,
    pub(crate) peer_done: bool,
    pub(crate) settled: bool,
}

/// The commit at hand.
#[derive(Debug)]
enum Current {
    None,
    /// Its changes are coming in.
    Changes {
        reviewed: Box<Reviewed>,
        branch: BranchName,
        entries: BTreeMap<Bytes, Bytes>,
        bytes: usize,
    },
    /// It was refused; its changes are passed over.
    Skipped,
    /// Its tree is being walked.
    Walking {
        tree: Box<Arriving>,
        branch: BranchName,
    },
    /// Its files are being fetched.
    Fetching {
        complete: Box<Complete>,
        branch: BranchName,
        /// Blocks still to be asked for, the next one last.
        todo: Vec<Cid>,
    },
}

/// A commit whose tree is whole; what it links to is looked up next.
fn fetching(complete: Complete, branch: BranchName) -> Current {
    Current::Fetching {
        complete: Box::new(complete),
        branch,
        todo: Vec::new(),
    }
}

/// What a step of the receiving half asks of the session.
pub(crate) struct Step {
    pub(crate) send: Vec<Message>,
    /// Whether there is more to do without hearing from the peer.
    pub(crate) again: bool,
}

impl Inbound {
    pub(crate) fn new(mut branches: Vec<(BranchName, Vec<CommitId>)>, scope: &Scope) -> Self {
        let unwanted = branches.iter_mut();
        unwanted
            .filter(|(branch, _)| !scope.wants.include(branch))
            .for_each(|(_, heads)| heads.clear());
        Self {
            branches,
            scope: scope.clone(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            current: Current::None,
            opened: BTreeSet::new(),
            wanted: BTreeSet::new(),
            stale: BTreeSet::new(),
            batch: Batch::new(),
            batch_bytes: 0,
            owed: 0,
            commits: 0,
            bare: Vec::new(),
            fills: None,
            in_changes: false,
            peer_done: false,
            settled: false,
        }
    }

    /// Queues a message that must be dealt with in order. `Err` with a code if it may not come now.
    pub(crate) fn enqueue(&mut self, message: Message, bytes: usize) -> Result<(), &'static str> {
        if self.peer_done || self.in_changes != matches!(message, Message::Changes { .. }) {
            return Err("E_ORDER");
        }
        match &message {
            Message::Commit { mode, branch, .. } => {
                let index = usize::try_from(*branch).unwrap_or(usize::MAX);
                let named = self.branches.get(index);
                if named.is_some_and(|(branch, _)| !self.scope.wants.include(branch)) {
                    return Err("E_ORDER");
                }
                self.commits += 1;
                self.in_changes = *mode == Mode::Changes;
                if self.commits > COMMITS_MAX {
                    return Err("E_LIMIT");
                }
            }
            Message::Changes { last, .. } => self.in_changes = !last,
            Message::Done => self.peer_done = true,
            _ => {}
        }
        self.queued_bytes += bytes as u64;
        // One message may overdraw the credit, so the window is that and one frame.
        if self.queued_bytes > CREDIT_BYTES + crate::limits::FRAME_BYTES_MAX as u64 {
            return Err("E_LIMIT");
        }
        self.queue.push_back((message, bytes));
        Ok(())
    }

    /// Takes blocks that were wanted. `Err` with a code if one was not.
    pub(crate) fn blocks(
        &mut self,
        repo: &Repo,
        blocks: Vec<Bytes>,
        absent: &[Cid],
        stats: &mut Stats,
    ) -> Result<Result<Option<Message>, &'static str>, Fault> {
        let mut refused = None;
        for bytes in blocks {
            stats.blocks_in += 1;
            let Some(block) = self.identify(bytes) else {
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
            refused = refused.or(self.refuse_current(Refusal::Missing, stats));
        }
        Ok(Ok(refused))
    }

    /// The wanted block with this content. Contents carry no name: the hash finds it.
    fn identify(&mut self, bytes: Bytes) -> Option<Block> {
        let likely = match self.current {
            Current::Walking { .. } => [Codec::DagCbor, Codec::Raw, Codec::DagPb],
            _ => [Codec::Raw, Codec::DagPb, Codec::DagCbor],
        };
        let block = identify(bytes, likely, &[&self.wanted, &self.stale])?;
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
            return Ok(None);
        }
        self.batch_bytes += block.bytes().len();
        self.batch.put(block);
        if self.batch_bytes >= STORE_BATCH_BYTES {
            self.flush(repo)?;
        }
        Ok(None)
    }

    fn flush(&mut self, repo: &Repo) -> Result<(), Fault> {
        if !self.batch.is_empty() {
            let _outcome = repo.store().commit(std::mem::take(&mut self.batch))?;
            self.batch_bytes = 0;
        }
        Ok(())
    }

    /// Goes on with the commit at hand, or begins the next one. Bounded work.
    pub(crate) fn step(
        &mut self,
        repo: &Repo,
        now_ms: u64,
        stats: &mut Stats,
    ) -> Result<Step, Fault> {
        let mut send = Vec::new();
        let again = match std::mem::replace(&mut self.current, Current::None) {
            Current::Walking { tree, branch } => self.walk(repo, tree, branch, &mut send, stats)?,
            Current::Fetching {
                complete,
                branch,
                todo,
            } => self.fetch(repo, complete, branch, todo, &mut send, stats)?,
            current => {
                self.current = current;
                self.next(repo, now_ms, &mut send, stats)?
            }
        };
        if self.owed > CREDIT_BYTES / 4 {
            send.push(Message::Credit(std::mem::take(&mut self.owed)));
        }
        Ok(Step { send, again })
    }

    fn next(
        &mut self,
        repo: &Repo,
        now_ms: u64,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let Some((message, bytes)) = self.queue.pop_front() else {
            let next = self.fills.as_mut().and_then(VecDeque::pop_front);
            if let Some((id, branch)) = next {
                let begun = self.fill(repo, id, branch)?;
                send.extend(begun.err().map(|refused| stats.refuse(refused)));
                return Ok(true);
            }
            if self.fills.is_some() && !self.settled {
                self.settle(repo, send, stats)?;
                send.push(Message::Ack);
                return Ok(true);
            }
            return Ok(false);
        };
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes as u64);
        self.owed += bytes as u64;
        match message {
            Message::KeyEvents { agent, events } => match repo.agents().learn(&agent, &events) {
                // Its commits will be refused for want of a device; the session goes on.
                Ok(()) | Err(Rejected::Refused(_)) => {}
                Err(Rejected::Fault(fault)) => return Err(fault.into()),
            },
            Message::Commit {
                statement,
                branch,
                mode,
            } => {
                let index = usize::try_from(branch).unwrap_or(usize::MAX);
                let named = self.branches.get(index);
                if named.is_some_and(|(branch, _)| !branch.is_meta()) {
                    send.extend(self.settle_meta(repo, stats)?);
                }
                let bare = self.bare.len();
                let begun = self.begin(repo, statement, branch, mode, now_ms)?;
                stats.bare_in += (self.bare.len() - bare) as u64;
                send.extend(begun.err().map(|refused| stats.refuse(refused)));
            }
            Message::Changes { entries, last } => {
                self.changes(repo, entries, last, send, stats)?;
            }
            Message::Done => {
                self.fills = Some(self.fills(repo)?);
            }
            _ => {}
        }
        Ok(true)
    }

    /// The commits whose entries a replica of a part fetches (PART-6), parents before children.
    fn fills(&mut self, repo: &Repo) -> Result<VecDeque<(CommitId, BranchName)>, Fault> {
        let bare = std::mem::take(&mut self.bare);
        let Some(part) = repo.part() else {
            return Ok(VecDeque::new());
        };
        let mut newest: BTreeMap<&BranchName, u64> = BTreeMap::new();
        let mut heads = BTreeSet::new();
        for (branch, offered) in &self.branches {
            for head in offered {
                if repo.has_commit(*head)? {
                    let generation = repo.commit(*head)?.payload().generation;
                    let newest = newest.entry(branch).or_default();
                    *newest = generation.max(*newest);
                    heads.insert(*head);
                }
            }
        }
        let mut fills = VecDeque::new();
        for (id, branch) in bare {
            let generation = repo.commit(id)?.payload().generation;
            let newest = newest.get(&branch).copied().unwrap_or(0);
            let depth = part.depth().unwrap_or(u64::MAX);
            if heads.contains(&id) || generation.saturating_add(depth) > newest {
                fills.push_back((id, branch));
            }
        }
        Ok(fills)
    }

    /// Begins to fetch the entries of a commit whose statement is here.
    fn fill(
        &mut self,
        repo: &Repo,
        id: CommitId,
        branch: BranchName,
    ) -> Result<Result<(), Refused>, Fault> {
        match repo.fetch_tree(repo.accepted(id)?) {
            Ok(tree) => {
                let tree = Box::new(tree);
                self.current = Current::Walking { tree, branch };
                Ok(Ok(()))
            }
            Err(Rejected::Refused(refusal)) => Ok(Err(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => Err(fault.into()),
        }
    }

    /// Takes the statement of a commit alone (PART-5).
    fn take_bare(
        &mut self,
        repo: &Repo,
        reviewed: Reviewed,
        branch: BranchName,
    ) -> Result<Result<(), Refused>, Fault> {
        let id = reviewed.id();
        if reviewed.commit().payload().branch.is_meta() {
            return Ok(Err(Refused::new(id, Refusal::Branch)));
        }
        match repo.accept_bare(reviewed) {
            Ok(id) => {
                self.bare.push((id, branch));
                Ok(Ok(()))
            }
            Err(Rejected::Refused(refusal)) => Ok(Err(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => Err(fault.into()),
        }
    }

    fn begin(
        &mut self,
        repo: &Repo,
        statement: Bytes,
        branch: u64,
        mode: Mode,
        now_ms: u64,
    ) -> Result<Result<(), Refused>, Fault> {
        let id = CommitId::from_cid(allod_blocks::sha256_cid(Codec::DagCbor, &statement));
        self.current = if mode == Mode::Changes {
            Current::Skipped
        } else {
            Current::None
        };
        let branch = usize::try_from(branch)
            .ok()
            .and_then(|index| self.branches.get(index));
        let Some((branch, _)) = branch else {
            return Ok(Err(Refused::new(id, Refusal::Branch)));
        };
        let branch = branch.clone();
        // A peer that sends changes all the same is told so when they are all here.
        let in_part = repo.part().is_some() && !branch.is_meta() && mode == Mode::Walk;
        if repo.has_commit(id)? {
            if in_part && !repo.is_held(id)? {
                self.bare.push((id, branch));
            }
            return Ok(Ok(()));
        }
        let reviewed = match repo.review(statement, now_ms) {
            Ok(reviewed) => Box::new(reviewed),
            Err(Rejected::Refused(refusal)) => return Ok(Err(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        };
        if in_part {
            return self.take_bare(repo, *reviewed, branch);
        }
        self.current = match mode {
            Mode::Changes => Current::Changes {
                reviewed,
                branch,
                entries: BTreeMap::new(),
                bytes: 0,
            },
            Mode::Walk => match repo.fetch_tree(*reviewed) {
                Ok(tree) => Current::Walking {
                    tree: Box::new(tree),
                    branch,
                },
                Err(Rejected::Refused(refusal)) => return Ok(Err(Refused::new(id, refusal))),
                Err(Rejected::Fault(fault)) => return Err(fault.into()),
            },
        };
        Ok(Ok(()))
    }

    fn changes(
        &mut self,
        repo: &Repo,
        more: Vec<(Bytes, Bytes)>,
        last: bool,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<(), Fault> {
        let current = std::mem::replace(&mut self.current, Current::None);
        let Current::Changes {
            reviewed,
            branch,
            mut entries,
            mut bytes,
        } = current
        else {
            self.current = if last {
                Current::None
            } else {
                Current::Skipped
            };
            return Ok(());
        };
        let id = reviewed.id();
        stats.entries_in += more.len() as u64;
        let added: usize = more
            .iter()
            .map(|(key, entry)| key.len() + entry.len())
            .sum();
        stats.entry_bytes_in += added as u64;
        bytes += added;
        entries.extend(more);
        if bytes > crate::limits::CHANGES_BYTES_MAX {
            self.current = if last {
                Current::None
            } else {
                Current::Skipped
            };
            let refused = Refused::new(id, Refusal::Malformed("too many changes in one commit"));
            send.push(stats.refuse(refused));
            return Ok(());
        }
        if !last {
            self.current = Current::Changes {
                reviewed,
                branch,
                entries,
                bytes,
            };
            return Ok(());
        }
        match repo.with_changes(*reviewed, &entries) {
            Ok(complete) => {
                self.current = fetching(complete, branch);
            }
            Err(Rejected::Refused(refusal)) => send.push(stats.refuse(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        }
        Ok(())
    }

    /// Feeds the walk what the store has, and asks the peer for the rest (SYNC-7).
    fn walk(
        &mut self,
        repo: &Repo,
        mut tree: Box<Arriving>,
        branch: BranchName,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let id = tree.id();
        let mut ask = Vec::new();
        let mut opened = Vec::new();
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
            let Some(block) = repo.store().get(&cid)? else {
                ask.push(cid);
                continue;
            };
            local += 1;
            opened.push(cid);
            if let Err(refusal) = tree.feed(block) {
                self.stale.append(&mut self.wanted);
                send.push(stats.refuse(Refused::new(id, refusal)));
                return Ok(true);
            }
        }
        if !ask.is_empty() || !opened.is_empty() {
            self.wanted.extend(ask.iter().copied());
            send.push(Message::Want {
                opened,
                names: ask.clone(),
            });
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
        let again = local >= STEP || ask.len() >= WANT_FRAME_MAX;
        stats.walk = Some(tree.progress());
        self.current = Current::Walking { tree, branch };
        Ok(again)
    }

    /// Asks for what the commit links to; accepts it once everything is there (SYNC-9).
    fn fetch(
        &mut self,
        repo: &Repo,
        complete: Box<Complete>,
        branch: BranchName,
        mut todo: Vec<Cid>,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let id = complete.id();
        if !todo.is_empty() || !self.wanted.is_empty() {
            if self.outstanding() <= WANT_FRAME_MAX {
                let next = todo.split_off(todo.len().saturating_sub(WANT_FRAME_MAX));
                self.want(next, send);
            }
            self.current = Current::Fetching {
                complete,
                branch,
                todo,
            };
            return Ok(false);
        }
        // Everything asked for has come: see whether it brought links to more.
        self.flush(repo)?;
        let missing = match repo.missing_blocks(complete.links(), FETCH_SCAN_MAX) {
            Ok(missing) => missing,
            Err(Rejected::Refused(refusal)) => {
                send.push(stats.refuse(Refused::new(id, refusal)));
                return Ok(true);
            }
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        };
        if missing.blocks.is_empty() {
            let accepted = if self.scope.apart.is_some() && !branch.is_meta() {
                repo.accept_apart(*complete, &branch).map(drop)
            } else {
                repo.accept(*complete, &branch)
            };
            match accepted {
                Ok(()) => stats.commits_in += 1,
                Err(Rejected::Refused(refusal)) => {
                    send.push(stats.refuse(Refused::new(id, refusal)));
                }
                Err(Rejected::Fault(fault)) => return Err(fault.into()),
            }
            return Ok(true);
        }
        let mut untold = missing.indexes;
        untold.retain(|cid| self.opened.insert(*cid));
        for opened in untold.chunks(WANTED_MAX) {
            let (opened, names) = (opened.to_vec(), Vec::new());
            send.push(Message::Want { opened, names });
        }
        todo = missing.blocks;
        self.current = Current::Fetching {
            complete,
            branch,
            todo,
        };
        Ok(true)
    }

    /// Asks for blocks, but for those that are on their way already.
    fn want(&mut self, names: Vec<Cid>, send: &mut Vec<Message>) {
        let mut ask = Vec::new();
        for cid in names {
            let on_its_way = self.stale.remove(&cid);
            if self.wanted.insert(cid) && !on_its_way {
                ask.push(cid);
            }
        }
        if !ask.is_empty() {
            let opened = Vec::new();
            send.push(Message::Want { opened, names: ask });
        }
    }

    /// Blocks that the peer has been asked for and has not answered.
    fn outstanding(&self) -> usize {
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
        self.stale.append(&mut self.wanted);
        Some(stats.refuse(Refused::new(id, refusal)))
    }

    /// Everything has arrived: what was accepted joins its branches (SYNC-10).
    fn settle(
        &mut self,
        repo: &Repo,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<(), Fault> {
        self.flush(repo)?;
        send.extend(self.settle_meta(repo, stats)?);
        let branches = self.branches.iter().filter(|(branch, _)| !branch.is_meta());
        for (branch, heads) in branches.filter(|_| self.scope.apart.is_none()) {
            send.extend(join(repo, branch, heads, stats)?);
        }
        self.settled = true;
        Ok(())
    }

    /// `meta` comes first, so all of it is there when a commit of another branch begins: what it
    /// says of members is in force for that commit (SYNC-10).
    fn settle_meta(&mut self, repo: &Repo, stats: &mut Stats) -> Result<Vec<Message>, Fault> {
        let mut send = Vec::new();
        // Taken out, so that it happens once.
        for (branch, heads) in self
            .branches
            .iter_mut()
            .filter(|(branch, _)| branch.is_meta())
        {
            send.extend(join(repo, branch, &std::mem::take(heads), stats)?);
        }
        Ok(send)
    }
}

/// Lets those of `heads` that were accepted join a branch; tells of those that may not.
fn join(
    repo: &Repo,
    branch: &BranchName,
    heads: &[CommitId],
    stats: &mut Stats,
) -> Result<Vec<Message>, Fault> {
    let mut send = Vec::new();
    for head in heads {
        if !repo.is_held(*head)? {
            continue;
        }
        match repo.join_branch(branch, &Heads::from([*head])) {
            Ok(_) => {}
            // The branch stays as it is: it has too many heads, or may not have this one.
            Err(Rejected::Refused(refusal)) => {
                send.push(stats.refuse(Refused::new(*head, refusal)));
            }
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        }
    }
    Ok(send)
}

/// The block with this content whose name is in one of `wanted`, tried under the `likely` codecs.
pub(crate) fn identify(
    bytes: Bytes,
    likely: [Codec; 3],
    wanted: &[&BTreeSet<Cid>],
) -> Option<Block> {
    for codec in likely {
        let block = Block::new(codec, bytes.clone()).ok()?;
        if wanted.iter().any(|names| names.contains(block.cid())) {
            return Some(block);
        }
    }
    // Another hash function, or a block that nobody asked for.
    let mut others = wanted.iter().copied().flatten();
    let other =
        others.find(|cid| cid.hash().code() != 0x12 && Block::verify(**cid, bytes.clone()).is_ok());
    Block::verify(*other?, bytes).ok()
}
