//! What goes to the peer: the commits it lacks, and the blocks it asks for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use allod_blocks::{Block, Cid, Codec, file_links};
use allod_identity::{AgentId, Mark, Verified};
use allod_repo::{Commit, CommitId, Rejected, Repo, RepoError, StateRef};
use allod_sketch::Estimate;
use allod_tree::{Node, TreeError};
use bytes::Bytes;

use crate::limits::{
    BLOCKS_FRAME_BYTES, CHANGES_BYTES_MAX, CHANGES_FRAME_BYTES, COMMITS_MAX, CREDIT_BYTES,
    ENTRIES_COUNTERS, LEAVES_COUNTERS, OFFERED_MAX,
};
use crate::message::{Hello, Message, Mode};
use crate::offering::Offer;
use crate::readers::Share;
use crate::scope::Branches;
use crate::session::{Fault, Stats};
use crate::sketching::{Asked, Sketching};

/// Commits that are left out in one step.
const LEFT_OUT_STEP: usize = 64;

/// The sending half of a session.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Commits to send, with the index of their branch.
    plan: VecDeque<(CommitId, u64)>,
    /// Messages of the commit at hand that wait for credit.
    ready: VecDeque<Message>,
    /// Which key events of an author the peer knows.
    told: BTreeMap<[u8; 32], Mark>,
    credit: u64,
    /// Blocks that the peer was told of and may ask for once (SYNC-8).
    offered: BTreeSet<Cid>,
    /// Blocks that it asked for.
    asked: VecDeque<Cid>,
    /// The first of those, where it was read and did not fit the frame that was made then.
    at_hand: Option<Block>,
    /// Whether the peer walks each tree (PART-11).
    pub(crate) slices: bool,
    /// The branches that go in parts, by their place in the hello, with the prefixes that the peer may have (SYNC-64).
    in_parts: BTreeMap<u64, Arc<BTreeSet<Bytes>>>,
    /// Nodes of trees of parts that the peer was told of, with the prefixes that lead on for it.
    of_parts: BTreeMap<Cid, Arc<BTreeSet<Bytes>>>,
    /// The tree that the peer compares with its own.
    sketching: Sketching,
    /// How often it may compare a tree: once for each commit that it was told to walk, as each costs reading
    /// the tree.
    roots: BTreeMap<Cid, usize>,
    /// Commits that cannot be sent, as not all of them is here (PART-10).
    left_out: BTreeSet<CommitId>,
    /// Commits that wait for the next session, as there are too many for one.
    beyond: u64,
    pub(crate) done: bool,
}

impl Outbound {
    /// Plans what a peer that says `hello` lacks and wants (SYNC-4, SYNC-16).
    pub(crate) fn plan(repo: &Repo, offers: &[Offer], hello: &Hello) -> Result<Self, Fault> {
        Self::plan_at_most(COMMITS_MAX, repo, offers, hello)
    }

    fn plan_at_most(
        most: usize,
        repo: &Repo,
        offers: &[Offer],
        hello: &Hello,
    ) -> Result<Self, Fault> {
        let mut known: BTreeSet<CommitId> = hello.samples.iter().copied().collect();
        known.extend(
            hello
                .branches
                .iter()
                .flat_map(|(_, heads)| heads.iter().copied()),
        );
        let mut planned = BTreeSet::new();
        let mut plan = VecDeque::new();
        let wants = Branches::from(hello.wants.clone());
        let offered = (0u64..).zip(offers);
        let mut offered: Vec<_> = offered
            .filter(|(_, it)| wants.include(&it.branch))
            .collect();
        // What is offered whole with some branch does not go in parts.
        offered.sort_by_key(|(_, offer)| offer.share != Share::All);
        for (index, offer) in offered {
            for id in repo.missing(&offer.heads.iter().copied().collect(), &known)? {
                if planned.insert(id) {
                    plan.push_back((id, index));
                }
            }
        }
        // The oldest are enough for now; the next session goes on from there.
        let beyond = plan.len().saturating_sub(most) as u64;
        plan.truncate(most);
        let mut outbound = Self {
            plan,
            ready: VecDeque::new(),
            told: hello
                .logs
                .iter()
                .map(|(agent, mark)| (agent.into_array(), mark.into_array()))
                .collect(),
            credit: CREDIT_BYTES,
            offered: BTreeSet::new(),
            asked: VecDeque::new(),
            at_hand: None,
            slices: hello.slices,
            in_parts: in_parts(offers),
            of_parts: BTreeMap::new(),
            sketching: Sketching::default(),
            roots: BTreeMap::new(),
            left_out: BTreeSet::new(),
            beyond,
            done: false,
        };
        outbound.tell_what_changed(repo)?;
        if hello.slices {
            outbound.offer_heads(repo, offers, &wants)?;
        }
        Ok(outbound)
    }

