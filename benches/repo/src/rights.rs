//! What rights cost whoever receives a commit (REPO-112, REPO-113).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use allod_access::{Draft, Grant, Member, On, Op, Policy, Roles, Rule};
use allod_blocks::{MemoryStore, Store};
use allod_identity::{SecretKey, Verified};
use allod_repo::{BranchName, Edit, Genesis, Repo, SpaceClass};
use bytes::Bytes;

use crate::{author, median, row};

const NOW: u64 = 1_700_000_000_000;
const CHANGES: u32 = 1000;
const COMMITS: u64 = 60;

/// How the writer comes to write.
#[derive(Clone, Copy)]
enum By {
    /// As a member, where nothing else is said.
    Membership,
    /// By a grant of a prefix, among rules about other keys.
    Grant { rules: usize },
    /// By a rule, among others.
    Rule { rules: usize },
    /// As a member, where so many parts are declared, the first of which has all the keys.
    Parts { declared: usize },
}

pub fn run() {
    let plain = receive(By::Membership);
    let case = "receive a commit of 1000 changes, 10000 entries";
    row(case, "ms", plain, None, "");
    for (name, by) in [
        ("100 rules, a grant of a prefix", By::Grant { rules: 100 }),
        ("100 rules, by one of them", By::Rule { rules: 100 }),
    ] {
        let case = format!("{case}, {name}");
        let peer = Some(("without rules", plain));
        row(&case, "ms", receive(by), peer, "<= 1.15x without rules");
    }
    for (name, declared) in [
        ("all of them in a declared part", 1),
        ("all of them in one of 1000 declared parts", 1000),
    ] {
        let case = format!("{case}, {name}");
        let peer = Some(("without parts", plain));
        row(&case, "ms", receive(By::Parts { declared }), peer, "stated");
    }
}

/// Milliseconds that it takes a replica to judge and take one of the writer's commits.
fn receive(by: By) -> f64 {
    let (owner, writer) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let genesis = Genesis {
        at: NOW,
        class: SpaceClass::Convergent,
        name: "bench".into(),
        nonce: [0; 16],
        owner: owner.agent_id(),
    };
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let from = Repo::create(store, genesis, author(&owner)).expect("a space");
    let main = BranchName::main();
    let base = (0..10_000).map(|number| put(&format!("docs/{number:08}"), "0"));
    commit(&from, &owner, base);
    say(&from, (&owner, &writer), by);
    let to: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let to = Repo::adopt(to, from.genesis().bytes().clone()).expect("a replica");
    for branch in [BranchName::meta(), main.clone()] {
        for id in from
            .missing(&from.heads(&branch).expect("heads"), &[].into())
            .expect("commits")
        {
            take(&from, &to, id, &branch);
        }
    }
    let mut times = Vec::new();
    for number in 0..COMMITS {
        let changes =
            (0..CHANGES).map(|key| put(&format!("docs/{:08}", key * 7), &number.to_string()));
        commit(&from, &writer, changes);
        for id in from.heads(&main).expect("heads") {
            times.push(take(&from, &to, id, &main));
        }
    }
    assert_eq!(
        from.heads(&main).expect("heads"),
        to.heads(&main).expect("heads")
    );
    median(times)
}

fn put(key: &str, value: &str) -> (Bytes, Edit) {
    (key.to_owned().into(), Edit::Put(value.to_owned().into()))
}

fn commit(repo: &Repo, who: &SecretKey, edits: impl Iterator<Item = (Bytes, Edit)>) {
    let main = BranchName::main();
    repo.stage(&main, edits, NOW).expect("staged");
    repo.commit_staged(&main, author(who), "bench", NOW)
        .expect("a commit");
}

/// Says in `meta` what lets the writer write.
fn say(repo: &Repo, (owner, writer): (&SecretKey, &SecretKey), by: By) {
    let (rules, says) = match by {
        By::Membership => (0, false),
        By::Grant { rules } => (rules, false),
        By::Rule { rules } => (rules, true),
        By::Parts { declared } => {
            for number in 0..declared {
                let prefix = match number {
                    0 => "docs/".to_owned(),
                    _ => format!("part{number}/"),
                };
                let main = [BranchName::main()];
                repo.declare_part(prefix.as_bytes(), &main, author(owner), NOW)
                    .expect("a part");
            }
            (0, false)
        }
    };
    let rule = |pattern: String| {
        let allow: Roles = [(Op::Write, vec!["editor".to_owned()])].into();
        let draft = Draft {
            on: On::Key,
            allow,
            deny: BTreeMap::new(),
            owner: None,
            pattern: pattern.parse().expect("a pattern"),
        };
        Rule::try_from(draft).expect("a rule")
    };
    for number in 0..rules {
        let pattern = if says && number == 0 {
            "docs/*".to_owned()
        } else {
            format!("area{number}/*")
        };
        repo.set_rule(&rule(pattern), (author(owner), "rule"), NOW)
            .expect("a rule");
    }
    if let By::Grant { .. } = by {
        let grant = Grant {
            issuer: owner.agent_id(),
            audience: writer.agent_id(),
            space: *repo.id().cid(),
            command: "/space".parse().expect("a command"),
            policy: Policy::prefix("docs/"),
            proof: None,
            not_before: None,
            expires: None,
            nonce: [0; 16],
        };
        let grant = Verified::sign(owner, grant).expect("a grant");
        repo.put_rights(&[grant], &[], (author(owner), "grant"), NOW)
            .expect("a grant");
        return;
    }
    let roles = if says {
        vec!["editor".to_owned(), "member".to_owned()]
    } else {
        vec!["member".to_owned()]
    };
    let member = Member::new(None, roles).expect("a member");
    repo.set_member(
        (&writer.agent_id(), &member),
        (author(owner), "member"),
        NOW,
    )
    .expect("a member");
}

/// Brings a commit over; the milliseconds that its receiver took.
fn take(from: &Repo, to: &Repo, id: allod_repo::CommitId, branch: &BranchName) -> f64 {
    let commit = from.commit(id).expect("a commit");
    let changes = from
        .changes_of(&commit, usize::MAX)
        .expect("changes")
        .expect("few");
    let begun = Instant::now();
    let reviewed = to.review(commit.bytes().clone(), NOW).expect("in order");
    let complete = to.with_changes(reviewed, &changes).expect("complete");
    to.accept(complete, branch).expect("taken");
    begun.elapsed().as_secs_f64() * 1e3
}
