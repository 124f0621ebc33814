//! Grants, the chains that they make, and what takes them back.

use allod_access::{
    Answer, Facts, GRANT_BYTES_MAX, Grant, Ground, Near, Op, Policy, Principal, Target, Ungrant,
    Verdict,
};
use allod_identity::{DecodeError, Signed, Verified};
use cid::Cid;

use crate::{NOW, agent, ask, authorizer, key, link, short, space};

/// A grant without conditions.
pub(crate) fn grant(by: u8, to: u8, command: &str) -> Grant {
    Grant {
        issuer: agent(by),
        audience: agent(to),
        space: space(),
        command: command.parse().expect("it is a command"),
        policy: Policy::default(),
        proof: None,
        not_before: None,
        expires: None,
        nonce: [0; 16],
    }
}

/// Facts with grants that rest each on the one before, of which the first has the name 1.
fn chain(grants: impl IntoIterator<Item = Grant>) -> Facts {
    let mut facts = Facts::default();
    for (place, grant) in grants.into_iter().enumerate() {
        let name = u8::try_from(place + 1).expect("it is small");
        let proof = (name > 1).then(|| link(name - 1));
        facts.grants.insert(link(name), Grant { proof, ..grant });
    }
    facts
}

fn of(facts: &Facts, who: u8, op: Op, key: &[u8]) -> Verdict {
    ask(
        facts,
        &Principal::agent(agent(who)),
        op,
        "main",
        Target::Key(key),
    )
}

/// Whether somebody may write `a`.
fn may(facts: &Facts, who: u8) -> bool {
    of(facts, who, Op::Write, b"a").is_allowed()
}

#[test]
fn each_gives_what_they_have_or_less() {
    let facts = chain([
        grant(0, 1, "/space"),
        Grant {
            policy: Policy::prefix("a"),
            ..grant(1, 2, "/space/write")
        },
        Grant {
            policy: Policy::branch("main"),
            ..grant(2, 3, "/space/write")
        },
    ]);
    for (who, op, key, answer) in [
        (1, Op::Delete, &b"b"[..], Answer::Allow),
        (1, Op::Create, b"b", Answer::Deny),
        (2, Op::Write, b"ab", Answer::Allow),
        (2, Op::Write, b"b", Answer::Deny),
        (2, Op::Read, b"ab", Answer::Deny),
        (3, Op::Write, b"ab", Answer::Allow),
        (3, Op::Write, b"b", Answer::Deny),
        (4, Op::Write, b"ab", Answer::Deny),
    ] {
        assert_eq!(of(&facts, who, op, key).answer, answer, "{who} {op}");
    }
    let elsewhere = ask(
        &facts,
        &Principal::agent(agent(3)),
        Op::Write,
        "b",
        Target::Key(b"a"),
    );
    assert_eq!(elsewhere.near, Some(Near::Elsewhere(link(3))));
    let verdict = of(&facts, 3, Op::Write, b"a");
    assert_eq!(verdict.chain, [link(3), link(2), link(1)]);
    assert!(verdict.words().contains("3 grants"));
    assert!(!authorizer(&facts).is_plain());
}

