//! PART-1 to PART-12: replicas of a part.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::{Batch, MemoryStore};
use allod_identity::Verified;
use allod_repo::{
    BadPart, BlockPeer, BranchName, Commit, CommitId, Edit, Entry, GcOptions, Keep, Part, Refusal,
    Rejected, Repo, RepoError, Span, Stamp, collect_garbage,
};
use bytes::Bytes;
use proptest::prelude::*;

use crate::world::{
    Person, START, all, deliver, get, heads, main, on, put, refusal, scale, send, space,
};

fn part(prefixes: &[&str], depth: Option<u64>) -> Part {
    Part::new(prefixes, depth).unwrap()
}

/// An empty replica of a part of a space.
fn replica(of: &Repo, part: &Part) -> Repo {
    let store = Arc::new(MemoryStore::new());
    let genesis = of.genesis().bytes().clone();
    let repo = Repo::adopt_part(store, genesis, Some(part)).unwrap();
    send(of, &repo, &BranchName::meta(), START).unwrap();
    repo
}

/// Fetches what is kept of a commit from a replica that has it; gives how many nodes came.
fn fill(from: &Repo, to: &Repo, id: CommitId) -> Result<usize, Rejected> {
    let mut came = 0;
    let mut arriving = to.fetch_tree(to.accepted(id)?)?;
    while !arriving.is_done() {
        for cid in arriving.want(16) {
            let block = match to.store().get(&cid).unwrap() {
                Some(block) => block,
                None => {
                    let block = from.store().get(&cid).unwrap();
                    let block = block.ok_or(Refusal::Missing)?;
                    let mut batch = Batch::new();
                    batch.put(block.clone());
                    drop(to.store().commit(batch).unwrap());
                    came += 1;
                    block
                }
            };
            arriving.feed(block)?;
        }
    }
    to.accept(arriving.finish(to)?, &main())?;
    Ok(came)
}

/// Brings a replica of a part what another has; gives how many nodes came.
fn bring(from: &Repo, to: &Repo, now: u64) -> Result<usize, Rejected> {
    let theirs = from.heads(&main()).unwrap();
    let mut new = Vec::new();
    for id in from.missing(&theirs, &to.heads(&main()).unwrap()).unwrap() {
        if !to.has_commit(id)? {
            let statement = from.commit(id).unwrap().bytes().clone();
            to.accept_bare(to.review(statement, now)?)?;
        }
        if !to.is_held(id)? {
            new.push(id);
        }
    }
    let generation = |id: &CommitId| to.commit(*id).unwrap().payload().generation;
    let newest = theirs.iter().map(generation).max().unwrap_or(0);
    let depth = to.part().unwrap().depth().unwrap_or(u64::MAX);
    let mut came = 0;
    for id in new {
        if theirs.contains(&id) || generation(&id).saturating_add(depth) > newest {
            came += fill(from, to, id)?;
        }
    }
    to.join_branch(&main(), &theirs)?;
    Ok(came)
}

/// Gives a whole replica what one of a part can give.
fn give(from: &Repo, to: &Repo, now: u64) {
    let known: BTreeSet<CommitId> = to.heads(&main()).unwrap();
    for id in from.missing(&heads(from), &known).unwrap() {
        let commit = from.commit(id).unwrap();
        let is_whole = from.changes_of(&commit, usize::MAX).is_ok();
        let has_parents = commit
            .payload()
            .parents
            .iter()
            .all(|id| to.has_commit(*id).unwrap());
        if is_whole && has_parents && !to.has_commit(id).unwrap() {
            deliver(from, to, id, &main(), now).unwrap();
        }
    }
    for head in heads(from) {
        if to.has_commit(head).unwrap() {
            to.join_branch(&main(), &[head].into()).unwrap();
        }
    }
}

fn entries(repo: &Repo, part: Option<&Part>) -> Vec<(Bytes, Entry)> {
    let view = repo.state(&main()).unwrap();
    let items = view.range(&Span::all(), true).map(Result::unwrap);
    let kept = items.filter(|(key, _)| part.is_none_or(|part| part.contains(key)));
    kept.collect()
}

fn is_sound(repo: &Repo) {
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
    let on = &mut |_, _| ControlFlow::Continue(());
    collect_garbage(repo.store().as_ref(), GcOptions::default(), on).unwrap();
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
    let lost = allod_repo::lost_blocks(repo.store().as_ref()).unwrap();
    assert!(lost.is_empty(), "{lost:?}");
}

