//! A link with a stranger: each line is a frame, one that is packed, or time that passes. Both roles hold their bounds, and say nothing
//! that is not a message.

#![no_main]

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use allod_deltas::{DeltaStore, MemoryDeltas, StoreFault};
use allod_federation::{
    FederationConfig, Frame, Input, Link, Me, Output, ReadFault, ReadReply, ReadRequest, Rules, Start, TrustPolicy,
};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use libfuzzer_sys::fuzz_target;
use multibase::Base;

fn read(store: &MemoryDeltas, request: ReadRequest) -> Result<ReadReply, ReadFault> {
    let reply = match request {
        ReadRequest::End => store.end().map(ReadReply::End),
        ReadRequest::Arrivals { after, limit } => store.arrivals(after, limit).map(ReadReply::Arrivals),
        ReadRequest::Scan { filter, after, limit } => {
            store.scan(&filter, after.as_ref(), limit).map(ReadReply::Scan)
        }
        _ => return Err(ReadFault::Failed),
    };
    reply.map_err(|fault| match fault {
        StoreFault::Expired => ReadFault::Expired,
        _ => ReadFault::Failed,
    })
}

fn inflated(packed: &[u8]) -> String {
    let mut text = String::new();
    DeflateDecoder::new(packed).read_to_string(&mut text).expect("FED-35");
    text
}

/// What follows `=` is the content of a binary frame, in base64; what follows `~` a message that is packed here.
fn packed(line: &str) -> Option<Vec<u8>> {
    if let Some(text) = line.strip_prefix('~') {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).ok()?;
        return encoder.finish().ok();
    }
    Base::Base64.decode(line.strip_prefix('=')?).ok()
}

fn settle(link: &mut Link, store: &MemoryDeltas, now_ms: u64) {
    // Each input makes a bounded number of outputs.
    for _ in 0..100_000 {
        let Some(output) = link.poll() else { return };
        match output {
            Output::Send(text) => {
                let frame = Frame::decode(&text).expect("FED-1").expect("known");
                assert!(frame.timestamp.get() > 0.0, "FED-2");
            }
            Output::Packed(bytes) => {
                let text = inflated(&bytes);
                assert!(bytes.len() < text.len(), "FED-35");
                Frame::decode(&text).expect("FED-1").expect("known");
            }
            Output::Append(deltas) => {
                let said = store.append(&deltas, now_ms).unwrap();
                link.handle(now_ms, Input::Appended(Some(said)));
                link.handle(now_ms, Input::Arrived);
            }
            Output::Read(request) => {
                let reply = read(store, request);
                link.handle(now_ms, Input::Read(reply));
            }
            _ => {}
        }
        link.go_on(now_ms);
    }
    panic!("it never ends");
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(rest) else {
        return;
    };
    let me = Me {
        system_id: "this".to_owned(),
        store: "store".to_owned(),
        key: None,
    };
    let rules = Rules {
        trust: TrustPolicy::open(),
        ..Rules::default()
    };
    let store = Arc::new(MemoryDeltas::new());
    let mut now_ms = 1000;
    let mut link = if first % 2 == 0 {
        Link::server(me, rules, Start::default(), now_ms)
    } else {
        Link::client(me, rules, FederationConfig::default(), Start::default(), now_ms)
    };
    settle(&mut link, &store, now_ms);
    for line in text.lines() {
        if let Ok(Some(frame)) = Frame::decode(line) {
            // What is no delta is not written again.
            let again = frame.encode();
            if let Ok(Some(second)) = Frame::decode(&again) {
                assert_eq!(second.encode(), again, "FED-3");
            }
        }
        match line.parse::<u16>() {
            Ok(passed) => {
                now_ms += u64::from(passed);
                link.handle(now_ms, Input::Tick);
            }
            Err(_) => match packed(line) {
                Some(bytes) => link.handle(now_ms, Input::Packed(&bytes)),
                None => link.handle(now_ms, Input::Frame(line)),
            },
        }
        settle(&mut link, &store, now_ms);
    }
});
