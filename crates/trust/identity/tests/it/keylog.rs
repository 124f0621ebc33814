//! Key logs: what extends them, what stops them.

use allod_identity::{
    Event, KEYLOG_EVENTS_MAX, KeyChain, KeyEvent, KeyLog, KeyLogError, ROTATIONS_MAX, SecretKey,
    Standing, Verified,
};
use proptest::prelude::*;

use crate::{cases, key};

fn log() -> KeyLog {
    KeyLog::inception(&key(1), chain().commitment(0)).expect("a log")
}

fn chain() -> KeyChain {
    KeyChain::new(key(2))
}

/// Changes the key to that of a number, at the end of the log.
fn turn(log: &mut KeyLog, number: u32) -> Result<Verified<KeyEvent>, KeyLogError> {
    let key = chain().key(number).expect("a key");
    let next = chain().commitment(number);
    let head = log.head().copied();
    log.rotate((&key, next), (head, 2), (None, vec![]))
}

fn device(n: u16) -> SecretKey {
    let mut seed = [0xdd; 32];
    seed[..2].copy_from_slice(&n.to_le_bytes());
    SecretKey::from_seed(seed)
}

#[test]
fn a_device_counts_once_it_is_in_the_log() {
    let mut log = log();
    let laptop = device(1).device_id();
    assert!(!log.is_device(&laptop));
    let event = log.add_device(&key(1), laptop, "laptop", 7).unwrap();
    assert!(log.is_device(&laptop));
    assert_eq!(log.head(), Some(event.cid()));
    let (id, entry) = log.devices().next().unwrap();
    assert_eq!(
        (id, entry.name.as_str(), entry.at, entry.seq),
        (&laptop, "laptop", 7, 1)
    );
    let replayed = KeyLog::from_events(*log.agent(), log.events().to_vec()).unwrap();
    assert_eq!(replayed, log);
}

#[test]
fn an_agent_without_a_log_has_no_devices() {
    let log = KeyLog::new(key(1).agent_id());
    assert_eq!(log.head(), None);
    assert!(!log.is_device(&key(1).device_id()));
}

#[test]
fn only_the_agent_adds_devices_and_a_refusal_changes_nothing() {
    let mut log = log();
    let before = log.clone();
    let other = log.add_device(&key(9), device(1).device_id(), "x", 0);
    assert_eq!(other, Err(KeyLogError::Signer));
    let bad_name = log.add_device(&key(1), device(1).device_id(), "", 0);
    assert_eq!(bad_name.unwrap_err().code(), "E_DEVICE_NAME");
    assert_eq!(log, before);
}

#[test]
fn equivocation_is_proven_and_ends_the_log_before_it() {
    let mut log = log();
    let mut fork = log.clone();
    let shared = log
        .add_device(&key(1), device(1).device_id(), "one", 0)
        .unwrap();
    fork.append(shared).unwrap();
    log.add_device(&key(1), device(2).device_id(), "two", 0)
        .unwrap();
    log.add_device(&key(1), device(3).device_id(), "three", 0)
        .unwrap();
    let lie = fork
        .add_device(&key(1), device(4).device_id(), "four", 0)
        .unwrap();

    let Err(KeyLogError::Equivocation(proof)) = log.append(lie.clone()) else {
        panic!("two events for one position were accepted");
    };
    assert_eq!((proof.agent(), proof.seq()), (log.agent(), 2));
    assert!(proof.statements().contains(&&lie));
    assert_eq!(
        (log.key(), fork.key()),
        (None, Some(key(1).public()).as_ref())
    );
    assert_eq!(log.equivocation(), Some(&*proof));
    // Neither is trusted, nor what followed; what came before stands.
    assert_eq!(log.events().len(), 2);
    assert!(log.is_device(&device(1).device_id()));
    for n in 2..=4 {
        assert!(!log.is_device(&device(n).device_id()));
    }
    let again = log.append(lie).unwrap_err();
    assert_eq!(again, KeyLogError::Equivocation(proof));
    let next = log.add_device(&key(1), device(5).device_id(), "five", 0);
    assert_eq!(next.unwrap_err().code(), "E_EQUIVOCATION");
    // The owner's next key says how it goes on.
    let second = chain().key(1).unwrap();
    turn(&mut log, 1).unwrap();
    assert_eq!(
        (log.equivocation(), log.key()),
        (None, Some(&second.public()))
    );
    assert_eq!(
        log.standing(device(4).device_id().key()),
        Some(Standing::Before)
    );
    log.add_device(&second, device(5).device_id(), "five", 10)
        .unwrap();
    assert!(log.is_device(&device(5).device_id()));
}

