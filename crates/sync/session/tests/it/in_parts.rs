//! Branches that are offered in parts, to who may read no more (SYNC-64, PART-20 to PART-25).

use std::sync::Arc;

use allod_access::Policy;
use allod_blocks::{Cid, MemoryStore};
use allod_identity::Verified;
use allod_repo::{
    BranchName, Commit, CommitId, Edit, GcOptions, Granting, Part, Repo, RepoError, Span, Stamp,
    collect_garbage,
};
use allod_sync::{Message, Mode, Outcome};
use allod_tree::{Node, Tree};
use bytes::Bytes;
use proptest::prelude::*;

use crate::hostile::scale;
use crate::pair::{Person, Run, START, get, pairs, put, replica, run, space, talk};

/// A value that nobody could guess, and that is found wherever it stands.
fn secret(of: &str, n: u32) -> String {
    format!("secret of {of} {n} {}", "x".repeat(40))
}

fn notes(kind: &str, range: std::ops::Range<u32>, value: &str) -> Vec<(String, String)> {
    let key = |n| format!("{kind}/{n:06}");
    range.map(|n| (key(n), secret(value, n))).collect()
}

fn part_of(of: &Repo, prefixes: &[&str]) -> Repo {
    let part = Part::new(prefixes, None).unwrap();
    let genesis = of.genesis().bytes().clone();
    Repo::adopt_part(Arc::new(MemoryStore::new()), genesis, Some(&part)).unwrap()
}

fn declare(repo: &Repo, owner: &Person, prefixes: &[&str]) {
    for prefix in prefixes {
        let branches = [BranchName::main()];
        repo.declare_part(prefix.as_bytes(), &branches, owner.author(), START)
            .unwrap();
    }
}

fn grant(
    repo: &Repo,
    (owner, to): (&Person, &Person),
    prefix: &str,
    commands: &[&str],
) -> Vec<Cid> {
    let what = Granting {
        commands: commands.iter().map(|it| it.parse().unwrap()).collect(),
        policy: Policy::prefix(prefix),
        not_before: None,
        expires: None,
    };
    let audience = to.author().agent;
    let mut seed = [0; 16];
    seed[..prefix.len()].copy_from_slice(prefix.as_bytes());
    repo.grant(audience, &what, &seed, owner.author(), START)
        .unwrap()
}

fn content(repo: &Repo, prefix: &str) -> Vec<(Bytes, Bytes)> {
    let state = repo.state(&BranchName::main()).unwrap();
    let items = state.range(&Span::prefix(prefix.as_bytes()), true);
    let encoded = items.map(|item| item.map(|(key, entry)| (key, entry.encode())));
    let mut all: Vec<_> = encoded.map(Result::unwrap).collect();
    all.sort();
    all
}

fn is_sound(repo: &Repo) {
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
}

fn collect(repo: &Repo) {
    let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
    collect_garbage(repo.store().as_ref(), GcOptions::default(), go_on).unwrap();
}

fn is_complete(run: &Run) {
    assert!(run.is_complete(), "{:?} {:?}", run.left, run.right);
    assert_eq!(run.left_stats.refused, []);
    assert_eq!(run.right_stats.refused, []);
}

/// Both sides talk, and each byte that leaves the one to the right of them is kept.
fn overheard(left: (&Repo, &Person), right: (&Repo, &Person)) -> (Run, Vec<u8>) {
    let mut heard = Vec::new();
    let run = run(left, right, usize::MAX, &mut |from_left, frame| {
        if !from_left {
            heard.extend_from_slice(&frame);
        }
        Some(frame)
    });
    (run, heard)
}

fn finds(heard: &[u8], needle: &[u8]) -> bool {
    heard.windows(needle.len()).any(|window| window == needle)
}

/// The nodes of a tree.
fn nodes(repo: &Repo, root: Cid) -> Vec<(Cid, Bytes)> {
    let (mut open, mut nodes) = (vec![root], Vec::new());
    while let Some(cid) = open.pop() {
        let bytes = repo.store().get(&cid).unwrap().unwrap().into_bytes();
        let node = Node::decode(&bytes).unwrap();
        if !node.is_leaf() {
            open.extend((0..node.len()).filter_map(|index| node.link(index)));
        }
        nodes.push((cid, bytes));
    }
    nodes
}

