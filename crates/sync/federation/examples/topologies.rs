//! Five ways to put instances together, each on this machine, with what everybody has in the end.
//!
//! ```text
//! cargo run -p allod-federation --example topologies                all of them
//! cargo run -p allod-federation --example topologies -- hierarchy   client-server, hub, peers, hierarchy or bridge
//! ```
//!
//! It ends with 1 if anybody has more or less than is said here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use allod_deltas::{Delta, DeltaFilter, DeltaStore, MemoryDeltas, Number, Pointer};
use allod_federation::{
    Clock, Dial, Federation, FederationConfig, FederationOptions, Me, Mode, Rules, TrustPolicy,
};
use allod_identity::SecretKey;

/// How long deltas may take: a busy machine is no fault of theirs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The names of all.
pub const TOPOLOGIES: [&str; 5] = ["client-server", "hub", "peers", "hierarchy", "bridge"];

/// What went wrong, in words.
type Fault = Box<dyn std::error::Error + Send + Sync>;

struct Here(AtomicU64);

impl Clock for Here {
    fn now_ms(&self) -> u64 {
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |since| since.as_millis() as u64)
    }

    /// Different each time: nobody here proves a key.
    fn random(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_le_bytes());
        bytes
    }
}

/// An instance: its store, its key, and where it is.
struct Instance {
    federation: Federation,
    store: Arc<MemoryDeltas>,
    key: SecretKey,
    url: String,
    said: AtomicU64,
}

