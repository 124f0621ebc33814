//! Random operations of every verb against a model that keeps whole maps and looks at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_blocks::{MemoryStore, Store};
use allod_repo::{
    CommitId, FastForward, Heads, MergeOptions, Outcome, Repo, RepoError, Resolution, Resolving,
};
use proptest::prelude::*;

use crate::world::{Person, START, all_of, on, put_on, replica, scale, send, space_in};

const BRANCHES: [&str; 3] = ["main", "one", "two"];

type Values = BTreeMap<String, String>;

#[derive(Clone, Debug)]
enum Op {
    Put(usize, u8, Option<u8>),
    Merge(usize, usize, bool, End),
    Pick(usize, prop::sample::Index, bool, End),
    Rebase(usize, usize),
    Reopen,
}

/// What becomes of conflicts.
#[derive(Clone, Copy, Debug)]
enum End {
    Abort,
    Ours,
    Theirs,
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![Just(End::Abort), Just(End::Ours), Just(End::Theirs)];
    let value = proptest::option::weighted(0.8, 0..3u8);
    prop_oneof![
        6 => (0..3usize, 0..6u8, value).prop_map(|(branch, key, value)| Op::Put(branch, key, value)),
        3 => (0..3usize, 0..3usize, any::<bool>(), end())
            .prop_map(|(ours, theirs, no_ff, end)| Op::Merge(ours, theirs, no_ff, end)),
        2 => (0..3usize, any::<prop::sample::Index>(), any::<bool>(), end())
            .prop_map(|(branch, commit, undo, end)| Op::Pick(branch, commit, undo, end)),
        1 => (0..3usize, 0..3usize).prop_map(|(branch, onto)| Op::Rebase(branch, onto)),
        1 => Just(Op::Reopen),
    ]
}

struct World {
    repo: Repo,
    store: Arc<dyn Store>,
    ada: Person,
    now: u64,
    /// Every commit with its parents and its values.
    commits: BTreeMap<CommitId, (Vec<CommitId>, Values)>,
    heads: BTreeMap<&'static str, CommitId>,
}

impl World {
    fn new() -> Self {
        let ada = Person::new(1);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let repo = space_in(&ada, Arc::clone(&store));
        let first = put_on(&repo, &ada, "main", &[("start", Some("0"))], START);
        for name in &BRANCHES[1..] {
            repo.create_branch(&on(name), &Heads::from([first]))
                .unwrap();
        }
        let values = Values::from([("start".to_owned(), "0".to_owned())]);
        Self {
            repo,
            store,
            ada,
            now: START,
            commits: BTreeMap::from([(first, (Vec::new(), values))]),
            heads: BRANCHES.map(|name| (name, first)).into(),
        }
    }

    fn values(&self, id: CommitId) -> Values {
        self.commits[&id].1.clone()
    }

    /// The commit that a branch stands at now, with what it must have.
    fn moved(&mut self, branch: &'static str, id: CommitId, values: Values) {
        let parents = self.repo.commit(id).unwrap().payload().parents.clone();
        self.commits.insert(id, (parents, values));
        self.heads.insert(branch, id);
    }

    fn ancestors(&self, of: CommitId) -> BTreeSet<CommitId> {
        let mut found = BTreeSet::from([of]);
        let mut open = vec![of];
        while let Some(id) = open.pop() {
            for parent in &self.commits[&id].0 {
                if found.insert(*parent) {
                    open.push(*parent);
                }
            }
        }
        found
    }

    /// The values before a commit; of a merge there is nothing simple to say.
    fn before(&self, id: CommitId) -> Option<Values> {
        match &self.commits[&id].0[..] {
            [parent] => Some(self.values(*parent)),
            _ => None,
        }
    }