fn head(repo: &Repo) -> Commit {
    let heads = repo.heads(&BranchName::main()).unwrap();
    assert_eq!(heads.len(), 1);
    let head: CommitId = *heads.first().unwrap();
    repo.commit(head).unwrap().payload().clone()
}

/// Ada's space: keys of three kinds, of which two are declared, and some history.
fn spread(ada: &Person) -> Repo {
    let full = space(ada, &[]);
    declare(&full, ada, &["notes/", "team/"]);
    for (at, kind) in ["diary", "notes", "team"].into_iter().enumerate() {
        let at = START + at as u64;
        put(&full, ada, &notes(kind, 0..1500, kind), at);
    }
    for n in 0..8 {
        let at = START + 10 + u64::from(n);
        put(
            &full,
            ada,
            &notes("notes", n * 7..n * 7 + 3, "notes later"),
            at,
        );
        put(
            &full,
            ada,
            &notes("diary", n * 5..n * 5 + 2, "diary later"),
            at,
        );
    }
    full
}

/// Who may read a prefix gets it, all of it and proven, and no byte of the rest.
#[test]
fn a_reader_of_a_prefix_gets_that_and_nothing_else() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(&full, (&ada, &bob), "notes/", &["/space/read"]);
    let own = part_of(&full, &["notes/"]);
    let (first, heard) = overheard((&own, &bob), (&full, &ada));
    is_complete(&first);
    assert_eq!(content(&own, ""), content(&full, "notes/"));
    assert!(!content(&own, "").is_empty());
    is_sound(&own);
    assert!(finds(&heard, b"secret of notes later 7 "));
    for other in ["secret of diary", "secret of team", "diary/00", "team/00"] {
        assert!(!finds(&heard, other.as_bytes()), "{other}");
    }
    // Neither does it learn the roots of other slices' nodes, but for those of the tree of parts.
    let nodes = nodes(&full, head(&full).tree);
    assert!(nodes.len() > 50);
    for (cid, bytes) in nodes {
        assert!(
            own.store().has(&cid).unwrap() || !finds(&heard, &bytes),
            "{cid}"
        );
    }
    // What changes elsewhere comes as a statement; what changes there comes.
    put(
        &full,
        &ada,
        &notes("diary", 3..4, "diary again"),
        START + 100,
    );
    let (quiet, heard) = overheard((&own, &bob), (&full, &ada));
    is_complete(&quiet);
    assert!(
        quiet.right_stats.bytes_out < 4000,
        "{}",
        quiet.right_stats.bytes_out
    );
    assert!(!finds(&heard, b"diary again"));
    put(
        &full,
        &ada,
        &notes("notes", 4..5, "notes again"),
        START + 101,
    );
    let (news, _) = overheard((&own, &bob), (&full, &ada));
    is_complete(&news);
    assert!(
        news.right_stats.bytes_out < 40_000,
        "{}",
        news.right_stats.bytes_out
    );
    assert_eq!(content(&own, ""), content(&full, "notes/"));
    is_sound(&own);
    // Whoever says hello first.
    put(&full, &ada, &notes("notes", 5..6, "once more"), START + 102);
    is_complete(&talk((&full, &ada), (&own, &bob)));
    assert_eq!(content(&own, ""), content(&full, "notes/"));
}

/// What is not declared, or not all that is kept, or not for whoever keeps all: no commit moves a branch.
#[test]
fn a_branch_is_offered_in_declared_parts_alone() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(&full, (&ada, &bob), "diary/", &["/space/read"]);
    let own = part_of(&full, &["diary/"]);
    let (run, heard) = overheard((&own, &bob), (&full, &ada));
    is_complete(&run);
    assert_eq!((run.left_stats.bare_in, content(&own, "").len()), (0, 0));
    assert!(!finds(&heard, b"secret") && !finds(&heard, head(&full).tree.to_bytes().as_slice()));
    // A whole replica is told of the parts, and given nothing of them.
    grant(&full, (&ada, &bob), "team/", &["/space/read"]);
    let whole = replica(&full);
    let (run, heard) = overheard((&whole, &bob), (&full, &ada));
    is_complete(&run);
    assert!(whole.heads(&BranchName::main()).unwrap().is_empty());
    assert!(!finds(&heard, b"secret") && finds(&heard, b"team/"));
    // One that keeps more than it may have takes the statements.
    let more = part_of(&full, &["notes/", "team/"]);
    is_complete(&talk((&more, &bob), (&full, &ada)));
    assert!(more.heads(&BranchName::main()).unwrap().is_empty());
    let fits = part_of(&full, &["team/"]);
    is_complete(&talk((&fits, &bob), (&full, &ada)));
    assert_eq!(content(&fits, ""), content(&full, "team/"));
}

