//! Whole links in a network in memory.

use std::sync::Arc;

use allod_deltas::{Delta, DeltaFilter, DeltaStore as _, Number, Pointer};
use allod_federation::{
    Command, Event, FederationConfig, InitialSync, Input, Mode, PING_MS, SILENCE_MS, Status,
};

use crate::network::{Network, delta, legacy, open};

fn many(prefix: &str, count: u64) -> Vec<Arc<Delta>> {
    (0..count)
        .map(|at| delta(&format!("{prefix}{at:05}"), at + 1))
        .collect()
}

fn pull() -> FederationConfig {
    FederationConfig {
        mode: Mode::Pull,
        ..FederationConfig::default()
    }
}

/// FED-10, FED-12: the order of the original, where one side is one of the original.
#[test]
fn an_initial_sync_is_served_in_batches_in_order() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(legacy()));
    net.append(server, &many("d", 250));
    let at = net.connect(client, server, pull());
    net.settle();
    let connection = &net.connections[at];
    assert_eq!(connection.heard[1], ["hello", "sync_request"]);
    let expected = [
        "hello_ack",
        "sync_start",
        "sync_batch",
        "sync_batch",
        "sync_batch",
        "sync_complete",
    ];
    assert_eq!(connection.heard[0], expected);
    assert_eq!(net.ids(client), net.ids(server));
    let names = connection.event_names(0);
    assert_eq!(names[..2], ["link:connected", "sync:started"]);
    assert_eq!(names.last(), Some(&"sync:completed"));
    assert_eq!(
        names
            .iter()
            .filter(|name| **name == "delta:received")
            .count(),
        250
    );
    assert_eq!(connection.links[0].status(), Status::Connected);
    let stats = connection.links[0].stats();
    assert_eq!((stats.deltas_received, stats.deltas_rejected), (250, 0));
    assert_eq!(stats.last_sync_ms, Some(net.now));
    assert_eq!(connection.links[1].stats().deltas_sent, 250);
    // What comes afterwards comes as it comes, and is acknowledged.
    net.append(server, &[delta("late", 5)]);
    net.settle();
    let connection = &net.connections[at];
    assert_eq!(connection.heard[0].last().unwrap(), "delta");
    assert_eq!(connection.heard[1].last().unwrap(), "delta_ack");
    assert_eq!(net.ids(client).len(), 251);
}

#[test]
fn an_initial_sync_of_nothing_has_no_batch() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(legacy()));
    let at = net.connect(client, server, pull());
    net.settle();
    assert_eq!(
        net.connections[at].heard[0],
        ["hello_ack", "sync_start", "sync_complete"]
    );
}

/// FED-12: the time is compared with its end included; nothing else is left out, negated deltas least of all.
#[test]
fn a_sync_from_a_time_has_that_time_and_what_is_negated() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(legacy()));
    net.append(server, &many("d", 10));
    let undo = vec![Pointer::negates("d00006").unwrap()];
    let undo = Delta::new("undo", Number::new(8.5).unwrap(), "alice", "s", undo).unwrap();
    net.append(server, &[Arc::new(undo)]);
    let config = FederationConfig {
        initial_sync: InitialSync::FromTimestamp,
        sync_from_timestamp: Some(Number::of(7)),
        ..pull()
    };
    net.connect(client, server, config);
    net.settle();
    assert_eq!(
        net.ids(client),
        ["d00006", "d00007", "d00008", "d00009", "undo"]
    );
}

#[test]
fn without_an_initial_sync_only_what_comes_comes() {
    for rules in [open(), legacy()] {
        let mut net = Network::new();
        let (server, client) = (net.node(open()), net.node(rules));
        net.append(server, &many("old", 3));
        net.append(client, &many("own", 3));
        let config = FederationConfig {
            initial_sync: InitialSync::None,
            ..FederationConfig::default()
        };
        net.connect(client, server, config);
        net.settle();
        net.append(server, &[delta("s", 1)]);
        net.append(client, &[delta("c", 1)]);
        net.settle();
        assert_eq!(
            net.ids(client),
            ["c", "own00000", "own00001", "own00002", "s"]
        );
        assert_eq!(
            net.ids(server),
            ["c", "old00000", "old00001", "old00002", "s"]
        );
    }
}

