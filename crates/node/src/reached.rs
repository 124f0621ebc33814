//! Where commits are: at which peers, as far as those have said (SYNC-50 to SYNC-53).
//!
//! One walk from the heads here, newest first, finds which peers have each commit: a commit is where its
//! descendants are. Nothing is claimed that no peer has said.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use allod_identity::{DeviceId, Verified};
use allod_repo::{Commit, CommitId, Heads, Repo};
use tokio::task::spawn_blocking;

use crate::error::NodeError;
use crate::node::Node;
use crate::peers::{Peer, Told, mark};

/// Commits that one walk looks at: to read one and to check its signature takes some 60 us, and whoever
/// asks waits for no more than a second or so.
const WALK_MAX: usize = 16_384;

/// Commits whose bytes are added up, the newest first: each is compared with its parents.
const SIZED_MAX: u64 = 256;

/// Bytes that one commit is added up to; what changed more is not told of. As much goes in a session as
/// changes (SYNC-6).
const SIZED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is known of a commit and a peer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Whether {
    /// It has it.
    Has,
    /// It told of all that it had, and did not have it then.
    HadNot,
    /// Nothing can be said.
    Unknown(Unknown),
}

/// Why nothing can be said of a commit and a peer.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, thiserror::Error)]
#[non_exhaustive]
pub enum Unknown {
    /// No session with it was complete.
    #[error("nothing was heard of it")]
    Unheard,
    /// It told of some of what it has.
    #[error("it told of some branches only")]
    Partly,
    /// It has more heads than are noted.
    #[error("it has more heads than are noted")]
    Cut,
    /// It has heads that no branch here leads to.
    #[error("it has commits that are not here")]
    Foreign,
    /// It was sent commits in a session that was cut.
    #[error("a session that sent it commits was cut")]
    Sent,
    /// The commit, or what the peer has, is too far back to be looked for.
    #[error("it is too far back in the history")]
    Far,
}

impl Unknown {
    /// Its name in data.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unheard => "unheard",
            Self::Partly => "partly",
            Self::Cut => "cut",
            Self::Foreign => "foreign",
            Self::Sent => "sent",
            Self::Far => "far",
        }
    }
}

/// At which peers a commit is, or several are. Each peer of the space is in one of the lists.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reached {
    /// Peers that have it, and keep the whole space.
    pub whole: Vec<DeviceId>,
    /// Peers that have what they keep of it: a part of the space.
    pub parts: Vec<DeviceId>,
    /// Peers that did not have it when they last told all that they have.
    pub without: Vec<DeviceId>,
    /// Peers of whom nothing is known, and why.
    pub unknown: Vec<(DeviceId, Unknown)>,
}

impl Reached {
    /// Whether no peer is known to have anything of it.
    #[must_use]
    pub const fn is_nowhere_known(&self) -> bool {
        self.whole.is_empty() && self.parts.is_empty()
    }
}

/// Commits were to be at so many peers, and are not yet. They stay, and leave when peers can be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NotReached {
    /// The commits.
    pub commits: Heads,
    /// Where all of them are.
    pub reached: Reached,
    /// How many peers were to keep them.
    pub peers: usize,
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<String> = self.commits.iter().map(ToString::to_string).collect();
        let what = if ids.len() == 1 { "commit" } else { "all of" };
        let (commits, peers) = (ids.join(", "), self.peers);
        let have = match self.reached.whole.len() {
            1 => "1 peer is".to_owned(),
            whole => format!("{whole} peers are"),
        };
        write!(
            f,
            "{have} known to have {what} {commits}, of {peers} that should"
        )?;
        match self.reached.parts.len() {
            0 => {}
            1 => write!(f, ", and 1 has its part of it")?,
            parts => write!(f, ", and {parts} have their part of it")?,
        }
        write!(f, "; it stays here, and leaves when peers can be reached")
    }
}

impl std::error::Error for NotReached {}

/// What is here and a peer is not known to have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lag {
    /// Commits of the branches here.
    pub commits: u64,
    /// Whether there may be more: so many were counted that the walk ended.
    pub is_cut: bool,
    /// Bytes of the statements of `sized` of them, and of the keys and entries that those changed. What
    /// entries link to, as files, is not in it.
    pub bytes: u64,
    /// How many of the commits `bytes` is about: the newest, without those that change a lot.
    pub sized: u64,
    /// When the oldest of them was made, by its stamp: milliseconds since 1970.
    pub since_ms: Option<u64>,
}

