//! Attacks on rights, as `SECURITY.md` lists them: what happens is what is said there.

use allod_crdt::{Kind, Op as CrdtOp};
use allod_repo::{DRIFT_MS_MAX, Denial, Edit, MergeOptions, Outcome, Resolving, Stamp, Unstashed};

use super::*;
use crate::world::{get, heads, main, refusal, value_on};

/// The key that a deputy was not to change.
#[track_caller]
fn wrong_key<T: std::fmt::Debug>(result: Result<T, RepoError>) -> String {
    match result {
        Err(RepoError::Denied { denial, .. }) => {
            let Denial { key, .. } = *denial;
            String::from_utf8(key.unwrap().to_vec()).unwrap()
        }
        other => panic!("expected a denial, got {other:?}"),
    }
}

/// Who may write some keys, begin branches and merge carries nothing in that others wrote under other keys, by whatever command.
#[test]
fn a_deputy_is_asked_for_each_key() {
    let town = Town::new();
    let (repo, owner, deputy) = (&town.repo, &town.owner, &town.writer);
    for command in ["/branch/create", "/branch/merge"] {
        give(repo, (owner, deputy), command, With::default(), START);
    }
    repo.create_branch(&on("side"), &heads(repo)).unwrap();
    let bait = write(repo, owner, ("side", "notes/b", Some("1")), START + 1).unwrap();
    write(repo, owner, ("side", "docs/b", Some("1")), START + 2).unwrap();
    let base = write(repo, owner, ("main", "docs/c", Some("1")), START + 2).unwrap();
    let theirs = repo.heads(&on("side")).unwrap();
    let by = deputy.author();
    let merge = || repo.merge(&main(), &theirs, by, &MergeOptions::default(), START + 3);
    assert_eq!(wrong_key(merge()), "notes/b");
    let pick = repo.cherry_pick(&main(), bait, by, Resolving::default(), START + 3);
    assert_eq!(wrong_key(pick), "notes/b");
    let both = (by, Resolving::default());
    let replay = repo.rebase(&on("side"), &[base].into(), &on("mine"), both, START + 3);
    assert_eq!(wrong_key(replay), "notes/b");
    repo.abort(&on("side")).ok();
    // What somebody else staged and put by is not theirs either.
    let edit = [("notes/d".into(), Edit::Put("1".into()))];
    repo.stage(&main(), edit, START + 4).unwrap();
    let number = repo.stash(&main(), "later", START + 4).unwrap();
    let popped = repo.unstash(&main(), number, true, Resolving::default(), START + 5);
    assert!(matches!(popped.unwrap(), Unstashed::Staged { .. }));
    let committed = repo.commit_staged(&main(), by, "mine now", START + 5);
    assert_eq!(wrong_key(committed), "notes/d");
    repo.unstage(&main()).unwrap();
    let begun = write(repo, deputy, ("fresh", "notes/e", Some("1")), START + 5);
    assert_eq!(wrong_key(begun), "notes/e");
    assert_eq!(heads(repo), [base].into());
    // Without the bait all of it is theirs to do.
    let next = write(repo, owner, ("main", "docs/d", Some("1")), START + 6).unwrap();
    repo.create_branch(&on("fair"), &[base].into()).unwrap();
    write(repo, owner, ("fair", "docs/e", Some("1")), START + 6).unwrap();
    let theirs = repo.heads(&on("fair")).unwrap();
    let merged = repo.merge(&main(), &theirs, by, &MergeOptions::default(), START + 7);
    assert!(matches!(merged.unwrap(), Outcome::Done(_)), "on {next}");
    assert_agree(&[repo, &town.replica()]);
}

/// What joins is changed by who may write its key, and heads that join are nobody's change.
#[test]
fn a_value_that_joins_is_a_key_as_others() {
    let town = Town::new();
    let (repo, owner, deputy) = (&town.repo, &town.owner, &town.writer);
    for prefix in ["docs", "notes"] {
        let pattern = format!("{prefix}/n:*").parse().unwrap();
        let kind = Kind::PnCounter;
        repo.define_kind(&pattern, kind, owner.author(), START)
            .unwrap();
    }
    let count = |repo: &Repo, who: &Person, key: &str, at| {
        let repo = repo.clone().on_device(who.0.device_id());
        let ops = [CrdtOp::Increment(1)];
        repo.operate(&main(), key.as_bytes(), (Kind::PnCounter, &ops), at)
            .unwrap();
        let made = repo.commit_staged(&main(), who.author(), "count", at);
        if made.is_err() {
            repo.unstage(&main()).unwrap();
        }
        made
    };
    count(repo, owner, "notes/n:x", START + 1).unwrap();
    let made = count(repo, deputy, "notes/n:x", START + 2);
    assert_eq!(wrong_key(made), "notes/n:x");
    count(repo, deputy, "docs/n:x", START + 2).unwrap();
    // Two heads, of which the other one counts under keys that the deputy may not write.
    let other = town.replica();
    count(&other, owner, "notes/n:x", START + 3).unwrap();
    count(repo, deputy, "docs/n:x", START + 3).unwrap();
    share(&other, repo, START + 4);
    assert_eq!(heads(repo).len(), 2);
    let joined = write(repo, deputy, ("main", "docs/b", Some("1")), START + 5).unwrap();
    assert_eq!(heads(repo), [joined].into());
    let counted = ["notes/n:x", "docs/n:x"].map(|key| get(repo, key));
    assert_eq!(counted, [Some("2".to_owned()), Some("2".to_owned())]);
    assert_agree(&[repo, &town.replica()]);
}

