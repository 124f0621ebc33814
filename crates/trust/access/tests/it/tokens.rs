//! Session tokens: which are taken, how long they last, and what their bearers may do.

use allod_access::{
    Answer, Facts, Ground, Member, Op, Principal, Request, SESSION_MS_MAX, TOKEN_BYTES_MAX,
    TOKEN_MS_MAX, Target, Token, TokenError,
};
use allod_identity::{DeviceId, SignError, Verified};
use multibase::Base;
use proptest::prelude::{any, prop_assert, proptest};
use serde_json::json;

use crate::chains::grant;
use crate::{NOW, agent, authorizer, cases, key, link, rule, space};

fn device(n: u8) -> DeviceId {
    key(n).device_id()
}

/// A token of device 9 for anna, which begins now and lasts as long as it may.
fn token() -> Token {
    Token {
        aud: device(9),
        user: "anna".to_owned(),
        roles: vec!["editor".to_owned()],
        can: vec!["/".parse().expect("it is a command")],
        space: None,
        began: NOW,
        at: NOW,
        exp: NOW + TOKEN_MS_MAX,
        nonce: *b"sixteen letters!",
    }
}

fn issue(token: &Token) -> Result<String, &'static str> {
    token.issue(&key(9)).map_err(SignError::code)
}

fn read(text: &str, at: u64) -> Result<Token, TokenError> {
    Token::check_text(text, &device(9), at)
}

#[test]
fn it_is_taken_by_its_device_while_it_lasts() {
    let text = issue(&token()).expect("it is issued");
    assert!(text.starts_with("at1.") && !text.contains(['=', '+', '/']));
    for (at, taken) in [
        (NOW, Ok(token())),
        (NOW + TOKEN_MS_MAX - 1, Ok(token())),
        (NOW + TOKEN_MS_MAX, Err(TokenError::Time)),
        (u64::MAX, Err(TokenError::Time)),
        (NOW - 300_000, Ok(token())),
        (NOW - 300_001, Err(TokenError::Time)),
        (0, Err(TokenError::Time)),
    ] {
        assert_eq!(read(&text, at), taken, "{at}");
    }
    let elsewhere = Token::check_text(&text, &device(8), NOW);
    assert_eq!(elsewhere, Err(TokenError::Audience));
    // Nobody issues for another device.
    assert_eq!(
        token().issue(&key(8)).map_err(SignError::code),
        Err("E_TOKEN")
    );
    for error in [TokenError::Text, TokenError::Signature, TokenError::Session] {
        assert_eq!(error.code(), "E_TOKEN");
    }
}

#[test]
fn fields_out_of_range_are_refused() {
    const LATE: u64 = 1 << 48;
    let many = |count: usize| (0..count).map(|n| format!("r{n:02}")).collect::<Vec<_>>();
    let commands = |names: &[&str]| {
        names
            .iter()
            .map(|it| it.parse().expect(it))
            .collect::<Vec<_>>()
    };
    let numbered: Vec<String> = (0..17).map(|n| format!("/c{n:02}")).collect();
    let numbered: Vec<&str> = numbered.iter().map(String::as_str).collect();
    let change = |change: fn(&mut Token)| {
        let mut token = token();
        change(&mut token);
        issue(&token)
    };
    let roles = |roles: Vec<String>| issue(&Token { roles, ..token() });
    let can = |can: &[&str]| {
        issue(&Token {
            can: commands(can),
            ..token()
        })
    };
    for good in [
        change(|it| it.began = NOW + TOKEN_MS_MAX - SESSION_MS_MAX),
        change(|it| it.user = agent(1).to_string()),
        change(|it| (it.began, it.at, it.exp) = (LATE - 2, LATE - 2, LATE - 1)),
        change(|it| it.roles = vec!["admin".to_owned(), "owner".to_owned()]),
        roles(many(16)),
        roles(Vec::new()),
        can(&numbered[..16]),
        can(&[]),
    ] {
        assert!(good.is_ok(), "{good:?}");
    }
    for bad in [
        change(|it| it.exp += 1),
        change(|it| it.exp = it.at),
        change(|it| it.at -= 1),
        change(|it| it.began += 1),
        change(|it| it.began = NOW + TOKEN_MS_MAX - SESSION_MS_MAX - 1),
        change(|it| (it.began, it.at, it.exp) = (LATE - 1, LATE - 1, LATE)),
        change(|it| it.user = "Anna".to_owned()),
        change(|it| it.user = String::new()),
        change(|it| it.user = "did:key:z6Mk".to_owned()),
        change(|it| it.user = agent(1).to_string()[8..].to_owned()),
        change(|it| it.user.push(' ')),
        change(|it| it.roles = vec!["s".to_owned(), "r".to_owned()]),
        change(|it| it.roles = vec!["r".to_owned(), "r".to_owned()]),
        change(|it| it.roles = vec![String::new()]),
        roles(many(17)),
        can(&numbered),
        can(&["/pin", "/branch"]),
        can(&["/pin", "/pin"]),
    ] {
        assert_eq!(bad, Err("E_TOKEN"));
    }
}

