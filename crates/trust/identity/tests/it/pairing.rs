//! Pairing: codes, messages, and the two machines with somebody between them.

use allod_identity::pairing::{
    CODE_MS, Guest, GuestStep, Host, HostStep, Message, OWN_ADDRS_MAX, OWN_PEERS_MAX,
    OWN_SPACES_MAX, Offer, OwnMessage, OwnSpace, PairError, PairingCode, Secret, TRIES, Welcome,
};
use allod_identity::{DeviceId, SecretKey};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::vectors::{check, text};
use crate::{cases, hex, key, unhex};

const NOW: u64 = 1_800_000_000_000;

fn array<const N: usize>(input: &Value, name: &str) -> [u8; N] {
    unhex(text(input, name)).try_into().expect(name)
}

#[test]
fn codes() {
    check("pairing/code.json", "PAIR", 6, |input| {
        let code: Result<PairingCode, PairError> = text(input, "text").parse();
        let code = code.map_err(|_error| "E_PAIR_CODE")?;
        let again = match code.device {
            Some(_) => code.long(),
            None => code.short(),
        };
        let again: PairingCode = again.expect("it was a code").parse().expect("a code");
        assert_eq!(again, code);
        assert!(!format!("{code:?}").contains(&hex(&code.secret.0)));
        Ok(json!({
            "addrs": code.addrs,
            "device": code.device.map(|device| device.to_string()),
            "secret": hex(&code.secret.0),
        }))
    });
}

#[test]
fn messages() {
    check("pairing/message.json", "PAIR", 7, |input| {
        let frame = unhex(text(input, "bytes"));
        let message = Message::decode(&frame).map_err(|_error| "E_PAIR_FRAME")?;
        assert_eq!(message.encode(), frame);
        let name = match message {
            Message::Hello { .. } => "hello",
            Message::Nonce(_) => "nonce",
            Message::Reveal { .. } => "reveal",
            Message::Proof(_) => "proof",
            Message::Welcome(_) => "welcome",
            Message::Done => "done",
            _ => "refuse",
        };
        Ok(json!({ "message": name }))
    });
    let events = vec![vec![0; 1_310_720].into()];
    let agent = key(1).agent_id();
    let welcome = Message::Welcome(Welcome {
        agent,
        events,
        spaces: Vec::new(),
    });
    assert_eq!(Message::decode(&welcome.encode()), Err(PairError::Frame));
}

#[test]
fn what_devices_of_an_agent_are_told() {
    check("pairing/own.json", "PAIR", 5, |input| {
        let frame = unhex(text(input, "bytes"));
        let message = OwnMessage::decode(&frame).map_err(|_error| "E_PAIR_FRAME")?;
        assert_eq!(message.encode(), frame);
        Ok(match message {
            OwnMessage::Log(events) => json!({ "message": "log", "events": events.len() }),
            OwnMessage::Spaces(spaces) => {
                let spaces = spaces
                    .iter()
                    .map(|own| json!([own.name, own.space.to_string(), own.peers.len()]));
                json!({ "message": "spaces", "spaces": spaces.collect::<Vec<_>>() })
            }
            _ => panic!("another message"),
        })
    });
    let log = OwnMessage::Log(vec![vec![0; 1_310_720].into()]);
    assert_eq!(OwnMessage::decode(&log.encode()), Err(PairError::Frame));
}

/// The largest list is a frame that is taken, and what does not fit is left out before it is told.
#[test]
fn a_full_list_of_spaces_fits() {
    let addr = "a".repeat(64);
    let space = |name: String| OwnSpace {
        name,
        space: cid::Cid::new_v1(0x71, multihash::Multihash::wrap(0x12, &[7; 32]).unwrap()),
        peers: vec![(key(1).device_id(), vec![addr.clone(); 9]); 9],
    };
    let own = space("n".repeat(256)).bounded().unwrap();
    let sizes = (own.peers.len(), own.peers[0].1.len());
    assert_eq!(sizes, (OWN_PEERS_MAX, OWN_ADDRS_MAX));
    let full = OwnMessage::Spaces(vec![own; OWN_SPACES_MAX]);
    let frame = full.encode();
    assert!(frame.len() <= 2_097_152, "{}", frame.len());
    assert_eq!(OwnMessage::decode(&frame), Ok(full));
    for name in [String::new(), "n".repeat(257)] {
        assert_eq!(space(name).bounded(), None);
    }
    let mut far = space("far".into());
    far.peers = vec![(key(1).device_id(), vec!["a".repeat(65)])];
    assert_eq!(far.bounded().unwrap().peers, []);
}

