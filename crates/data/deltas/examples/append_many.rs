//! How long 100,000 deltas take to be appended to a space, read back and viewed: `cargo run --release -p
//! allod-deltas --example append_many`.

use std::sync::Arc;
use std::time::Instant;

use allod_blocks::MemoryStore;
use allod_deltas::{
    Cursor, Delta, DeltaFilter, DeltaStore as _, HyperSchema, HyperView, Looking, Materialized,
    MayNegate, Number, PAGE_MAX, Pointer, Schemas, SpaceDeltas,
};
use allod_identity::SecretKey;
use allod_repo::{Author, BranchName, Genesis, Repo, SpaceClass};

const DELTAS: u64 = 100_000;

#[expect(clippy::print_stdout, reason = "an example says what it does")]
#[expect(clippy::disallowed_methods, reason = "an example is a driver")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = SecretKey::from_seed([7; 32]);
    let author = Author {
        agent: key.agent_id(),
        key: &key,
    };
    let genesis = Genesis {
        at: 0,
        class: SpaceClass::Convergent,
        name: "deltas".into(),
        nonce: [1; 16],
        owner: author.agent,
    };
    let repo = Repo::create(Arc::new(MemoryStore::new()), genesis, author)?;
    let store = SpaceDeltas::new(repo, BranchName::main(), key.agent_id(), key.clone());
    let begin = Instant::now();
    let mut deltas = Vec::new();
    for at in 0..DELTAS {
        let pointers = vec![
            Pointer::under("post", format!("post-{}", at % 1000), "comment")?,
            Pointer::text("text", format!("What comment {at} has to say"))?,
        ];
        let delta = Delta::sign(&key, Number::of(at + 1), "laptop", pointers)?;
        deltas.push(Arc::new(delta.into_delta()));
    }
    println!("{DELTAS} deltas signed in {:?}", begin.elapsed());
    let begin = Instant::now();
    for delta in &deltas {
        delta.verify()?;
    }
    println!("verified in {:?}", begin.elapsed());
    let begin = Instant::now();
    store.append(&deltas, 1)?;
    println!("appended in one commit in {:?}", begin.elapsed());
    let begin = Instant::now();
    let (mut after, mut count) = (None, 0);
    loop {
        let page = store.scan(&DeltaFilter::all(), after.as_ref(), PAGE_MAX)?;
        count += page.deltas.len();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    println!("{count} scanned in order in {:?}", begin.elapsed());
    let begin = Instant::now();
    let (mut cursor, mut count) = (Cursor::default(), 0);
    loop {
        let arrivals = store.arrivals(cursor, PAGE_MAX)?;
        count += arrivals.deltas.len();
        cursor = arrivals.next;
        if !arrivals.more {
            break;
        }
    }
    println!(
        "{count} read in the order of arrival in {:?}",
        begin.elapsed()
    );
    let schemas = Schemas::new([HyperSchema::new("post", "Post")])?;
    let begin = Instant::now();
    let view = HyperView::of(&store, &schemas, "post", "post-7", &Looking::default())?;
    println!(
        "a view of {} deltas in {:?}",
        view.metadata.delta_count,
        begin.elapsed()
    );
    let mut kept = Materialized::new(schemas, "post", MayNegate::Anyone);
    kept.view(&store, "post-7")?;
    let begin = Instant::now();
    kept.view(&store, "post-7")?;
    println!("again, kept, in {:?}", begin.elapsed());
    let pointers = vec![Pointer::text("text", "one more")?];
    let one = Delta::sign(&key, Number::of(DELTAS + 1), "laptop", pointers)?;
    let begin = Instant::now();
    store.append(&[Arc::new(one.into_delta())], 2)?;
    println!("one more appended in {:?}", begin.elapsed());
    Ok(())
}
