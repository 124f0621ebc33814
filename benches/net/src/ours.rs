//! Our endpoint: messages are frames.

use std::net::SocketAddr;
use std::time::Instant;

use allod_identity::SecretKey;
use allod_quic::{Config, Connection, Endpoint, Limits, Stream, StreamKind};

use crate::{BULK_MESSAGE_BYTES, ECHO, ECHO_BYTES, Job, Ready, SINK, message, rate, timed};

fn bind(seed: u8) -> (Endpoint, SecretKey) {
    let key = SecretKey::from_seed([seed; 32]);
    let config = Config {
        listen: ([127, 0, 0, 1], 0).into(),
        key: &key,
        limits: Limits::default(),
    };
    (Endpoint::bind(config).expect("an endpoint"), key)
}

/// Serves one connection.
pub async fn serve(ready: Ready) {
    let (endpoint, _key) = bind(1);
    ready(endpoint.local_addr().expect("an address"));
    let connection = endpoint.accept().await.expect("a connection");
    while let Ok(stream) = connection.accept().await {
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: Stream) -> Option<()> {
    let mut first = None;
    while let Some(frame) = stream.recv().await.ok()? {
        first = frame.first().copied();
        if first == Some(ECHO) {
            stream.send(frame).await.ok()?;
        }
    }
    if first == Some(SINK) {
        stream.send(message(SINK, 1)).await.ok()?;
    }
    stream.finish().ok()
}

async fn open(connection: &Connection) -> Stream {
    connection.open(StreamKind::Sync).await.expect("a stream")
}

async fn echo(stream: &mut Stream, bytes: &bytes::Bytes) {
    stream.send(bytes.clone()).await.expect("sent");
    let answer = stream.recv().await.expect("an answer");
    assert_eq!(answer.map(|answer| answer.len()), Some(ECHO_BYTES));
}

pub async fn client(addr: SocketAddr, job: Job) -> Vec<f64> {
    let (endpoint, _key) = bind(2);
    let server = SecretKey::from_seed([1; 32]).device_id();
    let connection = endpoint.connect(addr, server).await.expect("a connection");
    let samples = match job {
        Job::Bulk(bytes) => {
            let mut samples = Vec::new();
            for count in [job.warm_up(), bytes / BULK_MESSAGE_BYTES] {
                let mut stream = open(&connection).await;
                let frame = message(SINK, BULK_MESSAGE_BYTES);
                let begun = Instant::now();
                for _ in 0..count {
                    stream.send(frame.clone()).await.expect("sent");
                }
                stream.finish().expect("finished");
                assert!(stream.recv().await.expect("an answer").is_some());
                samples = rate(bytes, begun);
            }
            samples
        }
        Job::Echo(count) => {
            let mut stream = open(&connection).await;
            let bytes = message(ECHO, ECHO_BYTES);
            timed(job, count, async || echo(&mut stream, &bytes).await).await
        }
        Job::Streams(count) => {
            let bytes = message(ECHO, ECHO_BYTES);
            timed(job, count, async || {
                let mut stream = open(&connection).await;
                echo(&mut stream, &bytes).await;
                stream.finish().expect("finished");
            })
            .await
        }
    };
    endpoint.close().await;
    samples
}
