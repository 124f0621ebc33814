//! Which right was missing, and who hears of it (ACCESS-25, REPO-112 to REPO-114).

use std::sync::{Arc, Mutex};

use allod_access::{Ground, Near};
use allod_repo::{Denial, MergeOptions};

use super::*;
use crate::world::{heads, main};

/// What an observer heard of: a commit, a key, and whether it was refused.
type Heard = (CommitId, Option<Bytes>, bool);

fn denied<T: std::fmt::Debug>(result: Result<T, RepoError>) -> Denial {
    match result {
        Err(RepoError::Denied { denial, .. }) => *denial,
        other => panic!("expected a denial, got {other:?}"),
    }
}

fn said(denial: &Denial) -> (Op, &str, Option<&[u8]>) {
    (denial.op, denial.branch.as_str(), denial.key.as_deref())
}

/// Who commits here hears which right it is; the words for others stay what they were.
#[test]
fn a_refused_write_says_which_right_is_missing() {
    let town = Town::new();
    let repo = &town.repo;
    let put = |who, key, value| write(repo, who, ("main", key, value), START + 1);
    let error = put(&town.writer, "notes/b", Some("1")).unwrap_err();
    assert_eq!(error.to_string(), Refusal::Rights.to_string());
    let denial = denied(Err::<(), _>(error));
    let key = Some(&b"notes/b"[..]);
    assert_eq!(said(&denial), (Op::Write, "main", key));
    assert_eq!(
        (denial.who, denial.at),
        (town.writer.author().agent, START + 1)
    );
    let near = Near::Elsewhere(*town.to_writer.cid());
    assert_eq!(denial.verdict.near, Some(near));
    assert!(denial.words().starts_with("write \"notes/b\" on main: "));
    let denial = denied(put(&town.writer, "notes/a", None));
    assert_eq!(said(&denial), (Op::Delete, "main", Some(&b"notes/a"[..])));
    // A peer hears the refusal alone.
    let error = put(&town.stranger, "docs/b", Some("1")).unwrap_err();
    let told = Rejected::from(error);
    assert!(matches!(told, Rejected::Refused(Refusal::NotMember)));
    // Of many keys it is the first that may not be changed.
    let mut change = repo.begin(&main()).unwrap();
    for number in 0..40 {
        change.put(format!("docs/{number:02}"), "1").unwrap();
    }
    for key in ["docs0", "a\n"] {
        change.put(key, "1").unwrap();
    }
    let denial = denied(change.commit(town.writer.author(), "many", START + 2));
    assert_eq!(said(&denial), (Op::Write, "main", Some(&b"a\n"[..])));
    assert!(denial.words().starts_with("write \"a\\n\" on main: "));
}

/// To begin, to merge, to administer: each is asked as what it is.
#[test]
fn it_is_the_operation_that_was_asked() {
    let town = Town::new();
    let (repo, owner) = (&town.repo, &town.owner);
    let denial = denied(write(
        repo,
        &town.writer,
        ("new", "docs/b", Some("1")),
        START + 1,
    ));
    assert_eq!(said(&denial), (Op::Create, "new", None));
    repo.create_branch(&on("side"), &heads(repo)).unwrap();
    write(repo, owner, ("side", "docs/b", Some("1")), START + 1).unwrap();
    write(repo, owner, ("main", "docs/c", Some("1")), START + 1).unwrap();
    let theirs = repo.heads(&on("side")).unwrap();
    let options = MergeOptions::default();
    let merged = repo.merge(&main(), &theirs, town.writer.author(), &options, START + 2);
    assert_eq!(said(&denied(merged)), (Op::Merge, "main", None));
    let made = write(
        repo,
        &town.writer,
        ("meta", "reach", Some("public")),
        START + 2,
    );
    assert_eq!(
        said(&denied(made)),
        (Op::Admin, "meta", Some(&b"reach"[..]))
    );
    // A rule for nobody is for nobody, and one that denies says so.
    let nobody: &[&str] = &[];
    set_rule(
        repo,
        owner,
        &rule(On::Key, "log/*", &[(Op::Delete, nobody)], None),
        START + 3,
    );
    write(repo, owner, ("main", "log/a", Some("1")), START + 4).unwrap();
    let denial = denied(write(repo, owner, ("main", "log/a", None), START + 5));
    assert_eq!(said(&denial), (Op::Delete, "main", Some(&b"log/a"[..])));
    assert_eq!(denial.verdict.ground, Ground::Nobody);
    assert_eq!(denial.verdict.rule.as_deref(), Some("key log/*"));
}

