//! The test vectors of ACCESS.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::BTreeMap;

use allod_access::{
    Answer, Authorizer, BadPattern, Facts, Grant, Member, Op, Pattern, Policy, Principal, Request,
    Rule, RuleError, Target, Token, TokenError, Ungrant,
};
use allod_identity::{AgentId, DecodeError, Payload, SignError, Signed, Verified, VerifyError};
use cid::Cid;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chains::grant;
use crate::{NOW, agent, key, link, space};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    spec: String,
    revision: u64,
    schema: u64,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    rule: Vec<String>,
    comment: String,
    input: Value,
    expect: Value,
}

/// Runs a file's cases, of which there are at least so many that are accepted and refused.
fn check(path: &str, least: (usize, usize), run: impl Fn(&Value) -> Result<Value, &'static str>) {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../specs/vectors/access/"
    );
    let text = std::fs::read_to_string(format!("{root}{path}")).expect(path);
    let document: Document = serde_json::from_str(&text).expect(path);
    assert_eq!((document.spec.as_str(), document.schema), ("ACCESS", 1));
    assert_eq!(document.revision, 1);
    let (mut accepts, mut rejects) = (0, 0);
    for case in document.cases {
        assert!(!case.comment.is_empty() && case.id.starts_with(&case.rule[0]));
        let got = match run(&case.input) {
            Ok(value) => json!({ "ok": value }),
            Err(code) => json!({ "error": code }),
        };
        assert_eq!(got, case.expect, "{path} {}", case.id);
        match got.get("ok") {
            Some(_) => accepts += 1,
            None => rejects += 1,
        }
    }
    assert!(
        accepts >= least.0 && rejects >= least.1,
        "{accepts}, {rejects}"
    );
}

fn text<'a>(input: &'a Value, member: &str) -> &'a str {
    input[member].as_str().expect(member)
}

fn read<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "odd hex");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn statement<T: Payload>(bytes: Vec<u8>) -> Result<Value, &'static str> {
    let signed = Signed::<T>::decode(bytes).map_err(DecodeError::code)?;
    let verified = signed.verify().map_err(VerifyError::code)?;
    let bytes = verified.bytes();
    let said = &bytes[..bytes.len() - 66];
    let payload = &said[1 + 1 + T::DOMAIN.len() + 34..];
    let context = format!("allod/{}/1\0", T::DOMAIN);
    Ok(json!({
        "signer": verified.signer().to_string(),
        "payload": hex(payload),
        "signing_input": hex(&[context.as_bytes(), &[0x83], &said[1..]].concat()),
        "cid": verified.cid().to_string(),
    }))
}

#[test]
fn statements() {
    check("statement.json", (17, 91), |input| {
        let bytes = unhex(text(input, "bytes"));
        match text(input, "domain") {
            "grant" => statement::<Grant>(bytes),
            "ungrant" => statement::<Ungrant>(bytes),
            "token" => statement::<Token>(bytes),
            other => panic!("{other}"),
        }
    });
}

#[test]
fn tokens() {
    check("token.json", (4, 19), |input| {
        let device = read(&input["device"]);
        let token = Token::check_text(text(input, "text"), &device, read(&input["now"]));
        let token = token.map_err(TokenError::code)?;
        Ok(json!({
            "user": token.user,
            "roles": token.roles,
            "can": token.can,
            "began": token.began,
            "at": token.at,
            "exp": token.exp,
            "space": token.space.map(|space| space.to_string()),
        }))
    });
}

#[test]
fn patterns() {
    check("pattern.json", (17, 23), |input| {
        let pattern: Result<Pattern, BadPattern> = text(input, "pattern").parse();
        let pattern = pattern.map_err(|_error| BadPattern::CODE)?;
        let subjects = input["subjects"].as_array().unwrap().iter();
        let matched: Vec<bool> = subjects
            .map(|subject| pattern.matches(&unhex(subject.as_str().unwrap())))
            .collect();
        Ok(json!(matched))
    });
}

#[test]
fn rules_and_members() {
    check("rule.json", (11, 33), |input| {
        let bytes = unhex(text(input, "bytes"));
        let value = match text(input, "kind") {
            "rule" => {
                let rule = Rule::decode(&bytes).map_err(RuleError::code)?;
                assert_eq!(rule.encode().unwrap(), bytes);
                serde_json::to_value(rule)
            }
            _ => {
                let member = Member::decode(&bytes).map_err(RuleError::code)?;
                assert_eq!(member.encode().unwrap(), bytes);
                serde_json::to_value(member)
            }
        };
        Ok(value.unwrap())
    });
}

