//! Files that come from several peers at once (SYNC-18).

use std::collections::VecDeque;

use allod_blocks::{Cid, FileProfile, add_file, read_file};
use allod_repo::{BranchName, Content, Edit, Repo};
use allod_sync::{Claims, Input, Message, Outcome, Output, Session};
use bytes::Bytes;
use proptest::prelude::*;

use crate::hostile::scale;
use crate::pair::{Person, START, put, replica, space, talk};

/// Parts of the size that most files have.
const LARGE: FileProfile = FileProfile::UNIXFS_V1_2025;

/// Small ones, in an index of two levels.
const SMALL: FileProfile = FileProfile {
    chunk_bytes: 2048,
    links: 32,
};

/// The most parts that one session has on their way, where they are large.
const WANTED: u64 = 16;

/// Of those, what another one asks for as well once nothing else is left.
const ASKED_TWICE: u64 = WANTED / 4;

/// A session of the receiver with one source.
struct Meeting {
    /// The receiver's side, then the source's; a side is gone once it was dropped.
    sessions: [Option<Session>; 2],
    wires: [VecDeque<Bytes>; 2],
    outcome: Option<Outcome>,
    /// Whether nothing comes from the source any more.
    is_stalled: bool,
    /// What becomes of a message of the source.
    bend: fn(Message) -> Message,
    blocks_in: u64,
}

impl Meeting {
    fn new(to: (&Repo, &Claims), from: &Repo, who: &Person) -> Self {
        let device = who.0.device_id();
        let receiver = Session::new(to.0.clone(), who.me(true), device, START).sharing(to.1);
        let source = Session::new(from.clone(), who.me(false), device, START);
        Self {
            sessions: [Some(receiver), Some(source)],
            wires: Default::default(),
            outcome: None,
            is_stalled: false,
            bend: |message| message,
            blocks_in: 0,
        }
    }

    /// Lets each side take a step and a frame; whether anything moved.
    fn turn(&mut self) -> bool {
        let mut moved = false;
        for side in 0..2 {
            let Some(session) = &mut self.sessions[side] else {
                continue;
            };
            if session.is_busy() {
                session.handle(START + 1000, Input::Tick);
                moved = true;
            }
            if side == 1 || !self.is_stalled {
                let frame = self.wires[side].pop_front();
                moved |= frame.is_some();
                if let Some(frame) = frame {
                    session.handle(START + 1000, Input::Frame(frame));
                }
            }
            while let Some(output) = session.poll() {
                match output {
                    Output::Send(frame) if side == 1 => {
                        let message = Message::decode(&frame).unwrap();
                        self.wires[0].push_back((self.bend)(message).encode());
                    }
                    Output::Send(frame) => self.wires[1].push_back(frame),
                    Output::Close(outcome) if side == 0 => self.outcome = Some(outcome),
                    Output::Close(_) | Output::Event(_) => {}
                }
            }
            if side == 0 {
                self.blocks_in = session.stats().blocks_in;
            }
        }
        moved
    }

    fn is_complete(&self) -> bool {
        self.outcome == Some(Outcome::Complete)
    }

    fn refused(&self) -> Vec<String> {
        let stats = self.sessions[0].as_ref().map(Session::stats);
        let refused = stats.iter().flat_map(|stats| &stats.refused);
        refused.map(|refused| refused.code.clone()).collect()
    }
}

/// Lets all meetings go on in turns until none does.
fn settle(meetings: &mut [Meeting]) {
    while meetings
        .iter_mut()
        .fold(false, |moved, meeting| meeting.turn() | moved)
    {}
}

/// A space with a file of so many different parts, at as many sources as there are people.
struct Setting {
    ada: Person,
    sources: Vec<Repo>,
    receiver: Repo,
    file: Cid,
    content: Vec<u8>,
    claims: Claims,
}

impl Setting {
    fn new(sources: usize, parts: usize, profile: FileProfile) -> Self {
        let ada = Person::new(1);
        let full = space(&ada, &[]);
        let content: Vec<u8> = (0..parts)
            .flat_map(|part| {
                let mut bytes = vec![0; profile.chunk_bytes];
                bytes[..8].copy_from_slice(&part.to_le_bytes());
                bytes
            })
            .collect();
        let receiver = replica(&full);
        assert!(talk((&full, &ada), (&receiver, &ada)).is_complete());
        let file = link(&full, &ada, "film", (&content, profile), START + 10);
        let mut all = vec![full];
        while all.len() < sources {
            let copy = replica(&all[0]);
            assert!(talk((&all[0], &ada), (&copy, &ada)).is_complete());
            all.push(copy);
        }
        Self {
            ada,
            sources: all,
            receiver,
            file,
            content,
            claims: Claims::default(),
        }
    }

    fn meet(&self, source: usize) -> Meeting {
        let to = (&self.receiver, &self.claims);
        Meeting::new(to, &self.sources[source], &self.ada)
    }