/// Bytes that are under the name of a grant, put there by who may put anything there.
fn put_raw(repo: &Repo, by: &Person, (name, bytes): (&Cid, Bytes), at: u64) {
    let key = format!("grant/{name}");
    let mut change = repo.begin(&BranchName::meta()).unwrap();
    change.put(key, bytes).unwrap();
    change.commit(by.author(), "raw", at).unwrap();
}

/// A grant that the issuer did not sign, that is of another space, or that is called otherwise gives nothing to anybody.
#[test]
fn a_grant_that_was_not_signed_for_here_gives_nothing() {
    let town = Town::new();
    let (repo, thief) = (&town.repo, &town.stranger);
    let good = grant(repo, (&town.owner, thief), "/", With::default());
    let may = || {
        let rights = repo.authorizer().unwrap();
        rights.has_grants(&thief.author().agent, START + 9)
    };
    // Signed by somebody else, in the name of the owner.
    let forged = Verified::sign(&thief.0, good.payload().clone()).unwrap();
    put_raw(
        repo,
        &town.admin,
        (forged.cid(), forged.bytes().clone()),
        START + 1,
    );
    // With a signature that is none.
    let mut flipped = good.bytes().to_vec();
    *flipped.last_mut().unwrap() ^= 1;
    let name = allod_blocks::sha256_cid(allod_blocks::Codec::DagCbor, &flipped);
    put_raw(repo, &town.admin, (&name, flipped.into()), START + 2);
    // Of another space of the same owner.
    let mut said = good.payload().clone();
    said.space = name;
    let elsewhere = Verified::sign(&town.owner.0, said).unwrap();
    put_raw(
        repo,
        &town.admin,
        (elsewhere.cid(), elsewhere.bytes().clone()),
        START + 3,
    );
    // Under the name of another one.
    put_raw(
        repo,
        &town.admin,
        (town.replica().id().cid(), good.bytes().clone()),
        START + 4,
    );
    assert!(!may());
    let made = write(repo, thief, ("main", "docs/b", Some("1")), START + 5);
    assert_eq!(refused(made), Refusal::NotMember);
    put_raw(
        repo,
        &town.admin,
        (good.cid(), good.bytes().clone()),
        START + 6,
    );
    assert!(may());
}

/// A commit of another space, or of somebody whose signature it does not have, is refused whatever its author may.
#[test]
fn a_commit_is_not_replayed_nor_signed_by_others() {
    let town = Town::new();
    let (repo, other) = (&town.repo, town.replica());
    let made = write(repo, &town.writer, ("main", "docs/b", Some("1")), START + 1).unwrap();
    let review = |bytes: Bytes| refusal(other.review(bytes, START + 2).map(drop));
    let elsewhere = forged(repo, made, &town.writer, |said| {
        said.space = allod_repo::SpaceId::from_cid(*made.cid());
    });
    assert_eq!(review(elsewhere), Refusal::WrongSpace);
    // The bytes of one author, signed by another who may do more.
    let mut said = repo.commit(made).unwrap().payload().clone();
    said.author = town.writer.author().agent;
    let by_owner = Verified::sign(&town.owner.0, said).unwrap();
    assert_eq!(review(by_owner.bytes().clone()), Refusal::Device);
    let mut unsigned = repo.commit(made).unwrap().bytes().to_vec();
    let end = unsigned.len();
    unsigned[end - 64..].fill(0);
    assert_eq!(review(unsigned.into()), Refusal::Signature);
    let cut = repo.commit(made).unwrap().bytes().slice(..end - 64);
    assert!(matches!(review(cut), Refusal::Malformed(_)));
    assert!(
        other
            .review(repo.commit(made).unwrap().bytes().clone(), START + 2)
            .is_ok()
    );
}

