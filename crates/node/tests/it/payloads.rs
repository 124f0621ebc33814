//! The data of events, read by what others wrote (EVENT-5, EVENT-20 to EVENT-32).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use multibase::Base;
use serde_json::{Value, json};

use crate::home::Home;
use crate::tools::{lines_of, python, scripts, skipped};

/// A home with records of a type, and what is none.
fn with_records() -> Home {
    let home = Home::with_space();
    let fields = [
        "name:string",
        "born:integer",
        "height m:number",
        "height_m:float",
        "at:timestamp",
        "tags:[string]",
    ];
    let fields: Vec<&str> = fields.iter().flat_map(|field| ["--field", field]).collect();
    home.run(&[&["type", "define", "person"][..], &fields].concat())
        .ok();
    home.commit(
        "person:1",
        r#"{"name":"Ada","born":1815,"height m":1.650000000000000000001,"height_m":1.5,"at":"2026-01-02T03:04:05Z","tags":["a","b"]}"#,
    );
    home.commit("person:2", r#"{"name":"Grace"}"#);
    home.commit("spaces and \u{e9}", "100 %");
    home.run(&["del", "person:2"]).ok();
    home.run(&["commit", "-m", "gone"]).ok();
    home.run(&["branch", "side"]).ok();
    home
}

/// What a sink to a file has carried, and a folder with the schemas that its events name.
fn carried(home: &Home, name: &str, more: &[&str]) -> (PathBuf, PathBuf, Vec<Value>) {
    let (file, schemas) = (home.file(name), home.file(&format!("{name}-schemas")));
    let path = file.to_str().unwrap();
    let args = ["sink", "add", name, "--file", path, "--from", "beginning"];
    home.run(&[&args[..], more].concat()).ok();
    home.run(&["sink", "run", name]).ok();
    std::fs::create_dir_all(&schemas).unwrap();
    let lines = std::fs::read_to_string(&file).unwrap();
    let events: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for event in &events {
        let uri = event["dataschema"].as_str().unwrap();
        let (_, cid) = uri.rsplit_once('/').unwrap();
        let printed = home.run(&["events", "schema", uri]);
        assert_eq!(printed.code, Some(0), "{}", printed.err);
        std::fs::write(schemas.join(cid), printed.bytes).unwrap();
    }
    (file, schemas, events)
}

fn base64(text: &str) -> Value {
    json!(Base::Base64Pad.encode(text))
}

/// What must be told of the home, whatever reads it.
fn check(rows: &[Value], events: &[Value], what: &str) {
    let ids = |rows: &[Value]| -> Vec<Value> { rows.iter().map(|row| row["id"].clone()).collect() };
    assert_eq!(ids(rows), ids(events), "{what}");
    let of = |key: &str| -> Vec<&Value> {
        let rows = rows
            .iter()
            .filter(|row| row["record"]["key"] == base64(key));
        rows.collect()
    };
    let [first] = of("person:1")[..] else {
        panic!("{what}: {rows:?}");
    };
    assert_eq!(first["name"], json!("org.allod.v1.change.person"));
    let mut record = first["record"]["record"].clone();
    // Of Protobuf a moment is its microseconds.
    if record["at"] == json!(1_767_323_045_000_000_i64) {
        record["at"] = json!("2026-01-02T03:04:05+00:00");
    }
    let expected = json!({
        "name": "Ada", "born": 1815, "height_m": "1.650000000000000000001", "height_m_2": 1.5,
        "at": "2026-01-02T03:04:05+00:00", "tags": ["a", "b"],
    });
    assert_eq!(record, expected, "{what}");
    let [put, deleted] = of("person:2")[..] else {
        panic!("{what}: {rows:?}");
    };
    assert_eq!(put["record"]["record"]["name"], json!("Grace"));
    assert_eq!(deleted["record"]["record"], Value::Null);
    assert_eq!(deleted["record"]["value"], Value::Null);
    let [plain] = of("spaces and \u{e9}")[..] else {
        panic!("{what}: {rows:?}");
    };
    assert_eq!(plain["name"], json!("org.allod.v1.Change"));
    assert_eq!(plain["record"]["value"], base64("100 %"));
    let of_name = |name: &str| rows.iter().filter(|row| row["name"] == json!(name)).count();
    assert!(of_name("org.allod.v1.Commit") >= 4, "{what}");
    assert_eq!(of_name("org.allod.v1.Move"), 1, "{what}");
}

/// fastavro and protobuf read what a sink has delivered, with the schemas that the node keeps.
#[test]
fn others_read_records_by_their_schemas() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = with_records();
    for data in ["avro", "protobuf", "protobuf-described"] {
        let (file, schemas, events) = carried(&home, data, &["--data", data]);
        let args = [file.to_str().unwrap(), schemas.to_str().unwrap()];
        check(&lines_of(&python, "read_data.py", &args), &events, data);
    }
}

/// The deserializers of Confluent read them by the numbers that a registry gave, and protoc compiles what was
/// registered.
#[test]
fn others_read_records_by_a_registry() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = with_records();
    let token = home.file("registry.token");
    std::fs::write(&token, "registry-token\n").unwrap();
    for data in ["avro", "protobuf"] {
        let name = format!("registered-{data}");
        let mut reader = Command::new(&python)
            .arg(scripts().join("read_registered.py"))
            .arg(home.file(&name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let more = [
            "--data",
            data,
            "--registry",
            &url,
            "--registry-token",
            token.to_str().unwrap(),
        ];
        let (_, _, events) = carried(&home, &name, &more);
        reader.stdin.take().unwrap().write_all(b"\n").unwrap();
        let rows: Vec<Value> = lines
            .map(|line| serde_json::from_str(&line.unwrap()).unwrap())
            .collect();
        assert!(reader.wait().unwrap().success());
        check(&rows, &events, &name);
    }
}

/// Data of JSON is as its JSON Schema says.
#[test]
fn data_of_json_is_as_its_schema_says() {
    let Some(python) = python() else {
        return skipped("no Python with packages");
    };
    let home = with_records();
    let (file, schemas, events) = carried(&home, "json", &[]);
    let args = [file.to_str().unwrap(), schemas.to_str().unwrap()];
    let rows = lines_of(&python, "check_data.py", &args);
    assert_eq!(rows.len(), events.len());
    let titles: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| row["title"].as_str().unwrap())
        .collect();
    assert_eq!(titles.len(), 3, "{titles:?}");
    let unknown = format!(
        "allod://schema/{}",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"
    );
    home.run(&["events", "schema", &unknown])
        .fails(1, &["no event told here has the schema"]);
}
