//! Streams and frames.

use std::time::Duration;

use allod_quic::{CloseCode, FRAME_BYTES_MAX, Limits, QuicError, StreamKind};
use bytes::Bytes;
use tokio::time::timeout;

use crate::{bind, pair};

#[tokio::test]
async fn frames_of_every_size_arrive_whole_and_in_order() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let sizes = [
        0,
        1,
        3,
        4,
        1000,
        1448,
        65_535,
        65_536,
        65_537,
        1 << 20,
        FRAME_BYTES_MAX,
    ];
    let frames: Vec<Bytes> = sizes
        .iter()
        .map(|&size| (0..size).map(|at| (at * 31 % 251) as u8).collect())
        .collect();
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    assert_eq!(ours.kind(), StreamKind::Sync);
    let sending = async {
        for frame in &frames {
            ours.send(frame.clone()).await.unwrap();
        }
        ours.finish().unwrap();
    };
    let receiving = async {
        let mut theirs = accepted.accept().await.unwrap();
        assert_eq!(theirs.kind(), StreamKind::Sync);
        for frame in &frames {
            assert_eq!(theirs.recv().await.unwrap().as_ref(), Some(frame));
        }
        assert_eq!(theirs.recv().await, Ok(None));
        assert_eq!(theirs.recv().await, Ok(None));
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn both_directions_run_at_once() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let ours = dialled.open(StreamKind::Sync).await.unwrap();
    let theirs = accepted.accept().await.unwrap();
    let work = [ours, theirs].map(|stream| {
        let (mut send, mut recv) = stream.split();
        async move {
            let sending = async {
                for n in 0..200u32 {
                    send.send(Bytes::copy_from_slice(&n.to_le_bytes().repeat(4000)))
                        .await
                        .unwrap();
                }
                send.finish().unwrap();
                send.finished().await.unwrap();
            };
            let receiving = async {
                for n in 0..200u32 {
                    let frame = recv.recv().await.unwrap().unwrap();
                    assert_eq!(frame[..4], n.to_le_bytes());
                }
                assert_eq!(recv.recv().await, Ok(None));
            };
            tokio::join!(sending, receiving);
        }
    });
    let [a, b] = work;
    timeout(Duration::from_secs(20), async { tokio::join!(a, b) })
        .await
        .unwrap();
}

#[tokio::test]
async fn receiving_can_be_given_up_without_loss() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let mut theirs = accepted.accept().await.unwrap();
    let frame = Bytes::from(vec![7; 2_000_000]);
    let sending = tokio::spawn(async move {
        for _ in 0..5 {
            ours.send(frame.clone()).await.unwrap();
        }
        ours.finish().unwrap();
        ours
    });
    let mut frames = 0;
    let mut given_up = 0;
    loop {
        match timeout(Duration::from_micros(50), theirs.recv()).await {
            Err(_elapsed) => given_up += 1,
            Ok(Ok(Some(frame))) => {
                assert_eq!(frame.len(), 2_000_000);
                frames += 1;
            }
            Ok(end) => {
                assert_eq!(end, Ok(None));
                break;
            }
        }
    }
    assert_eq!(frames, 5);
    assert!(given_up > 0, "nothing was given up");
    drop(sending.await.unwrap());
}

#[tokio::test]
async fn what_was_finished_arrives_though_the_stream_is_dropped() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    for _ in 0..20 {
        let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
        ours.send(vec![1; 300_000].into()).await.unwrap();
        ours.finish().unwrap();
        let (send, mut answer) = ours.split();
        drop(send);
        let mut theirs = accepted.accept().await.unwrap();
        assert_eq!(theirs.recv().await.unwrap().unwrap().len(), 300_000);
        assert_eq!(theirs.recv().await, Ok(None));
        theirs.send("done".into()).await.unwrap();
        theirs.finish().unwrap();
        drop(theirs);
        assert_eq!(answer.recv().await, Ok(Some("done".into())));
        assert_eq!(answer.recv().await, Ok(None));
    }
}

#[tokio::test]
async fn a_frame_that_is_too_large_is_not_sent() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, _accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let got = FRAME_BYTES_MAX as u64 + 1;
    assert_eq!(
        ours.send(vec![0; FRAME_BYTES_MAX + 1].into()).await,
        Err(QuicError::FrameTooLarge { got })
    );
    assert_eq!(ours.send("fine".into()).await, Ok(()));
}

#[tokio::test]
async fn a_send_given_up_half_way_ends_the_stream() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let _theirs = accepted.accept().await.unwrap();
    // Nobody reads, so the window fills up and a frame is left half sent.
    let frame = Bytes::from(vec![0; FRAME_BYTES_MAX]);
    let filling = async { while ours.send(frame.clone()).await.is_ok() {} };
    assert!(timeout(Duration::from_secs(1), filling).await.is_err());
    assert_eq!(ours.send("next".into()).await, Err(QuicError::Interrupted));
    assert_eq!(ours.finish(), Err(QuicError::Interrupted));
}

#[tokio::test]
async fn giving_a_stream_up_tells_the_peer_why() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let theirs = accepted.accept().await.unwrap();
    theirs.abort(CloseCode(1000));
    let code = CloseCode(1000);
    assert_eq!(ours.recv().await, Err(QuicError::Reset { code }));
    // The other direction learns it too; the connection goes on.
    let refused = async {
        loop {
            if let Err(error) = ours.send("x".into()).await {
                return error;
            }
            tokio::task::yield_now().await;
        }
    };
    let refused = timeout(Duration::from_secs(5), refused).await.unwrap();
    assert_eq!(refused, QuicError::Reset { code });
    assert!(dialled.open(StreamKind::Sync).await.is_ok());
}

#[tokio::test]
async fn a_stream_keeps_its_connection_and_figures_grow() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let mut theirs = accepted.accept().await.unwrap();
    let before = accepted.stats();
    drop(dialled);
    ours.send(vec![1; 100_000].into()).await.unwrap();
    assert_eq!(theirs.recv().await.unwrap().unwrap().len(), 100_000);
    let after = accepted.stats();
    assert!(after.received_bytes >= before.received_bytes + 100_000);
    assert!(after.rtt > Duration::ZERO && after.mtu_bytes >= 1200);
    drop(ours);
    let ended = timeout(Duration::from_secs(5), accepted.closed()).await;
    assert_eq!(ended.unwrap().code(), "E_CLOSED");
}

#[tokio::test]
async fn large_packets_are_found_on_a_path_that_takes_them() {
    let (here, there) = (bind(1, Limits::default()), bind(2, Limits::default()));
    let (dialled, accepted) = pair(&here, &there).await;
    let mut ours = dialled.open(StreamKind::Sync).await.unwrap();
    let mut theirs = accepted.accept().await.unwrap();
    let growing = async {
        while dialled.stats().mtu_bytes <= 5000 {
            ours.send(vec![0; 100_000].into()).await.unwrap();
            theirs.recv().await.unwrap();
        }
    };
    timeout(Duration::from_secs(10), growing).await.unwrap();
    assert!(dialled.stats().mtu_bytes <= 6000);
}
