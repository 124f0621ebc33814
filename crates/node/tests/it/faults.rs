//! Bad input and bad luck: a plain message, the right exit code, nothing half done.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use crate::home::{Home, files};

#[test]
fn homes_and_keys() {
    let home = Home::empty();
    home.run(&["status"]).fails(1, &["no home", "allod init"]);
    home.run(&["no-such-command"])
        .fails(2, &["no-such-command"]);
    home.run(&["ls", "a", "--from", "b"]).fails(2, &["--from"]);
    home.run(&["init"]).fails(1, &["--key-file"]);
    let with = |passphrase: &str, args: &[&str]| {
        let mut command = home.command(args);
        let output = command
            .env("ALLOD_PASSPHRASE", passphrase)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    assert_eq!(with("short", &["init"]).0, Some(1));
    assert_eq!(with("correct horse", &["init"]).0, Some(0));
    let (code, err) = with("wrong horse!", &["space", "new", "x"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("cannot be unlocked"), "{err}");
    home.run(&["space", "new", "x"])
        .fails(1, &["ALLOD_PASSPHRASE"]);
    let (code, err) = with("correct horse", &["init"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is a home already"), "{err}");
    assert_eq!(home.run(&["space", "list"]).ok(), "");
    home.run(&["put", "a", "b"]).fails(1, &["no space yet"]);
}

#[test]
fn key_files_that_keep_no_secret() {
    let home = Home::empty();
    let key = home.write("a.key", "");
    let made = |key: &str| home.run(&["init", "--key-file", key]);
    made(&key).fails(1, &["a.key", "16 bytes"]);
    made("/dev/null").fails(1, &["16 bytes"]);
    let key = home.write("a.key", "a secret of more than 16 bytes");
    let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    made(&key).fails(1, &["a.key", "chmod 600"]);
    mode(0o600);
    made(&key).ok();
    // Nothing of the user's is in the way of a new file.
    let other = Home::empty();
    let precious = other.write("b.tmp", "precious");
    let key = other.file("b.key");
    other
        .run(&["init", "--key-file", key.to_str().unwrap()])
        .ok();
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    assert_eq!(fs::read(key).unwrap().len(), 32);
}

#[test]
fn names_that_mean_nothing() {
    let home = Home::with_space();
    home.run(&["ls", "--space", "other"])
        .fails(1, &["other", "allod space list"]);
    home.run(&["get", "k"]).fails(1, &["no value", "k"]);
    home.run(&["del", "k"]).fails(1, &["no value"]);
    home.run(&["commit", "-m", "x"])
        .fails(1, &["nothing is staged"]);
    home.run(&["show", "nothing"])
        .fails(1, &["no commit or branch"]);
    home.run(&["switch", "nothing"]).fails(1, &["no branch"]);
    home.run(&["resolve", "k"])
        .fails(2, &["--ours", "--theirs", "--value", "--delete"]);
    home.run(&["branch", "bad..name/"])
        .fails(2, &["the name of a branch"]);
    home.run(&["cat", "hello"]).fails(1, &["names nothing"]);
    let absent = "bafkreifzjut3te7nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e";
    home.run(&["cat", absent]).fails(1, &["missing"]);
    home.run(&["sync"]).fails(1, &["no peer is known"]);
    home.run(&["put", "", "x"]).fails(1, &["1 to 4,096 bytes"]);
    home.run(&["space", "new", "notes"]).fails(1, &["notes"]);
    let spaces = home.run(&["space", "list", "--json"]).rows();
    let id = spaces[0]["id"].as_str().unwrap();
    home.run(&["space", "new", id]).fails(1, &["another name"]);
    let device = "did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX";
    let add = ["id", "add-device", device, "--name", "phone"];
    home.run(&[&add[..], &["--out", "/no/such/dir"]].concat())
        .fails(1, &["/no/such/dir"]);
    let log = home.run(&add).ok();
    assert!(log.lines().count() >= 3, "{log}");
    home.run(&["space", "ticket"]).fails(1, &["allod up"]);
    home.run(&["add", "no-such-file"])
        .fails(1, &["no-such-file"]);
    assert_eq!(home.staged(), 0);
}

#[test]
fn imports_that_are_not_whole() {
    let home = Home::with_space();
    let refused = |file: &str, words: &[&str]| {
        home.run(&["import", file]).fails(1, words);
        assert_eq!(home.staged(), 0, "{file}");
    };
    refused(
        &home.write("ragged.csv", "id,n\na,1\nb\n"),
        &["row 2", "1 fields", "2"],
    );
    refused(
        &home.write("nokey.json", r#"[{"id":"a"},{"n":2}]"#),
        &["row 2", "\"id\""],
    );
    refused(
        &home.write("twice.ndjson", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n"),
        &["twice"],
    );
    refused(
        &home.write("garbage.json", [0xff, 0xfe, 0x00]),
        &["not JSON"],
    );
    refused(
        &home.write("garbage.csv", [b'i', b'd', b'\n', 0xff, b'\n']),
        &["row 1"],
    );
    refused(
        &home.write("cut.ndjson", "{\"id\":\"a\"}\n{\"id\":"),
        &["row 2"],
    );
    refused(&home.write("object.json", "{}"), &["array"]);
    refused(
        &home.write("empty-key.json", r#"[{"id":""}]"#),
        &["row 1", "empty"],
    );
    refused("no-such.json", &["no-such.json"]);
    refused(
        &home.write("field.json", r#"[{"id":"a","n":1,"n":2}]"#),
        &["row 1", "two fields are named \"n\""],
    );
    refused(
        &home.write("column.csv", "id,n,n\na,1,2\n"),
        &["two columns are named \"n\""],
    );
    refused(
        &home.write("text.json", r#"["a"]"#),
        &["row 1", "an object"],
    );
    let unknown = home.write("rows.xml", "<a/>");
    home.run(&["import", &unknown]).fails(2, &[".csv"]);
    // One bad file of two: nothing of either.
    let good = home.write("good.json", r#"[{"id":"a"}]"#);
    let bad = home.write("bad.json", "[{}]");
    home.run(&["import", &good, &bad])
        .fails(1, &["bad.json", "nothing was imported"]);
    assert_eq!(home.staged(), 0);
}

#[test]
fn a_home_that_somebody_else_holds() {
    let home = Home::with_space();
    let lock = File::options()
        .write(true)
        .open(home.path().join("lock"))
        .unwrap();
    lock.lock().unwrap();
    home.run(&["status"])
        .fails(1, &["in use by another process"]);
    // Somebody left a socket behind, and nobody listens.
    drop(std::os::unix::net::UnixListener::bind(home.path().join("control.sock")).unwrap());
    home.run(&["status"])
        .fails(1, &["in use by another process"]);
    drop(lock);
    home.run(&["status"]).ok();
    let up = home.up();
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_damaged_store_is_noticed() {
    let home = Home::with_space();
    let value: Vec<u8> = (0..300_000u32).map(|n| (n * 7919 % 251) as u8).collect();
    home.feed(&["put", "k"], &value).ok();
    home.run(&["commit", "-m", "x"]).ok();
    assert_eq!(home.json(&["check"])["problem_count"], 0);
    // A piece of the value, wherever the engine keeps it.
    let piece = &value[100_000..100_064];
    let mut bent = 0;
    for path in files(&home.path().join("store")) {
        let mut bytes = fs::read(&path).unwrap();
        let found = bytes
            .windows(piece.len())
            .position(|window| window == piece);
        if let Some(at) = found {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            bent += 1;
        }
    }
    if bent == 0 {
        println!("skipped: the engine does not keep the value as it is");
        return;
    }
    let done = home.run(&["check"]);
    assert_eq!(done.code, Some(1), "{} {}", done.out, done.err);
    assert!(!done.err.contains("panicked"), "{}", done.err);
    home.run(&["get", "k", "--raw"]).fails(1, &[]);
}

#[test]
fn a_full_disk() {
    let home = Home::empty();
    fs::create_dir(home.path()).unwrap();
    let path = home.path().to_str().unwrap().to_owned();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", &path])
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        println!("skipped: a small file system cannot be mounted here");
        return;
    }
    let result = std::panic::catch_unwind(|| fill(&home));
    assert!(
        Command::new("umount")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}

fn fill(home: &Home) {
    let key = home.file("key");
    let init = home.run(&["init", "--key-file", key.to_str().unwrap()]);
    if init.code != Some(0) {
        println!("skipped: a home does not fit: {}", init.err);
        return;
    }
    home.run(&["space", "new", "notes"]).ok();
    home.commit("before", "1");
    let mut noise = 1u64;
    let content: Vec<u8> = (0..120_000_000)
        .map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        })
        .collect();
    let path = home.write("large", content);
    home.run(&["add", &path]).fails(1, &[]);
    // What was acknowledged is still there.
    assert_eq!(home.run(&["get", "before"]).ok(), "1\n");
}
