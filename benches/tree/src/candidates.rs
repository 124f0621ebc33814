//! The maps that are compared, each behind the same steps.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use allod_tree::Tree;
use prolly::{BatchBuilder, Config, MemStore, Mutation, Prolly};
use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use crate::data::Data;

/// Case and figure.
pub type Figures = Vec<(&'static str, f64)>;

/// A map to measure.
pub trait Candidate {
    /// What it is called, with its version.
    fn name(&self) -> &'static str;
    /// Measures every case that the map has.
    fn run(&self, data: &Data, figures: &mut Figures);
}

/// All candidates, ours first.
pub fn all() -> [Box<dyn Candidate>; 4] {
    [
        Box::new(Ours),
        Box::new(ProllyMap),
        Box::new(Redb),
        Box::new(StdMap),
    ]
}

/// Runs a step and keeps its time in milliseconds.
fn timed<R>(figures: &mut Figures, case: &'static str, step: impl FnOnce() -> R) -> R {
    let start = Instant::now();
    let result = black_box(step());
    figures.push((case, start.elapsed().as_secs_f64() * 1e3));
    result
}

/// Reads every key in random order and keeps millions per second. The reader returns a byte of
/// the value, so that it is touched.
fn gets(figures: &mut Figures, case: &'static str, data: &Data, read: impl Fn(&[u8]) -> u8) {
    let start = Instant::now();
    let mut sum = 0u64;
    for key in data.shuffled_keys() {
        sum += u64::from(read(key));
    }
    black_box(sum);
    figures.push((
        case,
        data.len() as f64 / start.elapsed().as_secs_f64() / 1e6,
    ));
}

/// Counts entries and touches their bytes.
#[derive(Default)]
struct Seen {
    entries: usize,
    sum: u64,
}

impl Seen {
    fn entry(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.sum += u64::from(key[15]) + u64::from(value[99]);
    }

    fn check(self, data: &Data) {
        assert_eq!(black_box(self).entries, data.len());
    }
}

struct Ours;

impl Candidate for Ours {
    fn name(&self) -> &'static str {
        "allod-tree"
    }

    fn run(&self, data: &Data, figures: &mut Figures) {
        let out = &mut |_block| {};
        let pairs = data.shuffled();
        let random = timed(figures, "build random", || {
            let tree = Tree::build_unsorted(&pairs, out).unwrap();
            drop(pairs);
            tree
        });
        let pairs = data.sorted();
        let tree = timed(figures, "build sorted", || Tree::build(pairs, out).unwrap());
        assert_eq!(tree, random);
        drop(random);
        gets(figures, "get, copied", data, |key| {
            tree.get(key).unwrap().unwrap()[99]
        });
        gets(figures, "get, lent", data, |key| {
            tree.get_with(key, |value| value[99]).unwrap().unwrap()
        });
        let updates = data.updates();
        let updated = timed(figures, "batch of 1000 updates", || {
            tree.edit(
                updates.into_iter().map(|(key, value)| (key, Some(value))),
                out,
            )
            .unwrap()
        });
        assert_ne!(updated, tree);
        let mut seen = Seen::default();
        timed(figures, "scan, copied", || {
            for entry in &tree {
                let (key, value) = entry.unwrap();
                seen.entry(&key, &value);
            }
        });
        seen.check(data);
        let mut seen = Seen::default();
        timed(figures, "scan, lent", || {
            let mut cursor = tree.cursor();
            while let Some((key, value)) = cursor.next().unwrap() {
                seen.entry(key, value);
            }
        });
        seen.check(data);
        let bytes = timed(figures, "scan, lengths only", || {
            let mut bytes = 0;
            let mut cursor = tree.cursor();
            while let Some((key, value)) = cursor.next().unwrap() {
                bytes += key.len() + value.len();
            }
            bytes
        });
        assert_eq!(bytes, data.bytes());
        let changes = data
            .scattered()
            .into_iter()
            .map(|(key, value)| (key, Some(value)));
        let other = tree.edit(changes, out).unwrap();
        let changes = timed(figures, "diff of 100 scattered", || {
            tree.diff(&other).collect::<Result<Vec<_>, _>>().unwrap()
        });
        assert_eq!(changes.len(), 100);
    }
}

struct ProllyMap;

fn upserts(pairs: Vec<crate::data::Pair>) -> Vec<Mutation> {
    pairs
        .into_iter()
        .map(|(key, val)| Mutation::Upsert { key, val })
        .collect()
}