fn blocks_of(repo: &Repo) -> usize {
    repo.store().scan_blocks(None, usize::MAX).unwrap().len()
}

/// A whole space of some size.
fn large(ada: &Person) -> Repo {
    let repo = space(ada);
    for kind in ["book", "note", "user"] {
        let edits = (0..1500).map(|n| {
            let key = Bytes::from(format!("{kind}:{n:05}"));
            (key, Edit::Put(format!("the {kind} of number {n}").into()))
        });
        repo.stage(&main(), edits, START).unwrap();
        repo.commit_staged(&main(), ada.author(), kind, START)
            .unwrap();
    }
    repo
}

#[test]
fn a_part_is_fetched_read_and_written() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let notes = part(&["note:"], Some(1));
    let phone = replica(&whole, &notes);
    let came = bring(&whole, &phone, START + 1).unwrap();
    let nodes = whole.state(&main()).unwrap().tree().len() / 60;
    assert!(came > 10 && (came as u64) < nodes, "{came} of {nodes}");
    assert_eq!(entries(&phone, None), entries(&whole, Some(&notes)));
    assert_eq!(get(&phone, "note:00007").unwrap(), "the note of number 7");
    // What is not kept is no absence.
    let state = phone.state(&main()).unwrap();
    assert!(matches!(
        state.get(b"user:00001"),
        Err(RepoError::OutOfPart { .. })
    ));
    let first = whole.log(&heads(&whole)).unwrap().last().unwrap().unwrap();
    assert!(matches!(phone.at(first.0), Err(RepoError::Bare(id)) if id == first.0));
    let outside = [(Bytes::from_static(b"user:1"), Edit::Put("x".into()))];
    let refused = phone.stage(&main(), outside, START + 2);
    assert!(matches!(refused, Err(RepoError::OutOfPart { .. })));
    // A commit in the part goes to the whole, and is what the whole would have made of it.
    put(&phone, &ada, &[("note:00700", Some("changed"))], START + 3);
    assert_eq!(heads(&phone).len(), 1);
    give(&phone, &whole, START + 4);
    assert_eq!(heads(&whole), heads(&phone));
    assert_eq!(get(&whole, "note:00700").unwrap(), "changed");
    assert_eq!(all(&whole).len(), 4500);
    // A change elsewhere costs the way to the part, and no more.
    put(&whole, &ada, &[("book:00003", Some("new"))], START + 5);
    let came = bring(&whole, &phone, START + 6).unwrap();
    assert!(came <= 3, "{came} nodes");
    is_sound(&phone);
    is_sound(&whole);
}

/// Who works offline on both sides meets again, and neither loses anything.
#[test]
fn several_heads_are_written_beside() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], None));
    bring(&whole, &phone, START + 1).unwrap();
    put(&phone, &ada, &[("note:00001", Some("phone"))], START + 2);
    put(&whole, &ada, &[("book:00001", Some("whole"))], START + 3);
    put(&whole, &ada, &[("note:00002", Some("whole"))], START + 4);
    bring(&whole, &phone, START + 5).unwrap();
    assert_eq!(heads(&phone).len(), 2);
    assert_eq!(get(&phone, "note:00001").unwrap(), "phone");
    assert_eq!(get(&phone, "note:00002").unwrap(), "whole");
    put(&phone, &ada, &[("note:00002", Some("both"))], START + 6);
    assert_eq!(get(&phone, "note:00002").unwrap(), "both");
    give(&phone, &whole, START + 7);
    assert_eq!(get(&whole, "note:00002").unwrap(), "both");
    assert_eq!(get(&whole, "book:00001").unwrap(), "whole");
    put(&whole, &ada, &[("user:00001", Some("x"))], START + 8);
    assert_eq!(heads(&whole).len(), 1);
    bring(&whole, &phone, START + 9).unwrap();
    assert_eq!(heads(&phone), heads(&whole));
    assert_eq!(get(&phone, "note:00002").unwrap(), "both");
    is_sound(&phone);
}

/// A commit over the heads of a replica that says any tree.
fn signed_over(repo: &Repo, who: &Person, tree: allod_blocks::Cid, at: u64) -> Bytes {
    let parents: Vec<CommitId> = heads(repo).into_iter().collect();
    let before = repo.commit(parents[0]).unwrap();
    let commit = Commit {
        generation: before.payload().generation + 1,
        parents,
        stamp: Stamp::at_millis(at),
        tree,
        ..before.payload().clone()
    };
    Verified::sign(&who.0, commit).unwrap().bytes().clone()
}

