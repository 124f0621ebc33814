//! The node over HTTP, asked by schemathesis whatever its document allows, and what it does not (HTTP-2).

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use allod::http::{HttpListener, HttpOptions, HttpToken};
use allod::{Home, HomeConfig, KeySource, Node, StoreKind, now_ms};
use allod_identity::{Keystore, SecretKey};
use allod_repo::{BranchName, Edit};
use tokio::sync::watch;

use crate::python::{here, program};

/// What an answer must be, whatever was asked. That every text which fits the document is a name of something is not
/// among it: keys, CIDs and conditions have rules that a schema does not say.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,\
    missing_required_header,unsupported_method,ignored_auth";

const TOKEN: &str = "a-token-for-tests-alone";

/// A node with a space that has something of each kind.
pub(crate) fn node(dir: &Path) -> Node {
    let key = dir.join("key");
    let secret = allod::make_key_file(&key).unwrap();
    let keys = Keystore {
        agent: Some(SecretKey::from_seed([1; 32])),
        next_agent: Some(SecretKey::from_seed([2; 32])),
        device: SecretKey::from_seed([3; 32]),
    };
    let agent = keys.agent.as_ref().map(SecretKey::agent_id);
    let device = keys.device.device_id();
    let config = HomeConfig::new(
        StoreKind::Fjall,
        KeySource::File(key),
        device,
        "test".to_owned(),
        agent,
    );
    let home = Home::at(dir.join("home"));
    home.create(&config, &keys, &secret).unwrap();
    let node = Node::open(home, Some(keys)).unwrap();
    node.begin_log("test").unwrap();
    let repo = node.create_space("notes").unwrap();
    let main = BranchName::main();
    let long = node.edit_from(&mut &vec![b'x'; 1_500_000][..]).unwrap();
    let edits = [
        ("0", Edit::Put("zero".into())),
        ("json", Edit::Put("{\"a\":1}".into())),
        ("bytes", Edit::Put(b"\xff\xfe"[..].into())),
        ("long", long),
    ];
    let edits = edits.map(|(key, edit)| (key.into(), edit));
    repo.stage(&main, edits, now_ms()).unwrap();
    let author = node.author().unwrap();
    let commit = repo
        .commit_staged(&main, author, "first", now_ms())
        .unwrap();
    repo.create_branch(&"side".parse().unwrap(), &[commit].into())
        .unwrap();
    node
}

#[test]
fn no_request_is_answered_otherwise_than_the_document_says() {
    let Some(program) = program("schemathesis") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let node = node(dir.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (stop, stopped) = watch::channel(false);
    let faults = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&faults);
    let mut options = HttpOptions::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    options.token = Some(HttpToken::parse(TOKEN).unwrap());
    options.faults = Arc::new(move |cause| heard.lock().unwrap().push(cause.to_owned()));
    let listener = HttpListener::bind(&node, options).unwrap();
    let url = listener.url();
    let serving = runtime.spawn(listener.serve(stopped));
    let mut command = Command::new(program);
    command
        .arg("--config-file")
        .arg(here().join("python/schemathesis.toml"));
    command.args([
        "run",
        &format!("{url}/openapi.json"),
        "--url",
        &url,
        "--checks",
        CHECKS,
    ]);
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
    command.args([
        // How one request follows from another it guesses, and does so wrongly.
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "20",
        "--seed",
        "1",
        "--no-color",
        "--suppress-health-check",
        "all",
    ]);
    // What it finds is told below; nothing is left in the folder.
    let output = command.current_dir(dir.path()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Tested: 26"), "{text}");
    stop.send_replace(true);
    runtime.block_on(serving).unwrap().unwrap();
    let faults = faults.lock().unwrap();
    assert!(faults.is_empty(), "{faults:?}");
}
