//! What federation keeps, and what it does with links whose definition changed.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use allod_blocks::{Batch, Expect, MemoryStore, Store};
use allod_deltas::MemoryDeltas;
use allod_federation::{
    Federation, FederationOptions, Me, PositionStore as _, Positions, RemoteLink, Rules,
};
use allod_repo::SpaceId;

use super::following::words;
use super::register::{FederatingError, LinkState, Register, position_of};
use super::running::{NodeClock, Running};
use super::settings::{LinkDefinition, Shared};

const URL: &str = "ws://127.0.0.1:1/federation";

fn space() -> SpaceId {
    "bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
        .parse()
        .unwrap()
}

fn shared() -> Shared {
    Shared::new("deltas".parse().unwrap())
}

fn link() -> LinkDefinition {
    LinkDefinition::new(space().to_string(), URL)
}

/// A register with a link `hub`.
fn register() -> (Register, Arc<dyn Store>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let register = Register::new(Arc::clone(&store));
    register.add("hub", &link(), (space(), &shared())).unwrap();
    (register, store)
}

fn at(theirs: &str) -> Positions {
    Positions {
        remote: Some("peer".to_owned()),
        ours: None,
        theirs: Some(theirs.to_owned()),
    }
}

fn damage(store: &dyn Store, name: &str) {
    let mut batch = Batch::new();
    batch.set_ref(name.to_owned(), Expect::Any, Some(b"{\"url\":".to_vec()));
    let _done = store.commit(batch).unwrap();
}

/// FED-50, FED-52: what cannot be read says nothing of the others, and can be removed.
#[test]
fn each_record_is_read_by_itself() {
    let (register, store) = register();
    damage(&*store, "federation/link/bad");
    let other = "bafyreicmhzhbhs5rrcr4w5lmxv4hfqcyjmzzf4uhmxz4fp2mccf6kyrlda";
    damage(&*store, &format!("federation/space/{other}"));
    let links: BTreeMap<_, _> = register.links().unwrap().into_iter().collect();
    assert_eq!(links["hub"].as_ref().unwrap(), &link());
    assert!(matches!(links["bad"], Err(FederatingError::Damaged(_))));
    let spaces = register.spaces().unwrap();
    assert_eq!(spaces.len(), 2);
    let read = spaces.iter().filter(|(_, shared)| shared.is_ok());
    assert_eq!(read.map(|(space, _)| *space).collect::<Vec<_>>(), [space()]);
    // It is in nobody's way.
    let mut more = link();
    more.url = "ws://127.0.0.1:2/federation".to_owned();
    register.add("more", &more, (space(), &shared())).unwrap();
    register.remove("bad").unwrap();
    assert_eq!(register.links().unwrap().len(), 2);
}

/// FED-52: how far a link has come goes with it, and does not return with what is said of it later.
#[test]
fn a_position_goes_with_its_link() {
    let (register, store) = register();
    let positions = register.positions(space(), &shared());
    let place = position_of(&space().to_string(), URL);
    positions.save(URL, &at("5"));
    assert!(store.get_ref(&place).unwrap().is_some());
    assert_eq!(register.positions(space(), &shared()).load(URL), at("5"));
    register.remove("hub").unwrap();
    assert_eq!(store.get_ref(&place).unwrap(), None);
    // The connection that ends says how far it came.
    positions.save(URL, &at("6"));
    assert_eq!(store.get_ref(&place).unwrap(), None);
    register.add("hub", &link(), (space(), &shared())).unwrap();
    let anew = register.positions(space(), &shared());
    assert_eq!(anew.load(URL), Positions::default());
}

/// FED-50: with other rules what was refused is gone through again.
#[test]
fn a_position_counts_under_its_rules_alone() {
    let (register, _) = register();
    register.positions(space(), &shared()).save(URL, &at("5"));
    let mut wider = shared();
    wider.trust.trusted_authors = Some(["alice".to_owned()].into());
    let anew = register.positions(space(), &wider);
    assert_eq!(anew.load(URL), Positions::default());
    assert_eq!(register.positions(space(), &shared()).load(URL), at("5"));
}

