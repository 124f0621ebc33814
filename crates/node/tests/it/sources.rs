//! A large file that comes from two nodes at once (SYNC-18).

use allod::{Node, NodeError, Peer, SyncReport};
use allod_quic::Endpoint;
use allod_repo::{BranchName, Content, Repo};
use allod_sync::{Stats, Ticket};

use crate::home::Home;

/// What the file has, of which no part is another.
const BYTES: usize = 100_000_000;

fn content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(BYTES).collect()
}

/// A receiver that knows of the file, and has nothing of it yet.
struct Receiver {
    node: Node,
    endpoint: Endpoint,
    repo: Repo,
    _home: Home,
}

impl Receiver {
    async fn join(ticket: &Ticket) -> Self {
        let home = Home::new();
        let node = open(&home);
        let endpoint = node.listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let repo = node.join(&endpoint, ticket, None, None).await.unwrap();
        Self {
            node,
            endpoint,
            repo,
            _home: home,
        }
    }

    async fn sync(
        &self,
        (device, addr): &(String, String),
        progress: &mut (dyn FnMut(&Stats) + Send),
    ) -> Result<SyncReport, NodeError> {
        let peer = Peer {
            addrs: vec![addr.clone()],
            ..Peer::default()
        };
        let device = device.parse().unwrap();
        self.node
            .sync_with(&self.endpoint, &self.repo, device, &peer, progress)
            .await
    }

    fn check(&self, content: &[u8]) {
        let state = self.repo.state(&BranchName::main()).unwrap();
        let Some(Content::File(file)) = state.get(b"film").unwrap() else {
            panic!("no file");
        };
        let mut read = Vec::new();
        allod_blocks::read_file(self.node.store().as_ref(), &file, &mut read).unwrap();
        assert!(read == content);
    }
}

fn open(home: &Home) -> Node {
    let home_of = allod::Home::at(home.path());
    let secret = allod::read_key_file(&home.file("key")).unwrap();
    let keys = home_of.unlock(&secret).unwrap();
    Node::open(home_of, Some(keys)).unwrap()
}

/// Both give a share, little comes twice, and one that is killed in the middle is done without.
#[test]
fn a_file_comes_from_two_nodes_at_once() {
    let (ada, bob) = (Home::with_space(), Home::new());
    let content = content();
    let up = ada.up();
    let ticket: Ticket = ada.run(&["space", "ticket"]).ok().trim().parse().unwrap();
    bob.run(&["space", "join", &ticket.to_text()]).ok();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut receivers = Vec::new();
        // Whoever is not known for a member is not listened to.
        let first = (up.device.clone(), up.addr.clone());
        for _ in 0..4 {
            let receiver = Receiver::join(&ticket).await;
            receiver.sync(&first, &mut |_| {}).await.unwrap();
            receivers.push(receiver);
        }
        let dave = receivers.pop().unwrap();
        ada.feed(&["put", "film"], &content).ok();
        ada.run(&["commit", "-m", "a film"]).ok();
        bob.run(&["sync"]).ok();
        let other = bob.up();
        let second = (other.device.clone(), other.addr.clone());

        let bytes = BYTES as u64;
        let mut shares = Vec::new();
        // On a machine that is busy elsewhere one of the two may come too late to have a share.
        for carol in &receivers {
            let (ignore, ignore_too) = (&mut |_: &Stats| {}, &mut |_: &Stats| {});
            let (one, two) =
                tokio::join!(carol.sync(&first, ignore), carol.sync(&second, ignore_too));
            let [one, two] = [one, two].map(|report| report.unwrap().stats.bytes_in);
            carol.check(&content);
            assert!(one + two <= bytes + bytes / 10, "{one} and {two}");
            shares.push((one, two));
            if one.min(two) >= bytes / 10 {
                break;
            }
        }
        let is_shared = |(one, two): &(u64, u64)| *one.min(two) >= bytes / 10;
        assert!(shares.iter().any(is_shared), "{shares:?}");

        let ignore = &mut |_: &Stats| {};
        let mut source = Some(other);
        let kill = &mut |stats: &Stats| {
            if stats.bytes_in > bytes / 10
                && let Some(source) = source.take()
            {
                source.kill();
            }
        };
        // Nobody notices for half a minute that it is gone, and the other finishes all the same.
        let one = tokio::select! {
            one = dave.sync(&first, ignore) => one.unwrap().stats.bytes_in,
            two = dave.sync(&second, kill) => panic!("{two:?}"),
        };
        dave.check(&content);
        assert!(one < bytes * 19 / 20, "{one}");
    });
    assert_eq!(up.stop(), Some(0));
}
