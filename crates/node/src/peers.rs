//! The peers of a space: devices, where they were last seen, and what they have.

use std::collections::BTreeSet;
use std::time::Duration;

use allod_identity::DeviceId;
use allod_quic::Connection;
use allod_repo::{CommitId, Repo, SpaceId};
use allod_sync::{Session, Stats};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::net::{close, no_such_space};
use crate::node::Node;

/// Addresses kept of a peer, the latest first.
const ADDRS_MAX: usize = 4;

/// How long what a session told of a peer may be in memory alone: a second of sessions is as few writes as one,
/// and what a crash takes is told again in the next session.
const SAVED_EVERY: Duration = Duration::from_secs(2);

/// Heads noted of a peer; one whose heads are not noted is asked again.
const HAS_MAX: usize = 2000;

/// Characters of an id that are noted: 80 bits.
const HAS_CHARS: usize = 16;

/// How much [`Peer::has`] says of what a peer has (SYNC-51).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Told {
    /// No session with it was complete.
    #[default]
    Nothing,
    /// The last session was about some of the branches, or went one way, or the peer refused something.
    Partly,
    /// It has more heads than are noted.
    Cut,
    /// It has heads that are not here.
    Foreign,
    /// It was sent commits since, in a session that was cut.
    Sent,
    /// All that it had.
    All,
}

/// What is known of a peer.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a record of facts that do not depend on each other"
)]
pub struct Peer {
    /// Where it was reached, the latest first.
    pub addrs: Vec<String>,
    /// The agent it acts for.
    pub agent: Option<String>,
    /// What it is called as a remote of the space.
    #[serde(default)]
    pub name: Option<String>,
    /// When a session with it was last complete, in milliseconds since 1970.
    pub synced_ms: Option<u64>,
    /// Whether the last such session left something out that one side may have and the other not.
    #[serde(default)]
    pub partial: bool,
    /// Whether it keeps a part of the space only.
    #[serde(default)]
    pub part: bool,
    /// Whether it was sent a commit, in a session that need not have come to its end.
    #[serde(default)]
    pub was_sent: bool,
    /// Whether sessions with it wait until somebody says otherwise (SYNC-54).
    #[serde(default)]
    pub paused: bool,
    /// What it is known to have: the ends of the ids of heads of all branches.
    pub has: Vec<String>,
    /// How much that says of all that it has.
    #[serde(default)]
    pub told: Told,
}

impl Peer {
    /// Notes the heads that it has, and whether they are `told` to be all.
    pub(crate) fn note_has(&mut self, heads: &BTreeSet<CommitId>, told: Told) {
        self.has = heads.iter().copied().take(HAS_MAX).map(mark).collect();
        self.told = match told {
            Told::All if heads.len() > HAS_MAX => Told::Cut,
            told => told,
        };
    }

    /// Notes heads that it has besides.
    fn note_more(&mut self, heads: &BTreeSet<CommitId>) {
        for mark in heads.iter().copied().map(mark) {
            if !self.has.contains(&mark) && self.has.len() < HAS_MAX {
                self.has.push(mark);
            }
        }
    }

    /// Whether it is known to have all of the space that is here, every branch of it, or of all that what
    /// it keeps ([`part`](Self::part)), and to have been asked for all that it has.
    pub fn is_current(&self, repo: &Repo) -> Result<bool, NodeError> {
        Ok(self.has_marks(&marks_of(repo)?))
    }

    /// Whether it is known to have all of these heads, and to have been asked for all that it has.
    pub(crate) fn has_marks(&self, marks: &[String]) -> bool {
        let is_asked = self.synced_ms.is_some() && !self.partial;
        is_asked && marks.iter().all(|mark| self.has.contains(mark))
    }

    /// Whether it is known to have a commit that was a head when it last told.
    pub(crate) fn has_head(&self, head: CommitId) -> bool {
        self.has.contains(&mark(head))
    }

    /// Whether nothing ever passed between it and this node.
    pub(crate) const fn is_stranger(&self) -> bool {
        self.synced_ms.is_none() && !self.was_sent && self.agent.is_none() && !self.paused
    }

