//! Sessions: how they begin, what passes, and how they may end.

use std::collections::BTreeSet;

use allod_identity::AgentId;
use allod_repo::{BranchName, CommitId};
use allod_sync::{Branches, Input, Me, Outcome, Output, Scope, Session};
use bytes::Bytes;

use crate::error::Failure;
use crate::hostile::Held;
use crate::node::Node;
use crate::plan::Event;
use crate::rng::Rng;
use crate::topology::link;
use crate::traffic::is_ack;
use crate::wire::Wire;
use crate::world::World;

/// What somebody begins a session for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Errand {
    /// To exchange everything.
    Usual,
    /// To fetch what is to become its part (PART-12).
    Anew,
    /// To fetch what the other has, apart from the branches (REPO-81).
    Fetch,
    /// To learn what governs the space, as after joining it: whoever does not know a peer for a member does
    /// not listen to it (SYNC-3), so this comes from the owner.
    Govern,
}

impl World {
    /// A node meets one of those that it is linked with.
    pub(crate) fn meet_any(&mut self, node: usize) -> Result<(), Failure> {
        let near = self.neighbours(node);
        match near.get(self.rng.index(near.len().max(1))) {
            Some(other) => {
                let errand = if self.rng.chance(50) {
                    Errand::Anew
                } else {
                    Errand::Usual
                };
                self.meet(node, *other, errand)
            }
            None => Ok(()),
        }
    }

    /// Opens a connection with a session at each end, if both nodes are up.
    pub(crate) fn meet(
        &mut self,
        left: usize,
        right: usize,
        errand: Errand,
    ) -> Result<(), Failure> {
        let (Some(one), Some(other)) = (&self.nodes[left].repo, &self.nodes[right].repo) else {
            return Ok(());
        };
        if !self.reaches(left, right) {
            return Ok(());
        }
        let me = |node: &Node, initiator, scope| Me {
            agent: node.agent,
            initiator,
            introduce: true,
            scope,
        };
        let (a, b) = (&self.nodes[left], &self.nodes[right]);
        let heads = [a.all_heads()?, b.all_heads()?];
        let next = match errand {
            Errand::Anew if b.part().is_none() && !b.hostile => a.next_part()?,
            Errand::Anew | Errand::Usual | Errand::Fetch | Errand::Govern => None,
        };
        let errand = match errand {
            Errand::Anew if next.is_none() => Errand::Usual,
            errand => errand,
        };
        let scope = match errand {
            Errand::Anew => Scope::anew(),
            Errand::Fetch => Scope::fetch(Branches::All, a.tracking.of(right)),
            Errand::Govern => Scope::pull(Branches::Only(vec![BranchName::meta()])),
            Errand::Usual => Scope::default(),
        };
        let (mine, theirs) = (me(a, true, scope), me(b, false, Scope::default()));
        let sessions = [
            Session::new(
                next.unwrap_or_else(|| one.clone()),
                mine,
                b.device(),
                a.clock(self.now_ms),
            )
            .sharing(&a.claims),
            Session::new(other.clone(), theirs, a.device(), b.clock(self.now_ms))
                .sharing(&b.claims),
        ];
        self.summary.sessions += 1;
        self.traffic.session(link(left, right));
        self.next_wire += 1;
        let quiet = self.quiet;
        let breaks = !quiet && self.rng.chance(25);
        let wire = Wire {
            ends: [left, right],
            sessions: sessions.map(Some),
            heads,
            last_ms: [self.now_ms; 2],
            latency_ms: if quiet { 1 } else { self.rng.within(1, 3_000) },
            frames_left: breaks.then(|| self.rng.below(12)),
            noisy: !quiet && self.rng.chance(5),
            setbacks: 0,
            quiet,
            errand,
            rng: Rng::new(self.rng.draw()),
            held: Held::default(),
        };
        let name = self.next_wire;
        self.say(|| format!("session {name}: node {left} with {right}"));
        self.wires.insert(name, wire);
        self.soon(0, Event::Tick(name, 0));
        self.watch(name, 0);
        self.watch(name, 1);
        Ok(())
    }