#[test]
fn what_is_left_out_of_a_tree_is_noticed() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], None));
    bring(&whole, &phone, START + 1).unwrap();
    // Somebody signs a tree that lacks a note, or has an old one.
    let before = entries(&whole, None);
    for (at, key) in [(2, "note:00004"), (3, "note:01400")] {
        let view = whole.state(&main()).unwrap();
        let mut batch = Batch::new();
        let gone = [(key.as_bytes(), None::<Bytes>)];
        let tree = view
            .tree()
            .edit(gone, &mut |block| batch.put(block))
            .unwrap();
        drop(whole.store().commit(batch).unwrap());
        let forged = signed_over(&whole, &ada, tree.root(), START + at);
        let reviewed = phone.review(forged, START + 10).unwrap();
        let id = phone.accept_bare(reviewed).unwrap();
        assert_eq!(refusal(fill(&whole, &phone, id).map(drop)), Refusal::Tree);
        assert!(!phone.is_held(id).unwrap());
        let joined = phone.join_branch(&main(), &[id].into());
        assert!(matches!(joined, Err(Rejected::Refused(Refusal::Missing))));
    }
    assert_eq!(entries(&whole, None), before);
    is_sound(&phone);
}

/// A part is widened and narrowed; until all of the new one is here the old one is read and written.
#[test]
fn a_part_becomes_another() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:0"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    let before = entries(&phone, None);
    let wider = part(&["note:", "user:000"], Some(1));
    let next = phone.begin_part(wider.clone()).unwrap();
    let missing = next.fill_heads().unwrap();
    assert_eq!(missing.len(), 1);
    assert!(!phone.finish_part(&|_| true).unwrap());
    assert_eq!(entries(&phone, None), before);
    put(&phone, &ada, &[("note:00001", Some("between"))], START + 2);
    is_sound(&phone);
    // What goes on from there is fetched as well.
    for id in next.fill_heads().unwrap() {
        give(&phone, &whole, START + 3);
        fill(&whole, &next, id).unwrap();
    }
    assert_eq!(get(&phone, "note:00001").unwrap(), "between");
    assert!(phone.finish_part(&|_| true).unwrap());
    assert!(phone.next_part().unwrap().is_none());
    assert_eq!(phone.part().as_deref(), Some(&wider));
    assert_eq!(entries(&phone, None), entries(&whole, Some(&wider)));
    put(&phone, &ada, &[("user:00077", Some("wide"))], START + 4);
    give(&phone, &whole, START + 5);
    is_sound(&phone);
    let reopened = Repo::open(Arc::clone(phone.store()), phone.id()).unwrap();
    assert_eq!(entries(&reopened, None), entries(&phone, None));
    // What nobody else has is not let go of.
    phone.begin_part(part(&["note:"], Some(1))).unwrap();
    let refused = phone.finish_part(&|_| false);
    assert!(matches!(refused, Err(RepoError::OnlyHere(head)) if heads(&phone).contains(&head)));
    assert_eq!(phone.part().as_deref(), Some(&wider));
    // Narrowed it needs nobody, and the rest goes.
    let blocks = blocks_of(&phone);
    let narrow = part(&["note:0003"], Some(1));
    assert!(
        phone
            .begin_part(narrow.clone())
            .unwrap()
            .fill_heads()
            .unwrap()
            .is_empty()
    );
    assert!(phone.finish_part(&|_| true).unwrap());
    assert_eq!(entries(&phone, None), entries(&whole, Some(&narrow)));
    is_sound(&phone);
    let left = blocks_of(&phone);
    assert!(left * 2 < blocks, "{left} of {blocks} blocks");
    put(&phone, &ada, &[("note:00031", Some("narrow"))], START + 6);
    give(&phone, &whole, START + 7);
    assert_eq!(get(&whole, "note:00031").unwrap(), "narrow");
    assert_eq!(get(&whole, "user:00077").unwrap(), "wide");
}

