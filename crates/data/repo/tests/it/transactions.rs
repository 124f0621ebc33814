//! REPO-22: transactions.

use allod_repo::{Content, RepoError, Span};

use crate::world::{Person, START, all, fault, get, main, put, space};

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
