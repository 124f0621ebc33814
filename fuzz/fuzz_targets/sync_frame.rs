//! Frames of a session and of joining from any bytes: what decodes encodes to the same bytes.

#![no_main]

use allod_sync::{FRAME_BYTES_CEILING, JoinReply, JoinRequest, Message};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let frame = Bytes::copy_from_slice(data);
    if let Ok(message) = Message::decode(&frame) {
        assert!(data.len() <= FRAME_BYTES_CEILING, "SYNC-1");
        assert_eq!(message.encode(), frame, "CONV-2");
        if let Message::Changes { entries, .. } = &message {
            assert!(entries.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }
    }
    if let Ok(request) = JoinRequest::decode(data) {
        assert_eq!(request.encode(), frame, "CONV-2");
        assert!(JoinReply::decode(data).is_err(), "one number, one message");
    }
    if let Ok(reply) = JoinReply::decode(data) {
        assert_eq!(reply.encode(), frame, "CONV-2");
    }
});