/// Each with what is wrong with one of the links of a chain that would hold.
#[test]
fn a_chain_with_a_link_that_does_not_fit_does_not_hold() {
    type Spoil = fn(&mut Grant);
    let good = || {
        [
            grant(0, 1, "/space"),
            grant(1, 2, "/space/write"),
            grant(2, 3, "/space/write"),
        ]
    };
    assert!(may(&chain(good()), 3));
    let spoiled: [(&str, u8, Spoil); 7] = [
        ("wrong audience", 2, |it| it.audience = agent(4)),
        ("wrong issuer", 2, |it| it.issuer = agent(4)),
        ("not of the owner", 1, |it| it.issuer = agent(4)),
        ("wrong space", 3, |it| it.space = link(9)),
        ("proof of another space", 1, |it| it.space = link(9)),
        ("command not covered", 3, |it| it.command = Op::Read.into()),
        ("no proof", 3, |it| it.proof = None),
    ];
    for (what, name, spoil) in spoiled {
        let mut facts = chain(good());
        spoil(facts.grants.get_mut(&link(name)).expect(what));
        assert!(!may(&facts, 3), "{what}");
        assert_eq!(of(&facts, 3, Op::Write, b"a").near, None, "{what}");
    }
    let mut missing = chain(good());
    missing.grants.remove(&link(2));
    assert!(!may(&missing, 3));
    // A command that is like another at its beginning does not cover it.
    assert!(!may(&chain([grant(0, 1, "/space/writ")]), 1));
    assert!(!may(
        &chain([grant(0, 1, "/spa"), grant(1, 2, "/space/write")]),
        2
    ));
    assert!(may(
        &chain([grant(0, 1, "/"), grant(1, 2, "/space/write")]),
        2
    ));
    // The owner too rests on what holds, if they say so.
    assert!(may(
        &chain([
            grant(0, 1, "/space"),
            grant(1, 0, "/space"),
            grant(0, 2, "/space")
        ]),
        2
    ));
    assert!(!may(
        &chain([
            grant(3, 1, "/space"),
            grant(1, 0, "/space"),
            grant(0, 2, "/space")
        ]),
        2
    ));
}

#[test]
fn a_chain_has_eight_links_at_most() {
    let facts = chain((0..9).map(|n| grant(n, n + 1, "/space")));
    for who in 1..=8 {
        let verdict = of(&facts, who, Op::Write, b"a");
        assert!(verdict.is_allowed());
        assert_eq!(verdict.chain.len(), usize::from(who));
    }
    assert!(!may(&facts, 9));
    // Those that name each other are none, however long they are looked at.
    let mut ring = chain([grant(1, 2, "/space"), grant(2, 1, "/space")]);
    ring.grants.get_mut(&link(1)).expect("1").proof = Some(link(2));
    assert!(!may(&ring, 1) && !may(&ring, 2));
}

#[test]
fn times_are_those_of_all_links() {
    let timed = |from, end, first: bool| {
        let [mut one, mut two] = [grant(0, 1, "/space"), grant(1, 2, "/space")];
        let of = if first { &mut one } else { &mut two };
        (of.not_before, of.expires) = (from, end);
        chain([one, two])
    };
    for first in [true, false] {
        for (from, end, holds) in [
            (Some(NOW), None, true),
            (Some(NOW + 1), None, false),
            (None, Some(NOW + 1), true),
            (None, Some(NOW), false),
            (Some(NOW - 1), Some(NOW + 1), true),
        ] {
            assert_eq!(may(&timed(from, end, first), 2), holds, "{from:?} {end:?}");
        }
    }
    let near = |facts: &Facts| of(facts, 2, Op::Write, b"a").near;
    assert_eq!(
        near(&timed(None, Some(NOW), true)),
        Some(Near::Ended(link(2), NOW))
    );
    assert_eq!(
        near(&timed(Some(NOW + 1), None, true)),
        Some(Near::NotYet(link(2), NOW + 1))
    );
    // Links that are never valid together.
    let [one, two] = [grant(0, 1, "/space"), grant(1, 2, "/space")];
    let apart = chain([
        Grant {
            expires: Some(NOW),
            ..one
        },
        Grant {
            not_before: Some(NOW),
            ..two
        },
    ]);
    assert!(!may(&apart, 2));
}

fn ungrant(by: u8, of: Cid) -> Ungrant {
    Ungrant {
        at: 0,
        by: agent(by),
        of,
        reason: None,
    }
}

