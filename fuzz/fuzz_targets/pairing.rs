//! Codes, kits and requests from any text, and frames of a pairing, or of another device, from whoever dials.

#![no_main]

use allod_identity::pairing::{
    Guest, GuestStep, HostStep, Message, Offer, OwnMessage, PairError, PairingCode, Secret,
};
use allod_identity::{Kit, RecoveryRequest, SecretKey};
use libfuzzer_sys::fuzz_target;

/// What a text says is said again in one way.
fn texts(text: &str) {
    if let Ok(code) = text.parse::<PairingCode>() {
        let again = match code.device {
            Some(_) => code.long(),
            None => code.short(),
        };
        // A long code may have addresses that no short one can have.
        let again = again.expect("it was a code").parse::<PairingCode>();
        assert_eq!(again, Ok(code));
    }
    if let Ok(kit) = text.parse::<Kit>() {
        let again: Kit = kit.to_text().parse().expect("it was a kit");
        assert!(again.agent == kit.agent && again.secret.to_seed() == kit.secret.to_seed());
    }
    if let Ok(request) = text.parse::<RecoveryRequest>() {
        assert_eq!(request.to_text(), text.trim().to_ascii_lowercase());
    }
}

/// Frames of a length and as many bytes, to both sides. Who does not have the secret gets nowhere.
fn frames(data: &[u8]) {
    let [host, guest] = [1, 2].map(|byte| SecretKey::from_seed([byte; 32]).device_id());
    let mut offer = Offer::new(Secret([7; 9]), host, 0);
    let mut here = offer.begin(guest, [3; 32], 0).expect("it waits");
    let (mut there, _hello) = Guest::new(Secret([7; 9]), (guest, "guest"), host, [4; 32]);
    let mut rest = data;
    while let Some((length, more)) = rest.split_first() {
        let (frame, more) = more.split_at((*length as usize).min(more.len()));
        rest = more;
        match Message::decode(frame) {
            Ok(message) => assert_eq!(&message.encode()[..], frame, "a message has one form"),
            Err(error) => assert_eq!(error, PairError::Frame),
        }
        if let Ok(told) = OwnMessage::decode(frame) {
            assert_eq!(&told.encode()[..], frame, "a message has one form");
        }
        let asked = here.handle(frame);
        assert!(!matches!(asked, Ok(HostStep::Ask { .. } | HostStep::Done)));
        let shown = there.handle(frame);
        assert!(!matches!(shown, Ok(GuestStep::Show(_) | GuestStep::Welcome(_))));
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(told) = OwnMessage::decode(data) {
        assert_eq!(&told.encode()[..], data, "a message has one form");
    }
    if let Ok(text) = std::str::from_utf8(data) {
        texts(text);
    }
    frames(data);
});