    fn meetings(&self) -> Vec<Meeting> {
        (0..self.sources.len()).map(|n| self.meet(n)).collect()
    }

    /// What a reader finds is the file.
    fn check(&self) {
        let state = self.receiver.state(&BranchName::main()).unwrap();
        assert_eq!(state.get(b"film").unwrap(), Some(Content::File(self.file)));
        let mut read = Vec::new();
        read_file(self.receiver.store().as_ref(), &self.file, &mut read).unwrap();
        assert!(read == self.content);
        assert_eq!(
            self.receiver.check(&mut |_, _| {}).unwrap().problem_count,
            0
        );
    }
}

/// Puts a file under a key.
fn link(
    repo: &Repo,
    who: &Person,
    key: &'static str,
    (content, profile): (&[u8], FileProfile),
    now: u64,
) -> Cid {
    let store = repo.store().as_ref();
    let file = add_file(store, profile, &mut &content[..], &mut |_| {}).unwrap();
    let main = BranchName::main();
    let edit = (Bytes::from(key), Edit::Link(file.cid));
    repo.stage(&main, [edit], now).unwrap();
    repo.commit_staged(&main, who.author(), "a file", now)
        .unwrap();
    file.cid
}

fn absent(message: Message) -> Message {
    match message {
        Message::Blocks { blocks, mut absent } => {
            absent.extend(blocks.into_iter().map(name));
            let blocks = Vec::new();
            Message::Blocks { blocks, absent }
        }
        other => other,
    }
}

/// The name of a part; of an index it is another one, and so a lie.
fn name(content: Bytes) -> Cid {
    allod_blocks::sha256_cid(allod_blocks::Codec::Raw, &content)
}

/// Of two sources that are as fast as each other each gives its share, and little comes twice.
#[test]
fn two_sources_share_a_file() {
    const PARTS: u64 = 64;
    let setting = Setting::new(2, PARTS as usize, LARGE);
    let mut meetings = setting.meetings();
    settle(&mut meetings);
    assert!(meetings.iter().all(Meeting::is_complete));
    setting.check();
    let [one, other] = [meetings[0].blocks_in, meetings[1].blocks_in];
    // The index is asked for by both, as nothing else is known yet.
    assert!(
        one + other <= PARTS + 2 + 2 * ASKED_TWICE,
        "{one} and {other}"
    );
    assert!(one.min(other) >= PARTS / 4, "{one} and {other}");
    assert!(setting.claims.is_empty());
    assert_eq!(
        setting.receiver.heads(&BranchName::main()).unwrap().len(),
        1
    );
}

/// One that is slow gives what it can, and keeps nobody waiting.
#[test]
fn a_slow_source_delays_nothing() {
    const PARTS: u64 = 64;
    let setting = Setting::new(2, PARTS as usize, LARGE);
    let mut meetings = setting.meetings();
    let mut turns = 0;
    while !meetings[0].is_complete() {
        assert!(meetings[0].turn());
        turns += 1;
        if turns % 4 == 0 {
            meetings[1].turn();
        }
    }
    setting.check();
    let [fast, slow] = [meetings[0].blocks_in, meetings[1].blocks_in];
    assert!((PARTS - WANTED..PARTS).contains(&fast), "{fast} and {slow}");
    // It comes to its end too, with what was on its way.
    settle(&mut meetings);
    assert!(meetings[1].is_complete());
    let all = meetings[0].blocks_in + meetings[1].blocks_in;
    assert!(all <= PARTS + 1 + WANTED, "{all}");
}

/// A source that stops in the middle holds its claims until its session ends, and the other brings
/// them all the same. Once it is dropped nothing is claimed.
#[test]
fn a_source_that_stalls_is_done_without() {
    const PARTS: u64 = 48;
    let setting = Setting::new(3, PARTS as usize, LARGE);
    let mut meetings = setting.meetings();
    while meetings[0].blocks_in < 5 {
        for meeting in &mut meetings {
            meeting.turn();
        }
    }
    meetings[0].is_stalled = true;
    settle(&mut meetings);
    assert!(!meetings[0].is_complete());
    assert!(meetings[1].is_complete() && meetings[2].is_complete());
    setting.check();
    let all: u64 = meetings.iter().map(|meeting| meeting.blocks_in).sum();
    // What the one that stalled had been asked for is not here twice: it never came from there.
    assert!(all <= PARTS + 3 + 4 * ASKED_TWICE, "{all}");
    assert!(!setting.claims.is_empty());
    meetings.remove(0);
    assert!(setting.claims.is_empty());
}