/// Instances by name.
#[derive(Default)]
struct Network(BTreeMap<&'static str, Instance>);

impl Network {
    /// Adds an instance that others may connect to.
    async fn add(&mut self, name: &'static str, rules: Rules) -> Result<(), Fault> {
        let seed = self.0.len() as u8 + 1;
        let me = Me {
            system_id: name.to_owned(),
            store: format!("the store of {name}"),
            key: None,
        };
        let store = Arc::new(MemoryDeltas::new());
        let kept: Arc<dyn DeltaStore> = Arc::clone(&store) as Arc<dyn DeltaStore>;
        let clock = Arc::new(Here(AtomicU64::new(u64::from(seed) << 32)));
        let federation = Federation::new(kept, FederationOptions::new(me, rules, clock));
        let listening = federation.listen("127.0.0.1:0").await?;
        let instance = Instance {
            url: format!("ws://{}/federation", listening.address()),
            federation,
            store,
            key: SecretKey::from_seed([seed; 32]),
            said: AtomicU64::new(0),
        };
        self.0.insert(name, instance);
        Ok(())
    }

    fn of(&self, name: &str) -> Result<&Instance, Fault> {
        self.0
            .get(name)
            .ok_or_else(|| format!("nobody is {name}").into())
    }

    fn author(&self, name: &str) -> Result<String, Fault> {
        Ok(self.of(name)?.key.public().to_string())
    }

    /// Connects one to another.
    async fn link(&self, from: &str, to: &str, config: FederationConfig) -> Result<(), Fault> {
        let (from, to) = (self.of(from)?, self.of(to)?);
        let linking = from
            .federation
            .connect_to_remote(&to.url, config, Dial::default());
        linking.await?;
        Ok(())
    }

    /// Lets one say so many things under a context.
    async fn say(&self, name: &str, context: &str, count: u64) -> Result<(), Fault> {
        let instance = self.of(name)?;
        let mut deltas = Vec::new();
        for _ in 0..count {
            let number = instance.said.fetch_add(1, Ordering::Relaxed) + 1;
            let pointers = vec![
                Pointer::under("about", "the-world", context)?,
                Pointer::text("text", format!("{number} of {name}"))?,
            ];
            let delta = Delta::sign(&instance.key, Number::of(number), name, pointers)?;
            deltas.push(Arc::new(delta.into_delta()));
        }
        instance.federation.append(deltas).await?;
        Ok(())
    }

    /// Waits until each has so many deltas, and fails as soon as somebody has more, or if somebody never has as many.
    async fn has(&self, counts: &[(&str, usize)]) -> Result<(), Fault> {
        let all_is_there = async {
            while self
                .other(counts)?
                .is_some_and(|(_, has, count)| has < count)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Ok::<_, Fault>(())
        };
        if let Ok(done) = tokio::time::timeout(PATIENCE, all_is_there).await {
            done?;
            // What should not come may be on its way.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        match self.other(counts)? {
            None => Ok(()),
            Some((name, has, count)) => {
                Err(format!("{name} has {has} deltas, and should have {count}").into())
            }
        }
    }

    /// Somebody who has another count: who has too many, or else who has too few.
    fn other<'a>(
        &self,
        counts: &[(&'a str, usize)],
    ) -> Result<Option<(&'a str, usize, usize)>, Fault> {
        let mut other = None;
        for (name, count) in counts {
            let has = self.of(name)?.store.len();
            if has > *count {
                return Ok(Some((name, has, *count)));
            }
            if has < *count {
                other = Some((*name, has, *count));
            }
        }
        Ok(other)
    }

    fn close(&self) {
        for instance in self.0.values() {
            instance.federation.close();
        }
    }
}

fn both() -> FederationConfig {
    FederationConfig::default()
}

/// Deltas under a context.
fn under(context: &str) -> DeltaFilter {
    DeltaFilter {
        target_contexts: Some([context.to_owned()].into()),
        ..DeltaFilter::default()
    }
}

/// Runs a topology; who has how many deltas in the end.
pub async fn run(name: &str) -> Result<Vec<(&'static str, usize)>, Fault> {
    let mut network = Network::default();
    let counts = match name {
        "client-server" => client_server(&mut network).await,
        "hub" => hub(&mut network).await,
        "peers" => peers(&mut network).await,
        "hierarchy" => hierarchy(&mut network).await,
        "bridge" => bridge(&mut network).await,
        other => return Err(format!("{other} is none of {}", TOPOLOGIES.join(", ")).into()),
    }?;
    network.has(&counts).await?;
    network.close();
    Ok(counts)
}

type Counts = Result<Vec<(&'static str, usize)>, Fault>;

/// One that only reads, one that only writes, and one that does both.
async fn client_server(network: &mut Network) -> Counts {
    for name in ["server", "reader", "writer", "client"] {
        network.add(name, Rules::default()).await?;
    }
    network.say("server", "news", 4).await?;
    for (name, mode) in [
        ("reader", Mode::Pull),
        ("writer", Mode::Push),
        ("client", Mode::Bidirectional),
    ] {
        network.say(name, "news", 3).await?;
        network
            .link(name, "server", FederationConfig { mode, ..both() })
            .await?;
    }
    // The reader keeps what it says, and the writer hears of nothing.
    network
        .has(&[
            ("server", 10),
            ("reader", 13),
            ("writer", 3),
            ("client", 10),
        ])
        .await?;
    network.say("server", "news", 1).await?;
    Ok(vec![
        ("server", 11),
        ("reader", 14),
        ("writer", 3),
        ("client", 11),
    ])
}

/// Four that know nobody but the one in the middle.
async fn hub(network: &mut Network) -> Counts {
    let spokes = ["north", "east", "south", "west"];
    network.add("hub", Rules::default()).await?;
    for name in spokes {
        network.add(name, Rules::default()).await?;
        network.link(name, "hub", both()).await?;
        network.say(name, "news", 5).await?;
    }
    let mut counts = vec![("hub", 20)];
    counts.extend(spokes.map(|name| (name, 20)));
    Ok(counts)
}

/// Everybody is connected to everybody; what comes by two ways is there once.
async fn peers(network: &mut Network) -> Counts {
    let all = ["ada", "bob", "cyd", "dan"];
    for (at, name) in all.into_iter().enumerate() {
        network.add(name, Rules::default()).await?;
        for known in &all[..at] {
            network.link(name, known, both()).await?;
        }
        network.say(name, "news", 5).await?;
    }
    network.has(&all.map(|name| (name, 20))).await?;
    network.say("bob", "news", 1).await?;
    Ok(all.map(|name| (name, 21)).to_vec())
}

/// Leaves say what they have to those above them; what is announced at the top gets down to all.
async fn hierarchy(network: &mut Network) -> Counts {
    let tree = [
        ("north", "root"),
        ("south", "root"),
        ("leaf1", "north"),
        ("leaf2", "north"),
        ("leaf3", "south"),
        ("leaf4", "south"),
    ];
    network.add("root", Rules::default()).await?;
    for (name, above) in tree {
        network.add(name, Rules::default()).await?;
        let config = FederationConfig {
            pull_filter: Some(under("announced")),
            ..both()
        };
        network.link(name, above, config).await?;
    }
    for leaf in ["leaf1", "leaf2", "leaf3", "leaf4"] {
        network.say(leaf, "measured", 5).await?;
    }
    network
        .has(&[("root", 20), ("north", 10), ("south", 10), ("leaf1", 5)])
        .await?;
    network.say("root", "announced", 2).await?;
    let mut counts = vec![("root", 22), ("north", 12), ("south", 12)];
    counts.extend(["leaf1", "leaf2", "leaf3", "leaf4"].map(|leaf| (leaf, 7)));
    Ok(counts)
}

/// A bridge lets out what was published, and in what one author said.
async fn bridge(network: &mut Network) -> Counts {
    network.add("private", Rules::default()).await?;
    network.add("public", Rules::default()).await?;
    network.add("editor", Rules::default()).await?;
    let trusted = [network.author("private")?, network.author("editor")?];
    let rules = Rules {
        trust: TrustPolicy {
            trusted_authors: Some(trusted.into()),
            ..TrustPolicy::default()
        },
        ..Rules::default()
    };
    network.add("bridge", rules).await?;
    network.link("editor", "public", both()).await?;
    network.link("bridge", "private", both()).await?;
    let config = FederationConfig {
        push_filter: Some(under("published")),
        ..both()
    };
    network.link("bridge", "public", config).await?;
    network.say("private", "draft", 4).await?;
    network.say("private", "published", 2).await?;
    network.say("public", "opinion", 3).await?;
    network.say("editor", "review", 1).await?;
    network
        .has(&[("private", 7), ("bridge", 7), ("public", 6), ("editor", 6)])
        .await?;
    // What is let through comes behind what is not, so nothing of that is on its way.
    network.say("private", "published", 1).await?;
    network.say("editor", "review", 1).await?;
    Ok(vec![
        ("private", 9),
        ("bridge", 9),
        ("public", 8),
        ("editor", 8),
    ])
}

#[expect(clippy::print_stdout, reason = "an example says what it does")]
fn main() -> Result<(), Fault> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let names: Vec<&str> = if asked.is_empty() {
        TOPOLOGIES.to_vec()
    } else {
        asked.iter().map(String::as_str).collect()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    for name in names {
        println!("{name}");
        for (who, count) in runtime.block_on(run(name))? {
            println!("  {who} has {count} deltas");
        }
    }
    Ok(())
}
