//! How long 20,000 signed deltas take over a connection on this machine, each verified and acknowledged: as the past of a
//! server, and back again for what differs. `cargo run --release -p allod-federation --example throughput`

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use allod_deltas::{Delta, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Clock, Deflate, Dial, Federation, FederationConfig, FederationOptions, Me, Rules,
};
use allod_identity::SecretKey;

const DELTAS: u64 = 20_000;

struct Here(AtomicU8);

impl Clock for Here {
    fn now_ms(&self) -> u64 {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_millis() as u64)
    }

    fn random(&self) -> [u8; 32] {
        [self.0.fetch_add(1, Ordering::Relaxed); 32]
    }
}

fn federation(name: &str, extensions: bool, deflate: Deflate) -> (Federation, Arc<MemoryDeltas>) {
    let me = Me {
        system_id: name.to_owned(),
        store: name.to_owned(),
        key: None,
    };
    let rules = Rules {
        deltas_per_second: u64::from(u32::MAX),
        bytes_per_second: u64::from(u32::MAX),
        extensions,
        deflate,
        ..Rules::default()
    };
    let store = Arc::new(MemoryDeltas::new());
    let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
    let options = FederationOptions::new(me, rules, Arc::new(Here(AtomicU8::new(0))));
    (Federation::new(kept, options), store)
}

#[expect(clippy::print_stdout, reason = "an example says what it does")]
#[expect(clippy::disallowed_methods, reason = "an example measures")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let key = SecretKey::from_seed([7; 32]);
    let mut deltas = Vec::new();
    for at in 0..DELTAS {
        let pointers = vec![
            Pointer::under("post", format!("post-{}", at % 1000), "comment")?,
            Pointer::text("text", format!("What comment {at} has to say"))?,
        ];
        let delta = Delta::sign(&key, Number::of(at + 1), "laptop", pointers)?;
        deltas.push(Arc::new(delta.into_delta()));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (plain, packed) = (Deflate::Never, Deflate::Always);
    for (what, extensions, deflate, shared) in [
        ("the past, as peers of the original get it", false, plain, 0),
        ("the past, between two of ours", true, plain, 0),
        ("the past, packed", true, packed, 0),
        ("what differs, of all but 100", true, plain, DELTAS - 100),
        ("what differs, packed", true, packed, DELTAS - 100),
    ] {
        runtime.block_on(async {
            let (server, _) = federation("server", true, packed);
            let (client, kept) = federation("client", extensions, deflate);
            server.append(deltas.clone()).await?;
            client.append(deltas[..shared as usize].to_vec()).await?;
            let listening = server.listen("127.0.0.1:0").await?;
            let url = format!("ws://{}/federation", listening.address());
            let begin = Instant::now();
            let config = FederationConfig::default();
            let link = client
                .connect_to_remote(&url, config, Dial::default())
                .await?;
            while kept.len() < deltas.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let (passed, stats) = (begin.elapsed(), link.stats());
            println!(
                "{what}: {passed:?}, {} bytes received in {}, {} sent in {}",
                stats.bytes_received,
                stats.wire_bytes_received,
                stats.bytes_sent,
                stats.wire_bytes_sent
            );
            client.close();
            server.close();
            Ok::<(), Box<dyn std::error::Error>>(())
        })?;
    }
    Ok(())
}
