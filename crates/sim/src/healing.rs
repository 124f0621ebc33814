//! Damaged blocks: which rot, and how they come back from peers (REPO-67 to REPO-69, SYNC-30 to SYNC-36).

use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

use allod_blocks::{Block, Cid, Codec, Store, file_links};
use allod_repo::{
    BlockPeer, CommitId, Keep, RepoError, StateRef, check_store, forget_found, heal_space, mend,
    note_lost, noted_lost,
};
use allod_sync::{FetchError, Fetching, Serving};
use allod_tree::Node as TreeNode;
use bytes::Bytes;

use crate::error::Failure;
use crate::hostile::misserve;
use crate::node::Node;
use crate::rng::Rng;
use crate::rot::Decay;
use crate::world::World;

/// Steps from a head down to what rots.
const DEPTH_MAX: usize = 40;

impl World {
    /// Some blocks of a node that keeps all rot: such as another one has whole, and would serve.
    pub(crate) fn rot(&mut self, node: usize) -> Result<(), Failure> {
        let node = node % self.scenario.whole();
        for _ in 0..self.rng.within(2, 7) {
            let decay = match self.rng.below(4) {
                0 => Decay::Gone,
                1 => Decay::Unreadable,
                _ => Decay::Altered(self.rng.index(8_192)),
            };
            let Some(cid) = self.choose(node)? else {
                continue;
            };
            self.say(|| format!("node {node}: {cid} is {decay:?}"));
            self.summary.rotten += 1;
            self.nodes[node].disk.rot.strike(cid, decay);
        }
        // What a running node has read it may not read again.
        if self.nodes[node].repo.is_some() && self.rng.chance(50) {
            self.fall(node)?;
        }
        Ok(())
    }

    /// A block that another node has whole, below a head there, so that nothing takes it away.
    fn choose(&mut self, node: usize) -> Result<Option<Cid>, Failure> {
        let keeper = self.rng.index(self.scenario.whole());
        if keeper == node || !self.recognises(keeper, node)? {
            return Ok(None);
        }
        let (one, other) = (&self.nodes[node], &self.nodes[keeper]);
        let fault = |error: RepoError| one.fault("looking for what rots", &error);
        let mut found = Vec::new();
        for (branch, heads) in other.witness.branches().map_err(fault)? {
            for head in heads {
                if one.witness.has_commit(head).map_err(fault)? {
                    found.push((branch.is_meta(), *head.cid()));
                }
            }
        }
        let owner = one.witness.genesis().payload().owner;
        let log = other.witness.agents().key_log(&owner).map_err(fault)?;
        found.push((true, *one.witness.id().cid()));
        found.extend(log.known().map(|event| (true, *event.cid())));
        let (governs, mut cid) = found[self.rng.index(found.len())];
        for _ in 0..DEPTH_MAX {
            let links = links(other, &cid)?;
            if links.is_empty() || self.rng.chance(15) {
                break;
            }
            // Of what entries link to there is little, and it is looked for in another way than nodes are.
            let is_leaf = |cid: &&Cid| cid.codec() == Codec::Raw.code();
            let leaves: Vec<Cid> = links.iter().filter(is_leaf).copied().collect();
            let links = if leaves.is_empty() || self.rng.chance(30) {
                links
            } else {
                leaves
            };
            cid = links[self.rng.index(links.len())];
        }
        // Who cannot read what governs the space, or a head, serves nobody, so two of those could not help each
        // other.
        let governs = governs
            || one
                .witness
                .has_commit(CommitId::from_cid(cid))
                .map_err(fault)?;
        let mut others = self.nodes.iter().filter(|other| other.name != node);
        let is_free = !governs || !others.any(|other| other.disk.rot.is_ailing());
        let is_kept = !other.disk.rot.has_lost(&cid);
        if !is_free || !is_kept || one.disk.rot.has_lost(&cid) {
            return Ok(None);
        }
        // What the other has of it stays, also if it loses its power now.
        let synced = other.platter.sync();
        synced.map_err(|error| fault(error.into()))?;
        Ok(Some(cid))
    }

    /// Whether a node would serve another one, were it whole.
    fn recognises(&self, keeper: usize, node: usize) -> Result<bool, Failure> {
        let (keeper, node) = (&self.nodes[keeper], &self.nodes[node]);
        let mut serving =
            Serving::new(keeper.reopened()?, node.device(), keeper.clock(self.now_ms));
        serving.handle(&Fetching::hello(node.agent, node.witness.id()));
        Ok(!serving.is_closed())
    }