/// What comes while another part is fetched moves no branch that could not be read then, and what was written
/// here meanwhile is in nobody's way.
#[test]
fn a_part_is_what_it_was_while_another_is_fetched() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:0"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    put(&phone, &ada, &[("note:00001", Some("phone"))], START + 2);
    let next = phone.begin_part(part(&["user:"], Some(1))).unwrap();
    put(&whole, &ada, &[("user:00001", Some("whole"))], START + 3);
    let heads_before = heads(&phone);
    bring(&whole, &next, START + 4).unwrap();
    assert_eq!(heads(&phone), heads_before);
    assert_eq!(get(&phone, "note:00001").unwrap(), "phone");
    put(&phone, &ada, &[("note:00002", Some("phone"))], START + 5);
    is_sound(&phone);
    // Then both come to the same: what is written here goes first.
    give(&phone, &whole, START + 6);
    for id in next.fill_heads().unwrap() {
        fill(&whole, &next, id).unwrap();
    }
    assert!(phone.finish_part(&|_| true).unwrap());
    bring(&whole, &phone, START + 7).unwrap();
    assert_eq!(heads(&phone), heads(&whole));
    assert_eq!(get(&phone, "user:00001").unwrap(), "whole");
    assert_eq!(get(&whole, "note:00002").unwrap(), "phone");
    is_sound(&phone);
}

/// A part that is begun after another was begun and not finished takes the place of that, not of what is kept.
#[test]
fn what_is_kept_outlives_what_was_begun() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:0"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    let before = entries(&phone, None);
    for prefix in ["user:", "book:", "user:0"] {
        let next = phone.begin_part(part(&[prefix], Some(1))).unwrap();
        for id in next.fill_heads().unwrap() {
            fill(&whole, &next, id).unwrap();
        }
        assert_eq!(entries(&phone, None), before, "{prefix}");
    }
    put(&phone, &ada, &[("note:00001", Some("phone"))], START + 2);
    is_sound(&phone);
}

/// What is staged and would fall out of a part could not be committed any more.
#[test]
fn a_part_has_what_is_staged() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:", "user:"], None));
    bring(&whole, &phone, START + 1).unwrap();
    let edit = (
        Bytes::from_static(b"user:00001"),
        Edit::Put("staged".into()),
    );
    phone.stage(&on("side"), [edit], START + 2).unwrap();
    phone.begin_part(part(&["note:"], None)).unwrap();
    let refused = phone.finish_part(&|_| true);
    assert!(matches!(refused, Err(RepoError::OutOfPart { key }) if key == b"user:00001"));
    assert_eq!(phone.unstage(&on("side")).unwrap(), 1);
    assert!(phone.finish_part(&|_| true).unwrap());
    is_sound(&phone);
}

/// Also who had all of a space may keep a part of it from then on.
#[test]
fn the_whole_becomes_a_part() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let copy = {
        let copy = crate::world::replica(&whole);
        send(&whole, &copy, &BranchName::meta(), START).unwrap();
        send(&whole, &copy, &main(), START).unwrap();
        copy
    };
    let blocks = blocks_of(&copy);
    let notes = part(&["note:"], None);
    copy.begin_part(notes.clone()).unwrap();
    is_sound(&copy);
    assert_eq!(all(&copy).len(), 4500);
    put(&copy, &ada, &[("book:00001", Some("yet"))], START + 1);
    give(&copy, &whole, START + 1);
    assert!(copy.finish_part(&|_| true).unwrap());
    assert_eq!(entries(&copy, None), entries(&whole, Some(&notes)));
    is_sound(&copy);
    let left = blocks_of(&copy);
    assert!(left * 3 < blocks * 2, "{left} of {blocks} blocks");
    put(&whole, &ada, &[("note:00001", Some("on"))], START + 2);
    bring(&whole, &copy, START + 3).unwrap();
    assert_eq!(get(&copy, "note:00001").unwrap(), "on");
    is_sound(&copy);
}

/// A replica that is asked for blocks; of some it says that it has them not.
struct Other<'a>(&'a Repo, BTreeSet<allod_blocks::Cid>);

impl BlockPeer for Other<'_> {
    type Error = RepoError;

    fn known(
        &mut self,
        commits: &[allod_blocks::Cid],
    ) -> Result<BTreeSet<allod_blocks::Cid>, RepoError> {
        Ok(commits.iter().copied().collect())
    }

    fn fetch(
        &mut self,
        path: &[allod_blocks::Cid],
        names: &[allod_blocks::Cid],
        keep: Keep<'_>,
    ) -> Result<(), RepoError> {
        let store = self.0.store();
        assert!(self.0.has_commit(CommitId::from_cid(path[0]))?);
        assert!(path.iter().all(|cid| store.has(cid).unwrap()));
        let served = names.iter().filter(|name| !self.1.contains(name));
        let blocks = served.filter_map(|name| store.get(name).unwrap());
        keep(blocks.collect())
    }
}

