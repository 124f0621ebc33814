//! Keeping in touch with the peers of all spaces (SYNC-40, SYNC-41).

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use allod_identity::DeviceId;
use allod_quic::Endpoint;
use allod_repo::SpaceId;
use allod_sync::Backoff;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::clock::now_ms;
use crate::home::random;
use crate::links::Tie;
use crate::net::RETRY_EVERY;
use crate::node::Node;
use crate::peers::{Peer, marks_of};

/// Sessions that this node begins at a time: each visits the store.
const SESSIONS_MAX: usize = 16;

/// After how long a session keeps those with other peers of its space waiting no more: a peer that stalls, is far
/// away or has a lot to tell is not to be waited for.
const LONG: Duration = Duration::from_millis(250);

/// By how much the time of the day may run ahead of the time that passed: more means that the machine slept,
/// and whoever could not be reached may be reached now.
const SLEPT: Duration = Duration::from_secs(5);

/// How long after a session with a peer the next one begins at the earliest, as a multiple of how long that took
/// (SYNC-42): short sessions with a peer take a tenth of the time at most, and what many write at a time goes together.
const PAUSE_TIMES: u32 = 10;

/// The least and the most of that: what is written after a quiet time goes at once, and what is written all the time
/// goes twice a second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

fn pause_after(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_TIMES).clamp(PAUSE.0, PAUSE.1)
}

/// How it stands with a peer.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// Failures in a row.
    failures: u32,
    /// The next session does not begin before; none if none ever does.
    not_before: Option<Instant>,
    /// Nor before this, whatever happens.
    rests_until: Instant,
    /// When the session at hand began.
    busy_since: Option<Instant>,
    /// Until when others of the space wait for it.
    keeps_waiting: Option<Instant>,
    /// Something changed since it began.
    is_stirred: bool,
}

/// All peers, and when each is tried. It has no clock: each call says what time it is.
#[derive(Debug)]
struct Round {
    backoff: Backoff,
    standing: BTreeMap<Tie, Standing>,
}

impl Round {
    const fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            standing: BTreeMap::new(),
        }
    }

    /// Of those who lack something, at most `places` whose session begins now, which are then busy; and when
    /// to ask again, if nothing happens before. Who waits the longest is the first.
    ///
    /// Of those `there`, one at a time is begun with about a space (SYNC-42).
    fn begin(
        &mut self,
        now: Instant,
        lacking: &[Tie],
        places: usize,
        is_there: impl Fn(DeviceId) -> bool,
    ) -> (Vec<Tie>, Instant) {
        let (mut due, mut again) = (Vec::new(), now + RETRY_EVERY);
        for tie in lacking {
            let standing = self.standing.entry(*tie).or_insert(Standing {
                failures: 0,
                not_before: Some(now),
                rests_until: now,
                busy_since: None,
                keeps_waiting: None,
                is_stirred: false,
            });
            match standing.not_before {
                _ if standing.busy_since.is_some() => {}
                Some(at) if at > now => again = again.min(at),
                Some(at) => due.push((at, *tie)),
                None => {}
            }
        }
        due.sort_by_key(|(at, _)| *at);
        let mut begun = Vec::new();
        for (_, tie) in due {
            // One that ends makes a place.
            if begun.len() == places {
                break;
            }
            let takes_turn = is_there(tie.1);
            if let (true, Some(until)) = (takes_turn, self.taken_until(now, tie.0)) {
                again = again.min(until);
            } else if let Some(standing) = self.standing.get_mut(&tie) {
                standing.busy_since = Some(now);
                standing.keeps_waiting = takes_turn.then_some(now + LONG);
                begun.push(tie);
            }
        }
        (begun, again)
    }

    /// Until when, at most, a session about a space keeps others waiting.
    fn taken_until(&self, now: Instant, space: SpaceId) -> Option<Instant> {
        let of_space = self.standing.iter().filter(|((of, _), _)| *of == space);
        let until = of_space.filter_map(|(_, standing)| standing.keeps_waiting);
        until.filter(|until| *until > now).min()
    }

    fn ended(&mut self, now: Instant, tie: Tie, is_done: bool, chance: u64) {
        let Some(standing) = self.standing.get_mut(&tie) else {
            return;
        };
        let began = standing.busy_since.take().unwrap_or(now);
        standing.keeps_waiting = None;
        let pause = pause_after(now.saturating_duration_since(began));
        standing.rests_until = now + pause;
        let is_stirred = std::mem::take(&mut standing.is_stirred);
        if is_done {
            standing.failures = 0;
            // What it refused it would refuse again.
            let rest = if is_stirred { pause } else { RETRY_EVERY };
            standing.not_before = Some(now + rest);
            return;
        }
        standing.failures = standing.failures.saturating_add(1);
        let wait = self.backoff.wait_ms(standing.failures, chance);
        standing.not_before = wait.map(|wait| now + Duration::from_millis(wait));
    }

    /// A session that the peer began is over: it was this one's too.
    fn met(&mut self, now: Instant, tie: Tie, took: Duration) {
        if let Some(standing) = self.standing.get_mut(&tie) {
            standing.rests_until = now + pause_after(took);
            let due = standing.not_before;
            standing.not_before = due.map(|due| due.max(standing.rests_until));
        }
    }

    /// Those of some devices who may have something to hear or to tell are tried at once: who was reached the
    /// last time, and of the others those who are there now.
    fn stir(
        &mut self,
        now: Instant,
        which: impl Fn(DeviceId) -> bool,
        is_there: impl Fn(DeviceId) -> bool,
    ) {
        let all = self.standing.iter_mut();
        for ((_, device), standing) in all.filter(|((_, device), _)| which(*device)) {
            if standing.busy_since.is_some() {
                standing.is_stirred = true;
            } else if standing.failures == 0 || is_there(*device) {
                standing.failures = 0;
                // Whoever waits already goes on to wait from then on.
                let due = standing.not_before.unwrap_or(now).min(now);
                standing.not_before = Some(due.max(standing.rests_until));
            }
        }
    }
}

