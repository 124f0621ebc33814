//! Values that join beside the `crdts` crate and automerge: operations on one replica, and joining two that
//! went on apart from each other.
//!
//! Each round runs the contenders in turn on the same operations; the median of the rounds counts. Both join
//! states in memory: what is copied first, so that each round joins the same, is not timed.

use std::time::Instant;

use allod_crdt::{Kind, Op, State, Writer};
use automerge::transaction::Transactable as _;
use automerge::{AutoCommit, ObjType, ROOT, ReadDoc as _};
use crdts::{CmRDT as _, CvRDT as _};

const ROUNDS: usize = 11;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let rounds = if quick { 3 } else { ROUNDS };
    counters(rounds);
    registers(rounds);
    sets(rounds);
    maps(rounds);
    lists(rounds);
}

/// Medians in microseconds of what each contender gives, which take turns.
fn measure<const N: usize>(
    rounds: usize,
    mut contenders: [&mut dyn FnMut() -> f64; N],
) -> [f64; N] {
    let mut times: [Vec<f64>; N] = std::array::from_fn(|_| Vec::new());
    for _ in 0..rounds {
        for (times, run) in times.iter_mut().zip(&mut contenders) {
            times.push(run());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

/// How long `run` takes, in microseconds; what it returns is dropped outside of that.
fn micros<T>(run: impl FnOnce() -> T) -> f64 {
    let started = Instant::now();
    let result = run();
    let micros = started.elapsed().as_secs_f64() * 1e6;
    drop(std::hint::black_box(result));
    micros
}

fn row(case: &str, ours: f64, peers: &[(&str, f64)]) {
    let peers: serde_json::Map<String, serde_json::Value> = peers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    println!(
        "{}",
        serde_json::json!({
            "area": "crdt", "case": case, "unit": "us", "better": "less",
            "ours": ours, "peers": peers, "target": "no slower",
        })
    );
}

fn writer(n: u64) -> Writer {
    Writer(n.to_be_bytes())
}

fn text(n: usize) -> Vec<u8> {
    format!("element number {n}").into_bytes()
}

/// The state after these operations of one writer.
fn state(start: &State, by: u64, ops: impl IntoIterator<Item = Op>) -> State {
    let mut state = start.clone();
    for (at, op) in ops.into_iter().enumerate() {
        state
            .apply(&op, writer(by), at as u64 + 1)
            .expect("applies");
    }
    state
}

/// How long joining ours takes, without the copy that it changes.
fn joined(left: &State, right: &State) -> f64 {
    let mut left = left.clone();
    micros(|| {
        left.join_from(right).expect("joins");
        left
    })
}

/// The same of `crdts`.
fn merged<T: crdts::CvRDT + Clone>(left: &T, right: &T) -> f64 {
    let (mut left, right) = (left.clone(), right.clone());
    micros(|| {
        left.merge(right);
        left
    })
}

fn counters(rounds: usize) {
    let [ours, theirs] = measure(
        rounds,
        [
            &mut || {
                micros(|| {
                    state(
                        &State::empty(Kind::PnCounter),
                        1,
                        (0..10_000).map(|_| Op::Increment(1)),
                    )
                })
            },
            &mut || {
                micros(|| {
                    let mut counter = crdts::PNCounter::new();
                    for _ in 0..10_000 {
                        counter.apply(counter.inc(1u64));
                    }
                    counter
                })
            },
        ],
    );
    row(
        "counter: 10000 increments",
        ours,
        &[("crdts 7.3 PNCounter", theirs)],
    );

    let half = |from: u64| {
        let one = |n| state(&State::empty(Kind::PnCounter), n, [Op::Increment(n)]);
        (from..from + 600).fold(State::empty(Kind::PnCounter), |all, n| {
            all.join(&one(n)).expect("joins")
        })
    };
    let peers_half = |from: u64| {
        let mut counter = crdts::PNCounter::new();
        for n in from..from + 600 {
            for _ in 0..n % 7 + 1 {
                counter.apply(counter.inc(n));
            }
        }
        counter
    };
    let (left, right) = (half(1), half(301));
    let (peers_left, peers_right) = (peers_half(1), peers_half(301));
    let [ours, theirs] = measure(
        rounds,
        [&mut || joined(&left, &right), &mut || {
            merged(&peers_left, &peers_right)
        }],
    );
    row(
        "counter: join of two with 600 writers each, 300 in common",
        ours,
        &[("crdts 7.3 PNCounter", theirs)],
    );
}

fn registers(rounds: usize) {
    let [ours, theirs] = measure(
        rounds,
        [
            &mut || {
                let sets = (0..10_000).map(|n| Op::Set(text(n)));
                micros(|| state(&State::empty(Kind::LwwRegister), 1, sets))
            },
            &mut || {
                let values: Vec<Vec<u8>> = (0..10_000).map(text).collect();
                micros(|| {
                    let mut register = crdts::LWWReg {
                        val: Vec::new(),
                        marker: 0u64,
                    };
                    for (at, value) in values.into_iter().enumerate() {
                        register.update(value, at as u64 + 1);
                    }
                    register
                })
            },
        ],
    );
    row(
        "register: 10000 times set",
        ours,
        &[("crdts 7.3 LWWReg", theirs)],
    );

    let writers = 60u64;
    let mut left = State::empty(Kind::MvRegister);
    let mut right = State::empty(Kind::MvRegister);
    let (mut peers_left, mut peers_right) = (crdts::MVReg::new(), crdts::MVReg::new());
    for n in 0..writers {
        let own = state(
            &State::empty(Kind::MvRegister),
            n + 1,
            [Op::Set(text(n as usize))],
        );
        let mut peers = crdts::MVReg::new();
        let add = peers.read_ctx().derive_add_ctx(n);
        peers.apply(peers.write(text(n as usize), add));
        let (side, peers_side) = if n % 2 == 0 {
            (&mut left, &mut peers_left)
        } else {
            (&mut right, &mut peers_right)
        };
        *side = side.join(&own).expect("joins");
        peers_side.merge(peers);
    }
    let [ours, theirs] = measure(
        rounds,
        [&mut || joined(&left, &right), &mut || {
            merged(&peers_left, &peers_right)
        }],
    );
    row(
        "register: join of two with 30 values each",
        ours,
        &[("crdts 7.3 MVReg", theirs)],
    );
}

fn sets(rounds: usize) {
    const SIZE: usize = 5000;
    let [ours, theirs] = measure(
        rounds,
        [
            &mut || {
                let ops: Vec<Op> = (0..SIZE).map(|n| Op::Add(text(n))).collect();
                micros(|| state(&State::empty(Kind::OrSet), 1, ops))
            },
            &mut || {
                let elements: Vec<Vec<u8>> = (0..SIZE).map(text).collect();
                micros(|| {
                    let mut set = crdts::Orswot::new();
                    for element in elements {
                        let context = set.read_ctx().derive_add_ctx(1u64);
                        set.apply(set.add(element, context));
                    }
                    set
                })
            },
        ],
    );
    row("set: 5000 additions", ours, &[("crdts 7.3 Orswot", theirs)]);

    // Both have the first half from before; each adds a quarter, and takes away some of what is shared.
    let shared = state(
        &State::empty(Kind::OrSet),
        1,
        (0..SIZE / 2).map(|n| Op::Add(text(n))),
    );
    let side = |by: u64, from: usize| {
        let added = (from..from + SIZE / 4).map(|n| Op::Add(text(n)));
        let removed = (from % 7..SIZE / 2)
            .step_by(50)
            .map(|n| Op::Remove(text(n)));
        state(&shared, by, added.chain(removed))
    };
    let (left, right) = (side(2, SIZE), side(3, 2 * SIZE));
    let mut peers_shared = crdts::Orswot::new();
    for n in 0..SIZE / 2 {
        let context = peers_shared.read_ctx().derive_add_ctx(1u64);
        peers_shared.apply(peers_shared.add(text(n), context));
    }
    let peers_side = |by: u64, from: usize| {
        let mut set = peers_shared.clone();
        for n in from..from + SIZE / 4 {
            let context = set.read_ctx().derive_add_ctx(by);
            set.apply(set.add(text(n), context));
        }
        for n in (from % 7..SIZE / 2).step_by(50) {
            let context = set.contains(&text(n)).derive_rm_ctx();
            set.apply(set.rm(text(n), context));
        }
        set
    };
    let (peers_left, peers_right) = (peers_side(2, SIZE), peers_side(3, 2 * SIZE));
    let [ours, theirs] = measure(
        rounds,
        [&mut || joined(&left, &right), &mut || {
            merged(&peers_left, &peers_right)
        }],
    );
    row(
        "set: join of two with 3750 elements each, 2500 in common",
        ours,
        &[("crdts 7.3 Orswot", theirs)],
    );
}

fn maps(rounds: usize) {
    const SIZE: usize = 2000;
    let field = |n: usize| format!("field {n}");
    let side = |by: u64, from: usize| {
        let puts = (from..from + SIZE).map(|n| Op::Put(field(n), text(n)));
        state(&State::empty(Kind::LwwMap), by, puts)
    };
    let document = |actor: u8, from: usize| {
        let mut document = AutoCommit::new();
        document.set_actor([actor].into());
        for n in from..from + SIZE {
            document.put(ROOT, field(n), text(n)).expect("puts");
        }
        document.commit();
        document
    };
    let [ours, theirs] = measure(
        rounds,
        [&mut || micros(|| side(1, 0)), &mut || {
            micros(|| document(1, 0))
        }],
    );
    row("map: 2000 fields put", ours, &[("automerge 0.12", theirs)]);
    let (left, right) = (side(1, 0), side(2, SIZE / 2));
    let (peers_left, peers_right) = (document(1, 0), document(2, SIZE / 2));
    let [ours, theirs] = measure(
        rounds,
        [&mut || joined(&left, &right), &mut || {
            let (mut left, mut right) = (peers_left.clone(), peers_right.clone());
            micros(|| {
                left.merge(&mut right).expect("merges");
                left.length(ROOT)
            })
        }],
    );
    row(
        "map: join of two with 2000 fields each, 1000 in common",
        ours,
        &[("automerge 0.12", theirs)],
    );
}

fn lists(rounds: usize) {
    const SIZE: usize = 2000;
    let ours_of = |by: u64| {
        let inserts = (0..SIZE).map(|n| Op::Insert(n / 2, text(n)));
        state(&State::empty(Kind::List), by, inserts)
    };
    let peers_of = |by: u8| {
        let mut list = crdts::List::new();
        for n in 0..SIZE {
            list.apply(list.insert_index(n / 2, text(n), by));
        }
        list
    };
    let document = |actor: u8| {
        let mut document = AutoCommit::new();
        document.set_actor([actor].into());
        let list = document
            .put_object(ROOT, "list", ObjType::List)
            .expect("puts");
        for n in 0..SIZE {
            document.insert(&list, n / 2, text(n)).expect("inserts");
        }
        document.commit();
        document
    };
    let [ours, crdts, automerge] = measure(
        rounds,
        [
            &mut || micros(|| ours_of(1)),
            &mut || micros(|| peers_of(1)),
            &mut || micros(|| document(1)),
        ],
    );
    let peers = [("crdts 7.3 List", crdts), ("automerge 0.12", automerge)];
    row(
        "list: 2000 insertions in the middle, each by itself",
        ours,
        &peers,
    );
    let [ours] = measure(
        rounds,
        [&mut || {
            let inserts: Vec<Op> = (0..SIZE).map(|n| Op::Insert(n / 2, text(n))).collect();
            micros(|| {
                let mut list = State::empty(Kind::List);
                list.apply_all(&inserts, writer(1), 1).expect("applies");
                list
            })
        }],
    );
    row(
        "list: 2000 insertions in the middle, in one go",
        ours,
        &peers,
    );
}
