//! A peer over a store in memory, for trying out other implementations.
//!
//! ```text
//! cargo run -p allod-federation --example peer -- serve 127.0.0.1:8080
//! cargo run -p allod-federation --example peer -- connect ws://127.0.0.1:8080/federation
//! ```
//!
//! It appends each line of its input that is a delta, signed or not, and prints what happens on its links.

use std::io::BufRead as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use allod_deltas::{Delta, MemoryDeltas};
use allod_federation::{
    Clock, Dial, Event, Federation, FederationConfig, FederationOptions, Me, Rules, TrustPolicy,
};
use tokio::sync::mpsc;

struct Here(AtomicU64);

impl Clock for Here {
    fn now_ms(&self) -> u64 {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_millis() as u64)
    }

    /// Numbers that are not the same twice: an example proves no key. A node takes them from the system.
    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        bytes[..8].copy_from_slice(&self.now_ms().to_le_bytes());
        bytes[8..12].copy_from_slice(&std::process::id().to_le_bytes());
        bytes[12..20].copy_from_slice(&count.to_le_bytes());
        bytes
    }
}

#[expect(clippy::print_stdout, reason = "an example says what it does")]
#[expect(clippy::disallowed_methods, reason = "an example has threads")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [role, address] = &arguments[..] else {
        return Err("peer serve ADDRESS | peer connect URL".into());
    };
    let me = Me {
        system_id: format!("peer-{}", std::process::id()),
        store: format!("memory-{}", std::process::id()),
        key: None,
    };
    let rules = Rules {
        trust: TrustPolicy::open(),
        ..Rules::default()
    };
    let options = FederationOptions::new(me, rules, Arc::new(Here(AtomicU64::new(0))));
    let federation = Federation::new(Arc::new(MemoryDeltas::new()), options);
    let hearing = federation.on_event(|link, event| match event {
        Event::DeltaReceived { delta } => println!("{link} {} {}", event.name(), delta.encode()),
        other => println!("{link} {} {other:?}", other.name()),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match role.as_str() {
            "serve" => {
                let listening = federation.listen(address).await?;
                println!("ws://{}/federation", listening.address());
            }
            _ => {
                let config = FederationConfig::default();
                federation
                    .connect_to_remote(address, config, Dial::default())
                    .await?;
            }
        }
        let (lines, mut read) = mpsc::channel::<String>(16);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if lines.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        while let Some(line) = read.recv().await {
            match Delta::decode(&line) {
                Ok(delta) => println!("{:?}", federation.append(vec![Arc::new(delta)]).await?),
                Err(error) => println!("{}: {error}", error.code()),
            }
        }
        // Without more input it goes on with its links.
        std::future::pending::<()>().await;
        Ok::<(), Box<dyn std::error::Error>>(())
    })?;
    drop(hearing);
    Ok(())
}