/// FED-21: each mode lets deltas go one way, or both, and nobody sends what the other would refuse.
#[test]
fn modes_are_kept_on_both_sides() {
    for rules in [open(), legacy()] {
        for (mode, to_client, to_server) in [
            (Mode::Push, false, true),
            (Mode::Pull, true, false),
            (Mode::Bidirectional, true, true),
        ] {
            let mut net = Network::new();
            let (server, client) = (net.node(open()), net.node(rules.clone()));
            net.append(server, &many("s", 3));
            net.append(client, &many("c", 3));
            let config = FederationConfig {
                mode,
                ..FederationConfig::default()
            };
            let at = net.connect(client, server, config);
            net.settle();
            net.append(server, &[delta("sx", 1)]);
            net.append(client, &[delta("cx", 1)]);
            net.settle();
            assert_eq!(net.ids(client).contains(&"sx".to_owned()), to_client);
            assert_eq!(net.ids(client).contains(&"s00000".to_owned()), to_client);
            assert_eq!(net.ids(server).contains(&"cx".to_owned()), to_server);
            assert_eq!(net.ids(server).contains(&"c00000".to_owned()), to_server);
            for side in 0..2 {
                assert_eq!(net.connections[at].count(side, "delta_nack"), 0);
            }
        }
    }
}

/// FED-21: the filters of the client are kept by the server, and those of each side by that side.
#[test]
fn filters_are_kept_both_ways() {
    let of = |ids: &[&str]| {
        Some(DeltaFilter {
            target_ids: Some(ids.iter().map(|id| format!("o-{id}")).collect()),
            ..DeltaFilter::default()
        })
    };
    for rules in [open(), legacy()] {
        let mut net = Network::new();
        let mut server_rules = open();
        server_rules.give = of(&["a", "b", "x"]);
        server_rules.take = of(&["m", "n"]);
        let (server, client) = (net.node(server_rules), net.node(rules));
        net.append(server, &[delta("a", 1), delta("b", 2), delta("c", 3)]);
        net.append(client, &[delta("m", 1), delta("n", 2), delta("o", 3)]);
        let config = FederationConfig {
            pull_filter: of(&["b", "c", "x"]),
            push_filter: of(&["m", "o"]),
            ..FederationConfig::default()
        };
        net.connect(client, server, config);
        net.settle();
        net.append(server, &[delta("x", 1), delta("y", 1)]);
        net.settle();
        assert_eq!(net.ids(client), ["b", "m", "n", "o", "x"]);
        assert_eq!(net.ids(server), ["a", "b", "c", "m", "x", "y"]);
    }
}

/// FED-18, R-10: three in a ring, each of which sends on what it gets. Each delta crosses each connection at
/// most once each way, and then there is silence.
#[test]
fn a_ring_that_sends_on_what_it_gets_settles() {
    for rules in [open(), legacy()] {
        let mut net = Network::new();
        let nodes = [
            net.node(rules.clone()),
            net.node(rules.clone()),
            net.node(rules.clone()),
        ];
        for at in 0..3 {
            net.connect(nodes[at], nodes[(at + 1) % 3], FederationConfig::default());
        }
        net.settle();
        net.append(nodes[0], &[delta("d", 1)]);
        net.settle();
        for node in nodes {
            assert_eq!(net.ids(node), ["d"]);
        }
        let sent: usize = net
            .connections
            .iter()
            .map(|connection| connection.count(0, "delta") + connection.count(1, "delta"))
            .sum();
        // From 0 to both others, and between those at most once each way.
        assert!((3..=4).contains(&sent), "{sent} deltas were sent");
        let acks: usize = net
            .connections
            .iter()
            .map(|connection| connection.count(0, "delta_ack") + connection.count(1, "delta_ack"))
            .sum();
        assert_eq!(acks, sent, "each is acknowledged once");
        let before: usize = net
            .connections
            .iter()
            .map(|connection| connection.bytes)
            .sum();
        net.append(nodes[0], &[delta("d", 1)]);
        net.settle();
        let after: usize = net
            .connections
            .iter()
            .map(|connection| connection.bytes)
            .sum();
        assert_eq!(after, before, "what is known is not sent again");
    }
}

