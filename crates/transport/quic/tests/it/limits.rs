//! Limits: connections, handshakes, streams.

use std::time::Duration;

use allod_quic::{CloseCode, Limits, QuicError, StreamKind};
use tokio::time::{sleep, timeout};

use crate::{bind, brisk, pair};

#[tokio::test]
async fn connections_are_counted_and_a_place_comes_free() {
    let limits = Limits {
        connections_max: 2,
        ..Limits::default()
    };
    let there = bind(9, limits);
    let (a, b, c) = (bind(1, brisk()), bind(2, brisk()), bind(3, brisk()));
    let first = pair(&a, &there).await;
    let _second = pair(&b, &there).await;
    let addr = there.local_addr().unwrap();
    let third = c.connect(addr, there.device_id()).await;
    assert_eq!(third.unwrap_err(), QuicError::Refused);

    // A stream alone keeps the place; once it is gone too, the place is free.
    let stream = first.1.open(StreamKind::Sync).await.unwrap();
    drop(first.1);
    let third = c.connect(addr, there.device_id()).await;
    assert_eq!(third.unwrap_err(), QuicError::Refused);
    drop(stream);
    let (third, _accepted) = pair(&c, &there).await;
    assert_eq!(third.peer(), there.device_id());
}

#[tokio::test]
async fn connections_that_nobody_accepts_push_back() {
    let limits = Limits {
        handshakes_max: 2,
        ..brisk()
    };
    let there = bind(9, limits);
    let addr = there.local_addr().unwrap();
    let here = bind(1, brisk());
    let mut kept = Vec::new();
    let mut refused = 0;
    for _ in 0..24 {
        match here.connect(addr, there.device_id()).await {
            Ok(connection) => kept.push(connection),
            Err(error) => {
                assert_eq!(error, QuicError::Refused);
                refused += 1;
            }
        }
    }
    // Sixteen wait, two hold a handshake's place, the others were refused.
    assert!(kept.len() <= 18 && refused >= 6, "{} kept", kept.len());
    // Who waits too long is told why.
    let last = kept.pop().unwrap();
    let ended = timeout(Duration::from_secs(5), last.closed()).await;
    assert_eq!(
        ended.unwrap(),
        QuicError::Closed {
            code: CloseCode::BUSY,
            reason: "nobody accepts".to_owned()
        }
    );
    for _ in 0..16 {
        let accepted = timeout(Duration::from_secs(2), there.accept()).await;
        assert!(accepted.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_peer_opens_only_so_many_streams() {
    let limits = Limits {
        streams_max: 3,
        ..Limits::default()
    };
    let (here, there) = (bind(1, Limits::default()), bind(2, limits));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(dialled.open(StreamKind::Sync).await.unwrap());
    }
    let fourth = timeout(Duration::from_millis(200), dialled.open(StreamKind::Sync)).await;
    assert!(fourth.is_err(), "a fourth stream while three are open");
    for _ in 0..3 {
        drop(accepted.accept().await.unwrap());
    }
    drop(streams);
    let fourth = timeout(Duration::from_secs(2), dialled.open(StreamKind::Sync)).await;
    assert!(fourth.unwrap().is_ok());
}

#[tokio::test]
async fn accepting_can_be_given_up_without_loss() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let opening = tokio::spawn(async move {
        let mut streams = Vec::new();
        for n in 0..40u8 {
            let mut stream = dialled.open(StreamKind::Sync).await.unwrap();
            stream.send(vec![n].into()).await.unwrap();
            streams.push(stream);
            sleep(Duration::from_millis(1)).await;
        }
        (streams, dialled)
    });
    let mut seen = Vec::new();
    while seen.len() < 40 {
        let accepting = timeout(Duration::from_micros(200), accepted.accept());
        if let Ok(stream) = accepting.await {
            let mut stream = stream.unwrap();
            seen.push(stream.recv().await.unwrap().unwrap()[0]);
        }
    }
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..40));
    drop(opening.await.unwrap());
}
