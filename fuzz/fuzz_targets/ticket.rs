//! Tickets from any text, and from any content with the right checksum.

#![no_main]

use allod_blocks::{Codec, sha256_cid};
use allod_sync::Ticket;
use libfuzzer_sys::fuzz_target;

fn check(text: &str) {
    let Ok(ticket) = text.parse::<Ticket>() else {
        return;
    };
    assert!(
        ticket.to_text().eq_ignore_ascii_case(text.trim()),
        "a ticket has one text"
    );
    assert!(ticket.addrs.len() <= 8);
    let shown = format!("{ticket:?}");
    let secret = format!("{:?}", ticket.secret);
    assert!(!shown.contains(&secret), "the secret is not shown");
}

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let mut content = data.to_vec();
    content.extend_from_slice(&sha256_cid(Codec::Raw, data).hash().digest()[..4]);
    let body = multibase::encode(multibase::Base::Base32Lower, content);
    check(&format!("allod-ticket:{body}"));
});