#[test]
fn policies() {
    check("policy.json", (135, 13), |input| {
        let policy = serde_json::from_value::<Policy>(input["policy"].clone());
        let policy = policy.map_err(|_error| "E_SHAPE")?;
        assert_eq!(serde_json::to_value(&policy).unwrap(), input["policy"]);
        let grant = Grant {
            policy,
            ..grant(0, 1, "/space/write")
        };
        let grant = Verified::sign(&key(0), grant).map_err(SignError::code)?;
        let mut facts = Facts::default();
        facts.grants.insert(link(1), grant.payload().clone());
        let who = Principal::agent(agent(1));
        let bytes = input["key"].as_str().map(unhex);
        let verdict = Authorizer::new(agent(0), space(), &facts).check(&Request {
            who: &who,
            op: Op::Write,
            branch: text(input, "branch"),
            target: bytes.as_deref().map_or(Target::Branch, Target::Key),
            at: NOW,
        });
        Ok(json!({ "allowed": verdict.is_allowed() }))
    });
}

/// Statements that a world begins with, by their names.
fn verified<T: Payload + Clone>(list: &Value) -> BTreeMap<Cid, T> {
    let list = list.as_array().unwrap().iter();
    let list = list.map(|bytes| {
        let signed = Signed::<T>::decode(unhex(bytes.as_str().unwrap())).unwrap();
        let verified = signed.verify().unwrap();
        (*verified.cid(), verified.payload().clone())
    });
    list.collect()
}

/// What is no rule or member is passed over (ACCESS-15).
fn facts(input: &Value) -> Facts {
    let rules = input["rules"].as_object().unwrap().iter();
    let rules = rules.filter_map(|(name, bytes)| {
        let rule = Rule::decode(&unhex(bytes.as_str().unwrap())).ok()?;
        Some((name.clone(), rule))
    });
    let members = input["members"].as_object().unwrap().iter();
    let members = members.map(|(agent, versions)| {
        let versions = versions.as_array().unwrap().iter();
        let versions = versions.filter_map(|it| Member::decode(&unhex(it.as_str().unwrap())).ok());
        (agent.parse().unwrap(), versions.collect())
    });
    Facts {
        rules: rules.collect(),
        members: members.collect(),
        grants: verified(&input["grants"]),
        ungrants: verified(&input["ungrants"]).into_values().collect(),
    }
}

fn principal(who: &Value) -> Principal {
    match who {
        Value::Null => Principal::stranger(),
        Value::String(agent) => Principal::agent(agent.parse().unwrap()),
        token => Principal::bearer(&Token {
            aud: key(9).device_id(),
            user: text(token, "user").to_owned(),
            roles: read(&token["roles"]),
            can: read(&token["can"]),
            space: token["space"].as_str().map(|space| space.parse().unwrap()),
            began: NOW,
            at: NOW,
            exp: NOW + 1,
            nonce: [0; 16],
        }),
    }
}

#[test]
fn worlds() {
    check("world.json", (118, 0), |input| {
        let (owner, of): (AgentId, Cid) =
            (read(&input["owner"]), text(input, "space").parse().unwrap());
        let authorizer = Authorizer::new(owner, of, &facts(input));
        let requests = input["requests"].as_array().unwrap().iter();
        let answers = requests.map(|request| {
            let [who, op, branch, key, at] = request.as_array().unwrap().as_slice() else {
                panic!("{request}");
            };
            let (who, key) = (principal(who), key.as_str().map(unhex));
            let request = Request {
                who: &who,
                op: op.as_str().unwrap().parse().unwrap(),
                branch: branch.as_str().unwrap(),
                target: key.as_deref().map_or(Target::Branch, Target::Key),
                at: read(at),
            };
            let verdict = authorizer.check(&request);
            assert!(!verdict.words().is_empty());
            let chain: Vec<String> = verdict.chain.iter().map(ToString::to_string).collect();
            let answer = match verdict.answer {
                Answer::Allow => "allow",
                _ => "deny",
            };
            json!({ "answer": answer, "ground": verdict.ground.name(), "chain": chain })
        });
        Ok(answers.collect())
    });
}