impl Candidate for ProllyMap {
    fn name(&self) -> &'static str {
        "prolly-map 0.7.2"
    }

    fn run(&self, data: &Data, figures: &mut Figures) {
        let pairs = data.shuffled();
        let random = timed(figures, "build random", || {
            let mut builder = BatchBuilder::new(Arc::new(MemStore::new()), Config::default());
            for (key, value) in pairs {
                builder.add(key, value);
            }
            builder.build().unwrap()
        });
        let store = Arc::new(MemStore::new());
        let map = Prolly::new(Arc::clone(&store), Config::default());
        let pairs = data.sorted();
        let tree = timed(figures, "build sorted", || {
            map.build_from_sorted_entries(pairs).unwrap()
        });
        assert_eq!(tree.root, random.root);
        drop(random);
        gets(figures, "get, copied", data, |key| {
            map.get(&tree, key).unwrap().unwrap()[99]
        });
        gets(figures, "get, lent", data, |key| {
            map.get_with(&tree, key, |value| value[99])
                .unwrap()
                .unwrap()
        });
        let updates = upserts(data.updates());
        timed(figures, "batch of 1000 updates", || {
            map.batch(&tree, updates).unwrap()
        });
        let mut seen = Seen::default();
        timed(figures, "scan, copied", || {
            for entry in map.range(&tree, &[], None).unwrap() {
                let (key, value) = entry.unwrap();
                seen.entry(&key, &value);
            }
        });
        seen.check(data);
        let mut seen = Seen::default();
        timed(figures, "scan, lent", || {
            map.scan_range(&tree, &[], None, |entry| {
                seen.entry(entry.key(), entry.value())
            })
            .unwrap()
        });
        seen.check(data);
        // The iterator that a caller gets: it hands out copies.
        let bytes = timed(figures, "scan, lengths only", || {
            let mut bytes = 0;
            for entry in map.range(&tree, &[], None).unwrap() {
                let (key, value) = entry.unwrap();
                bytes += key.len() + value.len();
            }
            bytes
        });
        assert_eq!(bytes, data.bytes());
        let other = map.batch(&tree, upserts(data.scattered())).unwrap();
        let changes = timed(figures, "diff of 100 scattered", || {
            map.diff(&tree, &other).unwrap()
        });
        assert_eq!(changes.len(), 100);
    }
}

struct Redb;

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("entries");

fn fill(pairs: Vec<crate::data::Pair>) -> Database {
    let database = Database::builder()
        .create_with_backend(InMemoryBackend::new())
        .unwrap();
    write(&database, pairs);
    database
}

fn write(database: &Database, pairs: Vec<crate::data::Pair>) {
    let transaction = database.begin_write().unwrap();
    {
        let mut table = transaction.open_table(TABLE).unwrap();
        for (key, value) in pairs {
            table.insert(key.as_slice(), value.as_slice()).unwrap();
        }
    }
    transaction.commit().unwrap();
}

impl Candidate for Redb {
    fn name(&self) -> &'static str {
        "redb 4.4 (memory)"
    }

    fn run(&self, data: &Data, figures: &mut Figures) {
        let pairs = data.shuffled();
        drop(timed(figures, "build random", || fill(pairs)));
        let pairs = data.sorted();
        let database = timed(figures, "build sorted", || fill(pairs));
        let transaction = database.begin_read().unwrap();
        let table = transaction.open_table(TABLE).unwrap();
        gets(figures, "get, copied", data, |key| {
            table.get(key).unwrap().unwrap().value().to_vec()[99]
        });
        gets(figures, "get, lent", data, |key| {
            table.get(key).unwrap().unwrap().value()[99]
        });
        let mut seen = Seen::default();
        timed(figures, "scan, copied", || {
            for entry in table.iter().unwrap() {
                let (key, value) = entry.unwrap();
                seen.entry(&key.value().to_vec(), &value.value().to_vec());
            }
        });
        seen.check(data);
        let mut seen = Seen::default();
        timed(figures, "scan, lent", || {
            for entry in table.iter().unwrap() {
                let (key, value) = entry.unwrap();
                seen.entry(key.value(), value.value());
            }
        });
        seen.check(data);
        let bytes = timed(figures, "scan, lengths only", || {
            let mut bytes = 0;
            for entry in table.iter().unwrap() {
                let (key, value) = entry.unwrap();
                bytes += key.value().len() + value.value().len();
            }
            bytes
        });
        assert_eq!(bytes, data.bytes());
        drop((table, transaction));
        let updates = data.updates();
        timed(figures, "batch of 1000 updates", || {
            write(&database, updates)
        });
    }
}

struct StdMap;

impl Candidate for StdMap {
    fn name(&self) -> &'static str {
        "BTreeMap"
    }

    fn run(&self, data: &Data, figures: &mut Figures) {
        let pairs = data.shuffled();
        drop(timed(figures, "build random", || {
            let mut map = BTreeMap::new();
            for (key, value) in pairs {
                map.insert(key, value);
            }
            map
        }));
        let pairs = data.sorted();
        let mut map = timed(figures, "build sorted", || {
            pairs.into_iter().collect::<BTreeMap<_, _>>()
        });
        gets(figures, "get, copied", data, |key| map[key].clone()[99]);
        gets(figures, "get, lent", data, |key| map[key][99]);
        let mut seen = Seen::default();
        timed(figures, "scan, copied", || {
            for (key, value) in &map {
                seen.entry(&key.clone(), &value.clone());
            }
        });
        seen.check(data);
        let mut seen = Seen::default();
        timed(figures, "scan, lent", || {
            for (key, value) in &map {
                seen.entry(key, value);
            }
        });
        seen.check(data);
        let bytes = timed(figures, "scan, lengths only", || {
            map.iter()
                .map(|(key, value)| key.len() + value.len())
                .sum::<usize>()
        });
        assert_eq!(bytes, data.bytes());
        let mut other = map.clone();
        other.extend(data.scattered());
        let changes = timed(figures, "diff of 100 scattered", || {
            map.iter().zip(&other).filter(|(a, b)| a != b).count()
        });
        assert_eq!(changes, 100);
        let updates = data.updates();
        timed(figures, "batch of 1000 updates", || map.extend(updates));
    }
}