/// Of a commit that is here it is said by what is known now, with who stands for it.
#[test]
fn a_commit_that_lost_its_right_says_why() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    give(repo, (&town.owner, &clerk), "/space", keys("notes/"), START);
    let kept = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let vouched = write(repo, &town.member, ("main", "any", Some("1")), START + 2).unwrap();
    let lost = write(repo, &town.writer, ("main", "docs/c", Some("1")), START + 3).unwrap();
    let on_top = write(repo, &clerk, ("main", "notes/b", Some("1")), START + 4).unwrap();
    for id in [kept, vouched, lost, on_top] {
        assert_eq!(repo.denial_of(id).unwrap(), None);
        assert_eq!(repo.unvouched_of(id).unwrap(), Some(Heads::new()));
    }
    take_back(repo, &town.owner, &town.to_writer, START + 5).unwrap();
    for id in [kept, lost] {
        let denial = repo.denial_of(id).unwrap().unwrap();
        assert_eq!(said(&denial), (Op::Write, "main", None));
        let near = Near::TakenBack(*town.to_writer.cid());
        assert_eq!(denial.verdict.near, Some(near));
    }
    assert_eq!(repo.voucher_of(kept).unwrap(), Some(vouched));
    assert!(repo.counts(kept).unwrap() && !repo.counts(lost).unwrap());
    assert_eq!(repo.voucher_of(lost).unwrap(), None);
    // The one on top may do what it does, and rests on the other.
    assert_eq!(repo.denial_of(on_top).unwrap(), None);
    assert_eq!(repo.unvouched_of(on_top).unwrap(), Some([lost].into()));
    let taken = repo.take_in(&main(), town.admin.author(), "in", START + 6);
    let taken = taken.unwrap();
    assert_eq!(repo.voucher_of(lost).unwrap(), taken);
    let unknown = CommitId::from_cid(*town.to_writer.cid());
    let told = repo.denial_of(unknown);
    assert!(matches!(told, Err(RepoError::NoCommit(_))), "{told:?}");
}

/// Whoever listens hears of what is refused when it comes, and of what is beside when it comes to be there, each with its reason.
#[test]
fn who_listens_hears_of_each() {
    let town = Town::new();
    let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
    let log = Arc::clone(&heard);
    let repo = town
        .replica()
        .telling_denials(Arc::new(move |repo, id, denial| {
            let is_here = repo.has_commit(id).unwrap();
            log.lock().unwrap().push((id, denial.key.clone(), is_here));
        }));
    let take = || std::mem::take(&mut *heard.lock().unwrap());
    let made = write(
        &town.repo,
        &town.owner,
        ("main", "notes/b", Some("1")),
        START + 1,
    )
    .unwrap();
    // By its statement, and by what it changes.
    for (who, key) in [
        (&town.stranger, None),
        (&town.writer, Some("notes/b".into())),
    ] {
        let statement = forged(&town.repo, made, who, |_| {});
        let id = repo.review(statement.clone(), START + 2).map(|it| it.id());
        let sent = offer((&town.repo, &repo), (statement, made), &main(), START + 2);
        assert!(sent.is_err());
        let all = take();
        let (first, of_key, is_here) = all[0].clone();
        assert_eq!((of_key, is_here), (key, false));
        assert!(id.is_err() || id.unwrap() == first);
    }
    share(&town.repo, &repo, START + 2);
    let first = write(
        &repo,
        &town.writer,
        ("main", "docs/b", Some("1")),
        START + 3,
    )
    .unwrap();
    let second = write(
        &repo,
        &town.writer,
        ("main", "docs/c", Some("1")),
        START + 4,
    )
    .unwrap();
    assert_eq!(take(), [], "what is allowed is told to nobody");
    take_back(&repo, &town.owner, &town.to_writer, START + 5).unwrap();
    let all = take();
    let ids: Heads = all.iter().map(|(id, ..)| *id).collect();
    assert_eq!((ids, all.len()), ([first, second].into(), 2));
    assert!(all.iter().all(|(_, _, is_here)| *is_here));
    // What stays there is not told again, and a check tells nothing.
    repo.reconsider().unwrap();
    write(&repo, &town.owner, ("main", "x", Some("1")), START + 6).unwrap();
    repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(take(), []);
}
