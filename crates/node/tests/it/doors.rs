//! Every door of a space, asked by everybody there is: ACCESS-20 to ACCESS-26.

use std::collections::BTreeMap;

use allod::{Node, NodeError, TokenFor, now_ms};
use allod_access::{
    Answer, Command, Door, Draft, Glob, Member, On, Op, Policy, Principal, Roles, Rule, Selector,
    Statement, Target,
};
use allod_identity::{AgentId, SecretKey};
use allod_repo::{Granting, Repo};
use cid::Cid;

use crate::home::Home;
use crate::merging::open;

/// What each door is, said again: a new door needs a row here before this compiles.
const fn op_of(door: Door) -> Op {
    match door {
        Door::Get
        | Door::Range
        | Door::Count
        | Door::History
        | Door::Blame
        | Door::Diff
        | Door::Stash
        | Door::Inspect
        | Door::Export
        | Door::Backup
        | Door::Projection
        | Door::Sql
        | Door::Watch
        | Door::FederationTells
        | Door::SyncServes => Op::Read,
        Door::Put | Door::Commit | Door::CherryPick | Door::FederationBrings => Op::Write,
        Door::Delete => Op::Delete,
        Door::Merge => Op::Merge,
        Door::CreateBranch | Door::Rebase => Op::Create,
        Door::DeleteBranch => Op::Drop,
        Door::Tag | Door::Forget | Door::Administer => Op::Admin,
        Door::Feed | Door::Sink => Op::Events,
        Door::Pin => Op::Pin,
    }
}

fn agent(seed: u8) -> AgentId {
    SecretKey::from_seed([seed; 32]).agent_id()
}

fn roles(of: &[(&str, &[Op])]) -> Roles {
    let mut all: BTreeMap<Op, Vec<String>> = BTreeMap::new();
    for (role, ops) in of {
        for op in *ops {
            all.entry(*op).or_default().push((*role).to_owned());
        }
    }
    for roles in all.values_mut() {
        roles.sort_unstable();
    }
    all
}

fn say(node: &Node, repo: &Repo, rule: Draft) {
    let rule = Rule::try_from(rule).unwrap();
    repo.set_rule(&rule, (node.author().unwrap(), "a rule"), now_ms())
        .unwrap();
}

fn member(node: &Node, repo: &Repo, who: AgentId, roles: &[&str]) {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let member = Member::new(None, roles).unwrap();
    let by = (node.author().unwrap(), "a member");
    repo.set_member((&who, &member), by, now_ms()).unwrap();
}

fn grant(node: &Node, repo: &Repo, who: AgentId, what: &Granting) -> Cid {
    let seed = allod::random().unwrap();
    let made = repo.grant(who, what, &seed, node.author().unwrap(), now_ms());
    made.unwrap()[0]
}

fn all() -> Granting {
    Granting {
        commands: vec![Command::all()],
        policy: Policy::default(),
        not_before: None,
        expires: None,
    }
}

/// Whoever asks, by what they are, and what they may.
type Row = (&'static str, Principal, &'static [Op]);

const NOTHING: &[Op] = &[];
const ON_KEYS: &[Op] = &[Op::Read, Op::Write, Op::Delete];

/// Those who have something by what the space says of them.
fn by_standing(node: &Node, repo: &Repo) -> Vec<Row> {
    use Op::{Admin, Create, Delete, Drop, Events, Merge, Pin, Read, Write};
    let owner = node.agent().unwrap();
    let (admin, plain, editor, viewer, blocked) =
        (agent(11), agent(12), agent(13), agent(14), agent(15));
    let administer = Granting {
        commands: vec![Admin.into()],
        ..all()
    };
    grant(node, repo, admin, &administer);
    member(node, repo, plain, &["member"]);
    member(node, repo, editor, &["editor", "member"]);
    member(node, repo, viewer, &["member", "viewer"]);
    member(node, repo, blocked, &["blocked", "editor", "member"]);
    vec![
        ("owner", Principal::agent(owner), &Op::ALL),
        ("admin by grant", Principal::agent(admin), &[Admin]),
        ("member", Principal::agent(plain), &[Pin, Events]),
        (
            "editor by rule",
            Principal::agent(editor),
            &[Read, Write, Delete, Create, Merge, Drop, Pin, Events],
        ),
        (
            "viewer by rule",
            Principal::agent(viewer),
            &[Read, Pin, Events],
        ),
        (
            "denied by rule",
            Principal::agent(blocked),
            &[Create, Merge, Drop, Pin, Events],
        ),
        ("stranger", Principal::stranger(), NOTHING),
        ("agent nobody knows", Principal::agent(agent(16)), NOTHING),
    ]
}