#[test]
fn what_is_no_text_of_a_token_is_refused() {
    let text = issue(&token()).expect("it is issued");
    let long = format!("at1.{}", "A".repeat(TOKEN_BYTES_MAX * 2));
    let texts = [
        String::new(),
        "at1.".to_owned(),
        text[4..].to_owned(),
        text.replace("at1.", "at2."),
        text.replace("at1.", "AT1."),
        format!(" {text}"),
        format!("{text} "),
        format!("{text}\n"),
        format!("{text}="),
        format!("{text}\0"),
        text[..text.len() - 1].to_owned(),
        format!("{text}A"),
        format!("at1.at1.{}", &text[4..]),
        "at1.\u{e4}".to_owned(),
        text.replacen("at1.h", "at1.+", 1),
        long,
    ];
    for bad in texts {
        assert_eq!(read(&bad, NOW), Err(TokenError::Text), "{bad}");
    }
    // Another letter at the end, of which the bits that count are the same, is another text.
    let bytes = Base::Base64Url.decode(&text[4..]).expect("it is base64url");
    assert_ne!(bytes.len() % 3, 0, "the last letter has bits to spare");
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let taken = letters
        .chars()
        .filter(|last| read(&format!("{}{last}", &text[..text.len() - 1]), NOW).is_ok());
    assert_eq!(taken.count(), 1);
    // A statement of another kind, and one that was changed.
    let other = Verified::sign(&key(9), grant(9, 1, "/")).expect("it is signed");
    let other = format!("at1.{}", Base::Base64Url.encode(other.bytes()));
    assert_eq!(read(&other, NOW), Err(TokenError::Text));
    for at in [bytes.len() - 1, bytes.len() - 64] {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let changed = format!("at1.{}", Base::Base64Url.encode(changed));
        assert_eq!(read(&changed, NOW), Err(TokenError::Signature));
    }
}

#[test]
fn it_is_not_shown() {
    let text = issue(&token()).expect("it is issued");
    let taken = read(&text, NOW).expect("it is taken");
    let signed = Verified::sign(&key(9), token()).expect("it is signed");
    let bearer = Principal::bearer(&taken);
    for shown in [
        format!("{taken:?}"),
        format!("{signed:?}"),
        format!("{bearer:?} {}", bearer.words()),
    ] {
        assert!(
            !shown.contains(&text[4..]) && !shown.contains("sixteen"),
            "{shown}"
        );
        assert!(!shown.contains(&format!("{:?}", token().nonce)), "{shown}");
    }
    // A decision says who bore it and not what.
    let authorizer = authorizer(&Facts::default());
    let request = Request {
        who: &bearer,
        op: Op::Read,
        branch: "main",
        target: Target::Branch,
        at: NOW,
    };
    let decision = authorizer
        .check(&request)
        .decision("act", &request, space(), NOW);
    assert!(!format!("{decision:?}").contains(&text[4..20]));
}

#[test]
fn a_session_goes_on_until_it_has_lasted_a_day() {
    let mut one = token();
    let mut at = NOW;
    let mut times = 0;
    loop {
        at += TOKEN_MS_MAX - 1;
        let Ok(next) = one.refreshed(at, [times; 16]) else {
            break;
        };
        let text = issue(&next).expect("it is issued");
        assert_eq!(read(&text, at), Ok(next.clone()));
        assert_eq!((next.began, next.at, next.nonce), (NOW, at, [times; 16]));
        assert_eq!(next.exp, (at + TOKEN_MS_MAX).min(NOW + SESSION_MS_MAX));
        assert_eq!(
            (&next.user, &next.roles, &next.can),
            (&one.user, &one.roles, &one.can)
        );
        one = next;
        times += 1;
    }
    assert_eq!(times, 24);
    assert_eq!(one.exp, NOW + SESSION_MS_MAX);
    assert_eq!(
        one.refreshed(NOW + SESSION_MS_MAX, [0; 16]),
        Err(TokenError::Session)
    );
    // By a clock that is behind that of the session.
    let short = Token {
        exp: NOW + 1,
        ..token()
    };
    let next = short
        .refreshed(NOW - 1_000, [1; 16])
        .expect("the session has begun");
    assert_eq!((next.at, next.exp), (NOW, NOW + 1));
    // Fields that no token has that was looked at.
    let odd = Token {
        began: u64::MAX,
        at: u64::MAX,
        exp: 0,
        ..token()
    };
    assert_eq!(odd.refreshed(NOW, [0; 16]), Err(TokenError::Session));
}

fn says(facts: &Facts, token: &Token, op: Op, branch: &str, key: &str) -> (Answer, Ground) {
    let who = Principal::bearer(token);
    let target = Target::Key(key.as_bytes());
    let request = Request {
        who: &who,
        op,
        branch,
        target,
        at: NOW,
    };
    let verdict = authorizer(facts).check(&request);
    (verdict.answer, verdict.ground)
}