impl Node {
    /// Sessions with the peers of all spaces: after each change with those that may lack something, and
    /// with those that there is no connection to, so that they can tell what they have. Whoever cannot be
    /// reached is tried again, after longer and longer. Changes that come during a session are one more.
    pub(crate) async fn keep_in_touch(&self, endpoint: &Endpoint, backoff: Backoff) {
        let (mut changes, mut links) = (self.watch(), self.links().watch());
        let mut ended = self.links().watch_ended();
        let mut round = Round::new(backoff);
        let (mut sessions, mut under_way) = (JoinSet::new(), HashMap::new());
        let mut clocks = (Instant::now(), now_ms());
        loop {
            let (passed, told) = (clocks.0.elapsed(), now_ms().saturating_sub(clocks.1));
            clocks = (Instant::now(), now_ms());
            if Duration::from_millis(told) > passed + SLEPT {
                round.stir(clocks.0, |_device| true, |_device| true);
            }
            let peers: BTreeMap<Tie, Peer> = self.lacking().into_iter().collect();
            let lacking: Vec<Tie> = peers.keys().copied().collect();
            let places = SESSIONS_MAX.saturating_sub(sessions.len());
            let is_there = |device| self.links().get(device).is_some();
            let (begun, again) = round.begin(clocks.0, &lacking, places, is_there);
            for tie in begun {
                let (node, endpoint) = (self.clone(), endpoint.clone());
                let peer = peers.get(&tie).cloned().unwrap_or_default();
                let session = async move { node.touch_one(&endpoint, tie, peer).await };
                under_way.insert(sessions.spawn(session).id(), tie);
            }
            tokio::select! {
                changed = changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    round.stir(Instant::now(), |_device| true, |_device| false);
                }
                _ = links.changed() => {
                    let links = self.links().clone();
                    let stirred = links.take_stirred();
                    let is_there = |device| links.get(device).is_some();
                    round.stir(Instant::now(), |device| stirred.contains(&device), is_there);
                }
                _ = ended.changed() => {
                    for (tie, took) in self.links().take_ended() {
                        round.met(Instant::now(), tie, took);
                    }
                }
                Some(ended) = sessions.join_next_with_id() => {
                    // One that panicked failed as others do.
                    let (task, is_done) = ended.unwrap_or_else(|error| (error.id(), false));
                    if let Some(tie) = under_way.remove(&task) {
                        round.ended(Instant::now(), tie, is_done, chance());
                    }
                },
                () = sleep_until(again) => {}
            }
        }
    }

    /// Peers that may lack something, or that no connection leads to.
    fn lacking(&self) -> Vec<(Tie, Peer)> {
        let mut lacking = Vec::new();
        for (_, id) in self.spaces().unwrap_or_default() {
            let Ok(repo) = self.repo(id) else { continue };
            let Ok(marks) = marks_of(&repo) else { continue };
            let lacks = |device, peer: &Peer| {
                let is_linked = self.links().get(device).is_some();
                let has_all = is_linked && peer.has_marks(&marks);
                let is_met = self.links().is_served((id, device));
                !peer.paused && !has_all && !is_met && (is_linked || !peer.addrs.is_empty())
            };
            let found = self.known_peers().find(self.store().as_ref(), id, lacks);
            for (device, peer) in found.unwrap_or_default() {
                lacking.push(((id, device), peer));
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

    fn tie(seed: u8) -> Tie {
        let key = allod_identity::SecretKey::from_seed([seed; 32]);
        let space = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, b"a space");
        (SpaceId::from_cid(space), key.device_id())
    }

    const MS: Duration = Duration::from_millis(1);

    fn all(_: DeviceId) -> bool {
        true
    }

    fn none(_: DeviceId) -> bool {
        false
    }

    /// SYNC-41: whoever comes to lack something hears of it at once, also right after another look.
    #[test]
    fn whoever_lacks_something_is_begun_with_at_once() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        assert_eq!(round.begin(now, &[], 9, none), (vec![], now + RETRY_EVERY));
        let next = now + MS;
        assert_eq!(round.begin(next, &[tie(1), tie(2)], 1, none).0, [tie(1)]);
        assert_eq!(round.begin(next, &[tie(1), tie(2)], 9, none).0, [tie(2)]);
        assert_eq!(round.begin(next, &[tie(1), tie(2)], 9, none).0, []);
    }

    /// SYNC-42: one at a time about a space, who waits the longest first; neither one that lasts is waited for,
    /// nor whoever is to be dialled.
    #[test]
    fn sessions_about_a_space_are_begun_in_turn() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        let ties = [1, 2, 3].map(tie);
        let other = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, b"another");
        let elsewhere = (SpaceId::from_cid(other), ties[0].1);
        let far = tie(9);
        let lacking = [&ties[..], &[elsewhere, far]].concat();
        let is_there = |device| device != far.1;
        let (begun, again) = round.begin(now, &lacking, 9, is_there);
        assert_eq!(begun, [ties[0], elsewhere, far]);
        assert_eq!(again, now + LONG);
        // The first ends, and has to tell something again before the others were asked.
        round.ended(now + MS, ties[0], true, 0);
        round.stir(now + MS, all, none);
        let next = now + PAUSE.0 + MS;
        assert_eq!(round.begin(next, &lacking, 9, is_there).0, [ties[1]]);
        let (begun, again) = round.begin(next, &lacking, 9, is_there);
        assert_eq!((begun, again), (vec![], next + LONG));
        assert_eq!(round.begin(next + LONG, &lacking, 9, is_there).0, [ties[2]]);
        let last = round.begin(next + 2 * LONG, &lacking, 9, is_there).0;
        assert_eq!(last, [ties[0]]);
    }

    /// SYNC-42: whoever waits has a turn, however often something changes meanwhile.
    #[test]
    fn nobody_waits_for_ever() {
        for (peers, length) in [(25, 10), (12, 40), (8, 100)] {
            let (mut round, start) = (Round::new(Backoff::default()), Instant::now());
            let ties: Vec<Tie> = (0..peers).map(tie).collect();
            let mut met: BTreeMap<Tie, u32> = BTreeMap::new();
            let mut busy: Option<(Tie, Instant)> = None;
            for step in 0..2000 {
                let now = start + step * 10 * MS;
                if let Some((tie, _)) = busy.take_if(|(_, until)| *until <= now) {
                    round.ended(now, tie, true, 0);
                }
                round.stir(now, all, all);
                for tie in round.begin(now, &ties, 9, all).0 {
                    *met.entry(tie).or_default() += 1;
                    busy = Some((tie, now + length * MS));
                }
            }
            let least = ties
                .iter()
                .map(|tie| met.get(tie).copied().unwrap_or(0))
                .min();
            let most = met.values().max().copied();
            assert!(
                least
                    .zip(most)
                    .is_some_and(|(least, most)| least + 2 >= most),
                "{met:?}"
            );
        }
    }

    /// SYNC-42: what changes during a session is one more, after a pause; without a change there is none.
    #[test]
    fn sessions_follow_changes_and_not_each_other() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        round.begin(now, &[tie(1)], 9, none);
        round.stir(now + MS, all, none);
        let end = now + 10 * MS;
        round.ended(end, tie(1), true, 0);
        let due = end + 100 * MS;
        assert_eq!(round.begin(end, &[tie(1)], 9, none), (vec![], due));
        assert_eq!(round.begin(due, &[tie(1)], 9, none).0, [tie(1)]);
        let end = due + MS;
        round.ended(end, tie(1), true, 0);
        let lacks_still = round.begin(end + PAUSE.1, &[tie(1)], 9, none);
        assert_eq!(lacks_still, (vec![], end + RETRY_EVERY));
        round.stir(end + PAUSE.1, all, none);
        assert_eq!(round.begin(end + PAUSE.1, &[tie(1)], 9, none).0, [tie(1)]);
    }

    #[test]
    fn pauses_have_a_least_and_a_most() {
        assert_eq!(pause_after(MS), 20 * MS);
        assert_eq!(pause_after(30 * MS), 300 * MS);
        assert_eq!(pause_after(1000 * MS), 500 * MS);
        assert_eq!(pause_after(Duration::from_hours(24)), 500 * MS);
    }

    /// SYNC-42: a session that the peer began is one as well.
    #[test]
    fn a_session_that_the_peer_began_is_followed_by_a_pause() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        round.begin(now, &[tie(1)], 9, none);
        round.ended(now, tie(1), true, 0);
        let end = now + 3 * PAUSE.1;
        round.stir(end, all, none);
        round.met(end, tie(1), 10 * MS);
        let waits = round.begin(end, &[tie(1)], 9, none);
        assert_eq!(waits, (vec![], end + 100 * MS));
        assert_eq!(round.begin(end + 100 * MS, &[tie(1)], 9, none).0, [tie(1)]);
    }

    /// Somebody who could be tried and lacks nothing keeps nobody awake.
    #[test]
    fn nothing_is_due_for_those_who_lack_nothing() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        round.begin(now, &[tie(1)], 9, none);
        round.ended(now, tie(1), true, 0);
        round.stir(now, all, none);
        let later = now + 10 * PAUSE.1;
        assert_eq!(
            round.begin(later, &[], 9, none),
            (vec![], later + RETRY_EVERY)
        );
    }

    /// SYNC-40: after failures a change does not bring the next attempt forward, but an own connection does.
    #[test]
    fn whoever_cannot_be_reached_waits() {
        let (mut round, now) = (Round::new(Backoff::default()), Instant::now());
        round.begin(now, &[tie(1)], 9, none);
        round.ended(now, tie(1), false, u64::MAX);
        round.stir(now + MS, all, none);
        let (begun, again) = round.begin(now + MS, &[tie(1)], 9, none);
        assert_eq!(begun, []);
        assert!(again >= now + 500 * MS && again <= now + 1000 * MS);
        assert_eq!(round.begin(again, &[tie(1)], 9, none).0, [tie(1)]);
        round.ended(again, tie(1), false, u64::MAX);
        round.stir(again + PAUSE.1, all, all);
        assert_eq!(round.begin(again + PAUSE.1, &[tie(1)], 9, none).0, [tie(1)]);
    }

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
