//! Replicas that keep files up to a size (PART-14, PART-15).

use std::ops::ControlFlow;
use std::sync::Arc;

use allod_blocks::{
    Batch, Block, Cid, Codec, FileProfile, Garbage, MemoryStore, add_file, file_links, read_file,
};
use allod_repo::{
    BadPart, BranchName, Content, Edit, GcOptions, GcPhase, Genesis, MergeOptions, Outcome, Part,
    Repo, RepoError, Resolution, Resolving, SpaceClass, check_store, collect_garbage, lost_blocks,
    pin,
};
use allod_sync::Scope;
use bytes::Bytes;

use crate::fetching::Direct;
use crate::pair::{Person, Run, START, put, replica, run_about, space, talk};

/// Small parts and few links, so that a file of some MiB has indexes on several levels.
const PROFILE: FileProfile = FileProfile {
    chunk_bytes: 64 * 1024,
    links: 8,
};

const MIB: u64 = 1024 * 1024;

fn up_to(bytes: u64) -> Part {
    Part::new([""], None)
        .unwrap()
        .with_value_max(bytes)
        .unwrap()
}

fn phone_of(full: &Repo, part: &Part) -> Repo {
    let genesis = full.genesis().bytes().clone();
    Repo::adopt_part(Arc::new(MemoryStore::new()), genesis, Some(part)).unwrap()
}

fn content(seed: u64, bytes: u64) -> Vec<u8> {
    (0..bytes / 8)
        .flat_map(|n| (n ^ seed << 32).to_le_bytes())
        .collect()
}

fn add(repo: &Repo, seed: u64, bytes: u64) -> Cid {
    let content = content(seed, bytes);
    let store = repo.store().as_ref();
    add_file(store, PROFILE, &mut &content[..], &mut |_| {})
        .unwrap()
        .cid
}

fn link(repo: &Repo, who: &Person, (key, file): (&str, Cid), now: u64) {
    let main = BranchName::main();
    let edit = (Bytes::copy_from_slice(key.as_bytes()), Edit::Link(file));
    repo.stage(&main, [edit], now).unwrap();
    repo.commit_staged(&main, who.author(), "file", now)
        .unwrap();
}

fn is_whole(repo: &Repo, file: Cid) -> bool {
    repo.missing_blocks(&[file], 1).unwrap().blocks.is_empty()
}

fn file_at(repo: &Repo, key: &str) -> Cid {
    let state = repo.state(&BranchName::main()).unwrap();
    match state.get(key.as_bytes()).unwrap() {
        Some(Content::File(cid)) => cid,
        other => panic!("{key} has {other:?}"),
    }
}

fn collect(repo: &Repo) -> u64 {
    let on = &mut |_, _| ControlFlow::Continue(());
    let report = collect_garbage(repo.store().as_ref(), GcOptions::default(), on).unwrap();
    report.dead_bytes
}

fn is_sound(repo: &Repo) {
    let report = repo.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.problem_count, 0, "{report:?}");
    let mut problems = Vec::new();
    let on = &mut |_| ControlFlow::Continue(());
    let store = repo.store().as_ref();
    check_store(store, &mut |problem| problems.push(problem.to_string()), on).unwrap();
    assert_eq!(problems, [""; 0]);
}

fn is_complete(run: &Run) {
    assert!(run.is_complete(), "{:?} {:?}", run.left, run.right);
    assert_eq!(run.left_stats.refused, []);
    assert_eq!(run.right_stats.refused, []);
}

/// What a part lacks is taken anew.
fn fetch(part: &Repo, full: &Repo, who: &Person) {
    let scopes = [Scope::anew(), Scope::default()];
    let pass = &mut |_, frame| Some(frame);
    is_complete(&run_about(
        scopes,
        (part, who),
        (full, who),
        usize::MAX,
        pass,
    ));
}

/// A space with files of 1, 2, 3 and 20 MiB.
fn setting(ada: &Person) -> (Repo, [Cid; 4]) {
    let full = space(ada, &[]);
    put(&full, ada, &[("note".into(), "small".into())], START);
    let files = [1, 2, 3, 20].map(|mib| {
        let file = add(&full, mib, mib * MIB);
        link(&full, ada, (&format!("film/{mib:02}"), file), START + mib);
        file
    });
    (full, files)
}

