//! The vectors of `specs/vectors/crdt`.

use allod_crdt::{BadState, Epoch, JoinError, Kind, Op, State, TooLarge, Writer, join_encoded};
use serde_json::{Value as Json, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.iter().map(byte).collect()
}

/// Bytes from hex, or from a list of parts, each with how often it comes.
fn bytes(value: &Json) -> Vec<u8> {
    let Some(parts) = value.as_array() else {
        return unhex(value.as_str().unwrap());
    };
    let part = |part: &Json| {
        let times = usize::try_from(part[1].as_u64().unwrap()).unwrap();
        unhex(part[0].as_str().unwrap()).repeat(times)
    };
    parts.iter().flat_map(part).collect()
}

fn writer(value: &Json) -> Writer {
    Writer(bytes(value).try_into().unwrap())
}

fn kind(input: &Json) -> Kind {
    input["kind"].as_str().unwrap().parse().unwrap()
}

fn text(state: &State) -> String {
    let value = state.value().map(|value| value.to_string());
    value.unwrap_or_else(|| "null".to_owned())
}

type Outcome = Result<Json, &'static str>;
type Runner = fn(&Json) -> Outcome;

fn read(input: &Json, member: &str) -> Result<State, &'static str> {
    State::decode(kind(input), &bytes(&input[member])).map_err(BadState::code)
}

fn state(input: &Json) -> Outcome {
    let state = read(input, "bytes")?;
    let epoch = state
        .epoch()
        .map(|epoch| json!([epoch.stamp, hex(&epoch.writer.0)]));
    let again = hex(&state.encode().unwrap());
    Ok(json!({ "epoch": epoch, "value": text(&state), "reencoded": again }))
}

fn join(input: &Json) -> Outcome {
    let [left, right] = ["left", "right"].map(|side| bytes(&input[side]));
    let joined = join_encoded(kind(input), &left, &right).map_err(|error| match error {
        JoinError::Left(error) | JoinError::Right(error) => error.code(),
        JoinError::TooLarge(_) => TooLarge::CODE,
        error => panic!("{error}"),
    })?;
    let (left, right) = (read(input, "left")?, read(input, "right")?);
    let both = State::decode(kind(input), &joined).unwrap();
    assert_eq!(left.join(&right).unwrap(), both);
    let includes = [left.includes(&right), right.includes(&left)];
    Ok(json!({ "bytes": hex(&joined), "value": text(&both), "includes": includes }))
}

fn compact(input: &Json) -> Outcome {
    let epoch = Epoch {
        stamp: input["stamp"].as_u64().unwrap(),
        writer: writer(&input["writer"]),
    };
    let compact = read(input, "bytes")?.compact(epoch).unwrap();
    Ok(json!({ "bytes": hex(&compact.encode().unwrap()) }))
}

fn op(words: &[Json]) -> Op {
    let item = |at: usize| bytes(&words[at]);
    let field = || words[1].as_str().unwrap().to_owned();
    let number = || words[1].as_u64().unwrap();
    let index = || usize::try_from(number()).unwrap();
    match words[0].as_str().unwrap() {
        "increment" => Op::Increment(number()),
        "decrement" => Op::Decrement(number()),
        "set" => Op::Set(item(1)),
        "add" => Op::Add(item(1)),
        "remove" => Op::Remove(item(1)),
        "add-count" => Op::AddCount(item(1), words[2].as_i64().unwrap()),
        "put" => Op::Put(field(), item(2)),
        "delete" => Op::Delete(field()),
        "insert" => Op::Insert(index(), item(2)),
        "remove-at" => Op::RemoveAt(index()),
        word => panic!("{word}"),
    }
}

fn apply(input: &Json) -> Outcome {
    let mut state = read(input, "bytes")?;
    for operation in input["operations"].as_array().unwrap() {
        let words = operation.as_array().unwrap();
        let stamp = words[1].as_u64().unwrap();
        state
            .apply(&op(&words[2..]), writer(&words[0]), stamp)
            .unwrap();
    }
    Ok(json!({ "bytes": hex(&state.encode().unwrap()), "value": text(&state) }))
}

#[test]
fn vectors() {
    let runners: [(&str, Runner); 4] = [
        ("state", state),
        ("join", join),
        ("compact", compact),
        ("apply", apply),
    ];
    for (name, run) in runners {
        let path = format!(
            "{}/../../../specs/vectors/crdt/{name}.json",
            env!("CARGO_MANIFEST_DIR")
        );
        let document: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for case in document["cases"].as_array().unwrap() {
            let expected = match run(&case["input"]) {
                Ok(value) => json!({ "ok": value }),
                Err(code) => json!({ "error": code }),
            };
            assert_eq!(expected, case["expect"], "{}", case["id"]);
        }
    }
}