/// What a guest sends, or what the vector says instead, and what the host makes of it.
#[test]
fn courses() {
    check("pairing/course.json", "PAIR", 2, |input| {
        let seed = |name| SecretKey::from_seed(array(input, name)).device_id();
        let (host, guest) = (seed("host"), seed("guest"));
        let secret = Secret(array(input, "secret"));
        let name = text(input, "name");
        let (mut there, hello) = Guest::new(
            secret.clone(),
            (guest, name),
            host,
            array(input, "guest_nonce"),
        );
        let mut offer = Offer::new(secret, host, NOW);
        let mut here = offer
            .begin(guest, array(input, "host_nonce"), NOW)
            .expect("it waits");
        let sent = |name: &str, good: [u8; 32]| match input["sent"][name].as_str() {
            Some(other) => unhex(other).try_into().expect("32 bytes"),
            None => good,
        };
        let Ok(Message::Hello { commit, name }) = Message::decode(&hello) else {
            panic!("a guest says hello");
        };
        let said = Message::Hello {
            commit: sent("commit", commit),
            name,
        };
        let nonce = sends(
            here.handle(&said.encode())
                .map_err(|_error| "E_PAIR_FRAME")?,
        );
        let Ok(GuestStep::Send(reveal)) = there.handle(&nonce) else {
            panic!("a guest reveals");
        };
        let Ok(Message::Reveal { nonce, proof }) = Message::decode(&reveal) else {
            panic!("a guest reveals");
        };
        let guest_proof = proof;
        let said = Message::Reveal {
            nonce,
            proof: sent("guest", proof),
        };
        let Ok(HostStep::Ask { frame, digits, .. }) = here.handle(&said.encode()) else {
            return Err("E_PAIR_PROOF");
        };
        assert_eq!(there.handle(&frame), Ok(GuestStep::Show(digits)));
        let Ok(Message::Proof(host_proof)) = Message::decode(&frame) else {
            panic!("a host proves");
        };
        Ok(json!({
            "commit": hex(&commit),
            "guest": hex(&guest_proof),
            "host": hex(&host_proof),
            "digits": digits.to_string(),
        }))
    });
}

/// The frame of a step that sends one; an empty one, which nobody takes, of any other.
fn sends(step: HostStep) -> Bytes {
    match step {
        HostStep::Send(frame) => frame,
        _ => Bytes::new(),
    }
}

/// The devices, secrets and nonces of two machines.
struct Pair {
    host: Host,
    guest: Guest,
    hello: Bytes,
}

fn pair(secrets: [u8; 2], host: DeviceId, guest: DeviceId, nonces: [u8; 2]) -> Pair {
    let [here, there] = secrets.map(|byte| Secret([byte; 9]));
    let mut offer = Offer::new(here, host, NOW);
    let (machine, hello) = Guest::new(there, (guest, "phone"), host, [nonces[1]; 32]);
    Pair {
        host: offer.begin(guest, [nonces[0]; 32], NOW).expect("it waits"),
        guest: machine,
        hello,
    }
}

fn welcome() -> Welcome {
    Welcome {
        agent: key(9).agent_id(),
        events: vec![vec![1].into()],
        spaces: Vec::new(),
    }
}

#[test]
fn a_guest_with_the_code_is_let_in() {
    let mut pair = pair([7; 2], key(1).device_id(), key(2).device_id(), [3, 4]);
    assert_eq!(
        pair.host.welcome(welcome()),
        Err(PairError::Frame),
        "nobody was asked"
    );
    let nonce = sends(pair.host.handle(&pair.hello).expect("hello"));
    let Ok(GuestStep::Send(reveal)) = pair.guest.handle(&nonce) else {
        panic!("a guest reveals");
    };
    let Ok(HostStep::Ask {
        frame,
        digits,
        name,
    }) = pair.host.handle(&reveal)
    else {
        panic!("the host asks");
    };
    assert_eq!(name, "phone");
    assert_eq!(pair.guest.handle(&frame), Ok(GuestStep::Show(digits)));
    let frame = pair.host.welcome(welcome()).expect("the person said yes");
    assert_eq!(pair.guest.handle(&frame), Ok(GuestStep::Welcome(welcome())));
    assert_eq!(
        pair.host.handle(&Message::Done.encode()),
        Ok(HostStep::Done)
    );
    assert_eq!(
        pair.host.handle(&Message::Done.encode()),
        Err(PairError::Frame)
    );
}

#[test]
fn a_guest_with_another_code_is_not() {
    let mut pair = pair([7, 8], key(1).device_id(), key(2).device_id(), [3, 4]);
    let nonce = sends(pair.host.handle(&pair.hello).expect("hello"));
    let Ok(GuestStep::Send(reveal)) = pair.guest.handle(&nonce) else {
        panic!("a guest reveals");
    };
    assert_eq!(pair.host.handle(&reveal), Err(PairError::Proof));
    assert_eq!(
        pair.host.welcome(welcome()),
        Err(PairError::Frame),
        "it is over"
    );
}

