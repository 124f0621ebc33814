//! Sessions in such a world: each frame is looked at when it is handed over.

use std::collections::VecDeque;

use allod_sync::{Input, Me, Outcome, Output, Scope, Session};
use bytes::Bytes;

use crate::keys::words;

use super::RightsWorld;
use super::people::Role;
use super::watch::Way;

/// Steps of a session after which it is taken for endless.
const STEPS_MAX: usize = 20_000;

/// Steps of a session in which somebody may change what the other may, at the latest.
const MOMENT_MAX: u64 = 12;

/// Two ends of a connection.
struct Pair {
    nodes: [usize; 2],
    times: [u64; 2],
    sessions: [Session; 2],
    /// Frames on their way to each end.
    wires: [VecDeque<Bytes>; 2],
    /// What each end has heard.
    heard: [Vec<Bytes>; 2],
    passed: usize,
}

impl RightsWorld {
    /// Two nodes have a session, of which so many frames arrive. Sometimes one takes a right of the other away meanwhile.
    pub(super) fn meet(&mut self, left: usize, right: usize, cut: usize) -> Result<(), String> {
        let moment = self.rng.chance(20).then(|| self.rng.below(MOMENT_MAX));
        self.meet_at(left, right, (cut, moment))
    }

    pub(super) fn meet_at(
        &mut self,
        left: usize,
        right: usize,
        (cut, moment): (usize, Option<u64>),
    ) -> Result<(), String> {
        let mut pair = self.pair(left, right);
        let (mut step, mut moved) = (0, true);
        while moved {
            moved = false;
            if moment == Some(step) {
                let by = usize::from(self.rng.chance(50));
                let of = self.nodes[pair.nodes[1 - by]].person;
                self.turn_away(pair.nodes[by], of)?;
            }
            step += 1;
            if step > STEPS_MAX as u64 {
                return Err(format!("a session of {left} and {right} goes on and on"));
            }
            for side in 0..2 {
                if pair.sessions[side].is_busy() {
                    self.hand(&mut pair, side, Input::Tick, cut)?;
                    moved = true;
                }
                if let Some(frame) = pair.wires[side].pop_front() {
                    pair.heard[side].push(frame.clone());
                    self.hand(&mut pair, side, Input::Frame(frame), cut)?;
                    moved = true;
                }
            }
        }
        self.heads_count(left)?;
        self.heads_count(right)
    }

    fn pair(&self, left: usize, right: usize) -> Pair {
        let nodes = [left, right];
        let times = nodes.map(|node| self.clock(node));
        let session = |side: usize| {
            let (node, peer) = (nodes[side], nodes[1 - side]);
            let me = Me {
                agent: self.agent(node),
                initiator: side == 0,
                introduce: true,
                scope: Scope::default(),
            };
            let repo = self.nodes[node].repo.clone();
            Session::new(repo, me, self.nodes[peer].device.device_id(), times[side])
        };
        Pair {
            sessions: [session(0), session(1)],
            nodes,
            times,
            wires: Default::default(),
            heard: Default::default(),
            passed: 0,
        }
    }

    /// One end gets an input, and what it says to that is looked at.
    fn hand(
        &mut self,
        pair: &mut Pair,
        side: usize,
        input: Input,
        cut: usize,
    ) -> Result<(), String> {
        let (node, at) = (pair.nodes[side], pair.times[side]);
        pair.sessions[side].handle(at, input);
        while let Some(output) = pair.sessions[side].poll() {
            match output {
                Output::Send(frame) => {
                    let to = self.agent(pair.nodes[1 - side]);
                    let is_first = side == 0 && pair.heard[side].is_empty();
                    self.look(node, (to, at), (&frame, &pair.heard[side]), is_first)?;
                    if pair.passed < cut {
                        pair.passed += 1;
                        pair.wires[1 - side].push_back(frame);
                    }
                }
                Output::Close(outcome) => self.closed(pair.nodes, side, outcome)?,
                Output::Event(_) => {}
            }
        }
        Ok(())
    }

    /// Looks at a frame that a node hands over to somebody.
    pub(super) fn look(
        &mut self,
        node: usize,
        (to, at): (allod_identity::AgentId, u64),
        (frame, heard): (&Bytes, &[Bytes]),
        is_first: bool,
    ) -> Result<(), String> {
        self.summary.frames += 1;
        let way = Way {
            from: (node, &self.nodes[node].repo),
            to,
            at,
            is_first,
        };
        self.watch.look(frame, heard, way)
    }

    fn closed(&mut self, nodes: [usize; 2], side: usize, outcome: Outcome) -> Result<(), String> {
        match outcome {
            Outcome::Complete => self.summary.sessions += 1,
            Outcome::Ended {
                code: "E_NOT_MEMBER",
                ..
            } => {
                let role = |node: usize| self.people[self.nodes[node].person].role;
                if role(nodes[1 - side]) == Role::Owner {
                    return Err(format!("node {} turned the owner away", nodes[side]));
                }
                self.summary.strangers += 1;
            }
            Outcome::Ended {
                code: "E_RIGHTS", ..
            } => self.summary.ended += 1,
            Outcome::Ended { code, reason } => {
                return Err(format!("nodes {nodes:?} fell out: {code} {reason}"));
            }
            Outcome::EndedByPeer { .. } => {}
        }
        Ok(())
    }

    /// No head of a branch is one that does not count, as far as the node knows (REPO-101).
    fn heads_count(&self, node: usize) -> Result<(), String> {
        let repo = &self.nodes[node].repo;
        for (branch, heads) in repo.branches().map_err(words)? {
            for head in heads {
                if !repo.counts(head).map_err(words)? {
                    let id = head.short();
                    return Err(format!(
                        "node {node}: {id} is a head of {branch}, and does not count"
                    ));
                }
            }
        }
        Ok(())
    }
}