#[test]
fn a_grant_is_taken_back_by_who_gave_it_or_has_it() {
    let good = || {
        chain([
            grant(0, 1, "/space"),
            grant(1, 2, "/space"),
            grant(2, 3, "/space"),
        ])
    };
    for (by, what, may_they) in [
        (0, 1, true),
        (0, 2, true),
        (0, 3, true),
        (1, 1, true),
        (1, 2, true),
        (1, 3, true),
        (2, 1, false),
        (2, 2, true),
        (2, 3, true),
        (3, 1, false),
        (3, 2, false),
        (3, 3, true),
        (4, 1, false),
        (4, 3, false),
        (0, 9, false),
    ] {
        let mut facts = good();
        facts.ungrants.push(ungrant(by, link(what)));
        let holds: Vec<bool> = (1..=3).map(|who| may(&facts, who)).collect();
        let expected: Vec<bool> = (1..=3).map(|who| !may_they || who < what).collect();
        assert_eq!(holds, expected, "{by} takes {what} back");
        let near = of(&facts, 3, Op::Write, b"a").near;
        assert_eq!(
            near,
            may_they.then_some(Near::TakenBack(link(what))),
            "{by} {what}"
        );
    }
    // Another grant of the same is another right.
    let mut facts = good();
    facts.ungrants.push(ungrant(0, link(2)));
    facts.grants.insert(
        link(7),
        Grant {
            proof: Some(link(1)),
            ..grant(1, 2, "/space/write")
        },
    );
    assert!(may(&facts, 2) && !may(&facts, 3));
    assert_eq!(of(&facts, 2, Op::Write, b"a").chain, [link(7), link(1)]);
}

#[test]
fn who_has_rights_by_grants_alone_sees_meta_and_no_more() {
    let facts = chain([Grant {
        policy: Policy::prefix("a"),
        ..grant(0, 1, "/space/read")
    }]);
    assert_eq!(short(&facts, 1, Op::Read, "meta", "x").1, Ground::Known);
    assert_eq!(short(&facts, 1, Op::Write, "meta", "x").0, Answer::Deny);
    assert_eq!(short(&facts, 2, Op::Read, "meta", "x").0, Answer::Deny);
    // Of a branch as such, before it is known which keys.
    assert_eq!(short(&facts, 1, Op::Read, "main", "").0, Answer::Allow);
    assert_eq!(short(&facts, 1, Op::Read, "main", "b").0, Answer::Deny);
    // What is of the space as a whole takes a grant without conditions.
    for (op, command) in [
        (Op::Pin, "/pin"),
        (Op::Events, "/events/read"),
        (Op::Admin, "/space/admin"),
    ] {
        assert_eq!(
            short(&chain([grant(0, 1, command)]), 1, op, "", "").1,
            Ground::Grant
        );
        let narrow = chain([Grant {
            policy: Policy::branch("main"),
            ..grant(0, 1, command)
        }]);
        let denied = ask(
            &narrow,
            &Principal::agent(agent(1)),
            op,
            "main",
            Target::Branch,
        );
        assert_eq!(
            (denied.answer, denied.near),
            (Answer::Deny, Some(Near::Elsewhere(link(1))))
        );
    }
}

#[test]
fn one_chain_allows_both_branch_and_key() {
    let mut facts = chain([Grant {
        policy: Policy::branch("main"),
        ..grant(0, 1, "/space/write")
    }]);
    let keys = Policy::prefix("a").and(Policy::branch("b"));
    facts.grants.insert(
        link(2),
        Grant {
            policy: keys,
            ..grant(0, 1, "/space/write")
        },
    );
    for (branch, key, answer) in [
        ("main", "c", Answer::Allow),
        ("b", "ab", Answer::Allow),
        ("b", "c", Answer::Deny),
        ("c", "ab", Answer::Deny),
    ] {
        assert_eq!(
            short(&facts, 1, Op::Write, branch, key).0,
            answer,
            "{branch} {key}"
        );
    }
    let prefix = |prefix: &[u8], branch| {
        let who = Principal::agent(agent(1));
        ask(&facts, &who, Op::Write, branch, Target::Prefix(prefix)).answer
    };
    assert_eq!(prefix(b"", "main"), Answer::Allow);
    assert_eq!(prefix(b"ab", "b"), Answer::Allow);
    assert_eq!(prefix(b"", "b"), Answer::Partly);
    assert_eq!(prefix(b"c", "b"), Answer::Deny);
}

