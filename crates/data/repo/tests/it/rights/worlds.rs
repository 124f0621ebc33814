//! Random histories of several replicas: whoever knows the same has the same heads, and those that the naive reading has.

use allod_repo::MergeOptions;
use proptest::prelude::*;

use super::twin::{Known, naive, note, stands_of};
use super::*;
use crate::beside::{Agent, tell};
use crate::world::{main, scale};

const REPLICAS: usize = 3;
const BRANCHES: [&str; 3] = ["main", "side", "more"];
const KEYS: [&str; 5] = ["docs/a", "docs/b", "notes/a", "user:mia:x", "z"];

struct World {
    owner: Agent,
    people: [Person; 4],
    repos: Vec<Repo>,
    known: Vec<Known>,
    grants: Vec<(Option<usize>, Verified<Grant>)>,
    now: u64,
}

/// A step: what, where, and three numbers that say the rest.
type Step = (usize, usize, [usize; 3]);

impl World {
    fn new() -> Self {
        let owner = Agent::new(100, 3);
        let first = owner.space();
        let people = [2, 3, 4, 5].map(Person::new);
        write_as(&first, owner.by(0), ("main", "docs/a", Some("0")), START).unwrap();
        let (mia, member) = (people[0].author().agent, Member::plain());
        first
            .set_member((&mia, &member), (owner.by(0), ""), START)
            .unwrap();
        let repos: Vec<Repo> = (1..REPLICAS).map(|_| owner.replica(&first)).collect();
        let repos = std::iter::once(first).chain(repos).collect();
        let mut world = Self {
            owner,
            people,
            repos,
            known: vec![Known::new(); REPLICAS],
            grants: Vec::new(),
            now: START + 1,
        };
        for to in 1..REPLICAS {
            world.sync(0, to, |_| true);
        }
        world
    }