/// Somebody who has the code and is on the line speaks with each side as the other. It relays all that it can, and both
/// sides take it, but they do not show the same digits.
#[test]
fn who_is_in_the_middle_gets_other_digits() {
    let (host, guest, middle) = (key(1).device_id(), key(2).device_id(), key(3).device_id());
    for nonce in 0..16 {
        let mut to_host = pair([7; 2], host, middle, [3, nonce]);
        let mut to_guest = pair([7; 2], middle, guest, [nonce, 4]);
        let host_nonce = sends(to_host.host.handle(&to_host.hello).expect("hello"));
        let Ok(GuestStep::Send(reveal)) = to_host.guest.handle(&host_nonce) else {
            panic!("the middle reveals");
        };
        let Ok(HostStep::Ask {
            digits: at_host, ..
        }) = to_host.host.handle(&reveal)
        else {
            panic!("the host asks");
        };
        let own_nonce = sends(to_guest.host.handle(&to_guest.hello).expect("hello"));
        let Ok(GuestStep::Send(reveal)) = to_guest.guest.handle(&own_nonce) else {
            panic!("the guest reveals");
        };
        let Ok(HostStep::Ask { frame, .. }) = to_guest.host.handle(&reveal) else {
            panic!("the middle has the code");
        };
        let Ok(GuestStep::Show(at_guest)) = to_guest.guest.handle(&frame) else {
            panic!("the guest shows digits");
        };
        assert_ne!(at_host, at_guest);
    }
}

/// Who passes frames on without having the code proves nothing, as both proofs are about other devices.
#[test]
fn who_passes_frames_on_proves_nothing() {
    let (host, guest, middle) = (key(1).device_id(), key(2).device_id(), key(3).device_id());
    let mut here = pair([7; 2], host, middle, [3, 4]);
    let mut there = pair([7; 2], middle, guest, [3, 4]);
    let nonce = sends(here.host.handle(&there.hello).expect("hello"));
    let Ok(GuestStep::Send(reveal)) = there.guest.handle(&nonce) else {
        panic!("a guest reveals");
    };
    assert_eq!(here.host.handle(&reveal), Err(PairError::Proof));
}

#[test]
fn a_code_is_good_for_some_time_and_some_tries() {
    let (host, guest) = (key(1).device_id(), key(2).device_id());
    let mut offer = Offer::new(Secret([7; 9]), host, NOW);
    let begin = |offer: &mut Offer, now| offer.begin(guest, [3; 32], now).map(|_| ());
    assert_eq!(begin(&mut offer, NOW + CODE_MS), Err(PairError::Expired));
    // Whoever hangs up has seen the host's nonce, and so may not begin as often as it likes.
    for error in [PairError::Proof, PairError::Frame] {
        let mut offer = Offer::new(Secret([7; 9]), host, NOW);
        for left in (0..TRIES).rev() {
            assert_eq!(begin(&mut offer, NOW + CODE_MS - 1), Ok(()));
            if left > 0 {
                assert_eq!(begin(&mut offer, NOW), Err(PairError::Busy));
            }
            assert_eq!(offer.end(Err(&error)), left > 0);
        }
        assert_eq!(begin(&mut offer, NOW), Err(PairError::Expired));
    }
    // One guest, or a person on either side who says no, is the end.
    let said_there = PairError::Refused {
        code: "E_PAIR_DIGITS".to_owned(),
        reason: String::new(),
    };
    for outcome in [Ok(()), Err(&PairError::Digits), Err(&said_there)] {
        let mut offer = Offer::new(Secret([7; 9]), host, NOW);
        assert_eq!(begin(&mut offer, NOW), Ok(()));
        assert!(!offer.end(outcome));
        assert_eq!(begin(&mut offer, NOW), Err(PairError::Expired));
    }
}

proptest! {
    #![proptest_config(cases(256))]

    /// A code is what was written, and one character that is wrong is noticed but for one in 32,768.
    #[test]
    fn a_short_code_is_read_back(ip in any::<[u8; 4]>(), port: u16, secret: [u8; 9], at in 0_usize..28, turn in 1_usize..32) {
        let addr = std::net::SocketAddr::from((ip, port));
        let code = PairingCode { addrs: vec![addr.to_string()], device: None, secret: Secret(secret) };
        let text = code.short().expect("an address");
        prop_assert_eq!(text.len(), 34);
        prop_assert_eq!(text.parse::<PairingCode>(), Ok(code));
        let alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut letters: Vec<char> = text.replace('-', "").chars().collect();
        let number = alphabet.find(letters[at]).expect("a letter of the alphabet");
        letters[at] = alphabet.chars().nth((number + turn) % 32).expect("32 letters");
        let wrong: String = letters.into_iter().collect();
        // By chance alone; the seeds of these cases are fixed by none, so rather pass over that one.
        if let Ok(other) = wrong.parse::<PairingCode>() {
            prop_assert_ne!(other.short(), Some(text));
        }
    }

    /// Whatever comes, a machine takes it or says no; and a message that is read is the one that is written.
    #[test]
    fn no_frame_is_too_much(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..4)) {
        let mut pair = pair([7; 2], key(1).device_id(), key(2).device_id(), [3, 4]);
        for frame in &frames {
            if let Ok(message) = Message::decode(frame) {
                prop_assert_eq!(&message.encode()[..], &frame[..]);
            }
            let asked = matches!(pair.host.handle(frame), Ok(HostStep::Ask { .. }));
            prop_assert!(!asked);
            let shown = matches!(pair.guest.handle(frame), Ok(GuestStep::Show(_) | GuestStep::Welcome(_)));
            prop_assert!(!shown);
        }
    }
}
