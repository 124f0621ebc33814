//! Remotes: peers of a space that have a name here, and what goes to them or comes from them.

use allod_identity::DeviceId;
use allod_quic::Endpoint;
use allod_repo::{BranchName, Heads, Repo};
use allod_sync::{Branches, Scope, Stats};

use crate::error::NodeError;
use crate::net::SyncReport;
use crate::node::Node;
use crate::peers::Peer;

/// What the node is called that let this one join.
pub(crate) const ORIGIN: &str = "origin";

/// The longest name of a remote, in bytes: it has its place in a column of a list.
const NAME_BYTES_MAX: usize = 64;

/// Refuses what is no name of a remote: the name of a branch without `/`, of at most 64 bytes.
fn check_name(name: &str) -> Result<(), NodeError> {
    let is_branch = name.parse::<BranchName>().is_ok();
    if is_branch && name.len() <= NAME_BYTES_MAX && !name.contains('/') {
        Ok(())
    } else {
        Err(NodeError::RemoteName(name.to_owned()))
    }
}

impl Node {
    /// The remotes of a space, by name.
    pub fn remotes(&self, repo: &Repo) -> Result<Vec<(String, DeviceId, Peer)>, NodeError> {
        let peers = self.peers(repo)?.into_iter();
        let named = peers.filter_map(|(device, peer)| Some((peer.name.clone()?, device, peer)));
        let mut remotes: Vec<_> = named.collect();
        remotes.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(remotes)
    }

    /// The remote of this name.
    pub(crate) fn remote_named(
        &self,
        repo: &Repo,
        name: &str,
    ) -> Result<Option<(DeviceId, Peer)>, NodeError> {
        let mut remotes = self.remotes(repo)?.into_iter();
        let found = remotes.find(|(known, ..)| known == name);
        Ok(found.map(|(_, device, peer)| (device, peer)))
    }

    /// Calls a device a remote of the space, to be reached at `addrs` besides where it was before.
    /// A device has one name: what it was called before is free again.
    ///
    /// # Errors
    /// [`NodeError::RemoteName`], [`NodeError::RemoteTaken`], [`NodeError::OwnDevice`].
    pub fn add_remote(
        &self,
        repo: &Repo,
        name: &str,
        device: DeviceId,
        addrs: &[String],
    ) -> Result<(), NodeError> {
        check_name(name)?;
        if device == self.device()? {
            return Err(NodeError::OwnDevice);
        }
        match self.remote_named(repo, name)? {
            Some((known, _)) if known != device => {
                return Err(NodeError::RemoteTaken(name.to_owned()));
            }
            _ => {}
        }
        let mut peers = self.peers(repo)?.into_iter();
        let known = peers.find(|(known, _)| *known == device);
        if let Some(was) = known.and_then(|(_, peer)| peer.name) {
            repo.rename_tracking(&was, Some(name))?;
        }
        self.note_peer(repo, device, |peer| {
            peer.name = Some(name.to_owned());
            peer.addrs.splice(0..0, addrs.iter().cloned());
        })
    }

    /// Gives a remote another name.
    ///
    /// # Errors
    /// [`NodeError::NoSuchRemote`], and those of [`add_remote`](Self::add_remote).
    pub fn rename_remote(&self, repo: &Repo, name: &str, to: &str) -> Result<(), NodeError> {
        let found = self.remote_named(repo, name)?;
        let (device, _) = found.ok_or_else(|| NodeError::NoSuchRemote(name.to_owned()))?;
        self.add_remote(repo, to, device, &[])
    }

    /// Takes the name of a remote away, and with it the tracking branches. The device stays a peer of the space if it ever was one: if
    /// there was a session with it, or it was sent something.
    ///
    /// # Errors
    /// [`NodeError::NoSuchRemote`].
    pub fn remove_remote(&self, repo: &Repo, name: &str) -> Result<(), NodeError> {
        let found = self.remote_named(repo, name)?;
        let (device, peer) = found.ok_or_else(|| NodeError::NoSuchRemote(name.to_owned()))?;
        repo.rename_tracking(name, None)?;
        if peer.is_stranger() {
            return self.forget_peer(repo, device);
        }
        self.note_peer(repo, device, |peer| peer.name = None)
    }

    /// Begins no sessions with a peer of its own accord, and ends those that the peer begins, until it is
    /// resumed (SYNC-54); or resumes. Sessions that are under way come to their end.
    pub fn pause(&self, repo: &Repo, device: DeviceId, paused: bool) -> Result<(), NodeError> {
        self.note_peer(repo, device, |peer| peer.paused = paused)?;
        self.touch();
        Ok(())
    }