    /// Tells of agents of whom the peer knows something else than is known here (SYNC-5): which devices act for them
    /// concerns also who has all their commits.
    fn tell_what_changed(&mut self, repo: &Repo) -> Result<(), Fault> {
        for agent in &repo.people()? {
            let mark = self.told.get(agent.as_bytes());
            if mark.is_some_and(|mark| *mark != Mark::default()) {
                self.tell_log(repo, agent)?;
            }
        }
        Ok(())
    }

    /// Tells of the trees of heads. Who keeps a part may have their statements for long, and not their entries.
    fn offer_heads(
        &mut self,
        repo: &Repo,
        offers: &[Offer],
        wants: &Branches,
    ) -> Result<(), Fault> {
        let wanted = (0u64..).zip(offers);
        let wanted = wanted.filter(|(_, it)| wants.include(&it.branch) && !it.branch.is_meta());
        for (index, offer) in wanted {
            for head in &offer.heads {
                self.offer_walk(repo.commit(*head)?.payload(), index)?;
            }
        }
        Ok(())
    }

    /// Tells of the tree of a commit that goes with a branch, or of its parts (SYNC-64).
    fn offer_walk(&mut self, said: &Commit, branch: u64) -> Result<(), Fault> {
        if let Some(prefixes) = self.in_parts.get(&branch) {
            let prefixes = Arc::clone(prefixes);
            return said
                .parts
                .map_or(Ok(()), |root| self.offer_of_parts(root, prefixes));
        }
        self.offer(said.tree)?;
        *self.roots.entry(said.tree).or_default() += 1;
        Ok(())
    }

    fn offer_of_parts(&mut self, cid: Cid, prefixes: Arc<BTreeSet<Bytes>>) -> Result<(), Fault> {
        if self.of_parts.len() >= OFFERED_MAX {
            return Err(Fault::Limit("blocks offered"));
        }
        self.of_parts.insert(cid, prefixes);
        Ok(())
    }

    /// Commits still to be sent.
    pub(crate) fn remaining(&self) -> usize {
        self.plan.len()
    }

    pub(crate) fn add_credit(&mut self, bytes: u64) {
        self.credit = self.credit.saturating_add(bytes);
    }

    /// The next message, if there is one and the credit allows it.
    pub(crate) fn poll(
        &mut self,
        repo: &Repo,
        stats: &mut Stats,
    ) -> Result<Option<Message>, Fault> {
        if let Some(blocks) = self.serve(repo)? {
            return Ok(Some(blocks));
        }
        if let Some(message) = self.sketching.poll()? {
            if let Message::Entries { entries, .. } = &message {
                for (_, entry) in entries {
                    self.offer_link(entry)?;
                }
            }
            return Ok(Some(message));
        }
        if self.done {
            return Ok(None);
        }
        for _ in 0..LEFT_OUT_STEP {
            if !self.ready.is_empty() {
                break;
            }
            let Some((id, branch)) = self.plan.pop_front() else {
                self.done = true;
                // Nobody is to believe that the peer has the heads now (SYNC-50).
                stats.left_out += self.beyond;
                return Ok(Some(Message::Done));
            };
            if self.is_left_out(repo, id)? || !self.prepare(repo, id, branch)? {
                self.left_out.insert(id);
                stats.left_out += 1;
            } else {
                stats.commits_out += 1;
            }
        }
        // A message is sent while any credit is left, so that one larger than the rest of the
        // credit does not block for ever; the receiver's window allows for it.
        if self.credit == 0 {
            return Ok(None);
        }
        Ok(self.ready.pop_front())
    }

    /// Whether there are commits to look at, though the last poll had nothing to send.
    pub(crate) fn goes_on(&self) -> bool {
        self.ready.is_empty() && !self.plan.is_empty() || self.sketching.is_busy()
    }