/// IDENT-30 to IDENT-32: keys follow one another as the first event fixed it, and no thief of one changes that.
#[test]
fn a_key_is_changed_to_the_one_that_was_committed_to() {
    let mut log = log();
    let phone = device(1).device_id();
    log.add_device(&key(1), phone, "phone", 1).unwrap();
    let early = log.clone();
    for number in 1..=3 {
        let stolen = chain().key(number).unwrap();
        let elsewhere = KeyChain::new(key(9)).commitment(0);
        let head = log.head().copied();
        let other = log.rotate((&stolen, elsewhere), (head, 2), (None, vec![]));
        assert_eq!(
            other,
            Err(KeyLogError::Signer),
            "a thief commits to other keys"
        );
        let early_next = turn(&mut log, number + 1);
        assert_eq!(early_next, Err(KeyLogError::Signer));
        turn(&mut log, number).unwrap();
        assert_eq!(log.number(), (0, number));
    }
    assert!(log.is_device(&phone), "devices stay");
    assert_eq!(log.standing(&key(1).public()), Some(Standing::Before));
    let old = log.add_device(&key(1), device(2).device_id(), "old key", 3);
    assert_eq!(old, Err(KeyLogError::Signer));
    // What the old key goes on to say beside the log is known, and counts for nothing.
    let mut thief = early;
    let said = thief
        .add_device(&key(1), device(3).device_id(), "thief", 3)
        .unwrap();
    assert_eq!(log.append(said).unwrap_err(), KeyLogError::Superseded);
    assert_eq!(
        log.standing(device(3).device_id().key()),
        Some(Standing::Before)
    );
    assert!(!log.is_device(&device(3).device_id()));
    assert!(chain().key(ROTATIONS_MAX + 1).is_none() && chain().key(0).is_none());
}

/// IDENT-34: the owner's next key says what of all that a thief of the present one did is to count: nothing.
#[test]
fn what_a_thief_did_is_taken_back() {
    let mut log = log();
    log.add_device(&key(1), device(1).device_id(), "mine", 1)
        .unwrap();
    let before = log.head().copied();
    let mut full = log.clone();
    for n in 2..u16::try_from(KEYLOG_EVENTS_MAX).unwrap() {
        full.add_device(&key(1), device(n).device_id(), "theirs", 2)
            .unwrap();
    }
    assert_eq!(turn(&mut full, 1), Err(KeyLogError::Full));
    let (second, next) = (chain().key(1).unwrap(), chain().commitment(1));
    full.rotate((&second, next), (before, 3), (None, vec![]))
        .unwrap();
    assert_eq!((full.devices().len(), full.events().len()), (1, 3));
    assert_eq!(full.key(), Some(&second.public()));
    // A thief of that key makes it the agent's once more, elsewhere: the next one says that this is nothing.
    let lie = log
        .rotate((&second, next), (before, 4), (None, vec![]))
        .unwrap();
    assert_ne!(lie.cid(), full.head().unwrap());
    assert!(full.append(lie).is_err() && full.key().is_none());
    let kept = full.known().find(|event| {
        event.payload().seq == 2 && matches!(event.payload().event, Event::Rotate { at: 3, .. })
    });
    let after = kept.map(|event| *event.cid());
    let third = (&chain().key(2).unwrap(), chain().commitment(2));
    full.rotate(third, (after, 5), (None, vec![])).unwrap();
    assert_eq!((full.number(), full.equivocation()), ((0, 2), None));
}

/// IDENT-12: a device that was removed is none for ever.
#[test]
fn a_device_is_removed_once() {
    let mut log = log();
    let phone = device(1).device_id();
    let unknown = log.remove_device(&key(1), phone, 0);
    assert_eq!(unknown, Err(KeyLogError::NoDevice));
    log.add_device(&key(1), phone, "phone", 1).unwrap();
    log.remove_device(&key(1), phone, 2).unwrap();
    assert_eq!(log.standing(phone.key()), Some(Standing::Before));
    let again = log.add_device(&key(1), phone, "phone", 3);
    assert_eq!(again, Err(KeyLogError::DuplicateDevice));
    // Somebody writes the event all the same: it does nothing.
    let event = Event::AddDevice {
        device: phone,
        name: "phone".to_owned(),
        at: 3,
    };
    let said = KeyEvent {
        agent: *log.agent(),
        seq: 3,
        prev: log.head().copied(),
        event,
    };
    log.append(Verified::sign(&key(1), said).unwrap()).unwrap();
    assert!(!log.is_device(&phone));
}

#[test]
fn a_log_has_a_longest_length() {
    let mut log = log();
    for n in 1..KEYLOG_EVENTS_MAX {
        let id = device(u16::try_from(n).unwrap()).device_id();
        log.add_device(&key(1), id, "n", 0).unwrap();
    }
    let full = log.add_device(&key(1), device(u16::MAX).device_id(), "n", 0);
    assert_eq!(full, Err(KeyLogError::Full));
    assert_eq!(log.events().len(), KEYLOG_EVENTS_MAX);
}

proptest! {
    #![proptest_config(cases(24))]

    /// However events arrive, repeated and out of order, the log is a prefix of the truth, and
    /// once all were tried often enough it is the whole.
    #[test]
    fn any_order_of_arrival_gives_a_prefix(order in prop::collection::vec(0usize..6, 0..40)) {
        let mut truth = log();
        for n in 0..5 {
            truth.add_device(&key(1), device(n).device_id(), format!("d{n}"), 0).unwrap();
        }
        let mut naive: Vec<Verified<KeyEvent>> = Vec::new();
        let mut log = KeyLog::new(*truth.agent());
        for at in order {
            let event = truth.events()[at].clone();
            let expect_gap = at > naive.len();
            match log.append(event.clone()) {
                Ok(()) => prop_assert!(!expect_gap),
                Err(error) => {
                    prop_assert!(expect_gap);
                    prop_assert_eq!(error.code(), "E_KEYLOG_GAP");
                }
            }
            if at == naive.len() {
                naive.push(event);
            }
            prop_assert_eq!(log.events(), &naive[..]);
        }
        let devices = naive.iter().filter(|event| !matches!(event.payload().event, Event::Inception { .. }));
        prop_assert_eq!(log.devices().len(), devices.count());
    }
}