    /// Whether `name` means it: what it is called here, its device, the end of that, its agent or an
    /// address.
    #[must_use]
    pub fn is_called(&self, device: DeviceId, name: &str) -> bool {
        let device = device.to_string();
        self.name.as_deref() == Some(name)
            || device == name
            || (name.len() >= 4 && device.ends_with(name))
            || self.agent.as_deref() == Some(name)
            || self.addrs.iter().any(|addr| addr == name)
    }

    /// Notes where it was reached. What it dialled from may be a port for a moment, so that goes
    /// last; what answered a dial goes first.
    pub(crate) fn note_addr(&mut self, addr: String, dialled: bool) {
        if dialled {
            self.addrs.insert(0, addr);
        } else if !self.addrs.contains(&addr) {
            self.addrs.truncate(ADDRS_MAX - 1);
            self.addrs.push(addr);
        }
    }
}

/// What is noted of an id.
pub(crate) fn mark(id: CommitId) -> String {
    let text = id.to_string();
    text.get(text.len().saturating_sub(HAS_CHARS)..)
        .unwrap_or_default()
        .to_owned()
}

/// What is noted of the heads of all branches.
pub(crate) fn marks_of(repo: &Repo) -> Result<Vec<String>, NodeError> {
    let heads = repo.offered()?.into_iter().flat_map(|(_, heads)| heads);
    Ok(heads.map(mark).collect())
}

/// How much the heads that a session told of say of all that the peer has.
fn told(repo: &Repo, session: &Session, heads: &BTreeSet<CommitId>) -> Result<Told, NodeError> {
    // Of what was sent along with what it refused it may have kept some.
    let is_whole = session.was_about_all() && session.was_told_heads();
    if !is_whole || !session.stats().refused_by_peer.is_empty() {
        return Ok(Told::Partly);
    }
    for head in heads {
        if !repo.has_commit(*head)? {
            return Ok(Told::Foreign);
        }
    }
    Ok(Told::All)
}

impl Node {
    /// The peers of a space.
    pub fn peers(&self, repo: &Repo) -> Result<Vec<(DeviceId, Peer)>, NodeError> {
        self.peers_of(repo.id())
    }

    /// Whether sessions of a device about a space are to be ended, and with what (SYNC-54).
    pub(crate) fn refuses(
        &self,
        repo: &Repo,
        device: DeviceId,
    ) -> Result<Option<Bytes>, NodeError> {
        let Some(peer) = self
            .known_peers()
            .get(self.store().as_ref(), repo.id(), device)?
        else {
            return Ok(None);
        };
        Ok(match (peer.paused, peer.synced_ms) {
            (false, _) => None,
            (true, Some(_)) => Some(close("E_PAUSED", "the exchange is paused here")),
            // What was no member yet learns nothing by being known here.
            (true, None) => Some(no_such_space()),
        })
    }

    /// The peers of a space, which need not open for it.
    pub fn peers_of(&self, space: SpaceId) -> Result<Vec<(DeviceId, Peer)>, NodeError> {
        let store = self.store().as_ref();
        self.known_peers().find(store, space, |_device, _peer| true)
    }

    /// Notes that a peer may have what is here, before the first commit goes out to it (MERGE-24):
    /// a session that is cut tells nothing of what arrived.
    pub(crate) fn note_sent(&self, repo: &Repo, device: DeviceId, stats: &Stats, noted: &mut bool) {
        if stats.commits_out > 0 && !*noted {
            // If that fails it is tried again with the next step.
            let note = self.learn_of_peer(repo, device, |peer| {
                peer.was_sent = true;
                if peer.told != Told::Nothing {
                    peer.told = Told::Sent;
                }
            });
            *noted = note.is_ok();
        }
    }