#[test]
fn a_key_that_is_not_kept_is_read_from_a_peer() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let long = "long ".repeat(1000);
    put(
        &whole,
        &ada,
        &[("user:00001", Some(&long)), ("user:00002", None)],
        START + 1,
    );
    let phone = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &phone, START + 2).unwrap();
    let apart = replica(&whole, &part(&["note:"], None));
    bring(&whole, &apart, START + 2).unwrap();
    // Two heads, of which the later one wrote the key.
    put(&whole, &ada, &[("user:00003", Some("new"))], START + 3);
    put(&apart, &ada, &[("note:00003", Some("beside"))], START + 4);
    give(&apart, &whole, START + 5);
    bring(&whole, &phone, START + 6).unwrap();
    let both = heads(&whole);
    assert_eq!((both.len(), &both), (2, &heads(&phone)));
    let _hold = phone.store().uses().hold();
    let mut peer = Other(&whole, BTreeSet::new());
    for key in [
        "user:00001",
        "user:00002",
        "user:00003",
        "book:01499",
        "note:00003",
        "a",
        "z",
    ] {
        let expected = whole.state(&main()).unwrap().entry(key.as_bytes()).unwrap();
        let entry = phone.fetch_entry(&both, key.as_bytes(), &mut peer).unwrap();
        assert_eq!(entry, expected, "{key}");
        let content = |repo: &Repo| entry.as_ref().map(|entry| repo.content(entry).unwrap());
        assert_eq!(content(&phone), content(&whole));
    }
    is_sound(&phone);
    // What is withheld is an error, and no absence.
    let fresh = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &fresh, START + 7).unwrap();
    let all: BTreeSet<_> = whole
        .store()
        .scan_blocks(None, usize::MAX)
        .unwrap()
        .into_iter()
        .collect();
    let mut silent = Other(&whole, all);
    let refused = fresh.fetch_entry(&both, b"user:00001", &mut silent);
    assert!(matches!(refused, Err(RepoError::Missing(_))), "{refused:?}");
}

/// What was written here and sent to nobody is not made unsendable by a wider part.
#[test]
fn what_was_not_sent_outlives_a_wider_part() {
    let ada = Person::new(1);
    for size in [1, 700] {
        let whole = space(&ada);
        let all: Vec<(String, String)> = (0..size)
            .flat_map(|n| {
                ["note", "user"].map(|kind| (format!("{kind}:{n:04}"), format!("{kind} {n}")))
            })
            .collect();
        let edits: Vec<(&str, Option<&str>)> = all
            .iter()
            .map(|(key, value)| (key.as_str(), Some(value.as_str())))
            .collect();
        put(&whole, &ada, &edits, START);
        let phone = replica(&whole, &part(&["note:"], None));
        bring(&whole, &phone, START + 1).unwrap();
        put(&phone, &ada, &[("note:0000", Some("offline 1"))], START + 2);
        put(&phone, &ada, &[("note:0001", Some("offline 2"))], START + 3);
        phone.begin_part(part(&["note:", "user:"], None)).unwrap();
        // Nobody has what was written, and in a small space all of the new part is here.
        let finished = phone.finish_part(&|id| whole.has_commit(id).unwrap());
        assert!(
            matches!(finished, Ok(_) | Err(RepoError::OnlyHere(_))),
            "{finished:?}"
        );
        for id in phone.missing(&heads(&phone), &heads(&whole)).unwrap() {
            assert!(
                phone.is_held(id).unwrap(),
                "{id} was made here and could never be sent"
            );
        }
        give(&phone, &whole, START + 4);
        assert_eq!(get(&whole, "note:0001").unwrap(), "offline 2");
        is_sound(&phone);
    }
}

/// A collection while another part is on its way keeps what both need.
#[test]
fn a_collection_between_two_parts_keeps_both() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    let next = phone
        .begin_part(part(&["note:", "user:007"], Some(1)))
        .unwrap();
    for id in next.fill_heads().unwrap() {
        fill(&whole, &next, id).unwrap();
    }
    is_sound(&phone);
    assert!(phone.finish_part(&|_| true).unwrap());
    put(&phone, &ada, &[("user:00700", Some("changed"))], START + 3);
    put(&phone, &ada, &[("user:00799", Some("changed"))], START + 4);
    assert_eq!(heads(&phone).len(), 1, "it goes on from the one head");
    is_sound(&phone);
}