/// How a peer of a space stands.
#[derive(Clone, Debug)]
pub struct PeerLag {
    /// Its device.
    pub device: DeviceId,
    /// What is known of it.
    pub peer: Peer,
    /// What it is not known to have; none if no session with it came to its end.
    pub lag: Option<Lag>,
}

/// Some of the peers of a space, by their place in the list.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct PeerSet(Vec<u64>);

impl PeerSet {
    fn insert(&mut self, peer: usize) {
        let word = peer / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (peer % 64);
    }

    fn has(&self, peer: usize) -> bool {
        let word = self.0.get(peer / 64).copied().unwrap_or(0);
        word & (1 << (peer % 64)) != 0
    }

    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    fn includes(&self, other: &Self) -> bool {
        let mut words = other.0.iter().enumerate();
        words.all(|(at, word)| word & !self.0.get(at).copied().unwrap_or(0) == 0)
    }
}

/// What a walk found of a commit so far.
#[derive(Debug, Default)]
struct Paint {
    at: PeerSet,
    /// Whether a branch here leads to it.
    is_ours: bool,
}

/// A commit in the order of the walk: after all of its descendants.
type Place = (u64, CommitId);

/// A commit that the walk came by, and all that was found of it.
type Step = (Arc<Verified<Commit>>, Paint);

/// Where the commits of a space are. It answers as of when it was made, walks as far as it is asked, and keeps
/// what it found.
#[derive(Debug)]
pub struct Whereabouts {
    repo: Repo,
    peers: Vec<(DeviceId, Peer)>,
    /// Who said to have the commits that are noted so.
    marks: BTreeMap<String, PeerSet>,
    /// How many of what it said to have no walk has met yet, of each peer.
    unmet: Vec<usize>,
    /// Peers whose lag is asked for.
    counted: PeerSet,
    open: BTreeMap<Place, Paint>,
    /// How many of `open` are ours, and lacking at one that is counted.
    lacking: usize,
    seen: BTreeMap<CommitId, PeerSet>,
    walk_max: usize,
}

impl Whereabouts {
    fn new(repo: &Repo, peers: Vec<(DeviceId, Peer)>, walk_max: usize) -> Result<Self, NodeError> {
        let mut marks: BTreeMap<String, PeerSet> = BTreeMap::new();
        let mut unmet = vec![0; peers.len()];
        let mut counted = PeerSet::default();
        for (at, (_, peer)) in peers.iter().enumerate() {
            for mark in &peer.has {
                let set = marks.entry(mark.clone()).or_default();
                unmet[at] += usize::from(!set.has(at));
                set.insert(at);
            }
            if peer.synced_ms.is_some() {
                counted.insert(at);
            }
        }
        let mut walk = Self {
            repo: repo.clone(),
            peers,
            marks,
            unmet,
            counted,
            open: BTreeMap::new(),
            lacking: 0,
            seen: BTreeMap::new(),
            walk_max,
        };
        let none = PeerSet::default();
        for (_, heads) in repo.branches()? {
            for head in heads {
                walk.reach(head, &none, true)?;
            }
        }
        // No branch here, but it may lead to what a peer said to have.
        for tracking in repo.tracking(None)? {
            for head in tracking.heads {
                walk.reach(head, &none, false)?;
            }
        }
        Ok(walk)
    }

    /// Where a commit is.
    pub fn of(&mut self, commit: CommitId) -> Result<Reached, NodeError> {
        self.of_all(&Heads::from([commit]))
    }

    /// Where several commits are together: who has all of them.
    pub fn of_all(&mut self, commits: &Heads) -> Result<Reached, NodeError> {
        let mut reached = Reached::default();
        for at in 0..self.peers.len() {
            let mut all = Whether::Has;
            for commit in commits {
                all = match (all, self.whether(*commit, at)?) {
                    (Whether::HadNot, _) | (_, Whether::HadNot) => Whether::HadNot,
                    (Whether::Unknown(why), _) | (_, Whether::Unknown(why)) => {
                        Whether::Unknown(why)
                    }
                    _ => Whether::Has,
                };
            }
            let (device, peer) = &self.peers[at];
            match all {
                Whether::Has if peer.part => reached.parts.push(*device),
                Whether::Has => reached.whole.push(*device),
                Whether::HadNot => reached.without.push(*device),
                Whether::Unknown(why) => reached.unknown.push((*device, why)),
            }
        }
        Ok(reached)
    }

