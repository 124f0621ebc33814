//! A federation whose store is a space: what it is sent is in commits, and comes back after a restart.

use std::sync::Arc;

use allod_blocks::MemoryStore;
use allod_deltas::{Delta, DeltaFilter, DeltaStore, Number, Pointer, SpaceDeltas};
use allod_federation::{Dial, Federation};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Genesis, Repo, SpaceClass};

use crate::network::open;
use crate::sockets::{fast, options, until};

fn space(seed: u8) -> SpaceDeltas {
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
    SpaceDeltas::new(repo, BranchName::main(), key.agent_id(), key)
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
