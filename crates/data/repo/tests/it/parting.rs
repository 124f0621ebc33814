//! PART-20, PART-21: the tree of parts that a commit signs, against one that is made from all its entries.

use std::collections::BTreeMap;

use allod_blocks::{Batch, Cid};
use allod_repo::{
    BranchName, CommitId, Edit, Heads, MergeOptions, Refusal, Repo, RepoError, Resolving, Rule,
    Strategy as Resolve,
};
use allod_tree::{Forest, Tree, Walk};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{Person, START, main, on, put, refusal, replica, scale, send, space};

const PREFIXES: [&str; 5] = ["a", "a/b", "b/", "c", "zz"];
const KEYS: [&str; 8] = ["a", "a/b", "a/bc", "b/1", "b/2", "c9", "d", "zz"];

/// What is done at one of two replicas.
#[derive(Clone, Debug)]
enum Deed {
    Put(usize, BTreeMap<usize, Option<u8>>),
    Declare(usize, bool, bool),
    Exchange,
    Branch,
    MergeSide,
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let edits = proptest::collection::btree_map(0..KEYS.len(), any::<Option<u8>>(), 1..5);
    let deed = prop_oneof![
        6 => (0..2_usize, edits).prop_map(|(at, edits)| Deed::Put(at, edits)),
        2 => (0..PREFIXES.len(), any::<bool>(), any::<bool>())
            .prop_map(|(prefix, both, none)| Deed::Declare(prefix, both, none)),
        3 => Just(Deed::Exchange),
        1 => Just(Deed::Branch),
        1 => Just(Deed::MergeSide),
    ];
    proptest::collection::vec(deed, 1..24)
}

/// The root of the tree of parts by the page: what the policy declares, filtered out of all entries.
fn naive(repo: &Repo, id: CommitId) -> Option<Cid> {
    let commit = repo.commit(id).unwrap();
    let said = commit.payload();
    let meta = repo.at(said.policy?).unwrap();
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for prefix in PREFIXES {
        let Some(value) = meta.get(format!("part/{prefix}").as_bytes()).unwrap() else {
            continue;
        };
        let allod_repo::Content::Bytes(value) = value else {
            panic!("a short value")
        };
        // Names of branches are texts in a list.
        let is_of_branch = value.windows(said.branch.as_str().len() + 1).any(|window| {
            usize::from(window[0] & 0x1f) == said.branch.as_str().len()
                && &window[1..] == said.branch.as_str().as_bytes()
        });
        if !is_of_branch {
            continue;
        }
        let tree = repo.at(id).unwrap().tree().clone();
        let entries = tree.range(..).map(Result::unwrap);
        let entries = entries.filter(|(key, _)| key.starts_with(prefix.as_bytes()));
        let slice = Tree::build(entries, &mut |_| {}).unwrap();
        parts.insert(prefix.to_owned(), slice.root().to_bytes());
    }
    let tree = Tree::build(&parts, &mut |_| {}).unwrap();
    (!parts.is_empty()).then(|| tree.root())
}

fn history(repo: &Repo, branch: &BranchName) -> Vec<CommitId> {
    let heads = repo.heads(branch).unwrap();
    repo.missing(&heads, &Heads::new()).unwrap()
}

fn declare(repo: &Repo, owner: &Person, prefix: &str, branches: &[&str], now: u64) {
    let branches: Vec<BranchName> = branches.iter().map(|name| on(name)).collect();
    repo.declare_part(prefix.as_bytes(), &branches, owner.author(), now)
        .unwrap();
}

/// Sends a commit's tree node by node.
fn walk(from: &Repo, to: &Repo, id: CommitId, now: u64) {
    let commit = from.commit(id).unwrap();
    let reviewed = to.review(commit.bytes().clone(), now).unwrap();
    let mut arriving = to.fetch_tree(reviewed).unwrap();
    while !arriving.is_done() {
        for cid in arriving.want(10) {
            let block = from.store().get(&cid).unwrap().unwrap();
            let mut batch = Batch::new();
            batch.put(block.clone());
            let _outcome = to.store().commit(batch).unwrap();
            assert!(arriving.feed(block).unwrap());
        }
    }
    let complete = arriving.finish(to).unwrap();
    to.accept(complete, &commit.payload().branch).unwrap();
}

