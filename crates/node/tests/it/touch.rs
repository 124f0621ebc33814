//! Running nodes that stay in touch (SYNC-40 to SYNC-42).

use std::time::{Duration, Instant};

use crate::home::{Home, Up};

/// Waits until a home has a value, and says how long that took.
fn wait(home: &Home, key: &str, value: &str, most: Duration) -> Duration {
    let started = Instant::now();
    loop {
        let got = home.run(&["get", key]);
        if got.code == Some(0) && got.out.trim_end() == value {
            return started.elapsed();
        }
        assert!(
            started.elapsed() < most,
            "{key}={value} did not come: {} {}",
            got.out,
            got.err
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running node, and a home that shares its space by a ticket.
fn two() -> (Home, Up, Home) {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("k", "begin");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    (ada, up, bob)
}

/// What either of two running nodes commits is at the other at once, also where only one of them can dial.
#[test]
fn commits_flow_both_ways_over_the_connection_that_is_open() {
    // Ada knows no address of Bob's that lasts.
    let (ada, up, bob) = two();
    let down = bob.up();
    bob.commit("from bob", "1");
    wait(&ada, "from bob", "1", Duration::from_secs(20));
    for n in 0..5 {
        let (n, next) = (n.to_string(), (n + 100).to_string());
        ada.commit("from ada", &n);
        wait(&bob, "from ada", &n, Duration::from_secs(5));
        bob.commit("from bob", &next);
        wait(&ada, "from bob", &next, Duration::from_secs(5));
    }
    assert_eq!(down.stop(), Some(0));
    assert_eq!(up.stop(), Some(0));
}

/// A node that was away is found again by those who wait for it, with what they did meanwhile.
#[test]
fn what_was_done_apart_leaves_when_the_peer_appears() {
    let (ada, first, bob) = two();
    let listen = first.addr.clone();
    let down = bob.up();
    bob.commit("k", "together");
    wait(&ada, "k", "together", Duration::from_secs(20));
    first.kill();
    bob.commit("k", "alone");
    // Long enough for some failures, and so for waits of seconds.
    std::thread::sleep(Duration::from_secs(3));
    let again = ada.up_at(&listen);
    wait(&ada, "k", "alone", Duration::from_secs(35));
    ada.commit("k", "and back");
    wait(&bob, "k", "and back", Duration::from_secs(10));
    drop((again, down));
}