#[test]
fn of_chains_that_leave_it_open_the_first_is_named() {
    let mut facts = Facts::default();
    for name in 1..=3_u8 {
        let expires = Some(NOW + [1_u64, 5, 3][usize::from(name) - 1]);
        let policy = Policy::prefix("a");
        facts.grants.insert(
            link(name),
            Grant {
                policy,
                expires,
                ..grant(0, 1, "/space")
            },
        );
    }
    let who = Principal::agent(agent(1));
    let verdict = ask(&facts, &who, Op::Write, "main", Target::Branch);
    assert_eq!(
        (verdict.answer, &*verdict.chain),
        (Answer::Allow, &[link(2)][..])
    );
}

#[test]
fn of_many_grants_those_that_end_last_are_looked_at() {
    let mut facts = Facts::default();
    for n in 0..=64_u8 {
        let policy = Policy::prefix(&format!("{n:02}"));
        let expires = Some(NOW + 1 + u64::from(n));
        facts.grants.insert(
            link(n),
            Grant {
                policy,
                expires,
                ..grant(0, 1, "/space")
            },
        );
    }
    assert!(!of(&facts, 1, Op::Write, b"00").is_allowed());
    for n in 1..=64 {
        assert!(
            of(&facts, 1, Op::Write, format!("{n:02}").as_bytes()).is_allowed(),
            "{n}"
        );
    }
}

#[test]
fn grants_that_say_nothing_sound_are_refused() {
    const LATE: u64 = 1 << 48;
    let sign = |grant: Grant| Verified::sign(&key(0), grant).map_err(|error| error.to_string());
    let from = |not_before, expires| Grant {
        not_before,
        expires,
        ..grant(0, 1, "/")
    };
    for (times, is_good) in [
        (from(None, Some(0)), true),
        (from(Some(LATE - 1), None), true),
        (from(Some(1), Some(2)), true),
        (from(Some(2), Some(2)), false),
        (from(Some(2), Some(1)), false),
        (from(Some(LATE), None), false),
        (from(None, Some(LATE)), false),
        (grant(0, 0, "/"), false),
    ] {
        assert_eq!(sign(times.clone()).is_ok(), is_good, "{times:?}");
    }
    let reason = |reason: Option<&str>| {
        let reason = reason.map(ToOwned::to_owned);
        Verified::sign(
            &key(0),
            Ungrant {
                reason,
                ..ungrant(0, link(1))
            },
        )
        .is_ok()
    };
    assert!(reason(None) && reason(Some("lost")));
    assert!(!reason(Some("")) && !reason(Some(" a")) && !reason(Some("a\nb")));
    assert!(
        Verified::sign(
            &key(0),
            Ungrant {
                at: LATE,
                ..ungrant(0, link(1))
            }
        )
        .is_err()
    );
}

/// Lists in lists in lists, which end no sooner than the bytes do.
#[test]
fn deep_policies_are_refused_before_they_are_read() {
    let signed = Verified::sign(&key(0), grant(0, 1, "/")).expect("it is signed");
    let bytes = signed.bytes();
    let at = bytes
        .windows(5)
        .position(|it| it == b"\x63pol\x80")
        .expect("it is there")
        + 4;
    let decode = |policy: &[u8]| {
        let bytes = [&bytes[..at], policy, &bytes[at + 1..]].concat();
        Signed::<Grant>::decode(bytes)
            .map_err(DecodeError::code)
            .map(|_| ())
    };
    let like = b"\x83\x64like\x64.key\x61a";
    let nots = |count: usize| [b"\x81".as_slice(), &b"\x82\x63not".repeat(count), like].concat();
    // Deeper than a policy may be, and still read, to be refused by what it says.
    assert_eq!((decode(&nots(1)), decode(&nots(40))), (Ok(()), Ok(())));
    for (count, code) in [(100, "E_DEPTH"), (700, "E_DEPTH"), (1_000, "E_SIZE")] {
        assert_eq!(decode(&nots(count)), Err(code), "{count}");
    }
    for (count, code) in [
        (62, "E_SHAPE"),
        (64, "E_DEPTH"),
        (3_000, "E_DEPTH"),
        (GRANT_BYTES_MAX, "E_SIZE"),
    ] {
        assert_eq!(
            decode(&[&*b"\x81".repeat(count), b"\x80"].concat()),
            Err(code),
            "{count}"
        );
    }
}
