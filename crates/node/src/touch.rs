//! Keeping in touch with the peers of all spaces (SYNC-40, SYNC-41).

use std::collections::BTreeMap;
use std::time::Duration;

use allod_identity::DeviceId;
use allod_quic::Endpoint;
use allod_repo::SpaceId;
use allod_sync::Backoff;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::now_ms;
use crate::home::random;
use crate::net::RETRY_EVERY;
use crate::node::Node;
use crate::peers::Peer;

/// Sessions that this node begins at a time: each visits the store.
const SESSIONS_MAX: usize = 16;

/// By how much the time of the day may run ahead of the time that passed: more means that the machine slept,
/// and whoever could not be reached may be reached now.
const SLEPT: Duration = Duration::from_secs(5);

/// How long after a session with a peer the next one begins at the earliest (SYNC-42): what many write at a
/// time goes together, and what is written after a quiet time at once.
const PAUSE: Duration = Duration::from_millis(100);

/// A peer of a space.
type Tie = (SpaceId, DeviceId);

/// How it stands with a peer.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Failures in a row.
    failures: u32,
    /// When it is tried again; none if never.
    due: Option<Instant>,
    is_busy: bool,
    /// Something changed since the session at hand began.
    is_stirred: bool,
    /// The next session does not begin before.
    rests_until: Instant,
}

/// All peers, and when each is tried.
struct Round {
    backoff: Backoff,
    standing: BTreeMap<Tie, Standing>,
    /// When it was last looked who lacks something.
    looked: Option<Instant>,
}

impl Round {
    /// When something is due next.
    fn next_due(&self) -> Instant {
        let all = self.standing.values();
        let due = all.filter(|peer| !peer.is_busy).filter_map(|peer| peer.due);
        let last = Instant::now() + RETRY_EVERY;
        due.min().map_or(last, |due| due.min(last))
    }

    /// Whether it is time to look who lacks something: somebody is due, or nobody has looked for a while.
    fn looks(&mut self) -> bool {
        let now = Instant::now();
        let looks = self.next_due() <= now || self.looked.is_none_or(|last| now >= last + PAUSE);
        if looks {
            self.looked = Some(now);
        }
        looks
    }

    fn ended(&mut self, tie: Tie, is_done: bool, chance: u64) {
        let Some(standing) = self.standing.get_mut(&tie) else {
            return;
        };
        standing.is_busy = false;
        standing.rests_until = Instant::now() + PAUSE;
        let is_stirred = std::mem::take(&mut standing.is_stirred);
        if is_done {
            standing.failures = 0;
            // What it refused it would refuse again.
            let rest = if is_stirred { PAUSE } else { RETRY_EVERY };
            standing.due = Some(Instant::now() + rest);
            return;
        }
        standing.failures = standing.failures.saturating_add(1);
        let wait = self.backoff.wait_ms(standing.failures, chance);
        standing.due = wait.map(|wait| Instant::now() + Duration::from_millis(wait));
    }

    /// Those of some devices who may have something to hear or to tell are tried at once: who was reached the
    /// last time, and of the others those who are there now.
    fn stir(&mut self, which: impl Fn(DeviceId) -> bool, is_there: impl Fn(DeviceId) -> bool) {
        let all = self.standing.iter_mut();
        for ((_, device), standing) in all.filter(|((_, device), _)| which(*device)) {
            if standing.is_busy {
                standing.is_stirred = true;
            } else if standing.failures == 0 || is_there(*device) {
                standing.failures = 0;
                standing.due = Some(standing.rests_until.max(Instant::now()));
            }
        }
    }

    /// Whether a peer is to be tried now; then it is busy.
    fn take(&mut self, tie: Tie) -> bool {
        let standing = self.standing.entry(tie).or_insert(Standing {
            failures: 0,
            due: Some(Instant::now()),
            is_busy: false,
            is_stirred: false,
            rests_until: Instant::now(),
        });
        let is_due = standing.due.is_some_and(|due| due <= Instant::now());
        let taken = is_due && !standing.is_busy;
        standing.is_busy |= taken;
        taken
    }
}

