//! Peers that ask for all that there is, whether or not it is theirs.

use std::collections::{BTreeMap, BTreeSet};

use allod_access::{Op, Principal, Request, Target};
use allod_blocks::Cid;
use allod_identity::SecretKey;
use allod_repo::{BranchName, CommitId};
use allod_sync::{Fetching, Hello, Input, Me, Message, Output, Scope, Serving, Session};
use bytes::Bytes;

use crate::keys::words;

use super::people::Role;
use super::watch::Way;
use super::{BRANCHES, RightsWorld, on};

/// Links in one want.
const WANTED: usize = 400;

/// Steps in which a session answers what it was asked.
const STEPS: usize = 4_000;

/// Who asks, and whom.
struct Asker {
    /// The node that is asked.
    of: usize,
    person: usize,
    device: SecretKey,
    at: u64,
    /// What it has said.
    heard: Vec<Bytes>,
}

impl RightsWorld {
    /// Somebody who is not the owner knows the names of all that there is, and asks for it in all ways that there are.
    pub(super) fn pry(&mut self) -> Result<(), String> {
        let of = self.rng.index(self.nodes.len());
        let askers = self.nodes.iter();
        let askers = askers.filter(|it| self.people[it.person].role != Role::Owner);
        let askers: Vec<_> = askers.map(|it| (it.person, it.device.clone())).collect();
        let (person, device) = askers[self.rng.index(askers.len())].clone();
        self.pry_at(of, person, &device)
    }

    /// The same of each node, by a stranger and by somebody else.
    pub(super) fn pry_all(&mut self) -> Result<(), String> {
        for of in 0..self.nodes.len() {
            let by = [
                self.one_of(&[Role::Stranger]),
                self.rng.index(self.nodes.len()),
            ];
            for by in by.into_iter().filter(|by| *by != of) {
                let person = self.nodes[by].person;
                let device = self.nodes[by].device.clone();
                if self.people[person].role != Role::Owner {
                    self.pry_at(of, person, &device)?;
                }
            }
        }
        Ok(())
    }

    fn pry_at(&mut self, of: usize, person: usize, device: &SecretKey) -> Result<(), String> {
        self.summary.pried += 1;
        let asker = || Asker {
            of,
            person,
            device: device.clone(),
            at: self.clock(of),
            heard: Vec::new(),
        };
        let (mut first, mut second) = (asker(), asker());
        self.fetch_all(&mut first)?;
        self.want_all(&mut second)
    }

    /// What is asked for: names in an order in which they can be opened, in lists that a want may have.
    fn names(&self) -> Vec<Vec<Cid>> {
        let mut lists = vec![Vec::new()];
        for names in self.watch.names.values() {
            if lists
                .last()
                .is_some_and(|it| it.len() + names.len() > WANTED)
            {
                lists.push(Vec::new());
            }
            if let Some(list) = lists.last_mut() {
                list.extend(names.iter().take(WANTED));
            }
        }
        lists
    }

    /// On a stream for what is damaged (SYNC-30, SYNC-63).
    fn fetch_all(&mut self, asker: &mut Asker) -> Result<(), String> {
        let repo = self.nodes[asker.of].repo.clone();
        let agent = self.people[asker.person].id();
        let mut serving = Serving::new(repo.clone(), asker.device.device_id(), asker.at);
        let mut asks = vec![Fetching::hello(agent, repo.id())];
        for names in self.names() {
            let ask = Message::Want {
                opened: names.clone(),
                names,
            };
            asks.push(ask.encode());
        }
        for ask in asks {
            asker.heard.push(ask.clone());
            serving.handle(&ask);
            while let Some(frame) = serving.poll() {
                let heard = (&frame, &*asker.heard);
                self.look(asker.of, (agent, asker.at), heard, false)?;
            }
        }
        Ok(())
    }

