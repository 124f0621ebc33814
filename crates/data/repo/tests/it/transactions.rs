//! REPO-22: transactions.

use std::collections::BTreeMap;

use allod_repo::{Content, Edit, RepoError, Span, Transaction};
use proptest::prelude::*;

use crate::world::{Person, START, all, fault, get, main, put, scale, space};

#[test]
fn a_transaction_commits_whole_or_not_at_all() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("1")), ("b", Some("2"))], START);
    let mut transfer = repo.begin(&main()).unwrap();
    transfer.put("a", "0").unwrap();
    transfer.put("c", "3").unwrap();
    transfer.delete("b").unwrap();
    assert_eq!(
        transfer.get(b"a").unwrap(),
        Some(Content::Bytes("0".into()))
    );
    assert_eq!(transfer.keys(&Span::all(), 10).unwrap(), ["a", "c"]);
    assert_eq!(
        get(&repo, "a").as_deref(),
        Some("1"),
        "nobody sees it before the commit"
    );
    transfer.commit(ada.author(), "transfer", START).unwrap();
    let pairs = [
        ("a".to_owned(), "0".to_owned()),
        ("c".to_owned(), "3".to_owned()),
    ];
    assert_eq!(all(&repo), pairs);

    let mut dropped = repo.begin(&main()).unwrap();
    dropped.put("z", "9").unwrap();
    dropped.rollback();
    assert_eq!(all(&repo), pairs);
}

#[test]
fn reads_are_of_one_state_and_validated() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("1")), ("b", Some("1"))], START);
    let conflict = |outcome| match fault(outcome) {
        RepoError::Conflict { key } => String::from_utf8(key).unwrap(),
        other => panic!("{other}"),
    };

    let mut reader = repo.begin(&main()).unwrap();
    let mut ranger = repo.begin(&main()).unwrap();
    let mut writer = repo.begin(&main()).unwrap();
    let mut other = repo.begin(&main()).unwrap();
    put(&repo, &ada, &[("a", Some("2"))], START + 1);
    assert_eq!(
        reader.get(b"a").unwrap(),
        Some(Content::Bytes("1".into())),
        "snapshot"
    );
    reader.put("r", "1").unwrap();
    assert_eq!(conflict(reader.commit(ada.author(), "r", START + 2)), "a");
    ranger.keys(&Span::all(), 10).unwrap();
    ranger.put("r", "1").unwrap();
    assert_eq!(conflict(ranger.commit(ada.author(), "r", START + 2)), "a");
    writer.put("a", "3").unwrap();
    assert_eq!(conflict(writer.commit(ada.author(), "w", START + 2)), "a");
    other.get(b"b").unwrap();
    other.put("o", "1").unwrap();
    other
        .commit(ada.author(), "unrelated keys do not conflict", START + 2)
        .unwrap();
    assert_eq!(get(&repo, "a").as_deref(), Some("2"));
    assert_eq!(get(&repo, "o").as_deref(), Some("1"));
}

#[test]
fn concurrent_increments_are_not_lost() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("n", Some("0"))], START);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    loop {
                        let mut tx = repo.begin(&main()).unwrap();
                        let Some(Content::Bytes(n)) = tx.get(b"n").unwrap() else {
                            panic!()
                        };
                        let n: u64 = std::str::from_utf8(&n).unwrap().parse().unwrap();
                        tx.put("n", (n + 1).to_string()).unwrap();
                        match tx.commit(ada.author(), "count", START) {
                            Ok(_) => break,
                            Err(RepoError::Conflict { .. } | RepoError::Contended(_)) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(get(&repo, "n").as_deref(), Some("40"));
}

fn number(tx: &mut Transaction) -> Result<u64, RepoError> {
    let Some(Content::Bytes(n)) = tx.get(b"n")? else {
        panic!("a number")
    };
    Ok(std::str::from_utf8(&n).unwrap().parse().unwrap())
}

/// REPO-25.
#[test]
fn a_transaction_is_repeated_as_often_as_was_said() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("n", Some("0"))], START);
    let disturbed = |retries, times| {
        let mut runs = 0;
        let done = repo.transact(&main(), ada.author(), "count", (retries, START), |tx| {
            let n = number(tx)?;
            runs += 1;
            if runs <= times {
                put(&repo, &ada, &[("n", Some(&(n + 10).to_string()))], START);
            }
            tx.put("n", (n + 1).to_string())?;
            Ok::<_, RepoError>(n)
        });
        (done.map(|(_, n)| n), runs)
    };
    let (done, runs) = disturbed(2, 2);
    assert_eq!((done.unwrap(), runs), (20, 3));
    assert_eq!(get(&repo, "n").as_deref(), Some("21"));
    let (done, runs) = disturbed(2, 3);
    assert!(matches!(fault(done), RepoError::Conflict { .. }));
    assert_eq!(runs, 3);
    assert_eq!(get(&repo, "n").as_deref(), Some("51"), "nothing of its own");
    let failed = repo.transact(&main(), ada.author(), "", (9, START), |tx| {
        tx.put("n", "lost")?;
        Err::<(), _>(RepoError::NothingStaged)
    });
    assert!(matches!(fault(failed), RepoError::NothingStaged));
    assert_eq!(get(&repo, "n").as_deref(), Some("51"));
}