impl Node {
    /// Sessions with the peers of all spaces: after each change with those that may lack something, and
    /// with those that there is no connection to, so that they can tell what they have. Whoever cannot be
    /// reached is tried again, after longer and longer. Changes that come during a session are one more.
    pub(crate) async fn keep_in_touch(&self, endpoint: &Endpoint, backoff: Backoff) {
        let (mut changes, mut links) = (self.watch(), self.links().watch());
        let mut round = Round {
            backoff,
            standing: BTreeMap::new(),
            looked: None,
        };
        let mut sessions = JoinSet::new();
        let mut clocks = (Instant::now(), now_ms());
        loop {
            let (passed, told) = (clocks.0.elapsed(), now_ms().saturating_sub(clocks.1));
            if Duration::from_millis(told) > passed + SLEPT {
                round.stir(|_device| true, |_device| true);
            }
            clocks = (Instant::now(), now_ms());
            let lacking = if round.looks() {
                self.lacking()
            } else {
                Vec::new()
            };
            for (tie, peer) in lacking {
                if sessions.len() >= SESSIONS_MAX {
                    break;
                }
                if round.take(tie) {
                    let (node, endpoint) = (self.clone(), endpoint.clone());
                    sessions
                        .spawn(async move { (tie, node.touch_one(&endpoint, tie, peer).await) });
                }
            }
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    round.stir(|_device| true, |_device| false);
                }
                _ = links.changed() => {
                    let links = self.links().clone();
                    let stirred = links.take_stirred();
                    let is_there = |device| links.get(device).is_some();
                    round.stir(|device| stirred.contains(&device), is_there);
                }
                Some(ended) = sessions.join_next() => if let Ok((tie, is_done)) = ended {
                    round.ended(tie, is_done, chance());
                },
                () = sleep_until(round.next_due()) => {}
            }
        }
    }

    /// Peers that may lack something, or that no connection leads to.
    fn lacking(&self) -> Vec<(Tie, Peer)> {
        let mut lacking = Vec::new();
        for (_, id) in self.spaces().unwrap_or_default() {
            let Ok(repo) = self.repo(id) else { continue };
            for (device, peer) in self.peers(&repo).unwrap_or_default() {
                if peer.paused {
                    continue;
                }
                let is_linked = self.links().get(device).is_some();
                let has_all = is_linked && peer.is_current(&repo).unwrap_or(false);
                if !has_all && (is_linked || !peer.addrs.is_empty()) {
                    lacking.push(((id, device), peer));
                }
            }
        }
        lacking
    }

    /// One session with a peer; whether it came to its end.
    async fn touch_one(&self, endpoint: &Endpoint, (space, device): Tie, peer: Peer) -> bool {
        let Ok(repo) = self.repo(space) else {
            return false;
        };
        let progress = &mut |_: &_| {};
        let session = self.sync_with(endpoint, &repo, device, &peer, progress);
        session.await.is_ok()
    }
}

/// Any number. Without one all wait equally long, which does no more harm than that.
fn chance() -> u64 {
    random().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reached::tests::node;

    /// SYNC-54: also after the home was opened anew.
    #[test]
    fn a_peer_that_is_paused_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (node, repo, _) = node(dir.path());
        let [one, two] = [7, 8].map(|seed| {
            let key = allod_identity::SecretKey::from_seed([seed; 32]);
            key.device_id()
        });
        for (name, device) in [("one", one), ("two", two)] {
            let addr = "127.0.0.1:9".to_owned();
            node.add_remote(&repo, name, device, &[addr]).unwrap();
        }
        let lacking = |node: &Node| -> Vec<DeviceId> {
            let lacking = node.lacking().into_iter();
            lacking.map(|((_, device), _)| device).collect()
        };
        assert_eq!(lacking(&node).len(), 2);
        node.pause(&repo, one, true).unwrap();
        assert_eq!(lacking(&node), [two]);
        let home = node.home().clone();
        drop((node, repo));
        let node = Node::open(home, None).unwrap();
        assert_eq!(lacking(&node), [two]);
        let repo = node.space(None).unwrap();
        node.pause(&repo, one, false).unwrap();
        assert_eq!(lacking(&node).len(), 2);
    }
}