    /// Whether the peer at this place of the list has a commit.
    fn whether(&mut self, commit: CommitId, at: usize) -> Result<Whether, NodeError> {
        let place = (self.repo.commit(commit)?.payload().generation, commit);
        let is_above = |open: &BTreeMap<Place, Paint>| {
            open.last_key_value().is_some_and(|(top, _)| *top >= place)
        };
        while is_above(&self.open) && self.step()?.is_some() {}
        let is_far = is_above(&self.open);
        // What no branch leads to has no descendants that one leads to.
        let found = match self.seen.get(&commit) {
            Some(found) => found.has(at),
            None => self.marked(commit).is_some_and(|set| set.has(at)),
        };
        if found {
            return Ok(Whether::Has);
        }
        let why = match self.peers[at].1.told {
            Told::Nothing => Some(Unknown::Unheard),
            Told::Partly => Some(Unknown::Partly),
            Told::Cut => Some(Unknown::Cut),
            Told::Foreign => Some(Unknown::Foreign),
            Told::Sent => Some(Unknown::Sent),
            Told::All if is_far => Some(Unknown::Far),
            Told::All => None,
        };
        if let Some(why) = why {
            return Ok(Whether::Unknown(why));
        }
        // What it said to have and was not met may be a descendant that no branch here leads to any more.
        while self.unmet[at] > 0 && self.step()?.is_some() {}
        Ok(match (self.unmet[at], self.open.is_empty()) {
            (0, _) => Whether::HadNot,
            (_, true) => Whether::Unknown(Unknown::Foreign),
            (_, false) => Whether::Unknown(Unknown::Far),
        })
    }

    /// What each peer is not known to have of what is here, in the order of the peers; none of those that
    /// there was no complete session with.
    fn lags(mut self) -> Result<Vec<PeerLag>, NodeError> {
        let mut lags = vec![Lag::default(); self.peers.len()];
        let mut sized = 0;
        while self.lacking > 0 {
            let Some((commit, paint)) = self.step()? else {
                break;
            };
            if !paint.is_ours || paint.at.includes(&self.counted) {
                continue;
            }
            let mut bytes = None;
            if sized < SIZED_MAX {
                sized += 1;
                bytes = size_of(&self.repo, &commit);
            }
            let made_ms = commit.payload().stamp.millis();
            let lacking = lags.iter_mut().enumerate();
            for (_, lag) in lacking.filter(|(at, _)| !paint.at.has(*at)) {
                lag.commits += 1;
                lag.sized += u64::from(bytes.is_some());
                lag.bytes += bytes.unwrap_or(0);
                lag.since_ms = Some(lag.since_ms.map_or(made_ms, |since| since.min(made_ms)));
            }
        }
        let open: Vec<&Paint> = self.open.values().filter(|paint| paint.is_ours).collect();
        for (at, lag) in lags.iter_mut().enumerate() {
            lag.is_cut = self.lacking > 0 && open.iter().any(|paint| !paint.at.has(at));
        }
        let all = self.peers.into_iter().zip(lags);
        let all = all.map(|((device, peer), lag)| {
            let lag = peer.synced_ms.is_some().then_some(lag);
            PeerLag { device, peer, lag }
        });
        Ok(all.collect())
    }

    fn marked(&self, commit: CommitId) -> Option<&PeerSet> {
        // Most spaces have more commits than there are marks.
        self.marks.get(&mark(commit))
    }