#[test]
fn of_a_large_file_the_index_is_kept() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    for (part, kept) in [
        (up_to(MIB), [true, false, false, false]),
        (up_to(2 * MIB - 1), [true, false, false, false]),
        (up_to(2 * MIB), [true, true, false, false]),
        (up_to(20 * MIB), [true; 4]),
    ] {
        let phone = phone_of(&full, &part);
        let run = talk((&phone, &ada), (&full, &ada));
        is_complete(&run);
        let sizes = [1, 2, 3, 20].iter().zip(kept).filter(|(_, kept)| *kept);
        let bytes: u64 = sizes.map(|(mib, _)| mib * MIB).sum();
        let more = run.right_stats.bytes_out - bytes;
        assert!(more < 40_000, "{more}");
        for _ in 0..2 {
            assert_eq!(files.map(|file| is_whole(&phone, file)), kept);
            for file in files {
                assert!(phone.store().has(&file).unwrap());
            }
            is_sound(&phone);
            // What a part has is no garbage, and what it has not is nothing that is lost.
            collect(&phone);
        }
        let again = talk((&phone, &ada), (&full, &ada));
        is_complete(&again);
        assert!(again.bytes() < 4_000, "{}", again.bytes());
    }
}

#[test]
fn a_large_file_is_read_from_a_peer() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let hold = phone.store().uses().hold();
    let heads = phone.heads(&BranchName::main()).unwrap();
    let mut peer = Direct::new(&full, &ada);
    let entry = phone.fetch_entry(&heads, b"film/03", &mut peer).unwrap();
    assert_eq!(entry.unwrap().state.link(), Some(&files[2]));
    let mut read = Vec::new();
    read_file(phone.store().as_ref(), &files[2], &mut read).unwrap();
    assert!(read == content(3, 3 * MIB));
    // It stays while it is in use, and no longer.
    collect(&phone);
    assert!(is_whole(&phone, files[2]));
    drop(hold);
    assert!(collect(&phone) > 2 * MIB);
    assert!(!is_whole(&phone, files[2]));
    is_sound(&phone);
}

/// PART-15: it stays until it is elsewhere, and goes then.
#[test]
fn a_large_file_that_was_made_here_goes_when_it_is_elsewhere() {
    let ada = Person::new(1);
    let (full, _) = setting(&ada);
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let film = add(&phone, 77, 5 * MIB);
    link(&phone, &ada, ("film/own", film), START + 50);
    let made = phone.heads(&BranchName::main()).unwrap();
    put(&phone, &ada, &[("note".into(), "later".into())], START + 51);
    let release = |is_elsewhere: bool| {
        phone.release_large::<RepoError>(&mut |commit| {
            assert!(made.contains(&commit));
            Ok(is_elsewhere)
        })
    };
    assert_eq!(release(false).unwrap(), 0);
    collect(&phone);
    assert!(is_whole(&phone, film));
    is_sound(&phone);
    // Reopened it is the same.
    let phone = Repo::open(Arc::clone(phone.store()), phone.id()).unwrap();
    collect(&phone);
    assert!(is_whole(&phone, film));
    // Who has nothing gets what came before the first that is not whole here.
    let empty = replica(&full);
    let asked = talk((&phone, &ada), (&empty, &ada));
    is_complete(&asked);
    assert!(asked.left_stats.left_out > 0);
    let state = empty.state(&BranchName::main()).unwrap();
    assert!(state.get(b"film/01").unwrap().is_some());
    assert!(state.get(b"film/02").unwrap().is_none());

    is_complete(&talk((&phone, &ada), (&full, &ada)));
    assert!(is_whole(&full, film));
    assert_eq!(file_at(&full, "film/own"), film);
    is_sound(&full);
    assert_eq!(release(true).unwrap(), 1);
    assert_eq!(release(true).unwrap(), 0);
    assert!(collect(&phone) > 4 * MIB);
    assert!(!is_whole(&phone, film));
    assert_eq!(file_at(&phone, "film/own"), film);
    is_sound(&phone);
}