/// A position is written where nothing waits for it, and of several the newest.
#[test]
fn positions_are_written_apart_from_frames() {
    let (register, store) = register();
    let positions = register.positions(space(), &shared());
    let place = position_of(&space().to_string(), URL);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()
        .unwrap();
    let (go_on, waits) = channel::<()>();
    let busy = runtime.spawn_blocking(move || waits.recv());
    runtime.block_on(async {
        for theirs in ["5", "6", "7"] {
            positions.save(URL, &at(theirs));
            // What is said is known at once, and not written by who says it.
            assert_eq!(positions.load(URL), at(theirs));
            assert_eq!(store.get_ref(&place).unwrap(), None);
        }
        go_on.send(()).unwrap();
        busy.await.unwrap().unwrap();
    });
    // Dropping it waits for what it was given.
    drop(runtime);
    assert_eq!(register.positions(space(), &shared()).load(URL), at("7"));
}

/// What panics is told of like any other fault.
#[tokio::test]
async fn who_breaks_off_is_told_of() {
    let done = tokio::spawn(async { Ok(7) }).await;
    assert_eq!(words(done), Ok(7));
    let broken = tokio::spawn(async { panic!("on purpose") }).await;
    assert!(words::<()>(broken).unwrap_err().contains("broke off"));
}

/// A federation that links can be set of.
fn running() -> Running {
    let me = Me {
        system_id: "here".to_owned(),
        store: "store".to_owned(),
        key: None,
    };
    let clock = NodeClock {
        secret: [7; 32],
        count: AtomicU64::new(0),
    };
    let options = FederationOptions::new(me, Rules::default(), Arc::new(clock));
    let federation = Federation::new(Arc::new(MemoryDeltas::new()), options);
    Running {
        shared: shared(),
        _hearing: federation.on_event(|_, _| {}),
        federation,
        links: BTreeMap::new(),
        heard: Arc::new(Mutex::default()),
        following: tokio::spawn(async {}),
    }
}

/// FED-52: a link that leads elsewhere, or otherwise, is another; one that only rests or goes on is the same.
#[tokio::test]
async fn a_link_that_was_changed_is_opened_anew() {
    let mut running = running();
    let mut set = |link: &LinkDefinition| -> (String, Vec<(RemoteLink, Option<bool>)>) {
        let mut commands = Vec::new();
        let known = LinkState {
            sent: 3,
            ..LinkState::default()
        };
        running.set_links(vec![("hub".to_owned(), link.clone(), known)], &mut commands);
        let live = &running.links["hub"];
        assert_eq!(live.before.sent, 3, "it goes on counting");
        (live.link.id().to_owned(), commands)
    };
    let mut wanted = link();
    let (first, commands) = set(&wanted);
    assert!(commands.is_empty());
    assert_eq!(set(&wanted).0, first);
    wanted.paused = true;
    let (id, commands) = set(&wanted);
    assert_eq!((id, commands[0].1), (first.clone(), Some(true)));
    wanted.paused = false;
    assert_eq!(set(&wanted).1[0].1, Some(false));
    let others: [fn(&mut LinkDefinition); 4] = [
        |link| link.mode = "pull".to_owned(),
        |link| link.url = "ws://127.0.0.1:2/federation".to_owned(),
        |link| link.pull = Some(r#"{"authors":["a"]}"#.to_owned()),
        |link| link.trust.denied_authors.extend(["x".to_owned()]),
    ];
    let mut before = first;
    for change in others {
        change(&mut wanted);
        let (id, commands) = set(&wanted);
        assert_ne!(id, before);
        assert_eq!(commands.len(), 1);
        assert_eq!((commands[0].0.id(), commands[0].1), (&before[..], None));
        before = id;
    }
    let mut commands = Vec::new();
    running.set_links(Vec::new(), &mut commands);
    assert_eq!(commands.len(), 1);
    assert!(running.links.is_empty());
    running.federation.close();
}