/// A session that is dropped, as that of a task that was cancelled, leaves what it was to bring to the others.
#[test]
fn a_session_that_is_dropped_claims_nothing() {
    const PARTS: u64 = 48;
    let setting = Setting::new(2, PARTS as usize, LARGE);
    let mut meetings = setting.meetings();
    while meetings.iter().any(|meeting| meeting.blocks_in < 5) {
        for meeting in &mut meetings {
            meeting.turn();
        }
    }
    assert!(setting.claims.len() > 8);
    let gave = meetings.remove(0).blocks_in;
    settle(&mut meetings);
    assert!(meetings[0].is_complete());
    setting.check();
    // What came and was not stored yet is fetched again, and nothing else.
    let again = gave + meetings[0].blocks_in - PARTS;
    assert!(again <= 4, "{again}");
    assert!(setting.claims.is_empty());
}

/// A source that has not what it offers is refused, and the other gives it.
#[test]
fn a_source_without_the_file_spoils_nothing() {
    const PARTS: u64 = 32;
    let setting = Setting::new(2, PARTS as usize, LARGE);
    let mut meetings = setting.meetings();
    while meetings[0].blocks_in < 3 {
        for meeting in &mut meetings {
            meeting.turn();
        }
    }
    meetings[0].bend = absent;
    settle(&mut meetings);
    assert_eq!(meetings[0].refused(), ["E_MISSING"]);
    assert!(meetings[1].is_complete());
    assert_eq!(meetings[1].refused(), [""; 0]);
    setting.check();
    assert!(setting.claims.is_empty());
}

/// Two commits of two sources link to one file: it comes once.
#[test]
fn a_file_of_two_commits_comes_once() {
    const PARTS: u64 = 32;
    let setting = Setting::new(1, PARTS as usize, LARGE);
    let other = replica(&setting.receiver);
    let (ada, content) = (&setting.ada, &setting.content[..]);
    assert!(talk((&setting.receiver, ada), (&other, ada)).is_complete());
    put(&other, ada, &[("k".into(), "v".into())], START + 5);
    link(&other, ada, "copy", (content, LARGE), START + 6);
    let to = (&setting.receiver, &setting.claims);
    let mut meetings = [setting.meet(0), Meeting::new(to, &other, ada)];
    settle(&mut meetings);
    assert!(meetings.iter().all(Meeting::is_complete));
    setting.check();
    let [one, other] = [meetings[0].blocks_in, meetings[1].blocks_in];
    assert!(
        one + other <= PARTS + 2 + 2 * ASKED_TWICE,
        "{one} and {other}"
    );
    assert!(one.min(other) >= PARTS / 4, "{one} and {other}");
}

/// What befalls a source.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    Stalls(u64),
    Dropped(u64),
    Lacks(u64),
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        2 => Just(Fate::Fine),
        1 => (0..900u64).prop_map(Fate::Stalls),
        1 => (0..900u64).prop_map(Fate::Dropped),
        1 => (0..900u64).prop_map(Fate::Lacks),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32 * scale(),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// In whatever order things happen and whatever befalls the others, a source that is fine is enough, what is
    /// read is the file, and what comes twice is bounded.
    #[test]
    fn whatever_happens_one_good_source_is_enough(
        fates in prop::collection::vec(fate(), 0..3),
        speeds in prop::collection::vec(1..20u8, 3),
        order in prop::collection::vec(0..60u8, 0..4000),
    ) {
        const PARTS: usize = 900;
        let setting = Setting::new(fates.len() + 1, PARTS, SMALL);
        let mut meetings = setting.meetings();
        let befall = |meetings: &mut [Meeting]| {
            for (meeting, fate) in meetings.iter_mut().zip(&fates) {
                match *fate {
                    Fate::Stalls(after) if meeting.blocks_in >= after => meeting.is_stalled = true,
                    Fate::Dropped(after) if meeting.blocks_in >= after => {
                        meeting.sessions = [None, None];
                    }
                    Fate::Lacks(after) if meeting.blocks_in >= after => meeting.bend = absent,
                    _ => {}
                }
            }
        };
        for draw in order {
            let mut left = draw % speeds.iter().sum::<u8>();
            let mut next = 0;
            while left >= speeds[next] {
                left -= speeds[next];
                next += 1;
            }
            if let Some(meeting) = meetings.get_mut(next) {
                meeting.turn();
            }
            befall(&mut meetings);
        }
        while meetings.iter_mut().fold(false, |moved, meeting| meeting.turn() | moved) {
            befall(&mut meetings);
        }
        prop_assert!(meetings.last().unwrap().is_complete());
        prop_assert_eq!(meetings.last().unwrap().refused(), Vec::<String>::new());
        setting.check();
        let indexes = PARTS.div_ceil(SMALL.links) + 1;
        let blocks = (PARTS + indexes) as u64;
        let came: u64 = meetings.iter().map(|meeting| meeting.blocks_in).sum();
        // What one has on its way may come from each of the others too.
        prop_assert!(came <= blocks + 512 * meetings.len() as u64, "{} of {}", came, blocks);
        let stalled = meetings.iter().any(|meeting| meeting.is_stalled);
        prop_assert!(setting.claims.is_empty() || stalled);
        meetings.clear();
        prop_assert!(setting.claims.is_empty());
    }
}