    /// The one peer that `name` means; without a name the remote `origin`, or the only peer.
    ///
    /// # Errors
    /// [`NodeError::NoSuchPeer`], [`NodeError::ManyPeers`], [`NodeError::NoPeer`].
    pub fn remote(&self, repo: &Repo, name: Option<&str>) -> Result<(DeviceId, Peer), NodeError> {
        if name.is_none()
            && let Some(origin) = self.remote_named(repo, ORIGIN)?
        {
            return Ok(origin);
        }
        let mut peers = self.find_peers(repo, name)?;
        match peers.len() {
            0 => Err(NodeError::NoPeer),
            1 => Ok(peers.remove(0)),
            _ => Err(NodeError::ManyPeers(name.map(str::to_owned))),
        }
    }

    /// Gives a remote what it lacks of some branches, and takes nothing.
    ///
    /// # Errors
    /// Besides those of a session, that there is no such branch.
    pub async fn push(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        remote: (DeviceId, &Peer),
        branches: Branches,
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        for branch in named(&branches) {
            if repo.heads(branch)?.is_empty() {
                return Err(NodeError::NothingToPush(branch.clone()));
            }
        }
        let scope = Scope::push(branches);
        let session = self.session_with(endpoint, repo, remote, scope, progress);
        Ok(session.await?.0)
    }

    /// Takes from a remote what this node lacks of some branches, and gives nothing. What came joins
    /// the branches here (REPO-6): nothing of theirs is replaced. The report names branches that the
    /// remote does not have.
    pub async fn pull(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        remote: (DeviceId, &Peer),
        branches: Branches,
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        let scope = Scope::pull(branches.clone());
        let session = self.session_with(endpoint, repo, remote, scope, progress);
        let (mut report, session) = session.await?;
        let absent = named(&branches).filter(|branch| !session.was_offered(branch));
        report.absent = absent.cloned().collect();
        Ok(report)
    }
}

/// A tracking branch that a fetch moved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Moved {
    /// Its name, `remote/branch`.
    pub name: String,
    /// Its heads before; none if it is new.
    pub was: Heads,
    /// Its heads; none if it was forgotten.
    pub heads: Heads,
}

impl Node {
    /// Takes from a remote what this node lacks of some branches, and moves none of the branches here but
    /// `meta` (REPO-81): what came is tracking branches. With `prune` those are forgotten that the remote
    /// has no branch for any more, if all were asked for.
    ///
    /// # Errors
    /// [`NodeError::Unnamed`] of a peer that is no remote, besides those of a session.
    pub async fn fetch(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        remote: (DeviceId, &Peer),
        (branches, prune): (Branches, bool),
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<(SyncReport, Vec<Moved>), NodeError> {
        let unnamed = || NodeError::Unnamed(remote.0.to_string());
        let name = remote.1.name.clone().ok_or_else(unnamed)?;
        let before = repo.tracking(Some(&name))?;
        let heads = before.iter().flat_map(|of| of.heads.iter().copied());
        let scope = Scope::fetch(branches.clone(), heads.collect());
        let session = self.session_with(endpoint, repo, remote, scope, progress);
        // It holds what came until something refers to it (REPO-61).
        let (mut report, session) = session.await?;
        let absent = named(&branches).filter(|branch| !session.was_offered(branch));
        report.absent = absent.cloned().collect();
        let mut found = Vec::new();
        for (branch, offered) in session.offered() {
            let mut heads = Heads::new();
            for head in offered {
                if repo.is_held(*head)? {
                    heads.insert(*head);
                }
            }
            // To merge what does not count would be to vouch for it unseen (REPO-105).
            let heads = repo.counting_of(branch, &heads)?;
            // Where all was refused, what was taken before still says most.
            if !branch.is_meta() && !heads.is_empty() {
                found.push((branch.clone(), heads));
            }
        }
        if prune && branches == Branches::All {
            let gone = before.iter().filter(|of| !session.was_offered(&of.branch));
            found.extend(gone.map(|of| (of.branch.clone(), Heads::new())));
        }
        repo.track(&name, &found)?;
        let moved = found.into_iter().filter_map(|(branch, heads)| {
            let was = before.iter().find(|of| of.branch == branch);
            let was = was.map_or_else(Heads::new, |of| of.heads.clone());
            let name = format!("{name}/{branch}");
            (was != heads).then_some(Moved { name, was, heads })
        });
        Ok((report, moved.collect()))
    }
}

/// The branches that were named.
fn named(branches: &Branches) -> impl Iterator<Item = &BranchName> {
    let names = match branches {
        Branches::All => &[][..],
        Branches::Only(names) => names,
    };
    names.iter()
}