/// REPO-24: a read that was followed by going back still counts.
#[test]
fn going_back_forgets_no_read() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("n", Some("0"))], START);
    let mut tx = repo.begin(&main()).unwrap();
    let start = tx.savepoint();
    number(&mut tx).unwrap();
    tx.put("x", "1").unwrap();
    tx.rollback_to(start).unwrap();
    tx.put("y", "1").unwrap();
    put(&repo, &ada, &[("n", Some("1"))], START);
    let lost = tx.commit(ada.author(), "", START);
    assert!(matches!(fault(lost), RepoError::Conflict { key } if key == b"n"));
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, u16),
    Delete(u8),
    Save,
    Back(prop::sample::Index),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..5u8, 0..2000u16).prop_map(|(key, len)| Op::Put(key, len)),
        1 => (0..5u8).prop_map(Op::Delete),
        2 => Just(Op::Save),
        2 => any::<prop::sample::Index>().prop_map(Op::Back),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64 * scale(), ..ProptestConfig::default() })]

    /// A model that keeps a whole map for each savepoint. Long values are blocks of their own.
    #[test]
    fn savepoints_agree_with_a_stack_of_maps(ops in prop::collection::vec(op(), 1..30)) {
        let ada = Person::new(1);
        let repo = space(&ada);
        let mut tx = repo.begin(&main()).unwrap();
        let mut now: BTreeMap<String, String> = BTreeMap::new();
        let mut saved = Vec::new();
        let mut stack: Vec<(usize, BTreeMap<String, String>)> = Vec::new();
        for (step, op) in ops.into_iter().enumerate() {
            match op {
                Op::Put(key, len) => {
                    let value = format!("{step}{}", "x".repeat(len.into()));
                    tx.put(format!("k{key}"), value.clone()).unwrap();
                    now.insert(format!("k{key}"), value);
                }
                Op::Delete(key) => {
                    tx.delete(format!("k{key}")).unwrap();
                    now.remove(&format!("k{key}"));
                }
                Op::Save => {
                    stack.push((saved.len(), now.clone()));
                    saved.push(tx.savepoint());
                }
                Op::Back(index) if !saved.is_empty() => {
                    let number = index.index(saved.len());
                    match stack.iter().position(|(made, _)| *made == number) {
                        Some(at) => {
                            tx.rollback_to(saved[number]).unwrap();
                            stack.truncate(at + 1);
                            now.clone_from(&stack[at].1);
                        }
                        None => {
                            let gone = tx.rollback_to(saved[number]);
                            prop_assert!(matches!(gone, Err(RepoError::NoSavepoint)));
                        }
                    }
                }
                Op::Back(_) => {}
            }
            for key in (0..5).map(|key| format!("k{key}")) {
                let value = now.get(&key).map(|value| Content::Bytes(value.clone().into()));
                prop_assert_eq!(tx.get(key.as_bytes()).unwrap(), value);
            }
        }
        tx.put("end", "1").unwrap();
        now.insert("end".into(), "1".into());
        tx.commit(ada.author(), "", START).unwrap();
        prop_assert_eq!(all(&repo), now.into_iter().collect::<Vec<_>>());
        prop_assert_eq!(repo.check(&mut |_, _| {}).unwrap().problem_count, 0);
    }
}

#[test]
fn a_transaction_that_expects_its_heads_fails_once_the_branch_moved() {
    let ada = Person::new(1);
    let repo = space(&ada);
    put(&repo, &ada, &[("a", Some("1"))], START);
    let begin = |expects: bool| {
        let mut begun = repo.begin(&main()).unwrap();
        assert_eq!(*begun.snapshot().heads(), repo.heads(&main()).unwrap());
        begun.put("mine", "1").unwrap();
        if expects {
            begun.expect_heads();
        }
        begun
    };
    let (free, bound, later) = (begin(false), begin(true), begin(true));
    // Nothing that they read or write.
    put(&repo, &ada, &[("b", Some("1"))], START);
    free.commit(ada.author(), "free", START).unwrap();
    for bound in [bound, later] {
        let error = fault(bound.commit(ada.author(), "bound", START));
        assert!(matches!(error, RepoError::MovedOn(branch) if branch == main()));
    }
    begin(true).commit(ada.author(), "still", START).unwrap();
}

#[test]
fn a_file_is_linked_in_a_transaction_if_it_is_here() {
    let ada = Person::new(1);
    let repo = space(&ada);
    let (_hold, long) = (repo.store().uses().hold(), vec![b'x'; 1_500_000]);
    let profile = allod_blocks::FileProfile::UNIXFS_V1_2025;
    let store = repo.store().as_ref();
    let file = allod_blocks::add_file(store, profile, &mut &long[..], &mut |_| {}).unwrap();
    let mut linking = repo.begin(&main()).unwrap();
    linking.edit("file", Edit::Link(file.cid)).unwrap();
    assert_eq!(linking.get(b"file").unwrap(), Some(Content::File(file.cid)));
    linking.commit(ada.author(), "a file", START).unwrap();
    let content = repo.state(&main()).unwrap().get(b"file").unwrap();
    assert_eq!(content, Some(Content::File(file.cid)));

    let absent = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, b"absent");
    let mut linking = repo.begin(&main()).unwrap();
    let error = fault(linking.edit("absent", Edit::Link(absent)));
    assert!(matches!(error, RepoError::Missing(cid) if cid == absent));
}