/// A date opens no right: not one before it began or too far ahead; and one that ended is used with an old date until somebody takes
/// the grant back.
#[test]
fn a_date_opens_no_right_that_was_taken_back() {
    let town = Town::new();
    let (repo, clerk) = (&town.repo, Person::new(9));
    let with = With {
        times: (Some(START + 10), Some(START + 20)),
        ..keys("docs/")
    };
    let grant = give(repo, (&town.owner, &clerk), "/space/write", with, START);
    let made = write(repo, &town.owner, ("main", "docs/b", Some("1")), START + 5).unwrap();
    let (other, late) = (town.replica(), START + 60);
    let base = heads(&other);
    let dated = |at| {
        let statement = forged(repo, made, &clerk, |said| said.stamp = Stamp::at_millis(at));
        offer((repo, &other), (statement, made), &main(), late)
    };
    for at in [START + 9, START + 20, late] {
        assert_eq!(refusal(dated(at).map(drop)), Refusal::NotMember, "{at}");
    }
    let ahead = dated(late + DRIFT_MS_MAX + 1);
    assert_eq!(refusal(ahead.map(drop)), Refusal::Future);
    let back = dated(START + 15).unwrap();
    assert!(
        other.counts(back).unwrap(),
        "nobody can tell when it was made"
    );
    take_back(&other, &town.owner, &grant, late).unwrap();
    assert!(!other.counts(back).unwrap());
    assert_eq!(other.heads(&main()).unwrap(), base);
}

/// Who names the `meta` of before a rule, or of before they were removed, has a commit that is kept and counts nowhere.
#[test]
fn an_old_policy_is_no_right() {
    let town = Town::new();
    let repo = &town.repo;
    let old = repo.heads(&BranchName::meta()).unwrap();
    let made = write(repo, &town.owner, ("main", "notes/b", Some("1")), START + 1).unwrap();
    let editors: &[&str] = &["editor"];
    let closes = rule(On::Key, "notes/*", &[(Op::Write, editors)], None);
    set_rule(repo, &town.owner, &closes, START + 2);
    let other = town.replica();
    let base = heads(&other);
    let back = forged(repo, made, &town.member, |said| {
        said.policy = old.first().copied();
        said.stamp = Stamp::at_millis(START + 1);
    });
    let id = offer((repo, &other), (back, made), &main(), START + 3).unwrap();
    assert_eq!((heads(&other), other.counts(id).unwrap()), (base, false));
    let denial = other.denial_of(id).unwrap().unwrap();
    assert_eq!(denial.verdict.rule.as_deref(), Some("key notes/*"));
    // None at all is before anybody was named.
    let none = forged(repo, made, &town.member, |said| said.policy = None);
    let sent = offer((repo, &other), (none, made), &main(), START + 3);
    assert_eq!(refusal(sent.map(drop)), Refusal::NotMember);
}

/// A branch is what it is called, byte by byte: what looks like another one is another one, or no name.
#[test]
fn a_branch_is_its_name() {
    let town = Town::new();
    let (repo, mia) = (&town.repo, &town.member);
    let editors: &[&str] = &["editor"];
    let moves = [(Op::Write, editors), (Op::Create, editors)];
    set_rule(
        repo,
        &town.owner,
        &rule(On::Branch, "main", &moves, None),
        START,
    );
    set_rule(
        repo,
        &town.owner,
        &rule(On::Branch, "{user}/*", &[], Some("{user}")),
        START,
    );
    let put = |name: &str| write(repo, mia, (name, "docs/b", Some("1")), START + 1);
    put("mia/wip").unwrap();
    for name in [
        "main",
        "Main",
        "mia",
        "Mia/wip",
        "mia2/wip",
        "eve/wip",
        "eve/mia/wip",
        "mia.eve/wip",
    ] {
        assert_eq!(refused(put(name)), Refusal::Rights, "{name}");
    }
    for name in [
        "mia//wip",
        "/mia/wip",
        "mia/../eve",
        "mia/.wip",
        "mia/wip/",
        "m\u{456}a/wip",
        "mia /wip",
        "mia\0/wip",
        "meta\u{200b}",
        "HEAD",
        "mia/x.lock",
    ] {
        assert!(name.parse::<BranchName>().is_err(), "{name}");
    }
    // One that is called much as meta is says nothing of rights.
    for name in ["Meta", "META", "mia/meta"] {
        let who = mia.author().agent;
        let key = format!("member/{who}/{}", "0".repeat(32));
        let member = Member::new(None, vec!["editor".to_owned()]).unwrap();
        let mut change = repo.begin(&on(name)).unwrap();
        change.put(key, member.encode().unwrap()).unwrap();
        let by = if name == "mia/meta" { mia } else { &town.owner };
        change.commit(by.author(), "not meta", START + 2).unwrap();
    }
    assert_eq!(refused(put("main")), Refusal::Rights);
    assert_eq!(value_on(repo, "main", "docs/b"), None);
}
