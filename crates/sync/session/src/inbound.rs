//! What comes from the peer: commits, completed one after the other.

mod files;

mod nodes;
mod parents;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use allod_access::Op;
use allod_blocks::{Batch, Cid, Codec};
use allod_identity::AgentId;
use allod_repo::{
    Arriving, BranchName, CommitId, Complete, Heads, Part, Refusal, Rejected, Repo, RepoError,
    Reviewed,
};
use allod_tree::Tree;
use bytes::Bytes;

use crate::claims::{Claimed, Claims};
use crate::comparing::{Comparing, Made};
use crate::inbound::files::{PART_BYTES, Todo};
use crate::limits::{COMMITS_MAX, COMPARED_MAX, COMPARED_MIN, CREDIT_BYTES};
use crate::message::{Message, Mode};
use crate::offering::InParts;
use crate::readers::Reader;
use crate::scope::Scope;
use crate::session::{Fault, Refused, Stats};

/// The receiving half of a session.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "how far either side is, and what is at hand: none follows from another"
)]
pub(crate) struct Inbound {
    /// What the peer offers; a branch that is not wanted is without heads here.
    branches: Vec<(BranchName, Vec<CommitId>)>,
    /// Those that come in parts.
    pub(crate) parts: InParts,
    /// Commits that the peer may name as parents, though it may not read the branches that they are on.
    theirs: BTreeSet<CommitId>,
    /// Whether nodes of the tree at hand may come from what is here.
    from_here: bool,
    scope: Scope,
    /// Messages that wait for the commit at hand, with the bytes they were charged.
    queue: VecDeque<(Message, usize)>,
    queued_bytes: u64,
    current: Current,
    /// Indexes of files that were here already, and that the peer was told of.
    opened: BTreeSet<Cid>,
    /// Nodes of the commit at hand that are here, and of which the peer was not told yet; parents before
    /// children.
    untold: Vec<Cid>,
    /// Which parts of files this session is to bring.
    claimed: Claimed,
    /// How large a part of a file is, by those that came last.
    part_bytes: usize,
    /// Blocks on their way for the commit at hand.
    wanted: BTreeSet<Cid>,
    /// Blocks on their way for commits that were refused meanwhile.
    stale: BTreeSet<Cid>,
    batch: Batch,
    batch_bytes: usize,
    /// What is dealt with and not yet given back as credit.
    owed: u64,
    commits: usize,
    /// Commits that the peer gave, and that were not here before.
    came: BTreeSet<CommitId>,
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
    /// Its tree is compared with one that is here (SKETCH).
    Comparing {
        tree: Box<Arriving>,
        branch: BranchName,
        with: Box<Comparing>,
    },
    /// Its tree is being walked; some of its nodes may have been made here.
    Walking {
        tree: Box<Arriving>,
        branch: BranchName,
        made: Made,
    },
    /// Its files are being fetched.
    Fetching {
        complete: Box<Complete>,
        branch: BranchName,
        todo: Todo,
    },
}

/// A commit whose tree is whole; what it links to is looked up next.
fn fetching(complete: Complete, branch: BranchName) -> Current {
    Current::Fetching {
        complete: Box::new(complete),
        branch,
        todo: Todo::default(),
    }
}

/// A commit whose tree is to be had: compared with what the branch has here if that may be like it, and
/// otherwise walked.
fn on_the_way(
    repo: &Repo,
    from: Source<'_>,
    tree: Arriving,
    branch: BranchName,
) -> Result<Current, Fault> {
    // One that is here already has nothing to be compared for; and a comparison tells how much there is here.
    let is_new = !repo.store().has(&tree.root())?;
    let base = if is_new && tree.is_unrelated() && from.reads_all(repo)? {
        like(repo, &branch)?
    } else {
        None
    };
    let root = tree.root();
    let tree = Box::new(tree);
    Ok(match base {
        Some(base) => {
            let with = Box::new(Comparing::new(root, base));
            Current::Comparing { tree, branch, with }
        }
        None => {
            let made = Made::new();
            Current::Walking { tree, branch, made }
        }
    })
}