/// PART-15: however a file is cut, and so on whichever level its indexes are not believed.
#[test]
fn files_of_all_shapes_stay_until_they_are_elsewhere() {
    let ada = Person::new(1);
    let full = space(&ada, &[]);
    let phone = phone_of(&full, &up_to(4 * MIB));
    let mut whole = 0;
    let mut at = START;
    for (chunk_bytes, links) in [
        (60_000, 174),
        (60_000, 40),
        (65_536, 3),
        (20_000, 2),
        (70_000, 5),
    ] {
        for bytes in [100_000, 1_500_000, 3_900_000, 4_300_000, 6_000_000] {
            at += 1;
            let profile = FileProfile { chunk_bytes, links };
            let content = content(at, bytes);
            let store = phone.store().as_ref();
            let file = add_file(store, profile, &mut &content[..], &mut |_| {})
                .unwrap()
                .cid;
            link(&phone, &ada, (&format!("film/{at}"), file), at);
            collect(&phone);
            assert!(is_whole(&phone, file), "{chunk_bytes} {links} {bytes}");
            is_complete(&talk((&phone, &ada), (&full, &ada)));
            assert!(is_whole(&full, file));
            phone.release_large::<RepoError>(&mut |_| Ok(true)).unwrap();
            collect(&phone);
            whole += u64::from(is_whole(&phone, file));
            is_sound(&phone);
        }
    }
    // Some of them are kept for good, and some are not.
    assert!((5..20).contains(&whole), "{whole}");
}

/// Nobody keeps a film of a branch that was given up.
#[test]
fn a_large_file_goes_with_the_commit_that_linked_to_it() {
    let ada = Person::new(1);
    let (full, _) = setting(&ada);
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let main = BranchName::main();
    let side: BranchName = "side".parse().unwrap();
    phone
        .create_branch(&side, &phone.heads(&main).unwrap())
        .unwrap();
    let film = add(&phone, 5, 5 * MIB);
    let edit = (Bytes::from("film/own"), Edit::Link(film));
    phone.stage(&side, [edit], START + 40).unwrap();
    phone
        .commit_staged(&side, ada.author(), "", START + 40)
        .unwrap();
    phone.delete_branch(&side, true).unwrap();
    let options = GcOptions {
        moves_kept: 0,
        dry_run: false,
    };
    let collect = || {
        let on = &mut |_, _| ControlFlow::Continue(());
        collect_garbage(phone.store().as_ref(), options, on).unwrap()
    };
    assert_eq!(collect().dead_commits, 1);
    assert!(is_whole(&phone, film));
    let elsewhere = &mut |_| Ok(false);
    assert_eq!(phone.release_large::<RepoError>(elsewhere).unwrap(), 1);
    assert!(collect().dead_bytes > 4 * MIB);
    assert!(!is_whole(&phone, film));
    is_sound(&phone);
}

/// A change that nobody lets come to its end is given up, and then what is garbage goes.
#[test]
fn a_change_of_the_part_is_given_up() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    full.begin_part(up_to(MIB)).unwrap();
    let refused = full.finish_part(&|_| false);
    assert!(matches!(refused, Err(RepoError::OnlyHere(_))));
    add(&full, 6, 6 * MIB);
    assert_eq!(collect(&full), 0);
    assert!(full.give_up_part().unwrap() && !full.give_up_part().unwrap());
    assert!(full.next_part().unwrap().is_none());
    assert!(collect(&full) > 5 * MIB);
    assert_eq!(files.map(|file| is_whole(&full, file)), [true; 4]);
    is_sound(&full);
}