/// PART-12: while another part is on its way, what comes for it meets what was written for the part in force.
#[test]
fn what_comes_for_the_next_part_meets_what_was_written() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], None));
    bring(&whole, &phone, START + 1).unwrap();
    let next = phone.begin_part(part(&["note:", "user:"], None)).unwrap();
    put(&phone, &ada, &[("note:00001", Some("here"))], START + 2);
    put(&whole, &ada, &[("note:00001", Some("there"))], START + 3);
    let there = heads(&whole);
    let id = *there.first().unwrap();
    let statement = whole.commit(id).unwrap().bytes().clone();
    let reviewed = phone.review(statement, START + 3).unwrap();
    phone.accept_bare(reviewed).unwrap();
    for handle in [&phone, &next] {
        fill(&whole, handle, id).unwrap();
    }
    let both = next.join_branch(&main(), &there).unwrap();
    assert_eq!((both.len(), &both), (2, &heads(&phone)));
    let conflicts = phone.conflicts(&main(), 9).unwrap();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(get(&phone, "note:00001").unwrap(), "there");
}

/// A part that has more of the history fetches that, and one that has less needs nobody.
#[test]
fn a_deeper_part_lacks_older_commits() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    let next = phone.begin_part(part(&["note:"], Some(3))).unwrap();
    let missing = next.fill_heads().unwrap();
    assert_eq!(missing.len(), 2);
    for id in missing {
        fill(&whole, &next, id).unwrap();
    }
    assert!(next.fill_heads().unwrap().is_empty());
    assert!(phone.finish_part(&|_| true).unwrap());
    for entry in phone.log(&heads(&phone)).unwrap() {
        assert!(phone.is_held(entry.unwrap().0).unwrap());
    }
}

/// No branch stands on a commit of which only the statement is here.
#[test]
fn branches_stand_on_what_is_held() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let shallow = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &shallow, START + 1).unwrap();
    let first = whole
        .log(&heads(&whole))
        .unwrap()
        .last()
        .unwrap()
        .unwrap()
        .0;
    let refused = shallow.create_branch(&on("old"), &[first].into());
    assert!(
        matches!(refused, Err(RepoError::Bare(id)) if id == first),
        "{refused:?}"
    );
    // What was undone fell out with the part.
    let copy = crate::world::replica(&whole);
    send(&whole, &copy, &BranchName::meta(), START).unwrap();
    send(&whole, &copy, &main(), START).unwrap();
    put(&copy, &ada, &[("book:00001", Some("undone"))], START + 1);
    let position = copy.store().stats().unwrap().log_end - 1;
    copy.undo(position).unwrap();
    copy.begin_part(part(&["note:"], None)).unwrap();
    assert!(
        copy.finish_part(&|id| whole.has_commit(id).unwrap())
            .unwrap()
    );
    is_sound(&copy);
    assert!(matches!(copy.undo(position + 1), Err(RepoError::Bare(_))));
    assert_eq!(heads(&copy), heads(&whole));
    is_sound(&copy);
    // And keys that are not kept have no history here that could be told.
    let none = copy.key_history(&heads(&copy), b"book:00001");
    assert!(matches!(none, Err(RepoError::OutOfPart { .. })));
    let none = copy.blame(&heads(&copy), b"book:00001");
    assert!(matches!(none, Err(RepoError::OutOfPart { .. })));
}

/// A file in which one index stands for ever so many parts.
fn file_of_files(out: &mut Batch) -> allod_blocks::Cid {
    use allod_blocks::{Block, Codec};
    fn varint(out: &mut Vec<u8>, mut value: u64) {
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    }
    fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
        out.push(field << 3 | 2);
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
    let mut block = Block::new(Codec::Raw, Bytes::from_static(b"x")).unwrap();
    out.put(block.clone());
    let mut content = 1u64;
    for _ in 0..14 {
        let (mut node, mut data) = (Vec::new(), vec![8, 2, 3 << 3]);
        varint(&mut data, content * 8);
        for _ in 0..8 {
            let mut link = Vec::new();
            bytes(&mut link, 1, &block.cid().to_bytes());
            bytes(&mut link, 2, b"");
            link.push(3 << 3);
            varint(&mut link, content);
            bytes(&mut node, 2, &link);
            data.push(4 << 3);
            varint(&mut data, content);
        }
        bytes(&mut node, 1, &data);
        content *= 8;
        block = Block::new(Codec::DagPb, node).unwrap();
        out.put(block.clone());
    }
    *block.cid()
}

