//! Whatever is cut, and whoever is of the original: in the end everybody has everything.

use std::sync::Arc;

use allod_deltas::{Delta, DeltaStore as _, Number, Pointer};
use allod_federation::FederationConfig;
use proptest::prelude::*;

use crate::network::{Network, legacy, open};

#[derive(Clone, Debug)]
enum Act {
    Append(usize, Vec<u8>),
    /// Cuts a connection after so many more frames.
    Cut(usize, usize),
    Connect(usize, usize),
    Settle,
    Pass(u16),
}

fn acts(nodes: usize) -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0..nodes, proptest::collection::vec(any::<u8>(), 1..6)).prop_map(|(node, ids)| Act::Append(node, ids)),
        2 => (any::<usize>(), 0..12usize).prop_map(|(at, after)| Act::Cut(at, after)),
        2 => (0..nodes, 0..nodes).prop_map(|(from, to)| Act::Connect(from, to)),
        3 => Just(Act::Settle),
        1 => any::<u16>().prop_map(Act::Pass),
    ];
    proptest::collection::vec(act, 0..24)
}

fn said(id: u8) -> Arc<Delta> {
    let pointers = match id % 3 {
        0 => vec![Pointer::negates(format!("d{}", id / 2)).unwrap()],
        _ => vec![Pointer::under("of", format!("o{}", id % 7), "name").unwrap()],
    };
    Arc::new(
        Delta::new(
            format!("d{id}"),
            Number::of(u64::from(id) + 1),
            "a",
            "s",
            pointers,
        )
        .unwrap(),
    )
}

proptest! {
    #[test]
    fn everybody_has_everything_in_the_end(
        acts in acts(4),
        originals in proptest::collection::vec(any::<bool>(), 4),
    ) {
        let mut net = Network::new();
        let nodes: Vec<usize> =
            originals.iter().map(|original| net.node(if *original { legacy() } else { open() })).collect();
        for act in acts {
            match act {
                Act::Append(node, ids) => {
                    let deltas: Vec<Arc<Delta>> = ids.into_iter().map(said).collect();
                    net.append(nodes[node], &deltas);
                }
                Act::Cut(at, after) => {
                    let count = net.connections.len().max(1);
                    if let Some(connection) = net.connections.get_mut(at % count) {
                        connection.cut_after = Some(after);
                    }
                }
                Act::Connect(from, to) if from != to => {
                    net.connect(nodes[from], nodes[to], FederationConfig::default());
                }
                Act::Connect(..) => {}
                Act::Settle => net.settle(),
                Act::Pass(ms) => net.pass(u64::from(ms)),
            }
        }
        // All connections go, and then a line of them stays.
        for connection in &mut net.connections {
            connection.is_cut = true;
        }
        net.settle();
        for pair in nodes.windows(2) {
            net.connect(pair[1], pair[0], FederationConfig::default());
        }
        net.settle();
        net.pass_in_steps(5_000);
        let first = net.content(nodes[0]);
        for node in &nodes {
            prop_assert_eq!(&net.content(*node), &first);
            prop_assert_eq!(net.nodes[*node].store.len(), first.len(), "each once");
        }
        let before: usize = net.connections.iter().map(|connection| connection.bytes).sum();
        net.settle();
        let after: usize = net.connections.iter().map(|connection| connection.bytes).sum();
        prop_assert_eq!(after, before, "and then there is silence");
        prop_assert!(net.nodes[nodes[0]].store.end().is_ok());
    }
}