    /// In a session (SYNC-8, SYNC-60), with heads offered that it has only heard of.
    fn want_all(&mut self, asker: &mut Asker) -> Result<(), String> {
        let (repo, agent) = (
            self.nodes[asker.of].repo.clone(),
            self.people[asker.person].id(),
        );
        let me = Me {
            agent: self.agent(asker.of),
            initiator: false,
            introduce: true,
            scope: Scope::default(),
        };
        let before = self.stands(asker.of)?;
        let mut session = Session::new(repo.clone(), me, asker.device.device_id(), asker.at);
        let hello = Hello {
            agent,
            branches: self.claimed(asker)?,
            events: Vec::new(),
            logs: Vec::new(),
            parts: Vec::new(),
            samples: Vec::new(),
            slices: self.rng.chance(30),
            space: repo.id(),
            version: 1,
            wants: None,
        };
        let mut asks = vec![Message::Hello(Box::new(hello)).encode()];
        for names in self.names() {
            let ask = Message::Want {
                opened: names.clone(),
                names,
            };
            asks.push(ask.encode());
        }
        asks.push(Message::Done.encode());
        for ask in asks {
            asker.heard.push(ask.clone());
            session.handle(asker.at, Input::Frame(ask));
            for _ in 0..STEPS {
                while let Some(output) = session.poll() {
                    if let Output::Send(frame) = output {
                        let heard = (&frame, &*asker.heard);
                        self.look(asker.of, (agent, asker.at), heard, false)?;
                    }
                }
                if !session.is_busy() {
                    break;
                }
                session.handle(asker.at, Input::Tick);
            }
        }
        self.got_nothing(asker, &before)
    }

    /// Heads that the asker says it has of branches: all that it has heard the names of.
    fn claimed(&mut self, asker: &Asker) -> Result<Vec<(BranchName, Vec<CommitId>)>, String> {
        if self.rng.chance(40) {
            return Ok(Vec::new());
        }
        let offered = self.nodes[asker.of].repo.offered().map_err(words)?;
        let mut all = BTreeSet::new();
        for (branch, heads) in offered {
            if !branch.is_meta() {
                all.extend(heads);
            }
        }
        let all: Vec<CommitId> = all.into_iter().take(64).collect();
        let on = on(BRANCHES[self.rng.index(BRANCHES.len())])?;
        Ok(vec![(BranchName::meta(), Vec::new()), (on, all)])
    }

    /// What each branch of a node leads to.
    fn stands(&self, node: usize) -> Result<BTreeMap<BranchName, BTreeSet<CommitId>>, String> {
        let mut stands = BTreeMap::new();
        for (branch, heads) in self.nodes[node].repo.offered().map_err(words)? {
            let mut all = BTreeSet::new();
            self.watch.add_below(&heads, &mut all);
            stands.insert(branch, all);
        }
        Ok(stands)
    }

    /// No branch leads to more than before but to what the asker may read and, if it was made elsewhere, may bring there: to name
    /// something is not to have it (SYNC-65).
    fn got_nothing(
        &self,
        asker: &Asker,
        before: &BTreeMap<BranchName, BTreeSet<CommitId>>,
    ) -> Result<(), String> {
        let (node, to) = (asker.of, self.people[asker.person].id());
        let way = Way {
            from: (node, &self.nodes[node].repo),
            to,
            at: asker.at,
            is_first: false,
        };
        let known: BTreeSet<CommitId> = before.values().flatten().copied().collect();
        let may = self.watch.readable_of(way, before)?;
        for (branch, all) in self.stands(node)? {
            let had = before.get(&branch);
            let mut own = BTreeSet::new();
            self.watch.add_made_on(&branch, all.iter(), &mut own);
            let is_new = |id: &CommitId| had.is_none_or(|had| !had.contains(id));
            for id in all.difference(&own).copied().filter(is_new) {
                let id_text = id.short();
                if known.contains(&id) && !may.contains(&id) {
                    return Err(format!(
                        "node {node} took {id_text} to {branch} for somebody who may not read it"
                    ));
                }
                if !may_bring(way, (&branch, had.is_none()))? {
                    return Err(format!(
                        "node {node} took {id_text} to {branch} for somebody who may not merge there"
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Whether somebody may bring to a branch, or begin it with, what was made on others.
fn may_bring(way: Way<'_>, (branch, begins): (&BranchName, bool)) -> Result<bool, String> {
    let rights = way.from.1.authorizer().map_err(words)?;
    let op = if begins { Op::Create } else { Op::Merge };
    let all = Target::Prefix(b"");
    let asked = [(op, Target::Branch), (Op::Write, all), (Op::Delete, all)];
    let may = |(op, target)| {
        let request = Request {
            who: &Principal::agent(way.to),
            op,
            branch: branch.as_str(),
            target,
            at: way.at,
        };
        rights.check(&request).is_allowed()
    };
    Ok(asked.into_iter().all(may))
}