    /// Takes a question about a tree, or what answers it. `Err` with a code if it may not come now.
    pub(crate) fn sketch(
        &mut self,
        repo: &Repo,
        message: Message,
    ) -> Result<Result<(), &'static str>, Fault> {
        let (tree, size, have, leaves, entries) = match message {
            Message::Pick { elements, last } => return Ok(self.sketching.pick(elements, last)),
            Message::Compare {
                tree,
                size,
                leaves,
                entries,
                have,
            } => (tree, size, have, leaves, entries),
            _ => return Ok(Err("E_ORDER")),
        };
        let about = [(&leaves, LEAVES_COUNTERS), (&entries, ENTRIES_COUNTERS)];
        let about = about.map(|(bytes, counters)| match have {
            0 => Estimate::decode(bytes, counters),
            // Who asks for more has told before.
            _ => Ok(Estimate::new(counters)),
        });
        let [Ok(leaves), Ok(entries)] = about else {
            return Ok(Err("E_SKETCH"));
        };
        // As of any block, only of what the peer was told of (SYNC-8).
        let left = self.roots.get_mut(&tree);
        let Some(left) = left.filter(|left| have > 0 || **left > 0) else {
            return Ok(Err("E_ORDER"));
        };
        *left -= usize::from(have == 0);
        if repo.part().is_some() {
            // Not all of it is here.
            return Ok(self.sketching.decline());
        }
        let asked = Asked {
            tree,
            size,
            leaves,
            entries,
            have,
        };
        Ok(self.sketching.compare(repo.tree(tree)?, asked))
    }

    pub(crate) fn charge(&mut self, bytes: usize) {
        self.credit = self.credit.saturating_sub(bytes as u64);
    }

    /// Whether what a commit goes on from, or what it changed, is not here (PART-10).
    fn is_left_out(&self, repo: &Repo, id: CommitId) -> Result<bool, Fault> {
        if repo.part().is_none() {
            return Ok(false);
        }
        let commit = repo.commit(id)?;
        let mut parents = commit.payload().parents.iter();
        Ok(parents.any(|parent| self.left_out.contains(parent)) || !repo.is_held(id)?)
    }

    /// Makes the messages of a commit; `false` if what it changed is not all here.
    fn prepare(&mut self, repo: &Repo, id: CommitId, branch: u64) -> Result<bool, Fault> {
        let commit = repo.commit(id)?;
        let said = commit.payload();
        let walks = self.slices && !said.branch.is_meta();
        let changes = if walks {
            None
        } else {
            match changes_here(repo, &commit)? {
                Changed::Elsewhere => return Ok(false),
                Changed::Much => None,
                Changed::Here(changes) => Some(changes),
            }
        };
        self.tell_log(repo, &said.author)?;
        let statement = commit.bytes().clone();
        let Some(changes) = changes else {
            self.offer_walk(said, branch)?;
            self.ready.push_back(Message::Commit {
                statement,
                branch,
                mode: Mode::Walk,
            });
            return Ok(true);
        };
        self.ready.push_back(Message::Commit {
            statement,
            branch,
            mode: Mode::Changes,
        });
        let mut entries = Vec::new();
        let mut bytes = 0;
        for (key, entry) in changes {
            self.offer_link(&entry)?;
            if bytes + key.len() + entry.len() > CHANGES_FRAME_BYTES {
                let entries = std::mem::take(&mut entries);
                self.ready.push_back(Message::Changes {
                    entries,
                    last: false,
                });
                bytes = 0;
            }
            bytes += key.len() + entry.len();
            entries.push((key, entry));
        }
        self.ready.push_back(Message::Changes {
            entries,
            last: true,
        });
        Ok(true)
    }

    /// SYNC-5.
    fn tell_log(&mut self, repo: &Repo, author: &AgentId) -> Result<(), Fault> {
        let log = repo.agents().key_log(author)?;
        let has = self.told.insert(*author.as_bytes(), log.mark());
        let has = has.unwrap_or_default();
        let beyond = log.beyond(&has);
        let events: Vec<Bytes> = beyond.map(|event| event.bytes().clone()).collect();
        if !events.is_empty() {
            self.ready.push_back(Message::KeyEvents {
                agent: *author,
                events,
            });
        }
        Ok(())
    }

    fn offer(&mut self, cid: Cid) -> Result<(), Fault> {
        if self.offered.len() >= OFFERED_MAX {
            return Err(Fault::Limit("blocks offered"));
        }
        self.offered.insert(cid);
        Ok(())
    }

    fn offer_link(&mut self, entry: &Bytes) -> Result<(), Fault> {
        link_of(entry)?.map_or(Ok(()), |cid| self.offer(cid))
    }

    /// Takes note of a want; `false` if more is wanted than may be (SYNC-12).
    pub(crate) fn ask(
        &mut self,
        repo: &Repo,
        opened: &[Cid],
        names: Vec<Cid>,
    ) -> Result<bool, Fault> {
        for cid in opened {
            if (self.offered.contains(cid) || self.of_parts.contains_key(cid))
                && let Some(block) = repo.store().get(cid)?
            {
                self.served(&block)?;
            }
        }
        self.asked.extend(names);
        Ok(self.asked.len() <= crate::limits::WANTED_MAX)
    }

    /// The next frame of blocks that were asked for.
    fn serve(&mut self, repo: &Repo) -> Result<Option<Message>, Fault> {
        let mut blocks = Vec::new();
        let mut absent = Vec::new();
        let mut bytes = 0;
        while let Some(cid) = self.asked.front().copied() {
            let block = match self.at_hand.take() {
                None if self.offered.contains(&cid) || self.of_parts.contains_key(&cid) => {
                    repo.store().get(&cid)?
                }
                at_hand => at_hand,
            };
            let Some(block) = block else {
                self.asked.pop_front();
                absent.push(cid);
                continue;
            };
            if bytes > 0 && bytes + block.bytes().len() > BLOCKS_FRAME_BYTES {
                // A store hashes what it reads, and a part of a file is a frame by itself.
                self.at_hand = Some(block);
                break;
            }
            self.asked.pop_front();
            self.served(&block)?;
            bytes += block.bytes().len();
            blocks.push(block.into_bytes());
        }
        if blocks.is_empty() && absent.is_empty() {
            return Ok(None);
        }
        Ok(Some(Message::Blocks { blocks, absent }))
    }

    /// A block is at the peer: what it leads to may be asked for next. What was offered as a node of a tree of parts leads on
    /// as such, and what was offered otherwise too does so both ways.
    fn served(&mut self, block: &Block) -> Result<(), Fault> {
        if let Some(prefixes) = self.of_parts.remove(block.cid()) {
            let node = node_of(block)?;
            if node.is_leaf() {
                for (prefix, root) in node.entries() {
                    if prefixes.contains(&prefix) {
                        let root = Cid::try_from(&root[..]);
                        self.offer(root.map_err(|_error| RepoError::Damaged("a tree of parts"))?)?;
                    }
                }
            } else {
                for child in (0..node.len()).filter_map(|index| node.link(index)) {
                    self.offer_of_parts(child, Arc::clone(&prefixes))?;
                }
            }
        }
        if self.offered.remove(block.cid()) {
            let links = links_of(block)?;
            links.into_iter().try_for_each(|cid| self.offer(cid))?;
        }
        Ok(())
    }
}

