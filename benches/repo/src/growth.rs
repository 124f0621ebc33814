//! What costs what changed and not what is there: one change to spaces of different sizes.

use std::time::Instant;

use allod_identity::SecretKey;
use allod_repo::{BranchName, Outcome, Repo, Resolving, Span};

use crate::merge::{NOW, commit, filled, key, named, value};
use crate::{author, median, row};

/// Commits between the oldest that blame looks for and the head.
const COMMITS: u64 = 50;

/// Keys that the commit changes which is compared and picked.
const CHANGES: u64 = 1000;

const ROUNDS: usize = 5;

pub fn run(sizes: &[u64]) {
    for &entries in sizes {
        let space = Space::new(entries);
        let mut figures = [const { Vec::new() }; 3];
        for round in 0..ROUNDS {
            figures[0].push(space.diff());
            figures[1].push(space.blame());
            figures[2].push(space.pick(round));
        }
        let [diff, blame, pick] = figures.map(median);
        let of = format!("{entries} entries");
        let case = format!("diff of {CHANGES} changes, {of}");
        row(&case, "ms", diff, None, "");
        let case = format!("blame through {COMMITS} commits, {of}");
        row(&case, "ms", blame, None, "");
        let case = format!("cherry-pick of {CHANGES} changes, {of}");
        row(&case, "ms", pick, None, "");
    }
}

/// A space whose `main` went on for some commits, and a branch beside it with one large commit.
struct Space {
    repo: Repo,
    who: SecretKey,
    /// A key that the first of the commits changed, and none after it.
    old: Vec<u8>,
}

impl Space {
    fn new(entries: u64) -> Self {
        let who = SecretKey::from_seed([7; 32]);
        let (repo, _) = filled(&who, entries);
        let main = BranchName::main();
        let start = repo.heads(&main).expect("heads");
        // A hundred stretches: the commits of main change the first keys of each, the one beside them
        // keys that are spread over the rest.
        let stretch = entries / 100;
        for round in 0..COMMITS {
            let places = (0..100).map(|n| n * stretch + round);
            let changes = places.map(|place| (key(place, entries), value(round as u8)));
            commit(&repo, &main, &who, changes);
        }
        repo.create_branch(&named("side"), &start)
            .expect("a branch");
        let step = (stretch - COMMITS) / (CHANGES / 100);
        let places = (0..CHANGES).map(|n| n % 100 * stretch + COMMITS + n / 100 * step);
        let changes = places.map(|place| (key(place, entries), value(200)));
        commit(&repo, &named("side"), &who, changes);
        Self {
            repo,
            who,
            old: key(0, entries),
        }
    }

    fn diff(&self) -> f64 {
        let side = self.repo.state(&named("side")).expect("a state");
        let head = *side.heads().first().expect("a head");
        let commit = self.repo.commit(head).expect("a commit");
        let before = commit.payload().parents.first().expect("a parent");
        let before = self.repo.at(*before).expect("a state");
        timed(|| assert_eq!(before.diff(&side, &Span::all()).count() as u64, CHANGES))
    }

    fn blame(&self) -> f64 {
        let heads = self.repo.heads(&BranchName::main()).expect("heads");
        timed(|| {
            let blame = self.repo.blame(&heads, &self.old).expect("a history");
            assert!(blame.is_some());
        })
    }

    /// Picks onto a branch of its own.
    fn pick(&self, round: usize) -> f64 {
        let branch = named(&format!("round-{round}"));
        let heads = self.repo.heads(&BranchName::main()).expect("heads");
        self.repo.create_branch(&branch, &heads).expect("a branch");
        let side = self.repo.heads(&named("side")).expect("heads");
        let commit = *side.first().expect("a head");
        timed(|| {
            let by = author(&self.who);
            let resolving = Resolving::default();
            let picked = self.repo.cherry_pick(&branch, commit, by, resolving, NOW);
            assert!(matches!(picked, Ok(Outcome::Done(_))));
        })
    }
}

fn timed(run: impl FnOnce()) -> f64 {
    let started = Instant::now();
    run();
    started.elapsed().as_secs_f64() * 1e3
}