    /// Adds to what is known of a commit that some have that a child of it is at.
    fn reach(&mut self, commit: CommitId, at: &PeerSet, is_ours: bool) -> Result<(), NodeError> {
        let place = (self.repo.commit(commit)?.payload().generation, commit);
        let is_new = !self.open.contains_key(&place);
        let marked = is_new.then(|| self.marked(commit).cloned()).flatten();
        if let Some(marked) = &marked {
            for (at, unmet) in self.unmet.iter_mut().enumerate() {
                *unmet = unmet.saturating_sub(usize::from(marked.has(at)));
            }
        }
        let paint = self.open.entry(place).or_default();
        let was_lacking = paint.is_ours && !paint.at.includes(&self.counted);
        paint.at.add(at);
        paint.is_ours |= is_ours;
        if let Some(marked) = &marked {
            paint.at.add(marked);
        }
        let is_lacking = paint.is_ours && !paint.at.includes(&self.counted);
        self.lacking = self.lacking + usize::from(is_lacking) - usize::from(was_lacking);
        Ok(())
    }

    /// The next commit of the walk; none at its end, and where it was cut.
    fn step(&mut self) -> Result<Option<Step>, NodeError> {
        if self.seen.len() >= self.walk_max {
            return Ok(None);
        }
        let Some(((_, id), paint)) = self.open.pop_last() else {
            return Ok(None);
        };
        let is_lacking = paint.is_ours && !paint.at.includes(&self.counted);
        self.lacking -= usize::from(is_lacking);
        let commit = self.repo.commit(id)?;
        for parent in &commit.payload().parents {
            self.reach(*parent, &paint.at, paint.is_ours)?;
        }
        self.seen.insert(id, paint.at.clone());
        Ok(Some((commit, paint)))
    }
}

/// Bytes of a commit and of what it changed; none if that is a lot, or not here.
fn size_of(repo: &Repo, commit: &Verified<Commit>) -> Option<u64> {
    // A damaged tree is told of by a check; here it is one more that is not counted.
    let changes = repo.changes_of(commit, SIZED_BYTES_MAX).ok()??;
    let entries = changes.iter().map(|(key, entry)| key.len() + entry.len());
    Some((commit.bytes().len() + entries.sum::<usize>()) as u64)
}

impl Node {
    /// Where the commits of a space are, as of now.
    pub fn whereabouts(&self, repo: &Repo) -> Result<Whereabouts, NodeError> {
        Whereabouts::new(repo, self.peers(repo)?, WALK_MAX)
    }

    /// At which peers a commit is, as far as they have said.
    pub fn reached(&self, repo: &Repo, commit: CommitId) -> Result<Reached, NodeError> {
        self.whereabouts(repo)?.of(commit)
    }

    /// What of the branches here each peer is not known to have.
    pub fn lags(&self, repo: &Repo) -> Result<Vec<PeerLag>, NodeError> {
        self.whereabouts(repo)?.lags()
    }

    /// What of the branches here a peer is not known to have.
    ///
    /// # Errors
    /// [`NodeError::NoSuchPeer`].
    pub fn lag(&self, repo: &Repo, device: DeviceId) -> Result<Option<Lag>, NodeError> {
        let mut peers = self.peers(repo)?;
        peers.retain(|(known, _)| *known == device);
        let mut lags = Whereabouts::new(repo, peers, WALK_MAX)?.lags()?;
        let found = lags.pop();
        let found = found.ok_or_else(|| NodeError::NoSuchPeer(device.to_string()))?;
        Ok(found.lag)
    }

    /// Waits until so many peers that keep the whole space have all of some commits (SYNC-53), and says which.
    /// It looks when something was learned of a peer; it makes no session by itself.
    ///
    /// # Errors
    /// [`NodeError::NotReached`] if `until` is over before.
    pub async fn await_reached(
        &self,
        repo: &Repo,
        commits: &Heads,
        peers: usize,
        until: impl Future<Output = ()> + Send,
    ) -> Result<Reached, NodeError> {
        let mut heard = self.watch_peers();
        let mut until = pin!(until);
        loop {
            // Whatever is learned from here on wakes it again.
            heard.borrow_and_update();
            let (node, space, all) = (self.clone(), repo.clone(), commits.clone());
            let looking = spawn_blocking(move || node.whereabouts(&space)?.of_all(&all));
            let reached = looking.await.map_err(|_error| NodeError::Stopped)??;
            if reached.whole.len() >= peers {
                return Ok(reached);
            }
            let not_reached = NodeError::NotReached(Box::new(NotReached {
                commits: commits.clone(),
                reached,
                peers,
            }));
            tokio::select! {
                changed = heard.changed() => if changed.is_err() { return Err(not_reached) },
                () = &mut until => return Err(not_reached),
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
