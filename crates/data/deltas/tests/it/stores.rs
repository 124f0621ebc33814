//! The contract of stores, over both.

use std::sync::Arc;

use allod_deltas::{
    Appended, BEHIND_WARNING, Cursor, Delta, DeltaFilter, DeltaStore, MemoryDeltas, Number,
    Pointer, Subscription, check_store,
};
use allod_identity::SecretKey;

use crate::world::{over, repo};

fn stores() -> [Box<dyn DeltaStore>; 2] {
    [Box::new(MemoryDeltas::new()), Box::new(over(&repo()))]
}

#[test]
fn memory_keeps_the_contract() {
    check_store(&MemoryDeltas::new()).unwrap();
}

#[test]
fn a_space_keeps_the_contract() {
    check_store(&over(&repo())).unwrap();
}

/// DELTA-12: a relay that strips signatures and is faster wins nothing.
#[test]
fn a_signature_takes_the_place_of_none() {
    for store in stores() {
        let key = SecretKey::from_seed([1; 32]);
        let pointers = vec![Pointer::under("of", "x", "name").unwrap()];
        let signed = Delta::sign(&key, Number::of(5), "laptop", pointers.clone()).unwrap();
        let bare =
            Delta::content_addressed(Number::of(5), signed.author(), "laptop", pointers).unwrap();
        assert_eq!(bare.id(), signed.id());
        let (bare, signed) = (Arc::new(bare), Arc::new(signed.into_delta()));
        let mut forged = (*signed).clone().encode();
        let at = forged.find("\"sig\":\"").unwrap() + 7;
        forged.replace_range(at..at + 4, "0000");
        let forged = Arc::new(Delta::decode(&forged).unwrap());
        let append = |delta: &Arc<Delta>| store.append(&[Arc::clone(delta)], 1).unwrap();
        assert_eq!(append(&bare), [Appended::New]);
        assert_eq!(append(&forged), [Appended::Known]);
        assert_eq!(append(&signed), [Appended::Signed]);
        assert_eq!(append(&signed), [Appended::Known]);
        assert_eq!(append(&forged), [Appended::Known]);
        assert_eq!(append(&bare), [Appended::Known]);
        let kept = store.get(signed.id()).unwrap().unwrap();
        assert!(kept.verify().is_ok());
    }
}

#[test]
fn arrivals_come_in_pages_whatever_they_were_appended_with() {
    for store in stores() {
        let many: Vec<Arc<Delta>> = (0..2500u64)
            .map(|at| {
                let delta = Delta::new(format!("d{at}"), Number::of(at + 1), "a", "s", vec![]);
                Arc::new(delta.unwrap())
            })
            .collect();
        store.append(&many[..2000], 1).unwrap();
        store.append(&many[2000..], 2).unwrap();
        let (mut cursor, mut found) = (Cursor::default(), Vec::new());
        loop {
            let arrivals = store.arrivals(cursor, 300).unwrap();
            assert!(arrivals.deltas.len() <= 300);
            found.extend(arrivals.deltas.iter().map(|delta| delta.id().to_owned()));
            // A cursor is a text between calls, and another reader comes in between.
            cursor = arrivals.next.to_string().parse().unwrap();
            store.arrivals(Cursor::default(), 7).unwrap();
            if !arrivals.more {
                break;
            }
        }
        let early: std::collections::BTreeSet<&String> = found[..2000].iter().collect();
        assert_eq!(found.len(), 2500);
        assert!(
            !early.contains(&"d2400".to_owned()),
            "what came later comes later"
        );
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 2500, "each once");
    }
    assert!("1".parse::<Cursor>().is_err() && "01.0".parse::<Cursor>().is_err());
}

/// DELTA-37: a reader that stands still is behind, and loses nothing.
#[test]
fn a_subscription_goes_on_where_it_stood() {
    for store in stores() {
        let say = |n: u64, author: &str| {
            let delta = Delta::new(format!("d{n}"), Number::of(1), author, "s", vec![]);
            store.append(&[Arc::new(delta.unwrap())], 1).unwrap();
        };
        let filter = DeltaFilter {
            authors: Some(["ann".to_owned()].into()),
            ..DeltaFilter::default()
        };
        say(0, "ann");
        let mut reader = Subscription::new(filter.clone(), store.end().unwrap());
        say(1, "ann");
        say(2, "ben");
        let (found, more) = reader.next(&*store, 10).unwrap();
        assert_eq!((found.len(), more, found[0].id()), (1, false, "d1"));
        reader.pause();
        let batch: Vec<Arc<Delta>> = (3..1500u64)
            .map(|n| {
                let delta = Delta::new(format!("d{n}"), Number::of(1), "ann", "s", vec![]);
                Arc::new(delta.unwrap())
            })
            .collect();
        store.append(&batch, 2).unwrap();
        assert!(reader.next(&*store, 10).unwrap().0.is_empty() && reader.is_paused());
        assert!(reader.is_behind(&*store).unwrap());
        // Another process goes on from the position that was written down.
        let mut reader = Subscription::new(filter, reader.position());
        let mut count = 0;
        loop {
            let (found, more) = reader.next(&*store, 100).unwrap();
            count += found.len();
            if !more {
                break;
            }
        }
        assert_eq!(count, batch.len());
        assert!(!reader.is_behind(&*store).unwrap());
        assert!(batch.len() as u64 > BEHIND_WARNING);
    }
}