    /// Resolves what stopped, or gives it up; the commit that came of it.
    fn end(&self, branch: &str, outcome: Outcome, told: &[String], end: End) -> Option<CommitId> {
        let Outcome::Stopped(stopped) = outcome else {
            panic!("conflicts at {told:?} were expected, not {outcome:?}");
        };
        let keys = stopped.conflicts.iter();
        let keys: Vec<&[u8]> = keys.map(|conflict| &conflict.key[..]).collect();
        assert_eq!(keys, told.iter().map(String::as_bytes).collect::<Vec<_>>());
        let side = match end {
            End::Abort => {
                self.repo.abort(&on(branch)).unwrap();
                return None;
            }
            End::Ours => Resolution::Ours,
            End::Theirs => Resolution::Theirs,
        };
        for key in told {
            self.repo
                .resolve(&on(branch), key.as_bytes(), side.clone())
                .unwrap();
        }
        let again = Repo::open(Arc::clone(&self.store), self.repo.id()).unwrap();
        let by = self.ada.author();
        match again.resume(&on(branch), by, Resolving::default(), self.now) {
            Ok(Outcome::Done(done)) => Some(done.commits[0]),
            Ok(Outcome::Nothing) => None,
            other => panic!("{other:?}"),
        }
    }

    fn merge(&mut self, ours: usize, theirs: usize, no_ff: bool, end: End) {
        let (ours, theirs) = (BRANCHES[ours], BRANCHES[theirs]);
        let (left, right) = (self.heads[ours], self.heads[theirs]);
        let (lefts, rights) = (self.ancestors(left), self.ancestors(right));
        let common: Vec<CommitId> = lefts.intersection(&rights).copied().collect();
        let is_best = |id: &CommitId| {
            !common
                .iter()
                .any(|other| other != id && self.ancestors(*other).contains(id))
        };
        let best: Vec<CommitId> = common.iter().copied().filter(is_best).collect();
        // What the join of several bases is, the model does not know.
        let [base] = best[..] else { return };
        let options = MergeOptions {
            fast_forward: if no_ff {
                FastForward::Never
            } else {
                FastForward::Allowed
            },
            ..MergeOptions::default()
        };
        let from = Heads::from([right]);
        let by = self.ada.author();
        let outcome = self
            .repo
            .merge(&on(ours), &from, by, &options, self.now)
            .unwrap();
        if lefts.contains(&right) {
            assert_eq!(outcome, Outcome::Nothing);
        } else if rights.contains(&left) && !no_ff {
            assert!(matches!(outcome, Outcome::FastForward { .. }));
            self.heads.insert(ours, right);
        } else {
            let (left, right) = (self.values(left), self.values(right));
            let (merged, told) = three_way(&self.values(base), &left, &right, end);
            let made = match &outcome {
                Outcome::Done(done) if told.is_empty() => Some(done.commits[0]),
                _ => self.end(ours, outcome, &told, end),
            };
            if let Some(id) = made {
                self.moved(ours, id, merged);
            }
        }
    }

    fn pick(&mut self, branch: usize, commit: prop::sample::Index, undo: bool, end: End) {
        let all: Vec<CommitId> = self.commits.keys().copied().collect();
        let (branch, commit) = (BRANCHES[branch], *commit.get(&all));
        let Some(before) = self.before(commit) else {
            return;
        };
        let (by, with) = (self.ada.author(), Resolving::default());
        let (from, to, outcome) = if undo {
            let outcome = self.repo.revert(&on(branch), commit, by, with, self.now);
            (self.values(commit), before, outcome)
        } else {
            let outcome = self
                .repo
                .cherry_pick(&on(branch), commit, by, with, self.now);
            (before, self.values(commit), outcome)
        };
        let ours = self.values(self.heads[branch]);
        let (merged, told) = three_way(&from, &ours, &to, end);
        let outcome = outcome.unwrap();
        let made = match &outcome {
            Outcome::Nothing => None,
            Outcome::Done(done) if told.is_empty() => Some(done.commits[0]),
            _ => self.end(branch, outcome, &told, end),
        };
        match made {
            Some(id) => self.moved(branch, id, merged),
            None => assert!(merged == ours || !told.is_empty()),
        }
    }