    /// Notes what a session that came to its end told of a peer.
    pub(crate) fn note_session(
        &self,
        repo: &Repo,
        device: DeviceId,
        session: &Session,
        connection: &Connection,
        dialled: bool,
    ) -> Result<(), NodeError> {
        let heads = session.shared_heads();
        let told = told(repo, session, &heads)?;
        self.learn_of_peer(repo, device, |peer| {
            peer.agent = session.peer_agent().map(|agent| agent.to_string());
            peer.note_addr(connection.remote_addr().to_string(), dialled);
            peer.part = session.peer_keeps_part();
            let told_ms = session.met_ms().unwrap_or_else(now_ms);
            if peer.synced_ms.is_some_and(|known| known > told_ms) {
                // Of two sessions at a time this one ended last, and the peer told this before.
                peer.note_more(&heads);
                return;
            }
            peer.synced_ms = Some(told_ms);
            peer.note_has(&heads, told);
            peer.partial = !session.was_about_all();
        })?;
        let parts = session
            .offered_in_parts()
            .map(|(branch, of)| (branch, of.to_vec()));
        let is_adopted = self.adopt_part(repo, parts.collect())?;
        if session.stats().commits_in > 0 || is_adopted {
            self.touch();
        }
        Ok(())
    }

    /// The peers of a space, those first that keep all of it: one that keeps a part may not have enough.
    pub fn whole_first(&self, repo: &Repo) -> Result<Vec<(DeviceId, Peer)>, NodeError> {
        let mut peers = self.peers(repo)?;
        peers.sort_by_key(|(_, peer)| peer.part);
        Ok(peers)
    }

    /// Notes something of a peer. Durable when it returns.
    pub(crate) fn note_peer(
        &self,
        repo: &Repo,
        device: DeviceId,
        change: impl FnOnce(&mut Peer),
    ) -> Result<(), NodeError> {
        self.change_peer(repo, device, change, |_written, _peer| false)
    }

    /// Notes what a session told of a peer. A running node writes it down some time later; but that the peer may
    /// have more than was written is durable when this returns (MERGE-24, SYNC-51).
    fn learn_of_peer(
        &self,
        repo: &Repo,
        device: DeviceId,
        change: impl FnOnce(&mut Peer),
    ) -> Result<(), NodeError> {
        let may_wait = |written: &Peer, peer: &Peer| {
            let is_unsure = matches!(written.told, Told::Nothing | Told::Sent);
            (written.was_sent || !peer.was_sent) && (is_unsure || peer.told != Told::Sent)
        };
        self.change_peer(repo, device, change, may_wait)
    }

    fn change_peer(
        &self,
        repo: &Repo,
        device: DeviceId,
        change: impl FnOnce(&mut Peer),
        may_wait: impl FnOnce(&Peer, &Peer) -> bool,
    ) -> Result<(), NodeError> {
        let change = |peer: &mut Peer| {
            change(peer);
            let mut seen = BTreeSet::new();
            peer.addrs.retain(|addr| seen.insert(addr.clone()));
            peer.addrs.truncate(ADDRS_MAX);
        };
        let (store, tie) = (self.store().as_ref(), (repo.id(), device));
        self.known_peers().change(store, tie, change, may_wait)?;
        self.tell_of_peers();
        Ok(())
    }

    /// Forgets what was noted of a device.
    pub(crate) fn forget_peer(&self, repo: &Repo, device: DeviceId) -> Result<(), NodeError> {
        let store = self.store().as_ref();
        self.known_peers().forget(store, repo.id(), device)?;
        self.tell_of_peers();
        Ok(())
    }

    /// Writes down what was learned of peers, now and then, while the node runs.
    pub(crate) async fn keep_saving(&self) {
        loop {
            tokio::time::sleep(SAVED_EVERY).await;
            let node = self.clone();
            // What could not be written now is tried again.
            drop(spawn_blocking(move || node.save_peers()).await);
        }
    }

    /// Writes down what was learned of peers.
    pub(crate) fn save_peers(&self) -> Result<(), NodeError> {
        self.known_peers().save(self.store().as_ref())
    }

    /// The peers that `name` means: a remote, a device, the end of one, an agent, an address, or with
    /// `None` all of them.
    pub fn find_peers(
        &self,
        repo: &Repo,
        name: Option<&str>,
    ) -> Result<Vec<(DeviceId, Peer)>, NodeError> {
        let mut peers = self.peers(repo)?;
        let Some(name) = name else { return Ok(peers) };
        if let Some(remote) = self.remote_named(repo, name)? {
            return Ok(vec![remote]);
        }
        peers.retain(|(device, peer)| peer.is_called(*device, name));
        if peers.is_empty() {
            return Err(NodeError::NoSuchPeer(name.to_owned()));
        }
        Ok(peers)
    }
}
