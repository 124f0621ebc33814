//! External hooks: what they get, what their answers do, and what is not run.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::home::Home;

/// Puts a script where hooks are looked for.
pub(crate) fn hook(home: &Home, name: &str, script: &str) -> PathBuf {
    let path = home.path().join("hooks").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Written beside and renamed: a program that is still open for writing cannot be run.
    let beside = path.with_extension("new");
    fs::write(&beside, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&beside, &path).unwrap();
    path
}

fn lines(home: &Home, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(home.file(file)).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

const NO_SECRETS: &str = "if grep -q '\"key\":\"secret'; then echo 'no secrets here'; exit 3; fi";

#[test]
fn a_pre_commit_hook_sees_what_changes_and_refuses() {
    let home = Home::with_space();
    home.commit("a", "1");
    let seen = home.file("seen");
    let tells = format!(
        "cat > {0}; echo \"$ALLOD_HOOK $ALLOD_SPACE $ALLOD_BRANCH\" > {0}.env",
        seen.display()
    );
    hook(&home, "pre-commit", &tells);
    home.run(&["put", "a", "2"]).ok();
    let commit = home.commit("b", "new");
    let told = lines(&home, "seen");
    assert_eq!(told[0]["format"], "allod-hook");
    assert_eq!(
        (&told[0]["act"], &told[0]["branch"]),
        (&"commit".into(), &"main".into())
    );
    assert_ne!(told[0]["parents"][0], commit.as_str());
    assert_eq!(told[1]["changes"], 2);
    assert_eq!(
        (&told[2]["key"], &told[2]["before"]["text"]),
        (&"a".into(), &"1".into())
    );
    assert_eq!(
        (&told[3]["key"], &told[3]["after"]["text"]),
        (&"b".into(), &"new".into())
    );
    let variables = fs::read_to_string(home.file("seen.env")).unwrap();
    assert_eq!(variables, "pre-commit notes main\n");

    // What follows the header is a patch that can be applied.
    let text = fs::read_to_string(&seen).unwrap();
    let patch = home.write("patch", text.split_once('\n').unwrap().1);
    home.run(&["apply", "--reverse", &patch]).ok();
    home.run(&["unstage", "--all"]).ok();

    hook(&home, "notes/pre-commit", NO_SECRETS);
    home.run(&["put", "secret/1", "x"]).ok();
    let words = ["pre-commit", "ended with 3", "no secrets here"];
    home.run(&["commit", "-m", "x"]).fails(1, &words);
    assert_eq!(home.staged(), 1);
    home.run(&["commit", "-m", "x", "--no-verify"]).ok();
    assert_eq!(home.staged(), 0);

    home.run(&["branch", "side"]).ok();
    home.run(&["switch", "side"]).ok();
    home.run(&["put", "secret/2", "x"]).ok();
    home.run(&["commit", "-m", "x", "--no-verify"]).ok();
    home.run(&["switch", "main"]).ok();
    home.run(&["merge", "side"]).fails(1, &["no secrets here"]);
    home.run(&["cherry-pick", "side"])
        .fails(1, &["no secrets here"]);
    home.run(&["get", "secret/2"]).fails(1, &["no value"]);
    home.run(&["merge", "side", "--no-verify"]).ok();
    home.run(&["get", "secret/2"]).ok();
    let listed = home.run(&["hooks", "--json"]).rows();
    let of = |row: &Value| (row["hook"].clone(), row["space"].clone());
    let listed: Vec<_> = listed.iter().map(of).collect();
    let name = || Value::from("pre-commit");
    assert_eq!(listed, [(name(), Value::Null), (name(), "notes".into())]);
}

#[test]
fn hooks_that_cannot_be_trusted_or_run_refuse() {
    let home = Home::with_space();
    let path = hook(&home, "pre-commit", "exit 0");
    home.commit("a", "1");
    home.run(&["put", "a", "2"]).ok();
    for (mode, words) in [(0o644, "not executable"), (0o777, "written by others")] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        home.run(&["commit", "-m", "x"]).fails(1, &[words]);
        assert!(home.run(&["hooks"]).ok().contains(words));
    }
    let not_asked = "a hook could not be asked";
    for (script, words) in [("kill -9 $$", "a signal"), ("/no/such/program", "127")] {
        hook(&home, "pre-commit", script);
        home.run(&["commit", "-m", "x"])
            .fails(1, &[not_asked, words]);
    }
    hook(&home, "pre-commit", "exit 128");
    home.run(&["commit", "-m", "x"])
        .fails(1, &["not committed: ", "128"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    home.run(&["commit", "-m", "x"])
        .fails(1, &["is not a file"]);
    fs::remove_dir(&path).unwrap();
    // One that does not read what it gets, however much that is.
    hook(&home, "pre-commit", "exit 0");
    home.feed(&["put", "large"], &vec![b'x'; 1 << 20]).ok();
    home.run(&["commit", "-m", "x"]).ok();
    assert_eq!(home.staged(), 0);
}

#[test]
fn a_hook_that_hangs_is_ended_with_all_that_it_began() {
    let home = Home::with_space();
    let pid = home.file("pid");
    let hangs = format!("sleep 600 & echo $! > {}; wait", pid.display());
    hook(&home, "pre-commit", &hangs);
    home.run(&["put", "a", "1"]).ok();
    let mut command = home.command(&["commit", "-m", "x"]);
    let output = command.env("ALLOD_HOOK_SECONDS", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("longer than 1 s"), "{words}");
    let pid = fs::read_to_string(pid).unwrap();
    let stat = PathBuf::from("/proc").join(pid.trim()).join("stat");
    let started = Instant::now();
    // Gone, or dead and waiting for whoever adopted it.
    while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(" Z ")) {
        assert!(started.elapsed() < Duration::from_secs(10), "it lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut command = home.command(&["commit", "-m", "x"]);
    let output = command.env("ALLOD_HOOK_SECONDS", "soon").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_a_hook_leaves_behind_or_prints_without_end_holds_nothing_up() {
    let home = Home::with_space();
    home.run(&["put", "large", &"x".repeat(100_000)]).ok();
    home.run(&["put", "a", "1"]).ok();
    // In a session of its own, with both pipes open; the hook has read nothing of its input.
    let leaves = "exec 3<&0; setsid sleep 60 0<&3 & echo 'not this'; exit 4";
    hook(&home, "pre-commit", leaves);
    let started = Instant::now();
    let words = ["ended with 4", "not this"];
    home.run(&["commit", "-m", "x"]).fails(1, &words);
    assert!(started.elapsed() < Duration::from_secs(20));
    hook(&home, "pre-commit", &leaves.replace("exit 4", "exit 0"));
    home.run(&["commit", "-m", "x"]).ok();
    assert!(started.elapsed() < Duration::from_secs(40));

    home.run(&["put", "a", "2"]).ok();
    hook(&home, "pre-commit", "cat > /dev/null; yes 'on and on'");
    let mut command = home.command(&["commit", "-m", "x"]);
    let output = command.env("ALLOD_HOOK_SECONDS", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(words.contains("longer than 1 s: on and on"));
    assert!(
        (64 * 1024..70 * 1024).contains(&words.len()),
        "{}",
        words.len()
    );
}

#[test]
fn a_post_commit_hook_hears_of_each_commit_and_is_given_up_at_last() {
    let home = Home::with_space();
    let told = home.file("told");
    home.commit("before", "1");
    hook(&home, "post-commit", &format!("cat >> {}", told.display()));
    let commits = [home.commit("a", "1"), home.commit("a", "2")];
    let heard = lines(&home, "told");
    assert_eq!(heard.len(), 2, "{heard:?}");
    for (line, commit) in heard.iter().zip(&commits) {
        assert_eq!(line["commits"][0], commit.as_str());
        assert_eq!(
            (&line["count"], &line["branch"]),
            (&1.into(), &"main".into())
        );
    }
    // It fails, and harms nothing.
    hook(
        &home,
        "post-commit",
        &format!("echo tried >> {}.2; exit 1", told.display()),
    );
    home.run(&["put", "a", "3"]).ok();
    let done = home.run(&["commit", "-m", "x"]);
    assert!(done.err.contains("post-commit hook failed"), "{}", done.err);
    done.ok();
    assert_eq!(home.run(&["get", "a"]).ok(), "3\n");
    let listed = home.json(&["hooks"]);
    assert_eq!(
        (&listed["failed"], &listed["waiting"]),
        (&2.into(), &1.into())
    );
    // It heard of it three times by now, with the commands that came since.
    home.run(&["get", "a"]).ok();
    let tried = fs::read_to_string(home.file("told.2")).unwrap();
    assert_eq!(tried.lines().count(), 3);
    let listed = home.json(&["hooks"]);
    assert_eq!(
        (&listed["given_up"], &listed["waiting"]),
        (&1.into(), &0.into())
    );
}

#[test]
fn a_running_node_asks_hooks_about_what_arrives() {
    let (ada, bob) = (Home::with_space(), Home::new());
    ada.commit("a", "1");
    let up = ada.up();
    let ticket = ada.run(&["space", "ticket"]).ok();
    bob.run(&["space", "join", ticket.trim()]).ok();
    hook(&ada, "pre-commit", NO_SECRETS);
    let told = ada.file("told");
    hook(&ada, "post-commit", &format!("cat >> {}", told.display()));
    bob.commit("fine", "1");
    bob.run(&["sync"]).ok();
    assert_eq!(ada.run(&["get", "fine"]).ok(), "1\n");
    bob.commit("secret", "x");
    bob.run(&["sync"]).fails(1, &["1 commits were refused"]);
    ada.run(&["get", "secret"]).fails(1, &["no value"]);
    let words = ada.run(&["hooks"]).err;
    assert!(words.contains("no secrets here"), "{words}");
    // Commands inside the node are asked about as well.
    ada.run(&["put", "secret", "x"]).ok();
    ada.run(&["commit", "-m", "x"])
        .fails(1, &["no secrets here"]);
    let started = Instant::now();
    while lines(&ada, "told").is_empty() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it heard nothing"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lines(&ada, "told")[0]["space"], ada.json(&["status"])["id"]);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_hook_may_read_through_the_node_and_not_commit() {
    let home = Home::with_space();
    home.commit("allowed", "yes");
    let allod = env!("CARGO_BIN_EXE_allod");
    let words = home.file("words");
    let script = format!(
        "cat > /dev/null; {allod} commit -m again 2> {}; test \"$({allod} get allowed)\" = yes",
        words.display()
    );
    hook(&home, "pre-commit", &script);
    let up = home.up();
    home.commit("b", "1");
    let words = fs::read_to_string(&words).unwrap();
    assert!(words.contains("asked about its own work"), "{words}");
    assert_eq!(up.stop(), Some(0));
}