/// What is named as needed is here, so that no store calls itself damaged for what it does not keep.
#[test]
fn what_is_not_here_is_neither_pinned_nor_decided_for() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    let side: BranchName = "side".parse().unwrap();
    let main = BranchName::main();
    let heads = full.heads(&main).unwrap();
    full.create_branch(&side, &heads).unwrap();
    let other = add(&full, 9, 9 * MIB);
    let edit = (Bytes::from("film/01"), Edit::Link(other));
    full.stage(&side, [edit], START + 30).unwrap();
    full.commit_staged(&side, ada.author(), "", START + 30)
        .unwrap();
    put(
        &full,
        &ada,
        &[("film/01".into(), "words".into())],
        START + 31,
    );
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let pinned = pin(phone.store().as_ref(), &files[3]);
    assert!(matches!(pinned, Err(RepoError::Missing(_))), "{pinned:?}");
    let theirs = phone.heads(&side).unwrap();
    let options = MergeOptions::default();
    let merged = phone.merge(&main, &theirs, ada.author(), &options, START + 32);
    assert!(matches!(merged, Ok(Outcome::Stopped(_))), "{merged:?}");
    let decided = phone.resolve(&main, b"film/01", Resolution::Theirs);
    assert!(
        matches!(decided, Err(RepoError::NotKept { .. })),
        "{decided:?}"
    );
    collect(&phone);
    is_sound(&phone);
    phone.resolve(&main, b"film/01", Resolution::Ours).unwrap();
    collect(&phone);
    is_sound(&phone);
}

/// Nobody could be given such a commit by this replica.
#[test]
fn what_is_not_here_is_not_linked_to_anew() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let main = BranchName::main();
    let edit = (Bytes::from("again"), Edit::Link(files[3]));
    let refused = phone.stage(&main, [edit], START + 60);
    assert!(matches!(refused, Err(RepoError::Missing(_))), "{refused:?}");
    // A pick of the commit that brought it, onto a branch without it.
    let heads = full.heads(&main).unwrap();
    let picked = *heads.first().unwrap();
    let before = full.commit(picked).unwrap().payload().parents[0];
    let side: BranchName = "side".parse().unwrap();
    phone.create_branch(&side, &[before].into()).unwrap();
    let refused = phone.cherry_pick(
        &side,
        picked,
        ada.author(),
        Resolving::default(),
        START + 61,
    );
    assert!(
        matches!(&refused, Err(RepoError::NotKept { key }) if key == b"film/20"),
        "{refused:?}"
    );
    assert_eq!(phone.heads(&side).unwrap(), [before].into());
    is_sound(&phone);
}

#[test]
fn a_maximum_is_raised_and_lowered() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    let phone = phone_of(&full, &up_to(MIB));
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let kept = |phone: &Repo| files.map(|file| is_whole(phone, file));
    // Raised: what is larger than before comes.
    let next = phone.begin_part(up_to(3 * MIB)).unwrap();
    assert!(!next.fill_heads().unwrap().is_empty());
    assert!(!phone.finish_part(&|_| true).unwrap());
    fetch(&next, &full, &ada);
    assert_eq!(kept(&phone), [true, true, true, false]);
    // A collection takes nothing of what is about to be kept.
    collect(&phone);
    assert_eq!(kept(&phone), [true, true, true, false]);
    assert!(phone.finish_part(&|_| true).unwrap());
    assert_eq!(phone.part().as_deref(), Some(&up_to(3 * MIB)));
    collect(&phone);
    assert_eq!(kept(&phone), [true, true, true, false]);
    is_sound(&phone);
    // Lowered it needs nobody, as long as somebody else has all.
    phone.begin_part(up_to(2 * MIB)).unwrap();
    assert!(matches!(
        phone.finish_part(&|_| false),
        Err(RepoError::OnlyHere(_))
    ));
    collect(&phone);
    assert_eq!(kept(&phone), [true, true, true, false]);
    assert!(phone.finish_part(&|_| true).unwrap());
    assert!(collect(&phone) > 2 * MIB);
    assert_eq!(kept(&phone), [true, true, false, false]);
    is_sound(&phone);
    // A whole replica that has room no more.
    let copy = replica(&full);
    is_complete(&talk((&copy, &ada), (&full, &ada)));
    copy.begin_part(up_to(MIB)).unwrap();
    collect(&copy);
    assert_eq!(kept(&copy), [true; 4]);
    assert!(copy.finish_part(&|_| true).unwrap());
    assert!(collect(&copy) > 24 * MIB);
    assert_eq!(kept(&copy), [true, false, false, false]);
    is_sound(&copy);
    // And back to all files.
    let next = copy.begin_part(Part::new([""], None).unwrap()).unwrap();
    fetch(&next, &full, &ada);
    assert!(copy.finish_part(&|_| true).unwrap());
    collect(&copy);
    assert_eq!(kept(&copy), [true; 4]);
    is_sound(&copy);
}

