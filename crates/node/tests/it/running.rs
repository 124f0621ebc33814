//! Running nodes: commands through the control socket, tickets, sync.

use std::time::{Duration, Instant};

use crate::home::Home;

#[test]
fn two_nodes_share_a_space() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("from", "ada");
    let up = ada.up();
    // The same commands, run by the node.
    ada.run(&["put", "k", "1"]).ok();
    ada.feed(&["put", "piped"], &vec![b'x'; 200_000]).ok();
    assert_eq!(ada.run(&["get", "piped", "--raw"]).ok().len(), 200_000);
    let rows = ada.write("rows.ndjson", "{\"id\":\"r1\"}\n{\"id\":\"r2\"}\n");
    ada.run(&["import", &rows]).ok();
    ada.run(&["import", "rows.ndjson", "--key", "nothing"])
        .fails(1, &["row 1", "nothing"]);
    ada.run(&["commit", "-m", "through the socket"]).ok();
    ada.run(&["get", "nothing"]).fails(1, &["nothing"]);
    ada.run(&["put"]).fails(2, &["KEY"]);
    assert_eq!(ada.json(&["check"])["problem_count"], 0);
    let ticket = ada.run(&["space", "ticket"]).ok();
    ada.run(&["space", "join", ticket.trim(), "--as", "own"])
        .fails(1, &["leads to this node"]);
    let joined = bob.json(&["space", "join", ticket.trim(), "--as", "shared"]);
    assert_eq!(joined["entries"], 5);
    assert_eq!(bob.run(&["get", "k"]).ok(), "1\n");
    // Both change one key while apart.
    ada.commit("k", "ada's");
    bob.commit("k", "bob's");
    bob.commit("only bob", "yes");
    let long = "line of a long text\n".repeat(100);
    ada.feed(&["put", "long"], long.as_bytes()).ok();
    ada.feed(&["put", "bytes"], b"\xff\x00\xfe").ok();
    ada.commit("more", "of ada");
    bob.feed(&["put", "long"], b"short\nand more").ok();
    bob.run(&["put", "bytes", "text"]).ok();
    bob.commit("more", "of bob");
    bob.run(&["sync"]).ok();
    let status = |home: &Home| home.json(&["status"]);
    assert_eq!(status(&ada)["heads"], status(&bob)["heads"]);
    assert_eq!(ada.run(&["get", "k"]).ok(), "bob's\n");
    assert_eq!(ada.run(&["get", "only bob"]).ok(), "yes\n");
    let conflicts = ada.run(&["conflicts", "--json"]).rows();
    let keys: Vec<_> = conflicts.iter().map(|row| row["key"].clone()).collect();
    assert_eq!(keys, ["bytes", "k", "long", "more"]);
    assert_eq!(
        conflicts[0]["aside"],
        serde_json::json!({ "base64": "/wD+" })
    );
    assert_eq!(conflicts[1]["kept"], "bob's");
    assert_eq!(conflicts[1]["aside"], "ada's");
    assert_eq!(conflicts[2]["kept"], "short\nand more");
    assert_eq!(conflicts[2]["aside"], long);
    let there = bob.run(&["conflicts", "--json"]).rows();
    assert_eq!(there.len(), conflicts.len());
    assert_eq!(there[0]["aside"], conflicts[0]["aside"]);
    let exported = |home: &Home| home.run(&["export"]).ok();
    assert_eq!(exported(&ada), exported(&bob));
    assert_eq!(ada.run(&["peers"]).ok().lines().count(), 1);
    assert_eq!(up.stop(), Some(0));
    assert!(!ada.path().join("control.sock").exists());
    assert_eq!(bob.json(&["check"])["problem_count"], 0);
}

#[test]
fn running_nodes_keep_each_other_up_to_date() {
    let (ada, bob) = (Home::with_space(), Home::new());
    let left = ada.up();
    let right = bob.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    bob.commit("k", "v");
    let started = Instant::now();
    while ada.run(&["get", "k"]).out != "v\n" {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nothing arrived"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(right.stop(), Some(0));
    assert_eq!(left.stop(), Some(0));
}

#[test]
fn a_ticket_of_a_peer_that_is_not_there_or_somebody_else() {
    let (ada, bob) = (Home::with_space(), Home::new());
    let up = ada.up();
    // Somebody else answers at the address that the ticket names.
    let eve = Home::with_space();
    let ticket = eve.run(&["space", "ticket", "--addr", &up.addr]).ok();
    assert_ne!(up.device, eve.json(&["id"])["device"].as_str().unwrap());
    bob.run(&["space", "join", ticket.trim()])
        .fails(1, &["cannot reach"]);
    // Nobody answers at all.
    let ticket = eve.run(&["space", "ticket", "--addr", "127.0.0.1:9"]).ok();
    bob.run(&["space", "join", ticket.trim()])
        .fails(1, &["cannot reach"]);
    // It has expired.
    let ticket = ada.run(&["space", "ticket", "--days", "0"]).ok();
    bob.run(&["space", "join", ticket.trim()])
        .fails(1, &["expired"]);
    // It is damaged, or no ticket.
    let ticket = ada.run(&["space", "ticket"]).ok();
    let mut damaged: Vec<char> = ticket.trim().chars().collect();
    let middle = damaged.len() / 2;
    damaged[middle] = if damaged[middle] == 'a' { 'b' } else { 'a' };
    let damaged: String = damaged.into_iter().collect();
    bob.run(&["space", "join", &damaged]).fails(1, &["ticket"]);
    bob.run(&["space", "join", "hello"]).fails(1, &["ticket"]);
    assert_eq!(bob.run(&["space", "list", "--json"]).ok(), "");
    assert_eq!(up.stop(), Some(0));
}

/// Who takes places without a use for them loses them, and cannot take them all.
#[test]
fn a_stranger_does_not_keep_others_out() {
    let home = Home::with_space();
    let up = home.up();
    let ticket = home.run(&["space", "ticket"]).ok();
    let ticket: allod_sync::Ticket = ticket.trim().parse().unwrap();
    let addr = ticket.addrs[0].parse().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let endpoint = allod_quic::Endpoint::bind(allod_quic::Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            key: &allod_identity::SecretKey::from_seed([77; 32]),
            limits: allod_quic::Limits::default(),
        })
        .unwrap();
        let mut held = Vec::new();
        for _ in 0..40 {
            held.push(endpoint.connect(addr, ticket.device).await.unwrap());
        }
        let open = || {
            let open = held.iter().filter(|held| held.close_reason().is_none());
            open.count()
        };
        let started = Instant::now();
        while open() > 8 {
            assert!(started.elapsed() < Duration::from_secs(5), "{}", open());
            // Looked at until it is so, and given up after a while.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while open() > 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "{}", open());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    assert_eq!(up.stop(), Some(0));
}