/// Editors write, and who is called as a key begins; every branch may be written.
fn facts() -> Facts {
    let mut facts = Facts::default();
    rule(
        &mut facts,
        json!({
            "on": "key", "allow": { "write": ["editor"] }, "deny": {}, "owner": "{x}", "pattern": "{x}:*",
        }),
    );
    rule(
        &mut facts,
        json!({
            "on": "branch", "allow": { "write": ["anyone"] }, "deny": {}, "owner": null, "pattern": "*",
        }),
    );
    let member = Member::new(Some("anna".to_owned()), vec!["editor".to_owned()]);
    facts
        .members
        .insert(agent(1), vec![member.expect("it is a member")]);
    facts
}

fn can(commands: &[&str]) -> Token {
    let can = commands.iter().map(|it| it.parse().expect(it)).collect();
    Token { can, ..token() }
}

/// A token of an agent, without roles of its own.
fn token_of(n: u8) -> Token {
    Token {
        user: agent(n).to_string(),
        roles: Vec::new(),
        ..token()
    }
}

#[test]
fn a_bearer_may_what_the_token_is_for_and_the_space_allows() {
    let plain = || Token {
        roles: Vec::new(),
        ..token()
    };
    let within = |of| Token {
        space: Some(of),
        ..token()
    };
    let (role, nothing, token_is_not) = (Ground::Role, Ground::Nothing, Ground::Token);
    for (token, key, ground) in [
        (token(), "bob:a", role),
        (token(), "anna:a", role),
        // A handle has the roles of its token alone, and owns what is called so.
        (plain(), "bob:a", nothing),
        (plain(), "anna:a", role),
        // An agent has its own.
        (token_of(1), "bob:a", role),
        (token_of(2), "bob:a", nothing),
        (token_of(0), "bob:a", Ground::Owner),
        (can(&["/space/read"]), "bob:a", token_is_not),
        (can(&["/space"]), "bob:a", role),
        (can(&[]), "bob:a", token_is_not),
        (within(space()), "bob:a", role),
        (within(link(1)), "bob:a", token_is_not),
    ] {
        let is_allowed = matches!(ground, Ground::Role | Ground::Owner);
        let answer = if is_allowed {
            Answer::Allow
        } else {
            Answer::Deny
        };
        assert_eq!(
            says(&facts(), &token, Op::Write, "main", key),
            (answer, ground),
            "{token:?} {key}"
        );
    }
    assert_eq!(says(&facts(), &plain(), Op::Pin, "main", "").1, nothing);
}

#[test]
fn a_token_that_is_for_writing_is_not_for_changing_meta() {
    let facts = facts();
    for user in [agent(0).to_string(), "anna".to_owned()] {
        let roles = vec!["admin".to_owned(), "owner".to_owned()];
        let write = Token {
            user: user.clone(),
            roles: roles.clone(),
            ..can(&["/space/write"])
        };
        let admin = Token {
            user,
            roles,
            ..can(&["/space/admin"])
        };
        for (token, op, branch, ground) in [
            (&write, Op::Write, "meta", Ground::Token),
            (&write, Op::Write, "main", Ground::Owner),
            (&admin, Op::Write, "meta", Ground::Owner),
            (&admin, Op::Admin, "", Ground::Owner),
            (&admin, Op::Write, "main", Ground::Token),
        ] {
            assert_eq!(
                says(&facts, token, op, branch, "a:b").1,
                ground,
                "{op} {branch}"
            );
        }
    }
    let admin = Token {
        roles: vec!["admin".to_owned()],
        ..token()
    };
    assert_eq!(
        says(&facts, &admin, Op::Write, "meta", "a"),
        (Answer::Allow, Ground::Role)
    );
}

#[test]
fn grants_of_an_agent_count_within_what_its_token_is_for() {
    let mut facts = facts();
    facts.grants.insert(link(1), grant(0, 2, "/space"));
    let granted = |token: Token| says(&facts, &token, Op::Write, "main", "bob:a").1;
    assert_eq!(granted(token_of(2)), Ground::Grant);
    assert_eq!(
        granted(Token {
            can: can(&["/pin"]).can,
            ..token_of(2)
        }),
        Ground::Token
    );
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_text_that_was_changed_is_not_taken(at in any::<proptest::sample::Index>(), to in any::<u8>()) {
        let text = issue(&token()).expect("it is issued");
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let changed = String::from_utf8_lossy(&bytes);
        prop_assert!(changed == text || read(&changed, NOW).is_err());
    }

    #[test]
    fn any_text_is_refused(text in any::<String>()) {
        let with_prefix = format!("at1.{text}");
        prop_assert!(read(&text, NOW).is_err() && read(&with_prefix, NOW).is_err());
    }
}
