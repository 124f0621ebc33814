//! iroh with its defaults, but for relays and look-ups, which loopback does not need.

use std::net::SocketAddr;
use std::time::Instant;

use iroh::endpoint::{RecvStream, SendStream, presets};
use iroh::{Endpoint, EndpointAddr, RelayMode, SecretKey};

use crate::{BULK_MESSAGE_BYTES, ECHO, ECHO_BYTES, Job, Ready, SINK, message, rate, timed};

const ALPN: &[u8] = b"bench";

async fn bind(seed: u8) -> Endpoint {
    let addr: SocketAddr = ([127, 0, 0, 1], 0).into();
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&[seed; 32]))
        .alpns(vec![ALPN.to_vec()])
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr(addr)
        .expect("an address")
        .bind()
        .await
        .expect("an endpoint")
}

/// Serves one connection.
pub async fn serve(ready: Ready) {
    let endpoint = bind(1).await;
    ready(endpoint.bound_sockets()[0]);
    let connection = endpoint
        .accept()
        .await
        .expect("a dial")
        .await
        .expect("a connection");
    while let Ok((send, recv)) = connection.accept_bi().await {
        tokio::spawn(answer(send, recv));
    }
    endpoint.close().await;
}

async fn answer(mut send: SendStream, mut recv: RecvStream) -> Option<()> {
    let mut bytes = [0; ECHO_BYTES];
    recv.read_exact(&mut bytes).await.ok()?;
    if bytes[0] == SINK {
        while recv.read_chunk(usize::MAX).await.ok()?.is_some() {}
        send.write_all(&[SINK]).await.ok()?;
        return send.finish().ok();
    }
    loop {
        send.write_all(&bytes).await.ok()?;
        if recv.read_exact(&mut bytes).await.is_err() {
            return send.finish().ok();
        }
    }
}

async fn echo(send: &mut SendStream, recv: &mut RecvStream, bytes: &[u8]) {
    send.write_all(bytes).await.expect("sent");
    let mut answer = [0; ECHO_BYTES];
    recv.read_exact(&mut answer).await.expect("an answer");
}

pub async fn client(addr: SocketAddr, job: Job) -> Vec<f64> {
    let endpoint = bind(2).await;
    let server = SecretKey::from_bytes(&[1; 32]).public();
    let to = EndpointAddr::new(server).with_ip_addr(addr);
    let connection = endpoint.connect(to, ALPN).await.expect("a connection");
    let bytes = message(ECHO, ECHO_BYTES);
    let samples = match job {
        Job::Bulk(total) => {
            let mut samples = Vec::new();
            for count in [job.warm_up(), total / BULK_MESSAGE_BYTES] {
                let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                let chunk = message(SINK, BULK_MESSAGE_BYTES);
                let begun = Instant::now();
                for _ in 0..count {
                    send.write_chunk(chunk.clone()).await.expect("sent");
                }
                send.finish().expect("finished");
                recv.read_to_end(1).await.expect("an answer");
                samples = rate(total, begun);
            }
            samples
        }
        Job::Echo(count) => {
            let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
            timed(job, count, async || {
                echo(&mut send, &mut recv, &bytes).await
            })
            .await
        }
        Job::Streams(count) => {
            timed(job, count, async || {
                let (mut send, mut recv) = connection.open_bi().await.expect("a stream");
                echo(&mut send, &mut recv, &bytes).await;
                send.finish().expect("finished");
            })
            .await
        }
    };
    connection.close(0u32.into(), b"");
    endpoint.close().await;
    samples
}
