//! The cases of `specs/vectors/sync`.

use allod_identity::AgentId;
use allod_sync::{JoinReply, JoinRequest, Message, Mode, Ticket, Welcome};
use bytes::Bytes;
use serde_json::{Value, json};

/// Runs every case of a file; at least three rejects for each accept.
fn run(name: &str, judge: impl Fn(&Value) -> Option<Value>, code: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../specs/vectors/sync/");
    let text = std::fs::read_to_string(format!("{folder}{name}")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    members(&document, &["spec", "revision", "schema", "cases"]);
    let (mut accepted, mut refused) = (0, 0);
    let mut failures = Vec::new();
    for case in document["cases"].as_array().unwrap() {
        members(case, &["id", "rule", "comment", "input", "expect"]);
        members(&case["expect"], &["ok", "error"]);
        let got = if let Some(ok) = judge(&case["input"]) {
            accepted += 1;
            json!({ "ok": ok })
        } else {
            refused += 1;
            json!({ "error": code })
        };
        if got != case["expect"] {
            failures.push(format!("{}: {got}, not {}", case["id"], case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert!(refused >= 3 * accepted, "{accepted} {refused}");
}

fn members(value: &Value, known: &[&str]) {
    for name in value.as_object().unwrap().keys() {
        assert!(known.contains(&name.as_str()), "unknown member {name}");
    }
}

fn frame(input: &Value) -> Bytes {
    members(input, &["bytes"]);
    let digits = input["bytes"].as_str().unwrap().as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hexes<T: AsRef<[u8]>>(list: &[T]) -> Vec<String> {
    list.iter().map(|bytes| hex(bytes.as_ref())).collect()
}

fn texts<T: ToString>(list: &[T]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn compared(message: &Message) -> Value {
    match message {
        Message::Compare {
            tree,
            size,
            leaves,
            entries,
            have,
        } => json!({
            "message": "compare", "tree": tree.to_string(), "size": size, "leaves": hex(leaves),
            "entries": hex(entries), "have": have,
        }),
        Message::Sketch {
            total,
            first,
            symbols,
            last,
        } => json!({
            "message": "sketch", "total": total, "first": first, "symbols": hex(symbols),
            "last": last,
        }),
        Message::Pick { elements, last } => {
            let words = elements.iter().map(|element| format!("{element:016x}"));
            json!({ "message": "pick", "elements": words.collect::<Vec<_>>(), "last": last })
        }
        other => panic!("no vectors for {other:?}"),
    }
}

fn named(agent: &[u8; 32]) -> String {
    AgentId::from_bytes(*agent).unwrap().to_string()
}

fn view(message: &Message) -> Value {
    match message {
        Message::Hello(hello) => {
            let branches = hello.branches.iter();
            let logs = hello.logs.iter();
            json!({
                "message": "hello",
                "agent": hello.agent.to_string(),
                "branches": branches
                    .map(|(name, heads)| json!([name.as_str(), texts(heads)]))
                    .collect::<Vec<_>>(),
                "events": hexes(&hello.events),
                "logs": logs
                    .map(|(agent, mark)| json!([named(agent), hex(&mark[..])]))
                    .collect::<Vec<_>>(),
                "parts": hello.parts.iter()
                    .map(|(name, of)| json!([name.as_str(), of.iter().map(|it| hex(it)).collect::<Vec<_>>()]))
                    .collect::<Vec<_>>(),
                "samples": texts(&hello.samples),
                "slices": hello.slices,
                "space": hello.space.to_string(),
                "version": hello.version,
                "wants": hello.wants.as_ref().map(|names| texts(names)),
            })
        }
        Message::KeyEvents { agent, events } => json!({
            "message": "key-events", "agent": agent.to_string(), "events": hexes(events),
        }),
        Message::Commit {
            statement,
            branch,
            mode,
        } => json!({
            "message": "commit", "statement": hex(statement), "branch": branch,
            "mode": u8::from(*mode == Mode::Walk),
        }),
        Message::Changes { entries, last } | Message::Entries { entries, last } => {
            let is_changes = matches!(message, Message::Changes { .. });
            let entries = entries.iter();
            json!({
                "message": if is_changes { "changes" } else { "entries" },
                "entries": entries
                    .map(|(key, entry)| json!([hex(key), hex(entry)]))
                    .collect::<Vec<_>>(),
                "last": last,
            })
        }
        Message::Want { opened, names } => json!({
            "message": "want", "opened": texts(opened), "names": texts(names),
        }),
        Message::Blocks { blocks, absent } => json!({
            "message": "blocks", "blocks": hexes(blocks), "absent": texts(absent),
        }),
        Message::Done => json!({ "message": "done" }),
        Message::Refuse {
            commit,
            code,
            reason,
        } => json!({
            "message": "refuse", "commit": commit.to_string(), "code": code, "reason": reason,
        }),
        Message::Ack => json!({ "message": "ack" }),
        Message::Projection { name, state } => json!({
            "message": "projection",
            "name": name.to_string(),
            "state": state.to_string(),
        }),
        Message::Tree(root) => json!({
            "message": "tree",
            "root": root.map(|root| root.to_string()),
        }),
        Message::Credit(bytes) => json!({ "message": "credit", "bytes": bytes }),
        Message::Close { code, reason } => {
            json!({ "message": "close", "code": code, "reason": reason })
        }
        other => compared(other),
    }
}

#[test]
fn frames() {
    let judge = |input: &Value| {
        let frame = frame(input);
        let message = Message::decode(&frame).ok()?;
        assert_eq!(message.encode(), frame, "CONV-2");
        Some(view(&message))
    };
    run("frame.json", judge, "E_FRAME");
}

fn welcome(welcome: &Welcome) -> Value {
    let logs = welcome.logs.iter();
    json!({
        "message": "welcome",
        "genesis": hex(&welcome.genesis),
        "logs": logs
            .map(|(agent, events)| json!([agent.to_string(), hexes(events)]))
            .collect::<Vec<_>>(),
    })
}

#[test]
fn joining() {
    let judge = |input: &Value| {
        let frame = frame(input);
        if let Ok(request) = JoinRequest::decode(&frame) {
            assert_eq!(request.encode(), frame, "CONV-2");
            return Some(json!({
                "message": "request",
                "agent": request.agent.to_string(),
                "events": hexes(&request.events),
                "secret": hex(&request.secret),
                "space": request.space.to_string(),
            }));
        }
        let reply = JoinReply::decode(&frame).ok()?;
        assert_eq!(reply.encode(), frame, "CONV-2");
        Some(match &reply {
            JoinReply::Welcome(content) => welcome(content),
            JoinReply::Refused { code, reason } => {
                json!({ "message": "refused", "code": code, "reason": reason })
            }
        })
    };
    run("join.json", judge, "E_FRAME");
}

#[test]
fn tickets() {
    let judge = |input: &Value| {
        members(input, &["text"]);
        let text = input["text"].as_str().unwrap();
        let ticket: Ticket = text.parse().ok()?;
        assert_eq!(ticket.to_text(), text.trim());
        Some(json!({
            "addrs": ticket.addrs,
            "device": ticket.device.to_string(),
            "secret": hex(&ticket.secret),
            "space": ticket.space.to_string(),
        }))
    };
    run("ticket.json", judge, "E_TICKET");
}
