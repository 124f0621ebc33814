//! The test vectors of TRUST.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use allod_identity::{
    AgentId, DecodeError, DeviceId, KeyEvent, KeyLog, KeyLogError, Payload, Signed, VerifyError,
};
use allod_trust::{
    About, Answer, Attestation, Authors, Circle, Circles, Claims, Counted, DISTANCE_MAX, Facts,
    Graph, Ground, Keep, Level, Membership, Policy, PolicyError, Record, RecordError, Register,
    Relation, Revocation, Signer, Subject, Witness,
};
use cid::Cid;
use serde::Deserialize;
use serde_json::{Value, json};

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
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../specs/vectors/trust/");
    let text = std::fs::read_to_string(format!("{root}{path}")).expect(path);
    let document: Document = serde_json::from_str(&text).expect(path);
    assert_eq!((document.spec.as_str(), document.schema), ("TRUST", 1));
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

fn list<'a>(input: &'a Value, member: &str) -> &'a Vec<Value> {
    input[member].as_array().expect(member)
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
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
fn records() {
    check("record.json", (19, 130), |input| {
        let bytes = unhex(text(input, "bytes"));
        let read = match text(input, "domain") {
            "attest" => statement::<Attestation>(bytes.clone()),
            "witness" => statement::<Witness>(bytes.clone()),
            "revoke" => statement::<Revocation>(bytes.clone()),
            "relation" => statement::<Relation>(bytes.clone()),
            "circle" => statement::<Circle>(bytes.clone()),
            "belong" => statement::<Membership>(bytes.clone()),
            "keep" => statement::<Keep>(bytes.clone()),
            other => panic!("{other}"),
        };
        // Whatever the domain, it is read alike; but one of another domain is a record as well.
        let any = Record::decode(bytes).map_err(RecordError::code);
        match &read {
            Ok(read) => assert_eq!(any.unwrap().cid().to_string(), text(read, "cid")),
            Err("E_DOMAIN") => assert!(any.is_ok()),
            Err(code) => assert_eq!(any.unwrap_err(), *code),
        }
        read
    });
}

/// The logs of agents from their events.
fn logs(input: &Value) -> BTreeMap<AgentId, KeyLog> {
    let logs = input["logs"].as_object().expect("logs").iter();
    let logs = logs.map(|(agent, events)| {
        let agent: AgentId = agent.parse().unwrap();
        let mut log = KeyLog::new(agent);
        for event in events.as_array().expect("events") {
            let event = Signed::<KeyEvent>::decode(unhex(event.as_str().unwrap())).unwrap();
            let outcome = log.append(event.verify().unwrap());
            assert!(matches!(
                outcome,
                Ok(()) | Err(KeyLogError::Equivocation(_))
            ));
        }
        (agent, log)
    });
    logs.collect()
}

#[test]
fn what_counts() {
    check("counted.json", (50, 3), |input| {
        let mut register = Register::new();
        for record in list(input, "records") {
            let record = Record::decode(unhex(record.as_str().unwrap()));
            register
                .add(record.map_err(RecordError::code)?)
                .expect("there is room");
        }
        let (now, start): (u64, AgentId) = (read(&input["now"]), read(&input["from"]));
        let counted = Counted::new(&register, &logs(input));
        let claims = counted.claims(Claims {
            valid_at: Some(now),
            ..Claims::default()
        });
        let attested = claims.into_iter().map(|claim| {
            let mut by: Vec<String> = counted.witnesses(claim).map(ToString::to_string).collect();
            by.sort();
            (claim.cid().to_string(), by)
        });
        let mut attested: Vec<_> = attested.collect();
        attested.sort();
        let mut counting: Vec<_> = counted.counting().map(ToString::to_string).collect();
        counting.sort();
        let relationships = counted.all_relationships(now);
        let mut shown: Vec<_> = relationships
            .iter()
            .map(|it| {
                let [one, two] = it.agents.map(|agent| agent.to_string());
                (one, two, &it.kind, it.level, it.since, it.until)
            })
            .collect();
        shown.sort();
        let circles = Circles::new(&counted, now);
        let members = counted.circles().flat_map(|circle| {
            let members = circles.members(circle.cid());
            members.map(|it| (circle.cid().to_string(), it.agent.to_string(), it.role))
        });
        let mut members: Vec<_> = members.collect();
        members.sort();
        Ok(json!({
            "counts": counting,
            "attested": attested,
            "relationships": shown,
            "members": members,
            "distances": distances(&counted, &register, &start, now),
        }))
    });
}