/// What a commit changed.
enum Changed {
    Here(BTreeMap<Bytes, Bytes>),
    /// All of it is here, and it is too much to be sent as such.
    Much,
    /// Not all of it is here (PART-10).
    Elsewhere,
}

/// What a commit changed, as far as it can be sent.
fn changes_here(repo: &Repo, commit: &Verified<Commit>) -> Result<Changed, Fault> {
    if repo.part().is_none() || commit.payload().branch.is_meta() {
        let changes = repo.changes_of(commit, CHANGES_BYTES_MAX)?;
        return Ok(changes.map_or(Changed::Much, Changed::Here));
    }
    let changes = match repo.changes_of(commit, usize::MAX) {
        // Of what came in parts the tree was never looked at: it may be missing, and it may be none.
        Err(RepoError::Tree(
            TreeError::Missing { .. } | TreeError::Node { .. } | TreeError::Link { .. },
        )) => return Ok(Changed::Elsewhere),
        changes => changes?.unwrap_or_default(),
    };
    let (mut links, mut bytes) = (Vec::new(), 0);
    for (key, entry) in &changes {
        let Ok(link) = link_of(entry) else {
            return Ok(Changed::Elsewhere);
        };
        links.extend(link);
        bytes += key.len() + entry.len();
    }
    // Nodes have the entries beside those of the part too, and those may link to what is not here.
    match repo.missing_blocks(&links, 1) {
        Ok(missing) if missing.blocks.is_empty() => {}
        Ok(_) | Err(Rejected::Refused(_)) => return Ok(Changed::Elsewhere),
        Err(Rejected::Fault(fault)) => return Err(fault.into()),
    }
    Ok(if bytes <= CHANGES_BYTES_MAX {
        Changed::Here(changes)
    } else {
        Changed::Much
    })
}