    fn rebase(&mut self, branch: usize, onto: usize) {
        let (branch, onto) = (BRANCHES[branch], self.heads[BRANCHES[onto]]);
        let there = self.ancestors(onto);
        let mine = self.ancestors(self.heads[branch]);
        let todo: BTreeSet<CommitId> = mine.difference(&there).copied().collect();
        if todo.iter().any(|id| self.before(*id).is_none()) {
            return;
        }
        let by = (self.ada.author(), Resolving::default());
        let outcome =
            self.repo
                .rebase(&on(branch), &Heads::from([onto]), &on(branch), by, self.now);
        if todo.is_empty() || mine.contains(&onto) {
            assert_eq!(outcome.unwrap(), Outcome::Nothing);
            return;
        }
        let mut line: Vec<CommitId> = todo.into_iter().collect();
        line.sort_by_key(|id| self.repo.commit(*id).unwrap().payload().generation);
        let mut values = self.values(onto);
        let mut stops = false;
        let mut made = Vec::new();
        for id in line {
            let before = self.before(id).unwrap();
            let (next, told) = three_way(&before, &values, &self.values(id), End::Ours);
            stops = !told.is_empty();
            if stops {
                break;
            }
            if next != values {
                made.push(next.clone());
            }
            values = next;
        }
        match outcome.unwrap() {
            Outcome::Stopped(_) => {
                assert!(stops);
                self.repo.abort(&on(branch)).unwrap();
            }
            Outcome::Done(done) => {
                assert!(!stops);
                assert_eq!(done.commits.len(), made.len());
                self.heads.insert(branch, onto);
                for (id, values) in done.commits.into_iter().zip(made) {
                    self.moved(branch, id, values);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    fn step(&mut self, op: Op) {
        self.now += 10;
        match op {
            Op::Put(branch, key, value) => {
                let branch = BRANCHES[branch];
                let (key, value) = (format!("k{key}"), value.map(|value| format!("v{value}")));
                let edit = [(&key[..], value.as_deref())];
                let id = put_on(&self.repo, &self.ada, branch, &edit, self.now);
                let mut values = self.values(self.heads[branch]);
                match value {
                    Some(value) => values.insert(key, value),
                    None => values.remove(&key),
                };
                self.moved(branch, id, values);
            }
            Op::Merge(ours, theirs, no_ff, end) => self.merge(ours, theirs, no_ff, end),
            Op::Pick(branch, commit, undo, end) => self.pick(branch, commit, undo, end),
            Op::Rebase(branch, onto) => self.rebase(branch, onto),
            Op::Reopen => {
                self.repo = Repo::open(Arc::clone(&self.store), self.repo.id()).unwrap();
            }
        }
        for branch in BRANCHES {
            assert_eq!(
                self.repo.heads(&on(branch)).unwrap(),
                [self.heads[branch]].into()
            );
            let values: Values = all_of(&self.repo, branch).into_iter().collect();
            assert_eq!(values, self.values(self.heads[branch]), "{branch}");
            assert!(self.repo.under_way(&on(branch)).unwrap().is_none());
        }
    }
}

/// A loop over all keys of three maps; conflicts are for one side, and told.
fn three_way(base: &Values, ours: &Values, theirs: &Values, end: End) -> (Values, Vec<String>) {
    let keys: BTreeSet<&String> = base
        .keys()
        .chain(ours.keys())
        .chain(theirs.keys())
        .collect();
    let (mut merged, mut told) = (Values::new(), Vec::new());
    for key in keys {
        let (base, ours, theirs) = (base.get(key), ours.get(key), theirs.get(key));
        let value = if ours == theirs || theirs == base {
            ours
        } else if ours == base {
            theirs
        } else {
            told.push(key.clone());
            if matches!(end, End::Theirs) {
                theirs
            } else {
                ours
            }
        };
        merged.extend(value.map(|value| (key.clone(), value.clone())));
    }
    (merged, told)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24 * scale()))]

    /// Whatever is done in whatever order, every branch has what the model has, and so has whoever
    /// receives it.
    #[test]
    fn every_verb_does_what_the_model_does(ops in proptest::collection::vec(op(), 1..40)) {
        let mut world = World::new();
        for op in ops {
            world.step(op);
        }
        let other = replica(&world.repo);
        for branch in BRANCHES {
            send(&world.repo, &other, &on(branch), world.now).unwrap();
            prop_assert_eq!(all_of(&other, branch), all_of(&world.repo, branch));
        }
        for repo in [&world.repo, &other] {
            prop_assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
        }
        let nothing = world.repo.abort(&on("main"));
        prop_assert!(matches!(nothing, Err(RepoError::NothingUnderWay(_))));
    }
}
