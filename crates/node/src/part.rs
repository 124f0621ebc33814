//! Keeping another part of a space than before.

use allod_access::{Op, Request, Target};
use allod_identity::DeviceId;
use allod_quic::Endpoint;
use allod_repo::{BranchName, Content, Heads, Part, Repo, RepoError};
use allod_sync::{Scope, Stats};
use bytes::Bytes;
use tokio::runtime::Handle;

use crate::error::NodeError;
use crate::heal::Asking;
use crate::net::SyncReport;
use crate::node::Node;
use crate::now_ms;
use crate::peers::Peer;

/// How often a session is begun anew whose heads moved meanwhile.
const TRIES: usize = 3;

impl Node {
    /// Begins to keep another part of a space, and keeps it from now on if nobody need be asked. `false`
    /// if somebody is to be: then [`fetch_part`](Self::fetch_part) does so, and until that is done the replica
    /// is what it was. Asked for is what is not here; and unless this is to be `offline`, whether a peer still
    /// has what would fall out.
    ///
    /// # Errors
    /// [`NodeError::OnlyHere`] if something would fall out that no peer is known to have.
    pub fn begin_part(&self, repo: &Repo, part: Part, offline: bool) -> Result<bool, NodeError> {
        let is_wider = repo.is_within(&part);
        let next = repo.begin_part(part)?;
        if !is_wider && !offline || !next.fill_heads()?.is_empty() {
            return Ok(false);
        }
        self.finish_part(repo, None)
    }

    /// Keeps, of a space of which nothing is here yet but `meta`, what a peer offers of it in parts (SYNC-64): whoever joins
    /// with a right to some keys has those from then on. Says whether that changed anything.
    pub(crate) fn adopt_part(
        &self,
        repo: &Repo,
        mut offered: Vec<(&BranchName, Vec<Bytes>)>,
    ) -> Result<bool, NodeError> {
        // A part is of the space: where branches are offered in different parts, that of the first branch is.
        offered.sort_by_key(|(branch, _)| **branch != BranchName::main());
        let Some((branch, prefixes)) = offered.into_iter().next() else {
            return Ok(false);
        };
        // A peer may know less of what is granted here, or say less.
        let (who, target) = (self.principal()?, Target::Prefix(b""));
        let all = Request {
            who: &who,
            op: Op::Read,
            branch: branch.as_str(),
            target,
            at: now_ms(),
        };
        if repo.may(&all)?.is_allowed() {
            return Ok(false);
        }
        let has_some = repo
            .branches()?
            .iter()
            .any(|(name, heads)| !name.is_meta() && !heads.is_empty());
        if has_some || repo.part().is_some() || repo.next_part()?.is_some() {
            return Ok(false);
        }
        // More prefixes than a part has are for a person to choose from.
        match Part::new(prefixes, None) {
            Ok(part) => self.begin_part(repo, part, true),
            Err(_) => Ok(false),
        }
    }

    /// The prefixes of the keys that are kept here and begin with one: itself, where all such keys are.
    pub fn kept_of(repo: &Repo, prefix: &[u8]) -> Vec<Vec<u8>> {
        match repo.part() {
            Some(part) if !part.contains(prefix) => {
                let kept = part.prefixes().filter(|kept| kept.starts_with(prefix));
                kept.map(<[u8]>::to_vec).collect()
            }
            _ => vec![prefix.to_vec()],
        }
    }

    /// Keeps the part that was begun if all of it is here, and nothing is lost by that: each head is at a
    /// peer that keeps all, or at the one that was asked.
    fn finish_part(&self, repo: &Repo, asked: Option<DeviceId>) -> Result<bool, NodeError> {
        let mut peers = self.peers(repo)?;
        let is_meant = |device| asked.is_none_or(|asked| asked == device);
        peers.retain(|(device, peer)| !peer.part && is_meant(*device));
        let is_elsewhere = |head| peers.iter().any(|(_, peer)| peer.has_head(head));
        match repo.finish_part(&is_elsewhere) {
            Err(RepoError::OnlyHere(commit)) => Err(NodeError::OnlyHere(commit)),
            finished => Ok(finished?),
        }
    }

    /// Fetches from a peer what is missing of the part that was begun, and keeps that from then on.
    ///
    /// # Errors
    /// [`NodeError::PartMissing`] if the peer had not all of it, besides those of a session.
    pub async fn fetch_part(
        &self,
        endpoint: &Endpoint,
        repo: &Repo,
        remote: (DeviceId, &Peer),
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        for _ in 0..TRIES {
            let Some(next) = repo.next_part()? else { break };
            // What was made here has to be there, so that it comes back with what is around it.
            let (device, peer) = remote;
            let sent = self.sync_with(endpoint, repo, device, peer, progress);
            let sent = sent.await?;
            if next.fill_heads()?.is_empty() && self.finish_part(repo, Some(device))? {
                return Ok(sent);
            }
            let session = self.session_with(endpoint, &next, remote, Scope::anew(), progress);
            let (mut report, _) = session.await?;
            report.stats.bytes_in += sent.stats.bytes_in;
            report.stats.bytes_out += sent.stats.bytes_out;
            report.elapsed += sent.elapsed;
            if self.finish_part(repo, Some(device))? {
                return Ok(report);
            }
        }
        Err(NodeError::PartMissing)
    }

    /// Gives up files that are larger than what is kept of a space, and are here because commits that were made
    /// here link to them, where a peer that keeps all of the space has those (PART-15); returns how many.
    pub fn release_large(&self, repo: &Repo) -> Result<u64, NodeError> {
        let mut whereabouts = self.whereabouts(repo)?;
        repo.release_large(&mut |commit| Ok(!whereabouts.of(commit)?.whole.is_empty()))
    }

    /// What the state of some commits has under a key that is not kept here, or not of these commits, from
    /// a peer. Call it on a thread that may wait, and hold the store's uses until a file was read.
    ///
    /// # Errors
    /// Those of reaching the peer, and [`RepoError::Missing`] if it has not all of it.
    pub fn fetch_value(
        &self,
        (endpoint, runtime): (&Endpoint, &Handle),
        repo: &Repo,
        (commits, key): (&Heads, &[u8]),
        (device, peer): (DeviceId, &Peer),
    ) -> Result<Option<Content>, NodeError> {
        let net = (endpoint, runtime);
        let opened = Asking::open(self, net, repo.id(), (device, peer));
        let mut asking = runtime.block_on(opened)?;
        let entry = repo.fetch_entry(commits, key, &mut asking)?;
        let content = entry.map(|entry| repo.content(&entry)).transpose()?;
        Ok(content.flatten())
    }
}