/// Several prefixes, some of them empty, are one slice.
#[test]
fn several_parts_are_one_slice() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    declare(&full, &ada, &["empty/", "void/"]);
    for prefix in ["empty/", "notes/", "team/", "void/"] {
        grant(&full, (&ada, &bob), prefix, &["/space/read"]);
    }
    // It signs the parts that were declared since.
    put(&full, &ada, &notes("notes", 6..7, "six"), START + 50);
    let own = part_of(&full, &["empty/", "notes/", "team/", "void/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    let expected = [content(&full, "notes/"), content(&full, "team/")].concat();
    assert_eq!(content(&own, ""), expected);
    is_sound(&own);
    put(&full, &ada, &notes("void", 0..1, "void"), START + 51);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    assert_eq!(content(&own, "void/").len(), 1);
    is_sound(&own);
}

/// PART-23: who has a part alone writes there, and whoever has all merges it.
#[test]
fn who_has_a_part_writes_there() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(
        &full,
        (&ada, &bob),
        "notes/",
        &["/space/read", "/space/write"],
    );
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    for n in 0..3 {
        put(
            &own,
            &bob,
            &notes("notes", n..n + 1, "of bob"),
            START + 200 + u64::from(n),
        );
    }
    put(&full, &ada, &notes("notes", 9..10, "of ada"), START + 201);
    let run = talk((&own, &bob), (&full, &ada));
    is_complete(&run);
    assert_eq!(run.right_stats.commits_in, 3);
    assert_eq!(get(&full, "notes/000002").unwrap(), secret("of bob", 2));
    assert_eq!(get(&own, "notes/000009").unwrap(), secret("of ada", 9));
    assert_eq!(content(&own, ""), content(&full, "notes/"));
    // The next commit of the whole replica has it as a parent, and its parts go on.
    put(&full, &ada, &notes("notes", 10..11, "after"), START + 300);
    assert!(head(&full).parts.is_some());
    is_complete(&talk((&full, &ada), (&own, &bob)));
    assert_eq!(head(&own), head(&full));
    assert_eq!(content(&own, ""), content(&full, "notes/"));
    is_sound(&own);
    is_sound(&full);
    // Beyond the part nothing is made, and nothing is taken.
    let main = BranchName::main();
    let edit = [("diary/1".into(), Edit::Put("x".into()))];
    let refused = own.stage(&main, edit, START).unwrap_err();
    assert!(matches!(refused, RepoError::OutOfPart { .. }));
}

/// A reader learns of what another one wrote, through who has all.
#[test]
fn two_who_have_a_part_meet_through_one_who_has_all() {
    let (ada, bob, eve) = (Person::new(1), Person::new(2), Person::new(3));
    let full = spread(&ada);
    for who in [&bob, &eve] {
        let seed = who.author().agent;
        let what = Granting {
            commands: ["/space/read", "/space/write"]
                .map(|it| it.parse().unwrap())
                .into(),
            policy: Policy::prefix("notes/"),
            not_before: None,
            expires: None,
        };
        full.grant(seed, &what, &[7; 16], ada.author(), START)
            .unwrap();
    }
    let (one, other) = (part_of(&full, &["notes/"]), part_of(&full, &["notes/"]));
    is_complete(&talk((&one, &bob), (&full, &ada)));
    is_complete(&talk((&other, &eve), (&full, &ada)));
    put(&one, &bob, &notes("notes", 0..1, "of bob"), START + 200);
    put(&other, &eve, &notes("notes", 1..2, "of eve"), START + 200);
    is_complete(&talk((&one, &bob), (&full, &ada)));
    is_complete(&talk((&other, &eve), (&full, &ada)));
    is_complete(&talk((&one, &bob), (&full, &ada)));
    assert_eq!(content(&one, ""), content(&full, "notes/"));
    assert_eq!(content(&other, ""), content(&full, "notes/"));
    assert_eq!(get(&one, "notes/000001").unwrap(), secret("of eve", 1));
}