    /// Makes sure that a session is looked at when its peer was silent for too long.
    fn watch(&mut self, wire: u64, side: usize) {
        let session = self.wires.get(&wire);
        let session = session.and_then(|wire| wire.sessions[side].as_ref());
        let Some(deadline) = session.map(Session::deadline) else {
            return;
        };
        let node = &self.nodes[self.wires[&wire].ends[side]];
        let wait = deadline.saturating_sub(node.clock(self.now_ms));
        self.soon(wait, Event::Tick(wire, side));
    }

    /// Hands a session an input and does what it asks for.
    pub(crate) fn input(&mut self, name: u64, side: usize, input: Input) -> Result<(), Failure> {
        let Some(mut wire) = self.wires.remove(&name) else {
            return Ok(());
        };
        let node = wire.ends[side];
        let Some(mut session) = wire.sessions[side].take() else {
            self.wires.insert(name, wire);
            return Ok(());
        };
        let now = self.nodes[node].clock(self.now_ms);
        let heard = matches!(input, Input::Frame(_));
        let is_silent = matches!(input, Input::Tick) && now >= session.deadline();
        let had = session.stats().commits_in;
        let fetches = wire.errand == Errand::Fetch && side == 0;
        let before = if fetches {
            self.nodes[node].own_heads()?
        } else {
            Vec::new()
        };
        session.handle(now, if is_silent { Input::Silence } else { input });
        let mut over = None;
        let mut broken = false;
        while let Some(output) = session.poll() {
            match output {
                Output::Send(frame) => {
                    if is_ack(&frame) {
                        self.nodes[node].promise()?;
                    }
                    broken |= !self.send(name, &mut wire, side, frame);
                }
                Output::Event(_) => {}
                Output::Close(outcome) => over = Some(outcome),
            }
        }
        if fetches && self.nodes[node].own_heads()? != before {
            let what = "what was fetched moved a branch".to_owned();
            let peer = wire.ends[1];
            return Err(Failure::Session { node, peer, what });
        }
        let busy = session.is_busy();
        if self.in_touch && (over.is_some() || session.stats().commits_in > had) {
            self.soon(0, Event::Touch(node));
        }
        match &over {
            Some(outcome) => self.ended((name, &wire), side, &session, outcome)?,
            None => wire.sessions[side] = Some(session),
        }
        if !broken && !wire.is_over() {
            self.wires.insert(name, wire);
            if busy {
                self.soon(0, Event::Tick(name, side));
            } else if heard {
                self.watch(name, side);
            }
        } else if self.in_touch {
            self.soon(0, Event::Touch(wire.ends[1 - side]));
        }
        self.after(node)
    }

    /// Sends a frame; `false` if the connection broke with it.
    fn send(&mut self, name: u64, wire: &mut Wire, side: usize, frame: Bytes) -> bool {
        let (from, to) = (wire.ends[side], wire.ends[1 - side]);
        if let Some(left) = &mut wire.frames_left {
            if *left == 0 {
                return false;
            }
            *left -= 1;
        }
        // A parted network swallows frames without a word.
        if !self.reaches(from, to) {
            wire.setbacks += 1;
            return true;
        }
        let frames = if self.nodes[from].hostile {
            self.liar.bend(&mut wire.rng, &mut wire.held, &frame)
        } else if wire.noisy && wire.rng.chance(15) {
            vec![frame.clone(), frame]
        } else {
            vec![frame]
        };
        for frame in frames {
            self.summary.bytes += frame.len() as u64;
            self.traffic.frame(link(from, to), &frame);
            if let Some(crossed) = crate::traffic::content(&frame) {
                self.say(|| format!("session {name}: {from} to {to}: {crossed}"));
            }
            let jitter = wire.rng.below(wire.latency_ms);
            let at = (self.now_ms + wire.latency_ms + jitter).max(wire.last_ms[1 - side]);
            wire.last_ms[1 - side] = at;
            self.at(at, Event::Frame(name, 1 - side, frame));
        }
        true
    }

