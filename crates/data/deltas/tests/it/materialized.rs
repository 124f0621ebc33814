//! Kept views beside views that are made anew.

use std::sync::Arc;

use allod_deltas::{
    Delta, DeltaStore as _, HyperSchema, HyperView, Looking, Materialized, MayNegate, MemoryDeltas,
    On, Pointer, Schemas,
};
use proptest::prelude::*;

use crate::world::{any_delta, delta};

fn schemas() -> Schemas {
    Schemas::new([
        HyperSchema::new("whole", "Whole")
            .with(On::Role("part".into()), "part")
            .with(On::Context("c1".into()), "part"),
        HyperSchema::new("part", "Part").with(On::Role("of".into()), "leaf"),
        HyperSchema::new("leaf", "Leaf"),
    ])
    .unwrap()
}

proptest! {
    #[test]
    fn kept_views_are_those_that_would_be_made_anew(
        batches in proptest::collection::vec(proptest::collection::vec(any_delta(), 0..4), 0..8),
    ) {
        let store = MemoryDeltas::new();
        let (schemas, looking) = (schemas(), Looking::default());
        let mut kept = Materialized::new(schemas.clone(), "whole", MayNegate::Anyone);
        for batch in batches {
            let deltas: Vec<Arc<Delta>> = batch.into_iter().map(Arc::new).collect();
            store.append(&deltas, 0).unwrap();
            kept.appended(deltas.iter().map(|delta| &**delta));
            for object in ["o0", "o1", "o2", "o3"] {
                let anew = HyperView::of(&store, &schemas, "whole", object, &looking).unwrap();
                prop_assert_eq!(kept.view(&store, object).unwrap(), anew);
            }
        }
    }
}

/// Only what changed is made again.
#[test]
fn other_objects_are_left_alone() {
    let store = MemoryDeltas::new();
    let mut kept = Materialized::new(schemas(), "whole", MayNegate::Anyone);
    let name = |id: &str, of: &str| {
        Arc::new(delta(
            id,
            1,
            "alice",
            vec![Pointer::under("x", of, "name").unwrap()],
        ))
    };
    store
        .append(
            &(0..50)
                .map(|n| name(&format!("d{n}"), &format!("o{n}")))
                .collect::<Vec<_>>(),
            0,
        )
        .unwrap();
    for n in 0..50 {
        kept.view(&store, &format!("o{n}")).unwrap();
    }
    assert_eq!(kept.made(), 50);
    let undo = Arc::new(delta(
        "undo",
        2,
        "alice",
        vec![Pointer::negates("d7").unwrap()],
    ));
    store.append(&[Arc::clone(&undo)], 0).unwrap();
    let stale = kept.appended([&*undo]);
    assert_eq!(stale.into_iter().collect::<Vec<_>>(), ["o7"]);
    for n in 0..50 {
        let view = kept.view(&store, &format!("o{n}")).unwrap();
        assert_eq!(view.metadata.delta_count, usize::from(n != 7));
    }
    assert_eq!(kept.made(), 51);
}