/// Those who were granted something.
fn by_grant(node: &Node, repo: &Repo, other: &Repo) -> Vec<Row> {
    use Op::{Create, Delete, Drop, Merge, Read, Write};
    let (prefix, elsewhere) = (agent(21), agent(22));
    let (revoked, expired, early) = (agent(23), agent(24), agent(25));
    let (audience, otherwhere) = (agent(26), agent(27));
    let of_keys = |begin: &str| Granting {
        policy: Policy(vec![Statement::Like(Selector::Key, Glob::prefix(begin))]),
        ..all()
    };
    grant(node, repo, prefix, &of_keys("doc/"));
    grant(node, repo, elsewhere, &of_keys("other/"));
    let taken = grant(node, repo, revoked, &all());
    let by = node.author().unwrap();
    repo.ungrant(taken, None, by, now_ms()).unwrap().unwrap();
    let ended = Granting {
        expires: Some(now_ms() - 1),
        ..all()
    };
    grant(node, repo, expired, &ended);
    let begins = Granting {
        not_before: Some(now_ms() + 3_600_000),
        ..all()
    };
    grant(node, repo, early, &begins);
    // To somebody else, and in another space.
    grant(node, repo, agent(28), &all());
    grant(node, other, otherwhere, &all());
    let on_branches: &[Op] = &[Create, Merge, Drop];
    vec![
        (
            "grantee on a prefix",
            Principal::agent(prefix),
            &[Read, Write, Delete, Create, Merge, Drop],
        ),
        // Which keys is not known yet where a branch is asked for (ACCESS-21).
        (
            "grantee on another prefix",
            Principal::agent(elsewhere),
            on_branches,
        ),
        ("revoked", Principal::agent(revoked), NOTHING),
        ("expired", Principal::agent(expired), NOTHING),
        ("not yet valid", Principal::agent(early), NOTHING),
        ("wrong audience", Principal::agent(audience), NOTHING),
        ("wrong space", Principal::agent(otherwhere), NOTHING),
    ]
}

/// Those who bear a token.
fn by_token(node: &Node, repo: &Repo, other: &Repo) -> Vec<Row> {
    use Op::{Events, Read, Write};
    let here = Some(*repo.id().cid());
    let bearer = |user: &str, roles: &[&str], can: &[Op], space| {
        let wanted = TokenFor {
            user: user.to_owned(),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            can: can.iter().copied().map(Command::from).collect(),
            space,
            minutes: 5,
        };
        let text = node.issue_token(wanted).unwrap();
        Principal::bearer(&node.take_token(&text).unwrap())
    };
    let (owner, editor) = (node.agent().unwrap().to_string(), agent(13).to_string());
    let elsewhere = Some(*other.id().cid());
    vec![
        (
            "owner, attenuated",
            bearer(&owner, &[], &[Read, Events], None),
            &[Read, Events],
        ),
        (
            "editor, attenuated",
            bearer(&editor, &[], &[Write], here),
            &[Write],
        ),
        (
            "owner in a wrong space",
            bearer(&owner, &[], &Op::ALL, elsewhere),
            NOTHING,
        ),
        (
            "handle with a role",
            bearer("eve", &["viewer"], &Op::ALL, here),
            &[Read],
        ),
        (
            "handle with a role denied",
            bearer("eve", &["blocked", "viewer"], ON_KEYS, here),
            NOTHING,
        ),
        (
            "handle without a role",
            bearer("eve", &[], &Op::ALL, here),
            NOTHING,
        ),
    ]
}

#[test]
fn every_door_answers_everybody_as_the_table_says() {
    use Op::{Create, Delete, Drop, Merge, Read, Write};
    let home = Home::with_space();
    let node = open(&home);
    let repo = node.space(Some("notes")).unwrap();
    let other = node.create_space("other").unwrap();
    let rule = |on, pattern: &str, allow, deny| Draft {
        on,
        allow,
        deny,
        owner: None,
        pattern: pattern.parse().unwrap(),
    };
    let on_keys = roles(&[("editor", ON_KEYS), ("viewer", &[Read])]);
    let never = roles(&[("blocked", ON_KEYS)]);
    say(&node, &repo, rule(On::Key, "doc/*", on_keys, never));
    let on_branches = [
        ("editor", &[Read, Write, Create, Merge, Drop][..]),
        ("viewer", &[Read]),
    ];
    say(
        &node,
        &repo,
        rule(On::Branch, "*", roles(&on_branches), Roles::new()),
    );
    let mut rows = by_standing(&node, &repo);
    rows.extend(by_grant(&node, &repo, &other));
    rows.extend(by_token(&node, &repo, &other));
    let mut asked = 0;
    for door in Door::ALL {
        let op = op_of(*door);
        assert_eq!(door.op(), op, "{}", door.name());
        let target = match op {
            Read | Write | Delete => Target::Key(b"doc/1"),
            _ => Target::Branch,
        };
        for (who, principal, may) in &rows {
            let answer = match node.ask(&repo, *door, principal, ("main", target)) {
                Ok(verdict) => verdict.answer,
                Err(NodeError::Denied { .. }) => Answer::Deny,
                Err(fault) => panic!("{fault}"),
            };
            let expected = if may.contains(&op) {
                Answer::Allow
            } else {
                Answer::Deny
            };
            assert_eq!(answer, expected, "{} for {who}", door.name());
            asked += 1;
        }
    }
    assert_eq!(asked, Door::ALL.len() * 21);
    // A key that no rule names is the owner's alone, and of whom it was granted to.
    for (who, principal, may) in &rows {
        let answer = node.ask(
            &repo,
            Door::Get,
            principal,
            ("main", Target::Key(b"other/1")),
        );
        let may_read = matches!(
            *who,
            "owner" | "owner, attenuated" | "grantee on another prefix"
        );
        assert_eq!(answer.is_ok(), may_read, "{who} {may:?}");
    }
}