    /// Somebody has a node looked through, and what is damaged asked for from one of its peers.
    pub(crate) fn mend(&mut self, node: usize) -> Result<(), Failure> {
        let node = node % self.scenario.whole();
        let near = self.neighbours(node);
        let mut peers: Vec<usize> = near
            .get(self.rng.index(near.len().max(1)))
            .copied()
            .into_iter()
            .collect();
        let liar = self.scenario.honest();
        if near.contains(&liar) && self.rng.chance(60) {
            peers.insert(0, liar);
        }
        for peer in peers {
            if self.reaches(node, peer) {
                self.ask(node, peer)?;
            }
        }
        let down = self.nodes[node].repo.is_none() && self.nodes[node].fault.is_none();
        if down {
            self.nodes[node].restart(&mut self.model)?;
        }
        self.after(node)
    }

    /// Everybody asks everybody else, now that nothing goes wrong: what stands in the way of a block is at its
    /// place before it.
    pub(crate) fn mend_all(&mut self) -> Result<(), Failure> {
        if self.summary.rotten == 0 {
            return Ok(());
        }
        for _ in 0..=self.summary.rotten {
            for node in 0..self.scenario.whole() {
                for peer in 0..self.scenario.whole() {
                    if node != peer && self.nodes[node].disk.rot.is_ailing() {
                        self.ask(node, peer)?;
                    }
                }
                if self.nodes[node].repo.is_none() {
                    self.nodes[node].restart(&mut self.model)?;
                }
            }
        }
        for node in 0..self.scenario.whole() {
            self.nodes[node].disk.rot.forget_met();
            self.summary.healed += self.nodes[node].disk.rot.healed().0;
            self.nodes[node].is_whole()?;
        }
        Ok(())
    }

    /// At the end everybody has all that is needed: what rotted, what was fetched and what the others have.
    pub(crate) fn whole_at_last(&self) -> Result<(), Failure> {
        let mut whole = self.nodes[..self.scenario.whole()].iter();
        whole.try_for_each(|node| {
            if self.summary.rotten > 0 || !node.tracking.is_empty() {
                node.is_whole()?;
            }
            Ok(())
        })
    }

    /// A node asks a peer for what it has lost.
    fn ask(&mut self, node: usize, peer: usize) -> Result<(), Failure> {
        if self.nodes[node].crashed() {
            return Ok(());
        }
        let Some(repo) = self.nodes[peer].repo.clone() else {
            return Ok(());
        };
        let is_hostile = self.nodes[peer].hostile;
        let is_cut = !self.quiet && self.rng.chance(25);
        let mut asking = Asking {
            fetching: Fetching::new(),
            serving: Serving::new(
                repo,
                self.nodes[node].device(),
                self.nodes[peer].clock(self.now_ms),
            ),
            is_hostile,
            rng: Rng::new(self.rng.draw()),
            frames_left: is_cut.then(|| self.rng.below(30)),
            inbox: VecDeque::new(),
            bytes: 0,
        };
        let asker = &self.nodes[node];
        let hello = Fetching::hello(asker.agent, asker.witness.id());
        asking.serving.handle(&hello);
        asking.carry();
        // In each world people mend in one way only, so that it must do.
        let thorough = self.scenario.seed.is_multiple_of(2);
        let result = asker.heal(&mut asking, thorough);
        self.say(|| format!("node {node} asked {peer} for what it lost: {result:?}"));
        self.summary.bytes += asking.bytes;
        let expected = match &result {
            Ok(()) => true,
            Err(Cut::Silence) => is_cut || is_hostile,
            Err(Cut::Unasked(_)) => false,
            Err(Cut::Here(_)) => self.nodes[node].disk.struck(),
            Err(Cut::Fetch(error)) => match error.code() {
                "E_NOT_MEMBER" => true,
                "E_FAULT" => is_hostile || self.nodes[peer].disk.struck(),
                _ => is_hostile,
            },
        };
        if is_hostile && let Err(Cut::Fetch(error)) = &result {
            self.blame(error.code());
        }
        if !expected {
            let what = format!("asking for what is lost: {result:?}");
            return Err(Failure::Session { node, peer, what });
        }
        self.nodes[node].took_right()?;
        self.after(peer)
    }
}

impl Node {
    /// What `allod check --heal` does, and if it is not thorough what a session on a person's behalf does.
    fn heal(&self, asking: &mut Asking, thorough: bool) -> Result<(), Cut> {
        let store = self.disk.store();
        let store = store.as_ref();
        let go_on = &mut |_| ControlFlow::Continue(());
        if thorough {
            mend(store, None, go_on)?;
        } else {
            note_lost(store, &problems(store)?)?;
            for cid in noted_lost(store)? {
                let _became = store.set_aside(&cid).map_err(RepoError::from)?;
            }
        }
        heal_space(store, self.witness.id(), asking, &mut |_| {})?;
        Ok(forget_found(store)?)
    }

    /// Nothing came that is not what was lost.
    fn took_right(&self) -> Result<(), Failure> {
        match self.disk.rot.healed().1 {
            None => Ok(()),
            Some(cid) => Err(Failure::Damaged {
                node: self.name,
                what: format!("{cid} came back as something else"),
            }),
        }
    }