/// All nodes of the tree of parts, and of the slices that it names.
fn are_here(repo: &Repo, parts: Cid) {
    let mut roots = vec![parts];
    let forest = Forest::over(std::sync::Arc::clone(repo.store()), 1 << 20);
    for item in forest.open(parts).unwrap().range(..) {
        roots.push(Cid::try_from(&item.unwrap().1[..]).unwrap());
    }
    for root in roots {
        let mut walk = Walk::new(root, Vec::new()).unwrap();
        while let Some(cid) = walk.want(1).first() {
            walk.feed(repo.store().get(cid).unwrap().unwrap()).unwrap();
        }
        assert!(walk.is_done());
    }
}

fn live(deeds: &[Deed]) -> [Repo; 2] {
    let ada = Person::new(1);
    let first = space(&ada);
    let second = replica(&first);
    let (repos, side) = ([first, second], on("side"));
    let mut now = START;
    let exchange = |now| {
        for (from, to) in [(0, 1), (1, 0)] {
            for branch in [BranchName::meta(), main(), on("side")] {
                send(&repos[from], &repos[to], &branch, now).unwrap();
            }
        }
    };
    for deed in deeds {
        now += 1;
        match deed {
            Deed::Put(at, edits) => {
                let edits = edits.iter().map(|(key, value)| {
                    let edit = value.map_or(Edit::Delete, |value| Edit::Put(vec![value].into()));
                    (Bytes::from(KEYS[*key]), edit)
                });
                let repo = &repos[*at];
                repo.stage(&main(), edits, now).unwrap();
                repo.commit_staged(&main(), ada.author(), "", now).unwrap();
            }
            Deed::Declare(prefix, both, none) => {
                let branches: &[&str] = match (both, none) {
                    (_, true) => &[],
                    (true, _) => &["main", "side"],
                    _ => &["main"],
                };
                declare(&repos[0], &ada, PREFIXES[*prefix], branches, now);
            }
            Deed::Exchange => exchange(now),
            Deed::Branch => {
                let heads = repos[0].heads(&main()).unwrap();
                let _exists = repos[0].create_branch(&side, &heads);
                if !heads.is_empty() {
                    let edit = [("a/b".into(), Edit::Put("side".into()))];
                    repos[0].stage(&side, edit, now).unwrap();
                    repos[0]
                        .commit_staged(&side, ada.author(), "", now)
                        .unwrap();
                }
            }
            Deed::MergeSide => {
                let theirs = repos[0].heads(&side).unwrap_or_default();
                if !theirs.is_empty() {
                    let rules: [Rule; 1] = [("*".parse().unwrap(), Resolve::Ours)];
                    let options = MergeOptions {
                        resolving: Resolving {
                            rules: &rules,
                            ..Resolving::default()
                        },
                        ..MergeOptions::default()
                    };
                    let _done = repos[0].merge(&main(), &theirs, ada.author(), &options, now);
                }
            }
        }
    }
    exchange(now + 1);
    repos
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64 * scale(), ..ProptestConfig::default() })]

    /// Whatever happens, a commit of who has all signs the parts that the page says, and all of them are where it is.
    #[test]
    fn parts_are_what_their_policy_declares(deeds in deeds()) {
        let repos = live(&deeds);
        for branch in [main(), on("side")] {
            for id in history(&repos[0], &branch) {
                let parts = repos[0].commit(id).unwrap().payload().parts;
                prop_assert_eq!(parts, naive(&repos[0], id));
                for repo in repos.iter().filter(|_| parts.is_some()) {
                    are_here(repo, parts.unwrap());
                }
            }
        }
        // And by walking.
        let third = replica(&repos[0]);
        send(&repos[0], &third, &BranchName::meta(), START + 1000).unwrap();
        for id in history(&repos[0], &main()) {
            walk(&repos[0], &third, id, START + 1000);
            if let Some(parts) = repos[0].commit(id).unwrap().payload().parts {
                are_here(&third, parts);
            }
        }
    }
}