/// What a node or file that was served leads to: what may be asked for next (SYNC-8).
pub(crate) fn links_of(block: &Block) -> Result<Vec<Cid>, RepoError> {
    if block.cid().codec() != Codec::DagCbor.code() {
        return file_links(block).map_err(|_error| RepoError::Damaged("a stored file"));
    }
    let node = node_of(block)?;
    if node.level() > 0 {
        let links = (0..node.len()).filter_map(|index| node.link(index));
        return Ok(links.collect());
    }
    // Each node that is sent comes by here, so its entries are lent.
    let (mut links, mut key) = (Vec::new(), Vec::new());
    for index in 0..node.len() {
        if let Some(entry) = node.entry(index, &mut key) {
            links.extend(link_of(entry)?);
        }
    }
    Ok(links)
}

fn node_of(block: &Block) -> Result<Node, RepoError> {
    Node::decode(block.bytes())
        .map_err(|_error| RepoError::Damaged("a stored node does not decode"))
}

/// Of the branches that are offered in parts, by their place in the hello, the prefixes.
fn in_parts(offers: &[Offer]) -> BTreeMap<u64, Arc<BTreeSet<Bytes>>> {
    let offers = (0u64..).zip(offers);
    let parts = offers.filter_map(|(index, offer)| match &offer.share {
        Share::Parts(prefixes) => Some((index, Arc::new(prefixes.clone()))),
        _ => None,
    });
    parts.collect()
}

/// What an entry links to, if it does.
fn link_of(entry: &[u8]) -> Result<Option<Cid>, RepoError> {
    match StateRef::decode(entry) {
        Ok((_, StateRef::Link(cid) | StateRef::JoiningLink(_, cid))) => Ok(Some(cid)),
        Ok(_) => Ok(None),
        Err(_) => Err(RepoError::Damaged("a stored entry does not decode")),
    }
}

#[cfg(test)]
mod tests {
    use allod_blocks::MemoryStore;
    use allod_identity::SecretKey;
    use allod_repo::{Author, BranchName, Edit, Genesis, SpaceClass};

    use super::*;
    use crate::message::VERSION;

    /// SYNC-50: what is too much for one session is not said to have gone out.
    #[test]
    fn what_waits_for_the_next_session_is_left_out_of_this() {
        let key = SecretKey::from_seed([1; 32]);
        let author = Author {
            agent: key.agent_id(),
            key: &key,
        };
        let genesis = Genesis {
            at: 1,
            class: SpaceClass::Convergent,
            name: "test".into(),
            nonce: [0; 16],
            owner: author.agent,
        };
        let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author).unwrap();
        let main = BranchName::main();
        for value in ["1", "2", "3"] {
            let edit = [("k".into(), Edit::Put(value.into()))];
            repo.stage(&main, edit, 1).unwrap();
            repo.commit_staged(&main, author, "", 1).unwrap();
        }
        let hello = Hello {
            agent: author.agent,
            branches: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
            parts: Vec::new(),
            samples: Vec::new(),
            slices: false,
            space: repo.id(),
            version: VERSION,
            wants: None,
        };
        let branches = repo.branches().unwrap().into_iter();
        let offers: Vec<_> = branches
            .map(|(branch, heads)| Offer {
                branch,
                heads: heads.into_iter().collect(),
                share: Share::All,
            })
            .collect();
        for (most, left_out) in [(1, 2), (2, 1), (3, 0), (4, 0)] {
            let planned = Outbound::plan_at_most(most, &repo, &offers, &hello);
            let Ok(mut outbound) = planned else {
                panic!("no plan")
            };
            let mut stats = Stats::default();
            while !outbound.done {
                let Ok(_) = outbound.poll(&repo, &mut stats) else {
                    panic!("no message")
                };
            }
            assert_eq!(
                (stats.commits_out, stats.left_out),
                (3 - left_out, left_out)
            );
        }
    }
}
