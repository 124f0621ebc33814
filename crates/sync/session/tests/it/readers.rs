//! What a peer is told of a space of which it may read a part (SYNC-60 to SYNC-65).

use allod_access::{Op, Policy, Principal, Request, Target};
use allod_blocks::Cid;
use allod_repo::{BranchName, CommitId, Granting, Heads, Repo};
use allod_sync::{Hello, Message, Outcome};

use crate::pair::{Person, START, replica, run, space, talk};

fn on(name: &str) -> BranchName {
    name.parse().unwrap()
}

fn write(repo: &Repo, who: &Person, branch: &str, value: &str) -> CommitId {
    let made = repo.transact(&on(branch), who.author(), "", (0, START), |tx| {
        tx.put("key", value.to_owned())
    });
    made.unwrap().0
}

fn let_read(repo: &Repo, people: (&Person, &Person), branch: &str) -> Cid {
    let_do(repo, people, (branch, &[Op::Read]))[0]
}

fn let_do(
    repo: &Repo,
    (owner, whom): (&Person, &Person),
    (branch, ops): (&str, &[Op]),
) -> Vec<Cid> {
    let what = Granting {
        commands: ops.iter().map(|op| (*op).into()).collect(),
        policy: Policy::branch(branch),
        not_before: None,
        expires: None,
    };
    let seed = [branch.len() as u8; 16];
    let whom = whom.author().agent;
    let given = repo.grant(whom, &what, &seed, owner.author(), START);
    given.unwrap()
}

fn may_read(repo: &Repo, whom: &Person, branch: &str) -> bool {
    let request = Request {
        who: &Principal::agent(whom.author().agent),
        op: Op::Read,
        branch,
        target: Target::Prefix(b""),
        at: START,
    };
    repo.may(&request).unwrap().is_allowed()
}

/// SYNC-65: what a tag or a talk told the name of does not come to a branch that one may read by offering it there.
#[test]
fn who_knows_a_name_gets_nothing_by_it() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = space(&ada, &[]);
    let_read(&full, (&ada, &bob), "side");
    write(&full, &ada, "side", "1");
    let secret = write(&full, &ada, "main", "2");
    let before = full.offered().unwrap();
    let theirs = replica(&full);
    let offers = |is_left: bool, frame| match Message::decode(&frame) {
        Ok(Message::Hello(hello)) if is_left => {
            let branches = vec![(on("side"), vec![secret])];
            Some(Message::Hello(Box::new(Hello { branches, ..*hello })).encode())
        }
        _ => Some(frame),
    };
    let done = run((&theirs, &bob), (&full, &ada), usize::MAX, &mut { offers });
    assert_eq!(done.right_stats.refused[0].commit, secret);
    assert_eq!(done.right_stats.refused[0].code, "E_RIGHTS");
    assert_eq!(full.offered().unwrap(), before);
    assert!(talk((&theirs, &bob), (&full, &ada)).is_complete());
    assert!(!theirs.has_commit(secret).unwrap());
    // Who may read both, and merge, has it there.
    let_read(&full, (&ada, &bob), "main");
    let_do(
        &full,
        (&ada, &bob),
        ("side", &[Op::Merge, Op::Write, Op::Delete]),
    );
    let done = run((&theirs, &bob), (&full, &ada), usize::MAX, &mut { offers });
    assert_eq!(done.right_stats.refused, []);
    let side = full.offered().unwrap().into_iter();
    let side: Heads = side
        .filter(|(name, _)| *name == on("side"))
        .flat_map(|it| it.1)
        .collect();
    assert!(side.contains(&secret));
}

/// SYNC-62: from the moment on in which a side learns that the peer may no more read, it says nothing but that.
#[test]
fn who_brings_the_loss_of_a_right_hears_nothing_after_it() {
    let (ada, bob) = (Person::new(1), Person::new(2));
    let full = space(&ada, &[]);
    let_read(&full, (&ada, &bob), "news");
    let right = let_read(&full, (&ada, &bob), "side");
    write(&full, &ada, "side", "0");
    let (elsewhere, theirs) = (replica(&full), replica(&full));
    assert!(talk((&full, &ada), (&elsewhere, &ada)).is_complete());
    assert!(talk((&full, &ada), (&theirs, &bob)).is_complete());
    elsewhere.ungrant(right, None, ada.author(), START).unwrap();
    assert!(talk((&elsewhere, &ada), (&theirs, &bob)).is_complete());
    for number in 1..20 {
        write(&full, &ada, "side", &number.to_string());
    }
    let mut said_after = Vec::new();
    let done = run(
        (&theirs, &bob),
        (&full, &ada),
        usize::MAX,
        &mut |is_left, frame| {
            if !is_left && !may_read(&full, &bob, "side") {
                said_after.push(Message::decode(&frame).unwrap());
            }
            Some(frame)
        },
    );
    let Some(Outcome::Ended { code, .. }) = done.right else {
        panic!("{:?}", done.right)
    };
    assert_eq!(code, "E_RIGHTS");
    assert!(
        matches!(&*said_after, [Message::Close { .. }]),
        "{said_after:?}"
    );
}

/// SYNC-65: who may read two branches, and write neither, does not bring one into the other by offering it there.
#[test]
fn who_may_read_alone_moves_nothing() {
    for brings in [false, true] {
        let [ada, bob, eve] = [1, 2, 3].map(Person::new);
        let full = space(&ada, &[&eve]);
        let_read(&full, (&ada, &bob), "side");
        let_read(&full, (&ada, &bob), "main");
        let main = write(&full, &eve, "main", "1");
        let other = replica(&full);
        assert!(talk((&full, &ada), (&other, &ada)).is_complete());
        let side = write(&full, &ada, "side", "2");
        let theirs = replica(&full);
        assert!(talk((&theirs, &bob), (&full, &ada)).is_complete());
        let to = if brings { &other } else { &full };
        let offers = |is_left: bool, frame| match Message::decode(&frame) {
            Ok(Message::Hello(hello)) if is_left => {
                let mut hello = *hello;
                for (name, heads) in &mut hello.branches {
                    if *name == on("main") {
                        heads.insert(0, side);
                    }
                }
                Some(Message::Hello(Box::new(hello)).encode())
            }
            _ => Some(frame),
        };
        let done = run((&theirs, &bob), (to, &ada), usize::MAX, &mut { offers });
        assert_eq!(done.right_stats.refused[0].commit, side);
        assert_eq!(done.right_stats.refused[0].code, "E_RIGHTS");
        assert_eq!(to.heads(&on("main")).unwrap(), [main].into());
    }
}