/// PART-22: a commit without parts stays bare, and the one before it is read until somebody signs them again.
#[test]
fn a_commit_without_parts_is_no_hindrance() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(&full, (&ada, &bob), "notes/", &["/space/read"]);
    // A device of Ada's keeps a part, and cannot sign the others.
    let phone = part_of(&full, &["notes/"]);
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    let before = content(&own, "");
    put(
        &phone,
        &ada,
        &notes("notes", 0..1, "of the phone"),
        START + 200,
    );
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    assert_eq!(head(&full).parts, None);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    assert_eq!(content(&own, ""), before);
    // Also where it is all that is there to begin with.
    let late = part_of(&full, &["notes/"]);
    is_complete(&talk((&late, &bob), (&full, &ada)));
    assert_eq!(content(&late, ""), before);
    put(&full, &ada, &notes("diary", 0..1, "later"), START + 300);
    for repo in [&own, &late] {
        is_complete(&talk((repo, &bob), (&full, &ada)));
        assert_eq!(content(repo, ""), content(&full, "notes/"));
        is_sound(repo);
    }
}

/// A right that goes ends what is offered, and a part that is declared no more is not offered.
#[test]
fn parts_go_with_rights() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    let grants = grant(&full, (&ada, &bob), "notes/", &["/space/read"]);
    grant(&full, (&ada, &bob), "team/", &["/space/read"]);
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    let before = content(&own, "");
    full.ungrant(grants[0], None, ada.author(), START + 50)
        .unwrap();
    put(&full, &ada, &notes("notes", 0..1, "unseen"), START + 51);
    let (run, heard) = overheard((&own, &bob), (&full, &ada));
    is_complete(&run);
    assert!(!finds(&heard, b"unseen"));
    assert_eq!(content(&own, ""), before);
    let team = part_of(&full, &["team/"]);
    is_complete(&talk((&team, &bob), (&full, &ada)));
    full.declare_part(b"team/", &[], ada.author(), START + 60)
        .unwrap();
    put(&full, &ada, &notes("team", 0..1, "unseen"), START + 61);
    let (run, heard) = overheard((&team, &bob), (&full, &ada));
    is_complete(&run);
    assert!(!finds(&heard, b"unseen"));
}

/// Parts are derived: what a collection leaves of them serves, and what is gone is made anew.
#[test]
fn parts_stay_while_they_are_led_to() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(&full, (&ada, &bob), "notes/", &["/space/read"]);
    collect(&full);
    is_sound(&full);
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    assert_eq!(content(&own, ""), content(&full, "notes/"));
    collect(&own);
    is_sound(&own);
    put(&full, &ada, &notes("notes", 0..1, "on"), START + 90);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    assert_eq!(content(&own, ""), content(&full, "notes/"));
}

/// PART-21: parts that are not those of the tree are refused by who has all.
#[test]
fn parts_that_are_not_of_the_tree_are_refused() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = space(&ada, &[&bob]);
    declare(&full, &ada, &["notes/"]);
    put(&full, &ada, &pairs(0..3, "x"), START);
    let other = replica(&full);
    is_complete(&talk((&other, &bob), (&full, &ada)));
    put(&other, &bob, &notes("notes", 0..1, "true"), START + 1);
    let made = head(&other);
    let empty = Tree::empty();
    for parts in [made.tree, empty.root()] {
        let lie = Commit {
            parts: Some(parts),
            ..made.clone()
        };
        let signed = Verified::sign(&bob.0, lie).unwrap();
        let changes = other.changes_of(&signed, usize::MAX).unwrap().unwrap();
        let reviewed = full.review(signed.bytes().clone(), START + 2).unwrap();
        let refused = full.with_changes(reviewed, &changes).unwrap_err();
        assert!(refused.to_string().contains("parts"), "{refused}");
    }
    let run = talk((&other, &bob), (&full, &ada));
    is_complete(&run);
    assert_eq!(run.left, Some(Outcome::Complete));
    let parts = |message: &(bool, Message)| match &message.1 {
        Message::Hello(hello) => hello.parts.len(),
        _ => 0,
    };
    // Who may read all is offered all.
    assert_eq!(run.messages.iter().map(parts).sum::<usize>(), 0);
}