    /// Judges how a session ended.
    fn ended(
        &mut self,
        (name, wire): (u64, &Wire),
        side: usize,
        session: &Session,
        outcome: &Outcome,
    ) -> Result<(), Failure> {
        let (node, peer) = (wire.ends[side], wire.ends[1 - side]);
        self.say(|| format!("session {name}: over at node {node}: {outcome:?}"));
        if self.nodes[node].hostile {
            return Ok(());
        }
        let struck = self.nodes[node].disk.struck();
        let hostile = self.nodes[peer].hostile;
        let lied_to = hostile || wire.noisy;
        let failed = |what: String| Failure::Session { node, peer, what };
        if self.quiet {
            self.acquaint((node, peer), (session, outcome), &wire.heads[side]);
        }
        match outcome {
            Outcome::Complete => {
                self.summary.completed += 1;
                match wire.errand {
                    Errand::Anew if side == 0 => self.finish_part(node)?,
                    Errand::Fetch if side == 0 => self.fetched((node, peer), session)?,
                    _ => {}
                }
            }
            Outcome::EndedByPeer { .. } => {}
            Outcome::Ended { code, reason } => {
                let expected = match *code {
                    "E_FAULT" => struck,
                    // The peer was let in, and this has not come here yet.
                    "E_NOT_MEMBER" => !self.settled,
                    "E_TIMEOUT" => !wire.quiet && (wire.setbacks > 0 || lied_to),
                    _ => lied_to,
                };
                self.summary.broken += u64::from(hostile);
                if hostile && !struck {
                    self.blame(code);
                }
                if !expected {
                    return Err(failed(format!("{code}: {reason}")));
                }
            }
        }
        for refused in &session.stats().refused {
            self.summary.refused += 1;
            self.summary.held_back += u64::from(refused.code == "E_PROTECTED");
            if hostile {
                self.blame(&refused.code);
            }
            // A stamp in the future and its children; a member or a rule of whom nothing is known yet.
            let early = ["E_FUTURE", "E_PARENT", "E_NOT_MEMBER", "E_CRDT_KIND"];
            let code = refused.code.as_str();
            let is_early = !wire.quiet && early.contains(&code);
            // Until somebody has merged what was committed apart (REPO-93).
            let is_early = is_early || (code == "E_PROTECTED" && !self.settled);
            if !lied_to && !is_early && !self.may_lack(wire, code) {
                let what = format!("refused {}: {}", refused.commit, refused.reason);
                return Err(failed(what));
            }
        }
        Ok(())
    }

    /// Takes note of what a hostile node was told that it did.
    pub(crate) fn blame(&mut self, code: &str) {
        *self.summary.blamed.entry(code.to_owned()).or_default() += 1;
    }

    /// Whether an end of a session may lack what the other asks for, as it keeps a part or some of it rotted.
    fn may_lack(&self, wire: &Wire, code: &str) -> bool {
        let lacks = |node: &Node| node.part().is_some() || node.disk.rot.is_ailing();
        let may_lack = wire.ends.iter().any(|node| lacks(&self.nodes[*node]));
        may_lack && !wire.quiet && ["E_MISSING", "E_PARENT"].contains(&code)
    }
}

impl Node {
    /// The members of the space, as far as they are known here.
    pub(crate) fn members(&self) -> Result<BTreeSet<AgentId>, Failure> {
        let members = self.reopened()?.members();
        let members = members.map_err(|error| self.fault("members", &error))?;
        Ok(members.into_iter().collect())
    }

    /// The heads of all branches.
    pub(crate) fn all_heads(&self) -> Result<BTreeSet<CommitId>, Failure> {
        let branches = self.witness.branches();
        let branches = branches.map_err(|error| self.fault("branches", &error))?;
        Ok(branches.into_iter().flat_map(|(_, heads)| heads).collect())
    }
}