    fn author(&self, number: usize) -> Author<'_> {
        match (number % 7).checked_sub(1) {
            Some(of) if of < 4 => self.people[of].author(),
            _ => self.owner.by(number % 3),
        }
    }

    /// Brings what `from` offers of some branches, `meta` first.
    fn sync(&mut self, from: usize, to: usize, which: impl Fn(&BranchName) -> bool) {
        if from == to {
            return;
        }
        for at in [from, to] {
            note(&self.repos[at], &mut self.known[at]);
        }
        let mut all = self.repos[from].offered().unwrap();
        all.sort_by_key(|(name, _)| !name.is_meta());
        for (branch, offered) in all {
            if which(&branch) {
                let pair = (&self.repos[from], &self.repos[to]);
                share_some(pair, &branch, &offered, self.now);
                let came = self.repos[from].missing(&offered, &Heads::new()).unwrap();
                let here = came
                    .into_iter()
                    .filter(|id| self.repos[to].has_commit(*id).unwrap());
                self.known[to].entry(branch).or_default().extend(here);
            }
        }
    }

    fn step(&mut self, (what, at, [a, b, c]): Step) {
        self.now += 1;
        let repo = self.repos[at % REPLICAS].clone();
        let branch = BRANCHES[b % 3];
        let text = format!("{}", self.now);
        let by = (self.author(a), "step");
        match what {
            0..4 => {
                let key = KEYS[c % KEYS.len()];
                let value = (c % 7 > 0).then_some(&*text);
                let _may_be_refused = write_as(&repo, by.0, (branch, key, value), self.now);
            }
            4..6 => self.sync(a % REPLICAS, at % REPLICAS, |_| true),
            6 => self.sync(a % REPLICAS, at % REPLICAS, |name| {
                name.is_meta() == (b % 2 == 0)
            }),
            7 => self.sync(a % REPLICAS, at % REPLICAS, |name| name.as_str() == branch),
            8 => self.grant(&repo, (a, b, c)),
            9 => self.take_back(&repo, (a, b)),
            10 => self.rule(&repo, (a, b, c)),
            11 => {
                let roles: &[&str] =
                    [&["member"][..], &[], &["editor", "member"], &["editor"]][c % 4];
                let roles = roles.iter().map(|it| (*it).to_owned()).collect();
                let name = (c % 5 == 0).then(|| "mia".to_owned());
                let member = Member::new(name, roles).unwrap();
                let agent = self.people[b % 4].author().agent;
                let _may_be_refused = repo.set_member((&agent, &member), by, self.now);
            }
            12 => {
                let heads = repo.heads(&on(BRANCHES[c % 3])).unwrap();
                if !heads.is_empty() {
                    let _may_be_refused = repo.begin_branch(&on(branch), &heads, by, self.now);
                }
            }
            13 => {
                let theirs = repo.heads(&on(BRANCHES[c % 3])).unwrap();
                let options = MergeOptions {
                    allow_unrelated: true,
                    ..MergeOptions::default()
                };
                if !theirs.is_empty() {
                    let merged = repo.merge(&on(branch), &theirs, by.0, &options, self.now);
                    if let Ok(allod_repo::Outcome::Stopped(_)) = merged {
                        repo.abort(&on(branch)).unwrap();
                    }
                }
            }
            14 => {
                let _may_be_refused = repo.take_in(&on(branch), by.0, "", self.now);
            }
            _ => {
                // One device of the owner stays.
                let removed = self.owner.by(1 + b % 2).key.device_id();
                if c % 3 == 0 {
                    self.owner.remove_if_there(removed);
                }
                tell(&repo, &self.owner.log);
            }
        }
        note(&repo, &mut self.known[at % REPLICAS]);
    }

    fn grant(&mut self, repo: &Repo, (a, b, c): (usize, usize, usize)) {
        let to = self.people[b % 4].author().agent;
        let commands = ["/", "/space", "/space/write", "/branch", "/space/admin"];
        let policies = [
            Policy::default(),
            Policy::prefix("docs/"),
            Policy::branch("side"),
            Policy::prefix("notes/").and(Policy::branch("main")),
        ];
        // The owner grants with the device that stays; others pass on what they have.
        let proof = self
            .grants
            .get(c / 7)
            .filter(|(audience, _)| *audience == Some(a.wrapping_sub(1)));
        let author = proof.map_or_else(|| self.owner.by(0), |_| self.author(a));
        let said = Grant {
            issuer: author.agent,
            audience: to,
            space: *repo.id().cid(),
            command: commands[c % 5].parse().unwrap(),
            policy: policies[(a + c) % 4].clone(),
            proof: proof.map(|(_, grant)| *grant.cid()),
            not_before: None,
            expires: (c % 6 == 5).then_some(self.now + 8),
            nonce: [self.now as u8; 16],
        };
        let Ok(grant) = Verified::sign(author.key, said) else {
            return;
        };
        let put = repo.put_rights(
            std::slice::from_ref(&grant),
            &[],
            (author, "grant"),
            self.now,
        );
        if put.is_ok() {
            self.grants.push((Some(b % 4), grant));
        }
    }

    fn take_back(&self, repo: &Repo, (a, b): (usize, usize)) {
        if self.grants.is_empty() {
            return;
        }
        let of = *self.grants[b % self.grants.len()].1.cid();
        let author = if a % 3 == 0 {
            self.owner.by(0)
        } else {
            self.author(a)
        };
        let said = Ungrant {
            at: self.now,
            by: author.agent,
            of,
            reason: None,
        };
        let ungrant = Verified::sign(author.key, said).unwrap();
        let _may_be_refused = repo.put_rights(&[], &[ungrant], (author, "ungrant"), self.now);
    }

    fn rule(&self, repo: &Repo, (a, b, c): (usize, usize, usize)) {
        let lists: [&[&str]; 4] = [&["editor"], &["member"], &["anyone"], &[]];
        let ops = [Op::Write, Op::Delete, Op::Write];
        let moves = [Op::Write, Op::Create, Op::Merge];
        let made = match b % 5 {
            0 => rule(On::Branch, "main", &[(moves[c % 3], lists[a % 4])], None),
            1 => rule(On::Branch, "*", &[(moves[c % 3], lists[c % 4])], None),
            2 => rule(On::Key, "user:{id}:*", &[], Some("{id}")),
            3 => Rule::removed(On::Branch, "main".parse().unwrap()),
            _ => rule(On::Key, "docs/*", &[(ops[c % 3], lists[c % 4])], None),
        };
        let by = if a % 2 == 0 {
            self.owner.by(0)
        } else {
            self.author(a)
        };
        let _may_be_refused = repo.set_rule(&made, (by, "rule"), self.now);
    }

    /// Tells all replicas all.
    fn settle(&mut self) {
        self.now += 1;
        for _ in 0..3 {
            for from in 0..REPLICAS {
                for to in 0..REPLICAS {
                    self.sync(from, to, |_| true);
                    tell(&self.repos[to], &self.owner.log);
                }
            }
        }
        for at in 0..REPLICAS {
            note(&self.repos[at], &mut self.known[at]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160 * scale()))]

    /// Whatever is written, granted, ruled, taken back and told in whatever order, in whole or in part.
    #[test]
    fn heads_are_what_is_known_and_may_be(
        steps in prop::collection::vec((0_usize..16, 0_usize..REPLICAS, [0_usize..40, 0_usize..40, 0_usize..40]), 1..60),
    ) {
        let mut world = World::new();
        for (number, step) in steps.into_iter().enumerate() {
            world.step(step);
            if number % 9 == 8 {
                let at = step.1;
                prop_assert_eq!(stands_of(&world.repos[at]), naive(&world.repos[at], &world.known[at]));
            }
        }
        world.settle();
        for at in 0..REPLICAS {
            prop_assert_eq!(&world.known[at], &world.known[0]);
            prop_assert_eq!(stands_of(&world.repos[at]), naive(&world.repos[at], &world.known[at]));
        }
        // Who hears of all of it at once comes to the same.
        let late = world.owner.replica(&world.repos[0]);
        tell(&late, &world.owner.log);
        share(&world.repos[0], &late, world.now);
        prop_assert_eq!(stands_of(&late), stands_of(&world.repos[0]));
        let heads = late.heads(&main()).unwrap();
        prop_assert!(!heads.is_empty(), "the owner's first commit stays");
    }
}