/// A hub passes on what it gets from one to all others, and not back.
#[test]
fn a_hub_passes_on() {
    let mut net = Network::new();
    let hub = net.node(open());
    let spokes: Vec<usize> = (0..5).map(|_| net.node(legacy())).collect();
    for spoke in &spokes {
        net.connect(*spoke, hub, FederationConfig::default());
    }
    net.settle();
    net.append(spokes[2], &many("d", 20));
    net.settle();
    for spoke in &spokes {
        assert_eq!(net.ids(*spoke).len(), 20);
    }
    assert_eq!(
        net.connections[2].count(0, "delta"),
        0,
        "nothing comes back"
    );
    assert_eq!(net.connections[0].count(0, "delta"), 20);
}

/// FED-24: what is sent during a pause comes afterwards.
#[test]
fn a_pause_loses_nothing() {
    for rules in [open(), legacy()] {
        let mut net = Network::new();
        let (server, client) = (net.node(open()), net.node(rules));
        let at = net.connect(client, server, FederationConfig::default());
        net.settle();
        let now = net.now;
        net.connections[at].links[0].handle(now, Input::Command(Command::Pause));
        net.settle();
        assert_eq!(net.connections[at].links[0].status(), Status::Paused);
        assert_eq!(net.connections[at].links[1].status(), Status::Paused);
        net.append(server, &many("s", 3000));
        net.append(client, &many("c", 500));
        net.settle();
        assert!(net.ids(client).len() == 500 && net.ids(server).len() == 3000);
        net.connections[at].links[0].handle(now, Input::Command(Command::Resume));
        net.settle();
        assert_eq!(net.ids(client).len(), 3500);
        assert_eq!(net.ids(server), net.ids(client));
        let names = net.connections[at].event_names(0);
        let place = |name| names.iter().position(|event| *event == name).unwrap();
        assert!(place("link:paused") < place("link:resumed"));
    }
}

/// FED-32: who comes back gets what is new, however old it says it is, and nothing else.
#[test]
fn who_comes_back_gets_what_is_new() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(open()));
    net.append(server, &many("s", 400));
    net.append(client, &many("c", 300));
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    assert_eq!(net.ids(client), net.ids(server));
    net.connections[at].links[0].handle(net.now, Input::Command(Command::Disconnect));
    net.settle();
    assert!(net.connections[at].links[1].is_closed());
    net.append(server, &[delta("old", 1)]);
    net.append(client, &[delta("older", 1)]);
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    assert_eq!(net.ids(client).len(), 702);
    assert_eq!(net.ids(client), net.ids(server));
    let connection = &net.connections[at];
    assert_eq!(connection.heard[1][..2], ["hello", "sync_request"]);
    // What of it came from the client goes back once: the server keeps no list of who has what.
    let received = connection.links[0].stats().deltas_received;
    assert!(received <= 301, "{received} deltas came");
    assert_eq!(connection.count(1, "delta"), 1, "one went");
    // And a third time there is nothing to send.
    net.connections[at].links[0].handle(net.now, Input::Command(Command::Disconnect));
    net.settle();
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    assert!(
        net.connections[at].bytes < 2000,
        "{} bytes",
        net.connections[at].bytes
    );
    // A server whose store was lost is given everything again.
    net.nodes[server].store = Arc::default();
    net.connections[at].links[0].handle(net.now, Input::Command(Command::Disconnect));
    net.settle();
}

/// FED-31: two stores that share most of what they have find the rest at the cost of the rest.
#[test]
fn what_differs_is_found_at_its_own_cost() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(open()));
    let shared = many("shared", 5000);
    net.append(server, &shared);
    net.append(client, &shared);
    net.append(server, &many("s", 20));
    net.append(client, &many("c", 30));
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    assert_eq!(net.ids(client).len(), 5050);
    assert_eq!(net.ids(client), net.ids(server));
    let connection = &net.connections[at];
    assert!(connection.bytes < 40_000, "{} bytes", connection.bytes);
    assert_eq!(connection.links[0].stats().deltas_received, 20);
    assert_eq!(connection.links[1].stats().deltas_received, 30);
    assert!(connection.event_names(0).contains(&"sync:completed"));
    // It stands where it would after a sync.
    assert!(net.nodes[client].positions[&server].theirs.is_some());
    assert!(net.nodes[client].positions[&server].ours.is_some());
}