#[test]
fn a_file_whose_indexes_repeat_is_fetched_once() {
    let ada = Person::new(1);
    let whole = space(&ada);
    let mut batch = Batch::new();
    let file = file_of_files(&mut batch);
    drop(whole.store().commit(batch).unwrap());
    let edit = [(Bytes::from_static(b"user:1"), Edit::Link(file))];
    whole.stage(&main(), edit, START).unwrap();
    whole
        .commit_staged(&main(), ada.author(), "file", START)
        .unwrap();
    put(&whole, &ada, &[("note:1", Some("one"))], START + 1);
    let phone = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &phone, START + 2).unwrap();
    let _hold = phone.store().uses().hold();
    let mut peer = Other(&whole, BTreeSet::new());
    let entry = phone
        .fetch_entry(&heads(&phone), b"user:1", &mut peer)
        .unwrap();
    assert_eq!(entry.unwrap().state.link(), Some(&file));
    assert!(phone.store().has(&file).unwrap());
}

/// What is added behind all keys there are goes to a node that has none of the part.
#[test]
fn a_collection_keeps_what_a_commit_behind_all_keys_stands_on() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["user:", "z:"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    phone.begin_part(part(&["z:"], Some(1))).unwrap();
    assert!(phone.finish_part(&|_| true).unwrap());
    put(&phone, &ada, &[("z:1", Some("new"))], START + 2);
    let id = *heads(&phone).first().unwrap();
    assert!(!phone.commit(id).unwrap().payload().parents.is_empty());
    is_sound(&phone);
    let phone = Repo::open(Arc::clone(phone.store()), phone.id()).unwrap();
    give(&phone, &whole, START + 3);
    assert_eq!(get(&whole, "z:1").unwrap(), "new");
    is_sound(&phone);
}

/// Whoever commits while another part comes to be kept has a commit of the one or of the other.
#[test]
fn a_commit_beside_a_change_of_the_part_is_readable() {
    let ada = Person::new(1);
    for round in 0..40 {
        let repo = space(&ada);
        let edits = (0..300).map(|n| (Bytes::from(format!("note:{n:03}")), Edit::Put("x".into())));
        repo.stage(&main(), edits, START).unwrap();
        repo.begin_part(part(&["note:"], Some(1 + round % 2)))
            .unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                repo.commit_staged(&main(), ada.author(), "", START)
                    .unwrap()
            });
            scope.spawn(|| {
                // At another moment of the commit in each round.
                std::thread::sleep(std::time::Duration::from_micros(100 * round));
                while !repo.finish_part(&|_| true).unwrap() {}
            });
        });
        assert_eq!(entries(&repo, None).len(), 300, "{round}");
        is_sound(&repo);
    }
}

/// A commit that was fetched for a part which is in force no more waits until it is fetched for the new one.
#[test]
fn a_part_that_changes_while_a_commit_arrives_leaves_the_branch_readable() {
    let ada = Person::new(1);
    let whole = large(&ada);
    let phone = replica(&whole, &part(&["note:"], Some(1)));
    bring(&whole, &phone, START + 1).unwrap();
    let before = heads(&phone);
    let head = put(&whole, &ada, &[("note:00001", Some("new"))], START + 2);
    let statement = whole.commit(head).unwrap().bytes().clone();
    let reviewed = phone.review(statement, START + 3).unwrap();
    phone.accept_bare(reviewed).unwrap();
    let mut arriving = phone.fetch_tree(phone.accepted(head).unwrap()).unwrap();
    while !arriving.is_done() {
        for cid in arriving.want(16) {
            let block = whole.store().get(&cid).unwrap().unwrap();
            let mut batch = Batch::new();
            batch.put(block.clone());
            drop(phone.store().commit(batch).unwrap());
            arriving.feed(block).unwrap();
        }
    }
    let complete = arriving.finish(&phone).unwrap();
    let narrow = part(&["note:00"], Some(1));
    phone.begin_part(narrow.clone()).unwrap();
    assert!(phone.finish_part(&|_| true).unwrap());
    phone.accept(complete, &main()).unwrap();
    assert_eq!(heads(&phone), before);
    assert!(!phone.is_held(head).unwrap());
    is_sound(&phone);
    bring(&whole, &phone, START + 4).unwrap();
    assert_eq!(heads(&phone), [head].into());
    assert_eq!(entries(&phone, None), entries(&whole, Some(&narrow)));
    is_sound(&phone);
}