/// What Bob sends of his own is something else, with these changes or none in its place; how it is answered.
fn answer(
    (own, bob): (&Repo, &Person),
    (full, ada): (&Repo, &Person),
    (forged, changes): (&Commit, Option<&[(Bytes, Bytes)]>),
) -> String {
    let signed = Verified::sign(&bob.0, forged.clone()).unwrap();
    let run = run((own, bob), (full, ada), usize::MAX, &mut |left, frame| {
        let message = Message::decode(&frame).unwrap();
        let message = match message {
            Message::Commit { branch, .. } if left => Message::Commit {
                statement: signed.bytes().clone(),
                branch,
                mode: changes.map_or(Mode::Walk, |_| Mode::Changes),
            },
            Message::Changes { .. } if left => Message::Changes {
                entries: changes?.to_vec(),
                last: true,
            },
            _ => return Some(frame),
        };
        Some(message.encode())
    });
    let refused = run.right_stats.refused.first().expect("a refusal");
    assert_eq!(refused.commit.cid(), signed.cid());
    refused.code.clone()
}

/// SYNC-66: no answer tells of what may not be read, whatever is guessed of it.
#[test]
fn nothing_can_be_found_out_by_guessing() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    let both = ["/space/read", "/space/write"];
    grant(&full, (&ada, &bob), "notes/", &both);
    put(&full, &ada, &notes("notes", 0..1, "signs"), START + 50);
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    put(&own, &bob, &notes("notes", 0..1, "mine"), START + 60);
    let mine = *own.heads(&BranchName::main()).unwrap().last().unwrap();
    let mine = own.commit(mine).unwrap().payload().clone();
    let there = head(&full);
    let top = full.heads(&BranchName::main()).unwrap();
    let entries = content(&full, "diary/000000");
    let (key, entry) = entries.first().unwrap().clone();
    let forged = |tree| Commit {
        author: bob.author().agent,
        parents: top.iter().copied().collect(),
        generation: there.generation + 1,
        stamp: mine.stamp.max(Stamp::from_bits(there.stamp.bits() + 1)),
        parts: None,
        tree,
        ..mine.clone()
    };
    let guesses: [Vec<(Bytes, Bytes)>; 4] = [
        vec![(key.clone(), entry.clone())],
        vec![("diary/absent".into(), entry.clone())],
        vec![(key, entry[..1].to_vec().into())],
        Vec::new(),
    ];
    for guess in &guesses {
        for tree in [there.tree, mine.tree] {
            let code = answer((&own, &bob), (&full, &ada), (&forged(tree), Some(guess)));
            assert_eq!(code, "E_RIGHTS", "{guess:?}");
        }
    }
    let walked = answer((&own, &bob), (&full, &ada), (&forged(there.tree), None));
    assert_eq!(walked, "E_RIGHTS");
}

/// SYNC-66: what somebody knows by its root alone is not put under a branch that they may read.
#[test]
fn a_tree_is_not_had_by_its_name() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = spread(&ada);
    grant(
        &full,
        (&ada, &bob),
        "notes/",
        &["/space/read", "/space/write"],
    );
    let what = Granting {
        commands: vec!["/space".parse().unwrap(), "/branch".parse().unwrap()],
        policy: Policy::branch("bob"),
        not_before: None,
        expires: None,
    };
    let agent = bob.author().agent;
    full.grant(agent, &what, &[9; 16], ada.author(), START)
        .unwrap();
    put(&full, &ada, &notes("notes", 0..1, "signs"), START + 50);
    let own = part_of(&full, &["notes/"]);
    is_complete(&talk((&own, &bob), (&full, &ada)));
    put(&own, &bob, &notes("notes", 0..1, "mine"), START + 60);
    let mine = *own.heads(&BranchName::main()).unwrap().last().unwrap();
    let mine = own.commit(mine).unwrap().payload().clone();
    let there = head(&full);
    let top: Vec<CommitId> = full
        .heads(&BranchName::main())
        .unwrap()
        .into_iter()
        .collect();
    let alone = Commit {
        branch: "bob".parse().unwrap(),
        parts: None,
        tree: there.tree,
        ..mine
    };
    let goes_on = Commit {
        parents: top,
        generation: there.generation + 1,
        stamp: alone.stamp.max(Stamp::from_bits(there.stamp.bits() + 1)),
        ..alone.clone()
    };
    // Bob's replica has not the nodes, so nobody has what he is asked for.
    assert_eq!(
        answer((&own, &bob), (&full, &ada), (&alone, None)),
        "E_MISSING"
    );
    assert_eq!(
        answer((&own, &bob), (&full, &ada), (&goes_on, Some(&[]))),
        "E_RIGHTS"
    );
    assert!(
        full.branches()
            .unwrap()
            .iter()
            .all(|(name, _)| name.as_str() != "bob")
    );
}