    /// All that is needed is here, and nothing is noted as lost that is not.
    pub(crate) fn is_whole(&self) -> Result<(), Failure> {
        let store = self.disk.store();
        let look = || -> Result<Vec<Cid>, RepoError> {
            forget_found(store.as_ref())?;
            let mut lost = problems(store.as_ref())?;
            lost.extend(noted_lost(store.as_ref())?);
            Ok(lost)
        };
        let lost = look().map_err(|error| self.fault("looking through the store", &error))?;
        match lost.first() {
            None => Ok(()),
            Some(cid) => Err(Failure::Damaged {
                node: self.name,
                what: format!("{cid} did not come back"),
            }),
        }
    }
}

/// The blocks of which a look through a store finds that something is wrong.
fn problems(store: &dyn Store) -> Result<Vec<Cid>, RepoError> {
    let mut found = BTreeSet::new();
    let on = &mut |problem: &allod_repo::Problem| found.extend(problem.block);
    check_store(store, on, &mut |_| ControlFlow::Continue(()))?;
    Ok(found.into_iter().collect())
}

/// What a block leads to on a disk as it was before anything rotted.
fn links(node: &Node, cid: &Cid) -> Result<Vec<Cid>, Failure> {
    let store = node.platter.as_ref();
    let block = store.get(cid).map_err(RepoError::from);
    let block = block.map_err(|error| node.fault("looking for what rots", &error))?;
    let Some(block) = block else {
        return Ok(Vec::new());
    };
    if let Ok(commit) = node.witness.commit(CommitId::from_cid(*cid)) {
        let commit = commit.payload();
        let parents = commit.parents.iter().map(|parent| *parent.cid());
        return Ok(parents.chain([commit.tree]).collect());
    }
    if cid.codec() != Codec::DagCbor.code() {
        return Ok(file_links(&block).unwrap_or_default());
    }
    let Ok(tree) = TreeNode::decode(block.bytes()) else {
        return Ok(Vec::new());
    };
    let entries = tree.entries();
    let linked = entries.filter_map(|(_, entry)| match StateRef::decode(&entry) {
        Ok((_, StateRef::Link(cid) | StateRef::JoiningLink(_, cid))) => Some(cid),
        _ => None,
    });
    Ok(if tree.is_leaf() {
        linked.collect()
    } else {
        (0..tree.len())
            .filter_map(|index| tree.link(index))
            .collect()
    })
}

/// Why nothing more is had from a peer.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("nothing is heard of it")]
    Silence,
    #[error("{0} was taken, and nobody asked for it")]
    Unasked(Cid),
    /// The disk here failed.
    #[error(transparent)]
    Here(#[from] RepoError),
}

/// A stream to a peer that serves blocks, which may lie, and may break.
struct Asking {
    fetching: Fetching,
    serving: Serving,
    is_hostile: bool,
    rng: Rng,
    /// Frames until it breaks, if it does.
    frames_left: Option<u64>,
    inbox: VecDeque<Bytes>,
    bytes: u64,
}

impl Asking {
    /// Takes to the asker what the peer sends.
    fn carry(&mut self) {
        while let Some(frame) = self.serving.poll() {
            if let Some(left) = &mut self.frames_left {
                if *left == 0 {
                    return;
                }
                *left -= 1;
            }
            self.bytes += frame.len() as u64;
            if self.is_hostile {
                self.inbox.extend(misserve(&mut self.rng, &frame));
            } else {
                self.inbox.push_back(frame);
            }
        }
    }

    fn ask(&mut self, opened: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<Vec<Cid>, Cut> {
        let want = self.fetching.want(opened, names)?;
        self.bytes += want.len() as u64;
        self.serving.handle(&want);
        self.carry();
        let mut absent = Vec::new();
        loop {
            let frame = self.inbox.pop_front().ok_or(Cut::Silence)?;
            let answer = self.fetching.take(&frame)?;
            let mut came = answer.blocks.iter().map(Block::cid);
            if let Some(other) = came.find(|cid| !names.contains(cid)) {
                return Err(Cut::Unasked(*other));
            }
            keep(answer.blocks)?;
            absent.extend(answer.absent);
            if answer.last {
                return Ok(absent);
            }
        }
    }
}

impl BlockPeer for Asking {
    type Error = Cut;

    fn known(&mut self, commits: &[Cid]) -> Result<BTreeSet<Cid>, Cut> {
        let absent = self.ask(commits, &[], &mut |_| Ok(()))?;
        let mut known: BTreeSet<Cid> = commits.iter().copied().collect();
        known.retain(|commit| !absent.contains(commit));
        Ok(known)
    }

    fn fetch(&mut self, path: &[Cid], names: &[Cid], keep: Keep<'_>) -> Result<(), Cut> {
        self.ask(path, names, keep).map(|_absent| ())
    }
}