#[test]
fn parts_are_spelled_in_one_way() {
    let same = [part(&["b", "a", "ab", "b"], None), part(&["a", "b"], None)];
    assert_eq!(same[0], same[1]);
    assert!(same[0].contains(b"abc") && same[0].contains(b"b") && !same[0].contains(b"c"));
    assert!(part(&[""], None).contains(b"anything"));
    let deep = part(&["a", "c"], Some(3));
    assert!(deep.covers(&deep) && deep.covers(&part(&["ab", "c1"], Some(2))));
    for other in [
        part(&["a"], Some(4)),
        part(&["a"], None),
        part(&["b"], Some(1)),
    ] {
        assert!(!deep.covers(&other), "{other:?}");
    }
    let long = "x".repeat(257);
    let many: Vec<String> = (0..65).map(|n| format!("p{n:03}")).collect();
    assert_eq!(Part::new(&many[..64], None).map(drop), Ok(()));
    assert_eq!(Part::new(&many, None), Err(BadPart));
    assert_eq!(Part::new([&long], None), Err(BadPart));
    assert_eq!(Part::new([""; 0], None), Err(BadPart));
    assert_eq!(Part::new(["a"], Some(0)), Err(BadPart));
}

#[derive(Clone, Debug)]
enum Step {
    /// Who, which key (within for those of parts), which value.
    Put(usize, u16, u8),
    Bring(usize),
    Give(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3usize, 0..2000u16, 0..60u8).prop_map(|(at, key, len)| Step::Put(at, key, len)),
        2 => (1..3usize).prop_map(Step::Bring),
        2 => (1..3usize).prop_map(Step::Give),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// One whole replica and two of parts write in any order and exchange what they have: in the end each
    /// has the same entries as the whole, of its part, and nothing that anybody wrote is lost.
    #[test]
    fn parts_and_the_whole_come_to_the_same(steps in prop::collection::vec(step(), 1..50), deep in any::<bool>()) {
        let ada = Person::new(1);
        let parts = [part(&["k/0", "k/17"], (!deep).then_some(2)), part(&["k/1"], None)];
        let whole = space(&ada);
        let edits = (0..600).map(|n| (Bytes::from(format!("k/{:04}", n * 3)), Edit::Put(vec![b'v'; n % 90].into())));
        whole.stage(&main(), edits, START).unwrap();
        whole.commit_staged(&main(), ada.author(), "begin", START).unwrap();
        let repos = [whole.clone(), replica(&whole, &parts[0]), replica(&whole, &parts[1])];
        for repo in &repos[1..] {
            bring(&whole, repo, START + 1).unwrap();
        }
        let mut now = START + 10;
        let mut last = std::collections::BTreeMap::new();
        for step in steps {
            now += 1;
            match step {
                Step::Put(at, key, len) => {
                    let key = match at {
                        0 => format!("k/{key:04}"),
                        1 => format!("k/{}{:03}", ["0", "17"][usize::from(key) % 2], key % 1000),
                        _ => format!("k/1{:03}", key % 1000),
                    };
                    let value = format!("{at} {now} {}", "x".repeat(len.into()));
                    put(&repos[at], &ada, &[(&key, Some(&value))], now);
                    last.insert(key, value);
                }
                Step::Bring(at) => drop(bring(&whole, &repos[at], now).unwrap()),
                Step::Give(at) => give(&repos[at], &whole, now),
            }
        }
        for _ in 0..2 {
            for repo in &repos[1..] {
                give(repo, &whole, now + 1);
                bring(&whole, repo, now + 1).unwrap();
            }
        }
        for (repo, part) in repos[1..].iter().zip(&parts) {
            prop_assert_eq!(entries(repo, None), entries(&whole, Some(part)));
            is_sound(repo);
        }
        // Times only grow here, so the last who wrote a key wins.
        for (key, value) in last {
            prop_assert_eq!(get(&whole, &key), Some(value), "{}", key);
        }
        is_sound(&whole);
    }
}