#[test]
fn equal_stores_find_nothing_and_unlike_ones_everything() {
    for (shared, ours, theirs) in [
        (0, 0, 0),
        (3000, 0, 0),
        (0, 3000, 0),
        (0, 0, 3000),
        (10, 20_000, 0),
    ] {
        let mut net = Network::new();
        let (server, client) = (net.node(open()), net.node(open()));
        for node in [server, client] {
            net.append(node, &many("x", shared));
        }
        net.append(server, &many("s", theirs));
        net.append(client, &many("c", ours));
        net.connect(client, server, FederationConfig::default());
        net.settle();
        net.pass_in_steps(20_000);
        assert_eq!(net.ids(client).len() as u64, shared + ours + theirs);
        assert_eq!(net.ids(client), net.ids(server));
        let positions = net.nodes[client].positions.get(&server);
        assert!(
            positions.is_some_and(|positions| positions.theirs.is_some()),
            "{shared} {ours} {theirs}"
        );
    }
}

/// FED-14: who is there is heard; who is not is given up after 75 seconds.
#[test]
fn the_dead_are_noticed() {
    let mut net = Network::new();
    let (server, client) = (net.node(open()), net.node(legacy()));
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    net.pass_in_steps(10 * PING_MS);
    let connection = &net.connections[at];
    assert!(!connection.is_cut);
    assert_eq!(connection.count(1, "ping"), 10);
    assert_eq!(connection.count(0, "pong"), 10);
    assert_eq!(
        connection.count(0, "ping"),
        0,
        "clients of the original do not expect it"
    );
    // Now nothing arrives any more, and nobody says so.
    let mut at_ms = net.now;
    let connection = &mut net.connections[at];
    let end = at_ms + SILENCE_MS;
    while at_ms < end {
        for link in &mut connection.links {
            assert!(!link.is_closed(), "not before 75 seconds");
            link.handle(at_ms, Input::Tick);
            while link.poll().is_some() {}
        }
        at_ms += 1000;
    }
    for link in &mut connection.links {
        link.handle(end, Input::Tick);
        assert!(link.is_closed());
        assert_eq!(link.status(), Status::Error);
    }
}

/// a delta that somebody asks to be sent, where nothing is sent by itself.
#[test]
fn a_delta_is_sent_when_asked_for() {
    let mut net = Network::new();
    let mut quiet = open();
    quiet.auto_broadcast = false;
    let (server, client) = (net.node(quiet.clone()), net.node(quiet));
    let at = net.connect(client, server, FederationConfig::default());
    net.settle();
    net.append(client, &[delta("a", 1), delta("b", 1)]);
    net.append(server, &[delta("x", 1), delta("y", 1)]);
    net.settle();
    assert!(net.ids(server).len() == 2 && net.ids(client).len() == 2);
    let now = net.now;
    net.connections[at].links[0].handle(now, Input::Command(Command::Send(delta("a", 1))));
    net.connections[at].links[1].handle(now, Input::Command(Command::Send(delta("x", 1))));
    net.settle();
    assert_eq!(net.ids(server), ["a", "x", "y"]);
    assert_eq!(net.ids(client), ["a", "b", "x"]);
    // More than can wait is refused, and said so.
    for n in 0..1500 {
        let send = Command::Send(delta(&format!("q{n}"), 1));
        net.connections[at].links[0].handle(now, Input::Command(send));
    }
    net.settle();
    let refused = net.connections[at].events[0].iter().filter(
        |event| matches!(event, Event::DeltaRejected { by_peer: false, reason, .. } if reason.contains("too many")),
    );
    assert!(refused.count() >= 200);
    net.nodes[client].store.get("b").unwrap().unwrap();
}
