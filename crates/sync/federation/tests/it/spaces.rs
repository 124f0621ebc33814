//! A federation whose store is a space: what it is sent is in commits, and comes back after a restart.

use std::sync::{Arc, Mutex};

use allod_blocks::MemoryStore;
use allod_deltas::{Delta, DeltaFilter, DeltaStore, Number, Pointer, SpaceDeltas};
use allod_federation::{Dial, Event, Federation};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Genesis, Repo, SpaceClass};

use crate::network::open;
use crate::sockets::{fast, options, until};

fn space(seed: u8) -> SpaceDeltas {
    space_of(seed, |repo| repo)
}

fn space_of(seed: u8, hooked: impl FnOnce(Repo) -> Repo) -> SpaceDeltas {
    let key = SecretKey::from_seed([seed; 32]);
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: 0,
        class: SpaceClass::Convergent,
        name: "deltas".into(),
        nonce: [seed; 16],
        owner: author.agent,
    };
    let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author).unwrap();
    SpaceDeltas::new(hooked(repo), BranchName::main(), key.agent_id(), key)
}

fn signed(range: std::ops::Range<u64>) -> Vec<Arc<Delta>> {
    let key = SecretKey::from_seed([9; 32]);
    range
        .map(|at| {
            let pointers = vec![Pointer::under("of", format!("o{}", at % 9), "name").unwrap()];
            let delta = Delta::sign(&key, Number::of(at + 1), "laptop", pointers).unwrap();
            Arc::new(delta.into_delta())
        })
        .collect()
}

fn count(store: &dyn DeltaStore) -> usize {
    let (mut count, mut after) = (0, None);
    loop {
        let page = store
            .scan(&DeltaFilter::all(), after.as_ref(), 1000)
            .unwrap();
        count += page.deltas.len();
        after = page.next;
        if after.is_none() {
            return count;
        }
    }
}

#[tokio::test]
async fn two_spaces_come_to_have_the_same_deltas() {
    let stores: [Arc<dyn DeltaStore>; 2] = [Arc::new(space(1)), Arc::new(space(2))];
    let [server, client] = [("server", 0), ("client", 1)]
        .map(|(name, at)| Federation::new(Arc::clone(&stores[at]), options(name, open())));
    server.append(signed(0..700)).await.unwrap();
    client.append(signed(600..1000)).await.unwrap();
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let link = client
        .connect_to_remote(&url, fast(), Dial::default())
        .await
        .unwrap();
    until(|| count(&*stores[0]) == 1000 && count(&*stores[1]) == 1000).await;
    server.append(signed(1000..1010)).await.unwrap();
    until(|| count(&*stores[1]) == 1010).await;
    // Only what either lacked went over.
    until(|| link.stats().deltas_received >= 610).await;
    let stats = link.stats();
    assert_eq!((stats.deltas_received, stats.deltas_sent), (610, 300));
    client.close();
    server.close();
}

/// Ids that were refused, why, and whether the peer did.
type Heard = Mutex<Vec<(String, String, bool)>>;

/// DELTA-38: what a hook refuses is refused for itself, and the others of its batch are there; its words stay here.
#[tokio::test]
async fn what_a_hook_refuses_keeps_nothing_else_out() {
    let said = signed(0..300);
    let refused: Vec<Arc<Delta>> = [17, 200, 201].map(|at| Arc::clone(&said[at])).into();
    let ids: Vec<String> = refused.iter().map(|delta| delta.id().to_owned()).collect();
    let bad = ids.clone();
    let guarded = space_of(1, |repo| {
        repo.hooked(Arc::new(move |proposal| {
            for change in proposal.changes().unwrap() {
                let key = String::from_utf8_lossy(&change.unwrap().key).into_owned();
                if bad.iter().any(|id| key.contains(id)) {
                    return Err("a secret of the owner".to_owned().into());
                }
            }
            Ok(())
        }))
    });
    let stores: [Arc<dyn DeltaStore>; 2] = [Arc::new(guarded), Arc::new(space(2))];
    let [server, client] = [("server", 0), ("client", 1)]
        .map(|(name, at)| Federation::new(Arc::clone(&stores[at]), options(name, open())));
    client.append(said).await.unwrap();
    let listening = server.listen("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/federation", listening.address());
    let heard: Arc<Heard> = Arc::default();
    let note = |all: &Heard, event: &Event| {
        if let Event::DeltaRejected {
            id: Some(id),
            reason,
            by_peer,
        } = event
        {
            let row = (id.clone(), reason.clone(), *by_peer);
            all.lock().unwrap().push(row);
        }
    };
    let (here, there) = (Arc::clone(&heard), Arc::clone(&heard));
    let _hearing = [
        server.on_event(move |_, event| note(&here, event)),
        client.on_event(move |_, event| note(&there, event)),
    ];
    let link = client
        .connect_to_remote(&url, fast(), Dial::default())
        .await
        .unwrap();
    until(|| link.stats().deltas_refused == 3 && count(&*stores[0]) == 297).await;
    until(|| heard.lock().unwrap().len() == 6).await;
    for id in ids {
        let rows = heard.lock().unwrap().clone();
        let of = |by_peer| {
            let mut rows = rows.iter().filter(|row| row.0 == id && row.2 == by_peer);
            rows.next().unwrap().1.clone()
        };
        assert!(
            of(false).contains("secret"),
            "whoever owns the hook hears why"
        );
        assert_eq!(of(true), "It is not taken here");
    }
    client.close();
    server.close();
}
