//! Where a space stands, one property a test (M-0 of `specs/conformance.md`).

use allod::{Home, HomeConfig, KeySource, Node, Position, StoreKind};
use allod_identity::{Keystore, SecretKey};
use allod_repo::{BranchName, Edit, Heads, Repo};
use proptest::prelude::*;
use tempfile::TempDir;

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 8,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn names() -> impl Strategy<Value = Vec<BranchName>> {
    let name = "[b-k][a-z0-9]{0,6}(/[a-z0-9]{1,4})?";
    prop::collection::btree_set(name, 1..5)
        .prop_map(|names| names.iter().map(|name| name.parse().unwrap()).collect())
}

fn home(dir: &TempDir) -> Home {
    Home::at(dir.path().join("home"))
}

fn reopened(dir: &TempDir) -> Node {
    let home = home(dir);
    let keys = home.unlock(b"secret").unwrap();
    Node::open(home, Some(keys)).unwrap()
}

/// A node with a space that has these branches, all at one commit.
fn node(branches: &[BranchName]) -> (TempDir, Node, Repo, Heads) {
    let dir = tempfile::tempdir().unwrap();
    let (agent, next, device) = (
        SecretKey::from_seed([1; 32]),
        SecretKey::from_seed([2; 32]),
        SecretKey::from_seed([3; 32]),
    );
    let source = KeySource::File(dir.path().join("key"));
    let config = HomeConfig::new(
        StoreKind::Fjall,
        source,
        device.device_id(),
        "test".into(),
        Some(agent.agent_id()),
    );
    let keys = Keystore {
        device,
        agent: Some(agent),
        next_agent: Some(next),
    };
    home(&dir).create(&config, &keys, b"secret").unwrap();
    let node = reopened(&dir);
    node.begin_log("test").unwrap();
    let repo = node.create_space("test").unwrap();
    commit(&node, &repo, &BranchName::main(), "first");
    let heads = repo.heads(&BranchName::main()).unwrap();
    for name in branches {
        repo.create_branch(name, &heads).unwrap();
    }
    (dir, node, repo, heads)
}

fn commit(node: &Node, repo: &Repo, branch: &BranchName, value: &'static str) {
    let edit = ("key".into(), Edit::Put(value.into()));
    let now = allod::now_ms();
    repo.stage(branch, [edit], now).unwrap();
    repo.commit_staged(branch, node.author().unwrap(), value, now)
        .unwrap();
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn branching_p05_switch_p06_current_tracking_p10_head_format(names in names()) {
        let (dir, node, repo, _) = node(&names);
        prop_assert_eq!(node.position(&repo).unwrap(), Position::Branch(BranchName::main()));
        for name in &names {
            node.switch(&repo, &Position::Branch(name.clone())).unwrap();
            prop_assert_eq!(node.position(&repo).unwrap(), Position::Branch(name.clone()));
        }
        let last = node.position(&repo).unwrap();
        let id = repo.id();
        drop((node, repo));
        let again = reopened(&dir);
        prop_assert_eq!(again.position(&again.repo(id).unwrap()).unwrap(), last);
    }

    #[test]
    fn branching_p08_detached_leaves_branches_p11_detach(names in names()) {
        let (dir, node, repo, heads) = node(&names);
        let first = *heads.first().unwrap();
        commit(&node, &repo, &BranchName::main(), "second");
        let before = repo.branches().unwrap();
        node.switch(&repo, &Position::Detached(first)).unwrap();
        prop_assert_eq!(node.position(&repo).unwrap(), Position::Detached(first));
        prop_assert_eq!(repo.branches().unwrap(), before);
        let id = repo.id();
        drop((node, repo));
        let again = reopened(&dir);
        let repo = again.repo(id).unwrap();
        prop_assert_eq!(again.position(&repo).unwrap(), Position::Detached(first));
        // What is committed to a branch meanwhile does not move a detached look.
        commit(&again, &repo, &names[0], "third");
        prop_assert_eq!(again.position(&repo).unwrap(), Position::Detached(first));
    }
}
