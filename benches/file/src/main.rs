//! A 1 GiB file through `add` and `cat`, in a process of its own, with its peak of memory.

use std::io::{Read, Write};
use std::time::Instant;

use allod_blocks::{FileProfile, FjallStore, add_file, read_file};

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let bytes: u64 = if quick { 64 << 20 } else { 1 << 30 };
    let dir = tempfile::tempdir().expect("a directory");
    // As the node does it: 8 MiB of cache are enough for a stream.
    let store = FjallStore::open(dir.path()).expect("opens");
    let started = Instant::now();
    let mut input = Noise {
        state: 0x9e37_79b9_7f4a_7c15,
        left: bytes,
    };
    let profile = FileProfile::UNIXFS_V1_2025;
    let info = add_file(&store, profile, &mut input, &mut |_| {}).expect("adds");
    assert_eq!(info.size, bytes);
    let add = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
    let peak_add = peak_mib();
    let started = Instant::now();
    let mut sink = Counter(0);
    read_file(&store, &info.cid, &mut sink).expect("reads");
    assert_eq!(sink.0, bytes);
    let cat = bytes as f64 / 1e6 / started.elapsed().as_secs_f64();
    let row = |case: String,
               unit: &str,
               better: &str,
               ours: f64,
               peers: serde_json::Value,
               target: &str| {
        println!(
            "{}",
            serde_json::json!({
                "area": "file", "case": case, "unit": unit, "better": better,
                "ours": ours, "peers": peers, "target": target,
            })
        );
    };
    let size = bytes >> 20;
    let none = serde_json::json!({});
    row(
        format!("add {size} MiB"),
        "MB/s",
        "more",
        add,
        none.clone(),
        "",
    );
    row(
        format!("cat {size} MiB"),
        "MB/s",
        "more",
        cat,
        none.clone(),
        "",
    );
    row(
        format!("peak memory after add of {size} MiB"),
        "MiB",
        "less",
        peak_add,
        none.clone(),
        "< 64 MiB",
    );
    row(
        format!("peak memory after add and cat of {size} MiB"),
        "MiB",
        "less",
        peak_mib(),
        none,
        "< 64 MiB",
    );
}

/// Bytes that no compression shortens.
struct Noise {
    state: u64,
    left: u64,
}

impl Read for Noise {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer
            .len()
            .min(usize::try_from(self.left).unwrap_or(usize::MAX));
        for chunk in buffer[..length].chunks_mut(8) {
            self.state ^= self.state << 13;
            self.state ^= self.state >> 7;
            self.state ^= self.state << 17;
            chunk.copy_from_slice(&self.state.to_le_bytes()[..chunk.len()]);
        }
        self.left -= length as u64;
        Ok(length)
    }
}

struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The most memory this process had, in MiB.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1024.0
}