const KINDS: [&str; 5] = ["a/", "b/", "b/x/", "c", "d/"];

/// What happens in a space of Ada's, of which Bob may read some parts.
#[derive(Clone, Debug)]
enum Happens {
    /// Ada commits values under some kinds of keys.
    Put(Vec<usize>),
    /// So does Bob, under the kinds that he keeps.
    Write(usize),
    Declare(usize, bool),
    /// Both meet, and whether Bob says hello first.
    Meet(bool),
    Collect,
}

fn happens() -> impl Strategy<Value = Vec<Happens>> {
    let happens = prop_oneof![
        5 => proptest::collection::vec(0..KINDS.len(), 1..4).prop_map(Happens::Put),
        2 => (0..KINDS.len()).prop_map(Happens::Write),
        1 => (0..KINDS.len(), any::<bool>()).prop_map(|(kind, is)| Happens::Declare(kind, is)),
        4 => any::<bool>().prop_map(Happens::Meet),
        1 => Just(Happens::Collect),
    ];
    proptest::collection::vec(happens, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48 * scale(), ..ProptestConfig::default() })]

    /// Whatever happens, no byte that leaves Ada has a key or value of Bob's other kinds, and once she has signed all that he
    /// keeps he has what she has there.
    #[test]
    fn no_byte_of_the_rest_leaves(
        kept in proptest::collection::btree_set(0..KINDS.len(), 1..3),
        happens in happens(),
    ) {
        let (ada, bob) = (Person::new(1), Person::new(2));
        let full = space(&ada, &[]);
        let kept: Vec<&str> = kept.into_iter().map(|kind| KINDS[kind]).collect();
        declare(&full, &ada, &kept);
        for prefix in &kept {
            grant(&full, (&ada, &bob), prefix, &["/space/read", "/space/write"]);
        }
        let own = part_of(&full, &kept);
        let is_kept = |key: &str| kept.iter().any(|prefix| key.starts_with(prefix));
        let (mut now, mut heard, mut secrets) = (START, Vec::new(), Vec::new());
        let meet = |is_first: bool, heard: &mut Vec<u8>| {
            let run = if is_first {
                let (run, bytes) = overheard((&own, &bob), (&full, &ada));
                heard.extend(bytes);
                run
            } else {
                run((&full, &ada), (&own, &bob), usize::MAX, &mut |from_ada, frame| {
                    if from_ada {
                        heard.extend_from_slice(&frame);
                    }
                    Some(frame)
                })
            };
            is_complete(&run);
        };
        let mut put_under = |who: (&Repo, &Person), kinds: &[&str], now: u64| {
            let mut edits = Vec::new();
            for kind in kinds {
                let number = secrets.len();
                let key = format!("{kind}key-{number}-of-{kind}");
                edits.push((key.clone(), format!("value-{number}-of-{key}")));
                secrets.push(key);
            }
            put(who.0, who.1, &edits, now);
        };
        // What he may do he has to have heard.
        meet(true, &mut heard);
        for it in &happens {
            now += 1;
            match it {
                Happens::Put(kinds) => {
                    let kinds: Vec<&str> = kinds.iter().map(|kind| KINDS[*kind]).collect();
                    put_under((&full, &ada), &kinds, now);
                }
                Happens::Write(kind) if is_kept(KINDS[*kind]) => {
                    put_under((&own, &bob), &[KINDS[*kind]], now);
                }
                Happens::Declare(kind, is) if !kept.contains(&KINDS[*kind]) => {
                    let branches: &[BranchName] = if *is { &[BranchName::main()] } else { &[] };
                    let prefix = KINDS[*kind].as_bytes();
                    full.declare_part(prefix, branches, ada.author(), now).unwrap();
                }
                Happens::Meet(is_first) => meet(*is_first, &mut heard),
                Happens::Collect => collect(&full),
                _ => {}
            }
        }
        meet(true, &mut heard);
        put_under((&full, &ada), &["d/"], now + 1);
        meet(false, &mut heard);
        for key in &secrets {
            prop_assert!(is_kept(key) || !finds(&heard, key.as_bytes()), "{}", key);
        }
        let expected = content(&full, "").into_iter();
        let expected: Vec<_> = expected
            .filter(|(key, _)| is_kept(std::str::from_utf8(key).unwrap()))
            .collect();
        prop_assert_eq!(content(&own, ""), expected);
        is_sound(&own);
        is_sound(&full);
    }
}