/// What the branch has here, if a tree may be compared with it.
fn like(repo: &Repo, branch: &BranchName) -> Result<Option<Tree>, Fault> {
    // Of a part there are not the nodes that the signed root leads to.
    let is_part = |part: Arc<Part>| !part.has_all_keys();
    if repo.part().is_some_and(is_part) {
        return Ok(None);
    }
    let base = match repo.state(branch) {
        Ok(view) => view.tree().clone(),
        // It is about to be fetched.
        Err(RepoError::Bare(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let fits = (COMPARED_MIN..=COMPARED_MAX).contains(&base.len());
    Ok(fits.then_some(base))
}

/// Whom it comes from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) reader: &'a Reader,
    pub(crate) agent: AgentId,
}

impl Source<'_> {
    /// Whether it may read all that there is here: then nothing is told by what is done with what it sends.
    pub(crate) fn reads_all(self, repo: &Repo) -> Result<bool, Fault> {
        if self.reader.is_plain() {
            return Ok(true);
        }
        let offered = repo.offered()?;
        Ok(offered
            .iter()
            .all(|(branch, _)| self.reader.may_have(branch)))
    }
}

/// What a step of the receiving half asks of the session.
pub(crate) struct Step {
    pub(crate) send: Vec<Message>,
    /// Whether there is more to do without hearing from the peer.
    pub(crate) again: bool,
}

impl Inbound {
    pub(crate) fn new(
        mut branches: Vec<(BranchName, Vec<CommitId>)>,
        parts: InParts,
        scope: &Scope,
        claims: &Claims,
    ) -> Self {
        let unwanted = branches.iter_mut();
        unwanted
            .filter(|(branch, _)| !scope.wants.include(branch))
            .for_each(|(_, heads)| heads.clear());
        Self {
            branches,
            parts,
            theirs: BTreeSet::new(),
            from_here: false,
            scope: scope.clone(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            current: Current::None,
            opened: BTreeSet::new(),
            untold: Vec::new(),
            claimed: claims.begin(),
            part_bytes: PART_BYTES,
            wanted: BTreeSet::new(),
            stale: BTreeSet::new(),
            batch: Batch::new(),
            batch_bytes: 0,
            owed: 0,
            commits: 0,
            came: BTreeSet::new(),
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

    /// Goes on with the commit at hand, or begins the next one. Bounded work.
    pub(crate) fn step(
        &mut self,
        repo: &Repo,
        from: Source<'_>,
        now_ms: u64,
        stats: &mut Stats,
    ) -> Result<Step, Fault> {
        let mut send = Vec::new();
        let again = match std::mem::replace(&mut self.current, Current::None) {
            Current::Comparing { tree, branch, with } => {
                self.compare((tree, branch), with, &mut send)
            }
            Current::Walking { tree, branch, made } => {
                self.walk(repo, (tree, branch), made, &mut send, stats)?
            }
            Current::Fetching {
                complete,
                branch,
                todo,
            } => self.fetch(repo, (complete, branch), todo, &mut send, stats)?,
            current => {
                self.current = current;
                self.next((repo, from), now_ms, &mut send, stats)?
            }
        };
        if self.owed > CREDIT_BYTES / 4 {
            send.push(Message::Credit(std::mem::take(&mut self.owed)));
        }
        Ok(Step { send, again })
    }

    fn next(
        &mut self,
        (repo, from): (&Repo, Source<'_>),
        now_ms: u64,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<bool, Fault> {
        let Some((message, bytes)) = self.queue.pop_front() else {
            let next = self.fills.as_mut().and_then(VecDeque::pop_front);
            if let Some((id, branch)) = next {
                let begun = self.fill((repo, from), id, branch)?;
                send.extend(begun.err().map(|refused| stats.refuse(refused)));
                return Ok(true);
            }
            if self.fills.is_some() && !self.settled {
                self.settle(repo, from, send, stats)?;
                // SYNC-10, BLOCKS-87.
                repo.store().sync()?;
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
                // Once for all that was told before it (REPO-104).
                let _moved = repo.heed_logs()?;
                let index = usize::try_from(branch).unwrap_or(usize::MAX);
                let named = self.branches.get(index);
                if named.is_some_and(|(branch, _)| !branch.is_meta()) {
                    send.extend(self.settle_meta(repo, stats)?);
                }
                let bare = self.bare.len();
                let begun = self.begin((repo, from), statement, (branch, mode), now_ms)?;
                stats.bare_in += (self.bare.len() - bare) as u64;
                send.extend(begun.err().map(|refused| stats.refuse(refused)));
            }
            Message::Changes { entries, last } => {
                self.changes(repo, entries, last, send, stats)?;
            }
            Message::Done => {
                let _moved = repo.heed_logs()?;
                self.fills = Some(self.fills(repo)?);
            }
            _ => {}
        }
        Ok(true)
    }

    /// The commits whose entries a replica of a part fetches (PART-6), parents before children.
    fn fills(&mut self, repo: &Repo) -> Result<VecDeque<(CommitId, BranchName)>, Fault> {
        let mut bare = std::mem::take(&mut self.bare);
        let Some(part) = repo.part() else {
            return Ok(VecDeque::new());
        };
        let mut newest: BTreeMap<BranchName, u64> = BTreeMap::new();
        let mut heads = BTreeSet::new();
        for (branch, offered) in &self.branches {
            for head in offered {
                if repo.has_commit(*head)? {
                    let generation = repo.commit(*head)?.payload().generation;
                    let newest = newest.entry(branch.clone()).or_default();
                    *newest = generation.max(*newest);
                    heads.insert(*head);
                    // Its statement may have come long ago, from behind the head of another branch.
                    let is_known = bare.iter().any(|(id, _)| id == head);
                    if !branch.is_meta() && !is_known && !repo.is_held(*head)? {
                        bare.push((*head, branch.clone()));
                    }
                }
            }
        }
        let mut fills = VecDeque::new();
        for (id, branch) in bare {
            let generation = repo.commit(id)?.payload().generation;
            let newest = newest.get(&branch).copied().unwrap_or(0);
            if heads.contains(&id) || part.reaches(generation, newest) {
                fills.push_back((id, branch));
            }
        }
        Ok(fills)
    }

    /// Begins to fetch the entries of a commit whose statement is here.
    fn fill(
        &mut self,
        (repo, from): (&Repo, Source<'_>),
        id: CommitId,
        branch: BranchName,
    ) -> Result<Result<(), Refused>, Fault> {
        self.from_here = from.reads_all(repo)?;
        if self.parts.has(&branch) {
            return self.fill_parts((repo, from), id, branch);
        }
        match repo.fetch_tree(repo.accepted(id)?) {
            Ok(tree) => {
                self.current = on_the_way(repo, from, tree, branch)?;
                Ok(Ok(()))
            }
            Err(Rejected::Refused(refusal)) => Ok(Err(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => Err(fault.into()),
        }
    }

    /// The same of a commit that comes in parts (PART-22). It stays as it is where not all that is kept is offered, or it signs
    /// no parts.
    fn fill_parts(
        &mut self,
        (repo, from): (&Repo, Source<'_>),
        id: CommitId,
        branch: BranchName,
    ) -> Result<Result<(), Refused>, Fault> {
        let part = repo.part();
        let has_all = part.is_some_and(|part| self.parts.covers(&branch, &part));
        // Who has not all of a branch has not checked what it says of its parts (PART-22).
        if !has_all || !from.reader.may_have(&branch) {
            return Ok(Ok(()));
        }
        match repo.fetch_parts(repo.accepted(id)?) {
            Ok(None) => Ok(Ok(())),
            Ok(Some(tree)) => {
                let (tree, made) = (Box::new(tree), Made::new());
                self.current = Current::Walking { tree, branch, made };
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
                self.came.insert(id);
                self.bare.push((id, branch));
                Ok(Ok(()))
            }
            Err(Rejected::Refused(refusal)) => Ok(Err(Refused::new(id, refusal))),
            Err(Rejected::Fault(fault)) => Err(fault.into()),
        }
    }

    fn begin(
        &mut self,
        (repo, from): (&Repo, Source<'_>),
        statement: Bytes,
        (branch, mode): (u64, Mode),
        now_ms: u64,
    ) -> Result<Result<(), Refused>, Fault> {
        let id = CommitId::from_cid(allod_blocks::sha256_cid(Codec::DagCbor, &statement));
        self.untold.clear();
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
        if !self.may_build_on(repo, from, reviewed.commit().payload())? {
            return Ok(Err(Refused::new(id, Refusal::Rights)));
        }
        if in_part {
            return self.take_bare(repo, *reviewed, branch);
        }
        self.from_here = mode == Mode::Walk && from.reads_all(repo)?;
        self.current = match mode {
            Mode::Changes => Current::Changes {
                reviewed,
                branch,
                entries: BTreeMap::new(),
                bytes: 0,
            },
            Mode::Walk => match repo.fetch_tree(*reviewed) {
                Ok(tree) => on_the_way(repo, from, tree, branch)?,
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

    /// Everything has arrived: what was accepted joins its branches (SYNC-10).
    fn settle(
        &mut self,
        repo: &Repo,
        from: Source<'_>,
        send: &mut Vec<Message>,
        stats: &mut Stats,
    ) -> Result<(), Fault> {
        self.flush(repo)?;
        send.extend(self.settle_meta(repo, stats)?);
        let branches = self.branches.iter().filter(|(branch, _)| !branch.is_meta());
        for (branch, heads) in branches.filter(|_| self.scope.apart.is_none()) {
            let heads = if self.parts.has(branch) {
                // In place of one that signs no parts, what is before it (PART-22).
                repo.newest_held(heads)?
            } else {
                heads.clone()
            };
            let mut theirs = Vec::new();
            for head in &heads {
                if self.may_lead_to(repo, from.reader, (branch, *head))? {
                    theirs.push(*head);
                } else {
                    send.push(stats.refuse(Refused::new(*head, Refusal::Rights)));
                }
            }
            send.extend(join(repo, branch, &theirs, stats)?);
        }
        self.settled = true;
        Ok(())
    }

    /// Whether the peer may take a branch to a commit: to one that was made elsewhere as a merge would, and not to one that it
    /// has only heard of (SYNC-65).
    fn may_lead_to(
        &self,
        repo: &Repo,
        reader: &Reader,
        (branch, head): (&BranchName, CommitId),
    ) -> Result<bool, Fault> {
        if !repo.has_commit(head)? {
            return Ok(true);
        }
        let commit = repo.commit(head)?;
        let made_on = &commit.payload().branch;
        if made_on == branch {
            return Ok(true);
        }
        let begins = repo.heads(branch)?.is_empty();
        let op = if begins { Op::Create } else { Op::Merge };
        let has_it = self.came.contains(&head) || reader.may_have(made_on);
        Ok(has_it && reader.may_move(branch, op))
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
    let mut held = Heads::new();
    for head in heads {
        if repo.is_held(*head)? {
            held.insert(*head);
        }
    }
    match repo.join_branch(branch, &held) {
        Ok(_) => return Ok(Vec::new()),
        Err(Rejected::Fault(fault)) => return Err(fault.into()),
        // Not all of them may join: the branch has too many heads, or may not have this one.
        Err(Rejected::Refused(_)) => {}
    }
    let mut send = Vec::new();
    for head in held {
        match repo.join_branch(branch, &Heads::from([head])) {
            Ok(_) => {}
            Err(Rejected::Refused(refusal)) => send.push(stats.refuse(Refused::new(head, refusal))),
            Err(Rejected::Fault(fault)) => return Err(fault.into()),
        }
    }
    Ok(send)
}