/// A part that is widened, filled and kept while garbage is collected, at any moment of that.
#[test]
fn a_collection_beside_a_change_takes_nothing_that_is_kept() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    for at in 0..12 {
        let phone = phone_of(&full, &up_to(MIB));
        is_complete(&talk((&phone, &ada), (&full, &ada)));
        // Garbage, so that there is something to sweep all along.
        for n in 0..600_u32 {
            let mut batch = Batch::new();
            let junk = Bytes::copy_from_slice(&n.to_be_bytes());
            batch.put(Block::new(Codec::Raw, junk).unwrap());
            let _outcome = phone.store().commit(batch).unwrap();
        }
        let mut calls = 0;
        let report = collect_garbage(phone.store().as_ref(), GcOptions::default(), &mut |_, _| {
            if calls == at {
                let next = phone.begin_part(up_to(3 * MIB)).unwrap();
                fetch(&next, &full, &ada);
                assert!(phone.finish_part(&|_| true).unwrap());
            }
            calls += 1;
            ControlFlow::Continue(())
        });
        report.unwrap();
        if calls > at {
            assert_eq!(
                files.map(|file| is_whole(&phone, file)),
                [true, true, true, false],
                "{at} of {calls}"
            );
        }
        is_sound(&phone);
    }
}

/// Two spaces in one store have the same file, and one of them keeps it.
#[test]
fn what_another_space_keeps_stays() {
    let ada = Person::new(1);
    let (full, files) = setting(&ada);
    let store = Arc::new(MemoryStore::new());
    let genesis = full.genesis().bytes().clone();
    let phone = Repo::adopt_part(Arc::clone(&store) as _, genesis, Some(&up_to(MIB))).unwrap();
    is_complete(&talk((&phone, &ada), (&full, &ada)));
    let other = Genesis {
        at: 1,
        class: SpaceClass::Convergent,
        name: "other".into(),
        nonce: [7; 16],
        owner: ada.author().agent,
    };
    let other = Repo::create(store, other, ada.author()).unwrap();
    let same = add(&other, 3, 3 * MIB);
    assert_eq!(same, files[2]);
    link(&other, &ada, ("copy", same), START);
    for _ in 0..2 {
        collect(&phone);
        assert!(is_whole(&phone, files[2]) && !is_whole(&phone, files[3]));
        is_sound(&phone);
        is_sound(&other);
    }
    // What is lost of it is noticed, whichever of the two is looked at first.
    let lost = *other
        .missing_blocks(&[files[2]], 1)
        .unwrap()
        .indexes
        .last()
        .unwrap();
    let leaf = file_links(&other.store().get(&lost).unwrap().unwrap()).unwrap()[0];
    let garbage = Garbage {
        blocks: vec![leaf],
        refs: Vec::new(),
    };
    let _swept = other.store().sweep(&mut || Ok(garbage.clone())).unwrap();
    assert_eq!(lost_blocks(other.store().as_ref()).unwrap(), [leaf]);
    let refused = collect_garbage(
        other.store().as_ref(),
        GcOptions::default(),
        &mut |phase, _| {
            assert_eq!(phase, GcPhase::Mark);
            ControlFlow::Continue(())
        },
    );
    assert!(refused.is_err());
}

#[test]
fn a_maximum_has_a_least() {
    let part = || Part::new(["a"], Some(2)).unwrap();
    assert_eq!(part().with_value_max(MIB - 1), Err(BadPart));
    let small = part().with_value_max(MIB).unwrap();
    let large = part().with_value_max(MIB + 1).unwrap();
    assert_eq!(small.value_max(), Some(MIB));
    assert!(large.covers(&small) && !small.covers(&large));
    assert!(part().covers(&large) && !large.covers(&part()));
    // A part without one is stored as it was before there were any.
    let phone = phone_of(&space(&Person::new(1), &[]), &part());
    let stored = phone
        .store()
        .scan_refs(b"s/", None, 100)
        .unwrap()
        .into_iter()
        .find(|(name, _)| name.ends_with(b"/part"))
        .unwrap();
    assert!(!stored.1.windows(9).any(|bytes| bytes == b"value_max"));
}