/// PART-20: what is no list of branches, or of `meta`, declares nothing, and there are limits.
#[test]
fn what_declares_a_part_is_a_list_of_branches() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let meta = BranchName::meta();
    let list = |names: &[&str]| allod_identity::canonical::encode(&names.to_vec()).unwrap();
    for (number, value) in [
        list(&[]),
        list(&["meta"]),
        list(&["side", "main"]),
        list(&["main", "main"]),
        list(&["no//name"]),
        b"main".to_vec(),
        Vec::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let edit = [(format!("part/{number}").into(), Edit::Put(value.into()))];
        repo.stage(&meta, edit, START).unwrap();
        repo.commit_staged(&meta, ada.author(), "", START).unwrap();
    }
    assert!(repo.declared_parts().unwrap().is_empty());
    declare(&repo, &ada, "x/", &["side", "main"], START);
    let parts = repo.declared_parts().unwrap();
    assert_eq!(parts.get(&b"x/"[..]).unwrap(), &[main(), on("side")]);
    let refused = |prefix: &[u8], branches: &[BranchName]| {
        repo.declare_part(prefix, branches, ada.author(), START)
            .unwrap_err()
    };
    assert!(matches!(refused(b"", &[main()]), RepoError::BadPart));
    assert!(matches!(
        refused(&[b'x'; 257], &[main()]),
        RepoError::BadPart
    ));
    assert!(matches!(refused(b"y", &[meta]), RepoError::BadPart));
    let many: Vec<BranchName> = (0..17).map(|n| on(&format!("b{n}"))).collect();
    assert!(matches!(refused(b"y", &many), RepoError::TooMany { .. }));
    let again = repo.declare_part(b"x/", &[main(), on("side")], ada.author(), START);
    assert_eq!(again.unwrap(), None);
    assert!(
        repo.declare_part(b"x/", &[], ada.author(), START)
            .unwrap()
            .is_some()
    );
    assert!(repo.declared_parts().unwrap().is_empty());
}

/// PART-23: who may write and not begin a branch commits without a parent where its keys are those of declared parts.
#[test]
fn a_commit_of_a_part_is_no_beginning() {
    use crate::rights::{give, keys, set_rule};
    use allod_access::{On, Op};

    let (ada, bob) = (Person::new(1), Person::new(2));
    let repo = space(&ada);
    put(&repo, &ada, &[("b/1", Some("x"))], START);
    let rule = crate::rights::rule(On::Branch, "*", &[(Op::Write, &["member"])], None);
    set_rule(&repo, &ada, &rule, START);
    for command in ["/space/read", "/space/write"] {
        give(&repo, (&ada, &bob), command, keys("b/"), START);
    }
    let other = replica(&repo);
    send(&repo, &other, &BranchName::meta(), START).unwrap();
    let made = |now| {
        let edit = [("b/2".into(), Edit::Put("of bob".into()))];
        other.stage(&main(), edit, now).unwrap();
        other.commit_staged(&main(), bob.author(), "", now)
    };
    assert_eq!(
        made(START + 1).unwrap_err().refusal(),
        Some(Refusal::Rights)
    );
    declare(&repo, &ada, "b/", &["side"], START + 2);
    send(&repo, &other, &BranchName::meta(), START + 2).unwrap();
    assert_eq!(
        made(START + 3).unwrap_err().refusal(),
        Some(Refusal::Rights)
    );
    declare(&repo, &ada, "b/", &["main"], START + 4);
    send(&repo, &other, &BranchName::meta(), START + 4).unwrap();
    let id = made(START + 5).unwrap();
    assert_eq!(other.commit(id).unwrap().payload().parts, naive(&other, id));
    send(&other, &repo, &main(), START + 6).unwrap();
    assert_eq!(repo.heads(&main()).unwrap().len(), 2);
    // A key beyond is a beginning.
    let edit = [("other".into(), Edit::Put("x".into()))];
    other.stage(&main(), edit, START + 7).unwrap();
    let beyond = other.commit_staged(&main(), bob.author(), "", START + 7);
    assert_eq!(beyond.unwrap_err().refusal(), Some(Refusal::Rights));
}

/// Parts whose policy is not here cannot be judged.
#[test]
fn parts_need_their_policy() {
    let ada = Person::new(1);
    let repo = space(&ada);
    declare(&repo, &ada, "a", &["main"], START);
    let id = put(&repo, &ada, &[("a", Some("1"))], START + 1);
    assert!(repo.commit(id).unwrap().payload().parts.is_some());
    let other = replica(&repo);
    let sent = send(&repo, &other, &main(), START + 2);
    assert_eq!(refusal(sent), Refusal::Policy);
    send(&repo, &other, &BranchName::meta(), START + 2).unwrap();
    send(&repo, &other, &main(), START + 2).unwrap();
}