/// Of every agent that is named, how far it is from one, and the level of the path.
fn distances(counted: &Counted, register: &Register, start: &AgentId, now: u64) -> Value {
    let graph = Graph::new(counted, now);
    let mut named: Vec<AgentId> = Vec::new();
    for record in register.records() {
        named.push(*record.by());
        match record {
            Record::Relation(half) => named.push(half.payload().with),
            Record::Attest(claim) => {
                if let About::Agent(agent) = claim.payload().about {
                    named.push(agent);
                }
            }
            _ => {}
        }
    }
    let mut found = serde_json::Map::new();
    for agent in named.iter().filter(|agent| *agent != start) {
        if let Some(path) = graph.path(start, agent, DISTANCE_MAX, Level::Network) {
            let far = json!([path.steps.len(), path.level().name()]);
            found.insert(agent.to_string(), far);
        }
    }
    Value::Object(found)
}

/// Facts from the tables of a vector.
struct Tables<'a>(&'a Value);

fn is_it(answer: bool) -> Answer {
    if answer {
        Answer::Yes(Vec::new())
    } else {
        Answer::No
    }
}

impl Tables<'_> {
    /// The authors and texts of claims.
    fn claims(&self, about: &About, category: &str) -> impl Iterator<Item = (String, String)> {
        let about = match about {
            About::Agent(agent) => agent.to_string(),
            About::Device(device) => device.to_string(),
            other => unreachable!("{other:?}"),
        };
        let rows = list(self.0, "attested").iter().map(read::<[String; 4]>);
        let found = rows.filter(move |[_, of, kind, _]| *of == about && kind == category);
        found.map(|[by, _, _, says]| (by, says))
    }
}

impl Facts for Tables<'_> {
    fn attested(&self, by: &AgentId, about: &About, category: &str, claim: Option<&str>) -> Answer {
        let by = by.to_string();
        let mut claims = self.claims(about, category);
        is_it(claims.any(|(author, says)| author == by && claim.is_none_or(|claim| claim == says)))
    }

    fn authors<'a>(&'a self, about: &About, category: &str) -> Option<Authors<'a>> {
        let authors = self.claims(about, category);
        let authors: BTreeSet<AgentId> = authors.map(|(by, _)| by.parse().unwrap()).collect();
        Some(Box::new(authors.into_iter()))
    }

    fn related(&self, to: &AgentId, within: u8, least: Level) -> Answer {
        let steps: Vec<(AgentId, AgentId, Level)> = read(&self.0["steps"]);
        let mut near: Vec<AgentId> = vec![read(&self.0["reader"])];
        for _ in 0..within {
            let mut next = near.clone();
            for (from, to, level) in &steps {
                if near.contains(from) && *level >= least {
                    next.push(*to);
                }
            }
            near = next;
        }
        is_it(near.contains(to))
    }

    fn member(&self, agent: &AgentId, circle: &Cid, role: Option<&str>) -> Answer {
        is_it(list(self.0, "members").iter().any(|row| {
            let [of, member, with]: [String; 3] = read(row);
            of == circle.to_string()
                && member == agent.to_string()
                && role.is_none_or(|role| role == with)
        }))
    }

    fn custom(&self, name: &str, _subject: &Subject) -> Answer {
        match self.0["custom"].get(name).and_then(Value::as_bool) {
            Some(answer) => is_it(answer),
            None => Answer::Unknown,
        }
    }
}

#[test]
fn policies() {
    check("policy.json", (47, 33), |input| {
        let Ok(policy) = serde_json::from_value::<Policy>(input["policy"].clone()) else {
            return Err("E_POLICY");
        };
        // In bytes it is the same policy, and in JSON the same text.
        let bytes = policy.encode().map_err(PolicyError::code)?;
        assert_eq!(Policy::decode(&bytes), Ok(policy.clone()));
        assert_eq!(serde_json::to_value(&policy).unwrap(), input["policy"]);
        let device: Option<DeviceId> = read(&input["device"]);
        let subject = Subject {
            author: read(&input["author"]),
            device: device.map_or(Signer::Agent, Signer::Device),
        };
        let verdict = policy.evaluate(&subject, &Tables(&input["facts"]));
        assert!(!verdict.words.is_empty());
        let rule = match verdict.ground {
            Ground::Rule(at) => Some(at),
            _ => None,
        };
        Ok(json!({ "outcome": verdict.outcome, "rule": rule }))
    });
}
