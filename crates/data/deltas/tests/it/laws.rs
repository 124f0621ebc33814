//! What is visible, and what a filter and a scan give, beside naive readings of the same rules.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use allod_deltas::{
    Delta, DeltaFilter, DeltaStore, MayNegate, MemoryDeltas, Number, Pointer, TimestampRange,
    scan_visible, visible,
};
use proptest::prelude::*;

use crate::world::{delta, deltas, first_of_each, over, repo};

fn shows(id: &str, counting: &[(&str, &str)]) -> bool {
    let mut against = counting.iter().filter(|(_, to)| *to == id);
    !against.any(|(from, _)| shows(from, counting))
}

/// DELTA-21 and DELTA-22 as they are written, with recursion and without care for time.
fn naive(deltas: &[Delta], at: Option<Number>, who: &MayNegate) -> BTreeSet<String> {
    let mut there: BTreeMap<&str, &Delta> = BTreeMap::new();
    for delta in deltas {
        if at.is_some_and(|at| delta.timestamp() > at) {
            continue;
        }
        match there.get(delta.id()) {
            Some(known) if known.digest() <= delta.digest() => {}
            _ => {
                there.insert(delta.id(), delta);
            }
        }
    }
    let edges: BTreeSet<(&str, &str)> = there
        .values()
        .flat_map(|from| from.negates().map(|to| (from.id(), to)))
        .filter(|(from, to)| there.contains_key(to) && who.allows(there[from], there[to]))
        .collect();
    let reaches = |from: &str, to: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = open.pop() {
            for (_, next) in edges.iter().filter(|(start, _)| *start == at) {
                if seen.insert((*next).to_owned()) {
                    open.push((*next).to_owned());
                }
            }
        }
        seen.contains(to)
    };
    let counting: Vec<(&str, &str)> = edges
        .iter()
        .copied()
        .filter(|(from, to)| !reaches(to, from) || from > to)
        .collect();
    let ids = there.keys().filter(|id| shows(id, &counting));
    ids.map(|id| (*id).to_owned()).collect()
}

fn policies() -> impl Strategy<Value = MayNegate> {
    prop_oneof![
        Just(MayNegate::Anyone),
        Just(MayNegate::SameAuthor),
        Just(MayNegate::Moderators(BTreeSet::from(
            ["author0".to_owned()]
        ))),
    ]
}

fn times() -> impl Strategy<Value = Option<Number>> {
    proptest::option::of((0..6u64).prop_map(Number::of))
}

proptest! {
    #[test]
    fn what_is_visible_agrees_with_the_naive_twin(
        deltas in deltas(16), at in times(), who in policies(),
    ) {
        let seen: BTreeSet<String> =
            visible(&deltas, at, &who).into_iter().map(str::to_owned).collect();
        prop_assert_eq!(seen, naive(&deltas, at, &who));
    }

    #[test]
    fn order_and_repetition_do_not_matter(
        (deltas, shuffled) in deltas(16).prop_flat_map(|deltas| {
            let twice: Vec<Delta> = deltas.iter().chain(&deltas).cloned().collect();
            (Just(deltas), Just(twice).prop_shuffle())
        }),
        at in times(), who in policies(),
    ) {
        prop_assert_eq!(visible(&deltas, at, &who), visible(&shuffled, at, &who));
    }

    #[test]
    fn stores_scan_as_the_naive_twin_does(
        deltas in deltas(14),
        at in times(), who in policies(),
        start in times(), end in times(),
        targets in proptest::option::of(proptest::collection::btree_set("o[0-4]|d[0-3]", 0..3)),
        contexts in proptest::option::of(proptest::collection::btree_set("c[0-3]", 0..3)),
        authors in proptest::option::of(proptest::collection::btree_set("author[0-2]", 0..3)),
        ids in proptest::option::of(proptest::collection::btree_set("d[0-9]", 0..6)),
        include_negated: bool,
        limit in 1..5usize,
    ) {
        let filter = DeltaFilter {
            ids,
            target_ids: targets,
            target_contexts: contexts,
            authors,
            timestamp_range: Some(TimestampRange { start, end }),
            include_negated,
            ..DeltaFilter::default()
        };
        let kept = first_of_each(&deltas);
        let seen = naive(&kept, at, &who);
        let mut expected: Vec<&Delta> = kept
            .iter()
            .filter(|delta| at.is_none_or(|at| delta.timestamp() <= at))
            .filter(|delta| filter.matches(delta) && (include_negated || seen.contains(delta.id())))
            .collect();
        expected.sort_by(|a, b| a.order(b));
        let expected: Vec<String> = expected.iter().map(|delta| delta.id().to_owned()).collect();
        let repo = repo();
        let stores: [Box<dyn DeltaStore>; 2] =
            [Box::new(MemoryDeltas::new()), Box::new(over(&repo))];
        for store in stores {
            let given: Vec<Arc<Delta>> = deltas.iter().cloned().map(Arc::new).collect();
            store.append(&given, 1).unwrap();
            let (mut found, mut after) = (Vec::new(), None);
            loop {
                let page =
                    scan_visible(&*store, &filter, (at, &who), after.as_ref(), limit).unwrap();
                prop_assert!(page.deltas.len() <= limit);
                found.extend(page.deltas.iter().map(|delta| delta.id().to_owned()));
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(&found, &expected);
        }
    }
}

/// A chain of negations is as long as somebody likes: nothing here recurses.
#[test]
fn a_long_chain_and_a_long_circle_end() {
    let link = |at: u64, of: u64| {
        let pointers = vec![Pointer::negates(format!("n{of:06}")).unwrap()];
        delta(&format!("n{at:06}"), 1, "alice", pointers)
    };
    let chain: Vec<Delta> = (0..50_000).map(|at| link(at, at + 1)).collect();
    let seen = visible(&chain, None, &MayNegate::Anyone);
    assert_eq!(seen.len(), 25_000, "every second one");
    assert!(seen.contains("n000000"), "nobody negates the first");
    let circle: Vec<Delta> = (0..50_000).map(|at| link(at, (at + 1) % 50_000)).collect();
    let seen = visible(&circle, None, &MayNegate::Anyone);
    // Of the circle the one negation of a lesser id counts: the last's, of the first.
    assert_eq!(seen.len(), 49_999);
    assert!(!seen.contains("n000000"));
}
