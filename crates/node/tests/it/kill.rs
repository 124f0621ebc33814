//! Nodes and commands that are killed: what was acknowledged is there afterwards.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::home::Home;

/// How often a node, or a command, is killed.
const KILLS: u64 = 30;

/// `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// Puts and commits once; the commit if it was acknowledged.
fn change(home: &Home, number: u64) -> Option<String> {
    let value = format!("{number:0>200}");
    let put = home.run(&["put", &format!("key {}", number % 17), &value]);
    let commit = home.run(&["commit", "-m", "busy", "--json"]);
    assert!(!put.err.contains("panicked"), "{}", put.err);
    assert!(!commit.err.contains("panicked"), "{}", commit.err);
    if commit.code != Some(0) {
        return None;
    }
    let value: Value = serde_json::from_str(&commit.out).unwrap();
    Some(value["commit"].as_str().unwrap().to_owned())
}

fn verify(home: &Home, acknowledged: &BTreeSet<String>) {
    let log = home.run(&["log", "--json"]).rows();
    let there: BTreeSet<String> = log
        .iter()
        .map(|row| row["commit"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<&String> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
}

#[test]
fn a_busy_node_is_killed_again_and_again() {
    let home = Home::with_space();
    let mut rng = Rng(42);
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        let up = home.up();
        let pause = Duration::from_millis(60 + rng.below(300));
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut done = Vec::new();
                for number in 0.. {
                    match change(&home, round * 100 + number) {
                        Some(id) => done.push(id),
                        // The node is gone.
                        None => break,
                    }
                }
                done
            });
            std::thread::sleep(pause);
            up.kill();
            // The writer goes on for a command or two on the home itself, until somebody holds it.
            std::thread::sleep(Duration::from_millis(20));
            let _held = hold(&home);
            acknowledged.extend(writer.join().unwrap());
        });
        verify(&home, &acknowledged);
    }
    assert!(acknowledged.len() as u64 > KILLS, "{}", acknowledged.len());
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

/// Holds the home, so that commands fail until it is dropped.
fn hold(home: &Home) -> std::fs::File {
    let lock = std::fs::File::options()
        .write(true)
        .open(home.path().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    lock
}

#[test]
fn commands_are_killed_again_and_again() {
    let home = Home::with_space();
    let mut rng = Rng(7);
    let mut acknowledged = BTreeSet::new();
    for round in 0..KILLS {
        acknowledged.extend(change(&home, round));
        home.run(&["put", "k", &round.to_string()]).ok();
        let mut command = home.command(&["commit", "-m", "killed", "--json"]);
        command.stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(rng.below(60)));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        // Printed before the end: acknowledged, though the process did not end well.
        if let Ok(value) = serde_json::from_slice::<Value>(&output.stdout) {
            acknowledged.insert(value["commit"].as_str().unwrap().to_owned());
        }
        // What was staged was committed, or is staged still.
        assert_eq!(home.run(&["get", "k"]).ok(), format!("{round}\n"));
        verify(&home, &acknowledged);
    }
    assert!(acknowledged.len() as u64 >= KILLS);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}
