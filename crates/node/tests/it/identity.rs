//! Devices, the key of an agent and its kit, with real processes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::home::{Done, Home};

/// A command that runs while others do: its lines are read as they come.
struct Talk {
    child: Child,
    input: ChildStdin,
    lines: BufReader<ChildStdout>,
}

impl Talk {
    fn start(home: &Home, args: &[&str]) -> Self {
        let mut command = home.command(&[args, &["--json"]].concat());
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            lines,
        }
    }

    /// The next line, or null at the end.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_default()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").unwrap();
    }

    /// Waits until it has ended.
    fn end(mut self) -> Done {
        drop(self.input);
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut err)
            .unwrap();
        let code = self.child.wait().unwrap().code();
        Done {
            code,
            bytes: out.clone().into_bytes(),
            out,
            err,
        }
    }
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    let text = value[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}

/// The arguments to make a home with a key file, and then these.
fn init<'a>(home: &Home, more: &[&'a str], key: &'a mut String) -> Vec<&'a str> {
    home.file("key").to_str().unwrap().clone_into(key);
    [&["init", "--key-file", key, "--device-name", "phone"], more].concat()
}

pub(crate) fn device_only() -> Home {
    let home = Home::empty();
    let mut key = String::new();
    home.run(&init(&home, &["--device-only"], &mut key)).ok();
    home
}

pub(crate) fn shown(home: &Home) -> Value {
    home.json(&["id", "show"])
}

/// Lets a new home in with the code; both sides say yes.
pub(crate) fn paired(old: &Home, add: &[&str], form: &str) -> Home {
    let (new, agent) = (Home::empty(), shown(old)["agent"].clone());
    let mut host = Talk::start(old, &[&["id", "device", "add"], add].concat());
    let code = text(&host.next(), form);
    let mut key = String::new();
    let mut guest = Talk::start(&new, &init(&new, &["--pair", &code], &mut key));
    let made = guest.next();
    assert_eq!(made["agent"], Value::Null);
    let (here, there) = (host.next(), guest.next());
    assert_eq!(here["digits"], there["digits"]);
    assert_eq!(here["device"], made["device"]);
    assert_eq!(here["name"], "phone");
    guest.say("y");
    host.say("y");
    assert_eq!(host.next()["added"], made["device"]);
    assert_eq!(guest.next()["agent"], agent);
    guest.end().ok();
    host.end().ok();
    new
}

const LOOPBACK: [&str; 2] = ["--listen", "127.0.0.1:0"];

#[test]
fn a_new_device_gets_the_spaces_from_a_running_node() {
    let old = Home::with_space();
    old.commit("greeting", "hello");
    old.run(&["space", "new", "photos"]).ok();
    old.commit("one", "1");
    let up = old.up();
    let new = paired(&old, &[], "code");
    assert_eq!(new.run(&["space", "list", "--json"]).rows().len(), 2);
    assert_eq!(new.run(&["get", "greeting", "-s", "notes"]).ok(), "hello\n");
    assert_eq!(new.run(&["get", "one", "-s", "photos"]).ok(), "1\n");
    let (here, there) = (shown(&old), shown(&new));
    assert_eq!(here["devices"], there["devices"]);
    assert_eq!(there["devices"].as_array().unwrap().len(), 2);
    // What it writes counts.
    new.run(&["put", "-s", "notes", "answer", "hi"]).ok();
    new.run(&["commit", "-s", "notes", "-m", "from the phone"])
        .ok();
    new.run(&["sync", "-s", "notes"]).ok();
    assert_eq!(old.run(&["get", "answer", "-s", "notes"]).ok(), "hi\n");
    // It has no key of the agent to let others in.
    assert_eq!(there["key_here"], false);
    new.run(&["id", "device", "add"])
        .fails(1, &["does not hold its agent's key"]);
    new.run(&["id", "join", "0FW0-0008-Y2G0-0000-0000-0000-0G0S"])
        .fails(1, &["acts for an agent already"]);
    drop(up);
}

#[test]
fn a_command_serves_a_new_device_by_itself() {
    let old = Home::with_space();
    old.commit("greeting", "hello");
    // The long code, as a QR code has it.
    let new = paired(&old, &LOOPBACK, "link");
    assert_eq!(new.run(&["get", "greeting"]).ok(), "hello\n");
    assert_eq!(shown(&old)["devices"].as_array().unwrap().len(), 2);
}

#[test]
fn who_has_another_code_or_other_digits_is_not_let_in() {
    let old = Home::new();
    let mut host = Talk::start(&old, &[&["id", "device", "add"], &LOOPBACK[..]].concat());
    let second = text(&host.next(), "code");
    let new = device_only();
    // One character is wrong, and it is noticed before anybody is asked.
    let typo = if second.ends_with('0') { "1" } else { "0" };
    let typo = format!("{}{typo}", &second[..second.len() - 1]);
    new.run(&["id", "join", &typo]).fails(1, &["E_PAIR_CODE"]);
    let mut guest = Talk::start(&new, &["id", "join", &second]);
    assert_eq!(host.next()["digits"], guest.next()["digits"]);
    guest.say("y");
    host.say("n");
    guest.end().fails(1, &["E_PAIR_DIGITS"]);
    host.end().fails(1, &["E_PAIR_DIGITS"]);
    assert_eq!(shown(&old)["devices"].as_array().unwrap().len(), 1);
    assert_eq!(shown(&new)["agent"], Value::Null);
    // The guest may say no as well, and without anybody at the keyboard nothing is let in.
    let mut host = Talk::start(&old, &[&["id", "device", "add"], &LOOPBACK[..]].concat());
    let code = text(&host.next(), "code");
    new.feed(&["id", "join", &code], b"n\n")
        .fails(1, &["nothing was joined"]);
    host.next();
    host.end().fails(1, &["E_PAIR_DIGITS"]);
    assert_eq!(shown(&new)["agent"], Value::Null);
}

#[test]
fn who_says_that_the_digits_differ_once_it_was_let_in_is_heard() {
    let old = Home::new();
    let mut host = Talk::start(&old, &[&["id", "device", "add"], &LOOPBACK[..]].concat());
    let code = text(&host.next(), "code");
    let new = device_only();
    let mut guest = Talk::start(&new, &["id", "join", &code]);
    assert_eq!(host.next()["digits"], guest.next()["digits"]);
    host.say("y");
    let device = text(&host.next(), "added");
    guest.say("n");
    guest.end().fails(1, &["nothing was joined"]);
    host.end()
        .fails(1, &["E_PAIR_DIGITS", "id device remove", &device]);
    old.run(&["id", "device", "remove", &device]).ok();
    assert_eq!(shown(&old)["devices"].as_array().unwrap().len(), 1);
}

/// What keeps the host from going on is for its own person to know; the guest learns that something did.
#[test]
fn a_host_that_cannot_go_on_tells_its_own_person_why() {
    let old = Home::new();
    let kit = old.file("kit").to_str().unwrap().to_owned();
    old.run(&["id", "export", "--kit", &kit]).ok();
    let line = text(&old.json(&["id", "export", "--paper"]), "kit");
    let end = format!("{}\n", &line[line.len() - 4..]);
    let take_out = ["id", "export", "--paper", "--remove"];
    old.feed(&take_out, end.as_bytes()).ok();
    let up = old.up();
    let mut host = Talk::start(&old, &["id", "device", "add"]);
    let code = text(&host.next(), "code");
    let new = device_only();
    let mut guest = Talk::start(&new, &["id", "join", &code]);
    assert_eq!(host.next()["digits"], guest.next()["digits"]);
    // While the person compares, the key is changed elsewhere.
    let elsewhere = device_only();
    elsewhere.run(&["id", "import", &kit, "--yes"]).ok();
    old.run(&["id", "learn", &log_of(&elsewhere)]).ok();
    host.say("y");
    guest.say("y");
    let refused = guest.end();
    assert!(!refused.err.contains("elsewhere"), "{}", refused.err);
    refused.fails(1, &["E_PAIR_FAULT"]);
    // The code waits on, and so does the command.
    let errors = BufReader::new(host.child.stderr.take().unwrap());
    let mut errors = errors.lines().map(Result::unwrap);
    let told = errors.find(|line| line.contains("a try came to nothing"));
    let told = told.unwrap();
    assert!(told.contains("changed elsewhere"), "{told}");
    host.child.kill().unwrap();
    host.child.wait().unwrap();
    assert_eq!(shown(&new)["agent"], Value::Null);
    drop(up);
}

/// A node at the right address that never made this code, or makes no more of it.
#[test]
fn a_code_of_another_node_or_an_old_one_is_refused() {
    let (old, other) = (Home::new(), Home::new());
    let (up, there) = (old.up(), other.up());
    let mut host = Talk::start(&old, &["id", "device", "add"]);
    let code = text(&host.next(), "code");
    // As many wrong codes as it takes: the secret of another node, at this address.
    let mut stray = Talk::start(&other, &["id", "device", "add", "--addr", &up.addr]);
    let wrong = text(&stray.next(), "code");
    let new = device_only();
    for _ in 0..3 {
        new.run(&["id", "join", &wrong, "--yes"])
            .fails(1, &["E_PAIR_PROOF"]);
    }
    new.run(&["id", "join", &code, "--yes"])
        .fails(1, &["E_PAIR_EXPIRED"]);
    host.end().fails(1, &["E_PAIR_PROOF"]);
    assert_eq!(shown(&new)["agent"], Value::Null);
    drop(stray.child.kill());
    stray.child.wait().unwrap();
    drop((up, there));
}

#[test]
fn a_removed_device_is_served_no_longer() {
    let old = Home::with_space();
    old.commit("greeting", "hello");
    let up = old.up();
    let new = paired(&old, &[], "code");
    new.commit("early", "1");
    new.run(&["sync"]).ok();
    let device = text(&shown(&new), "device");
    let own = text(&shown(&old), "device");
    old.run(&["id", "device", "remove", &own])
        .fails(1, &["very home"]);
    old.run(&["id", "device", "remove", "tablet"])
        .fails(1, &["no device"]);
    assert_eq!(
        old.json(&["id", "device", "remove", "phone"])["removed"],
        device.as_str()
    );
    assert_eq!(old.run(&["id", "device", "list", "--json"]).rows().len(), 1);
    new.run(&["put", "late", "1"]).ok();
    new.run(&["commit", "-m", "after it was removed"]).ok();
    let synced = new.run(&["sync"]);
    assert_eq!(synced.code, Some(1), "{} {}", synced.out, synced.err);
    assert!(synced.out.contains("E_NOT_MEMBER"), "{}", synced.out);
    old.run(&["get", "late"]).fails(1, &["late"]);
    // What it wrote before counts.
    assert_eq!(old.run(&["get", "early"]).ok(), "1\n");
    let last = &old.run(&["log", "--json"]).rows()[0];
    assert_eq!(last["message"], "Keep what a device wrote that is removed");
    drop(up);
}

/// What only a stolen device signed is set aside, and taken in by whoever trusts it after all.
#[test]
fn what_a_stolen_device_wrote_is_set_aside() {
    let old = Home::with_space();
    old.commit("greeting", "hello");
    let up = old.up();
    let new = paired(&old, &[], "code");
    new.commit("late", "by whom?");
    new.run(&["sync"]).ok();
    assert_eq!(old.run(&["get", "late"]).ok(), "by whom?\n");
    let removed = old.json(&["id", "device", "remove", "phone", "--stolen"]);
    assert_eq!(removed["unkept"], json!([]));
    old.run(&["get", "late"]).fails(1, &["late"]);
    let apart = old.run(&["trust", "held", "--json"]).rows();
    assert_eq!(apart.len(), 1);
    let why = text(&apart[0], "why");
    assert!(why.contains("no more"), "{why}");
    old.run(&["trust", "take-in"]).ok();
    assert_eq!(old.run(&["get", "late"]).ok(), "by whom?\n");
    drop(up);
}

#[test]
fn the_key_changes_with_and_without_a_node() {
    let home = Home::with_space();
    let before = shown(&home);
    assert_eq!(
        (&before["rotations_left"], &before["chain_here"]),
        (&64.into(), &true.into())
    );
    assert_eq!(before["key"], before["agent"]);
    let rotated = home.run(&["id", "rotate", "--json"]);
    // The first key is no part of the chain, so it is gone.
    assert!(rotated.err.contains("as a guardian"), "{}", rotated.err);
    let rotated = rotated.json();
    assert_ne!(rotated["key"], before["key"]);
    assert_eq!(rotated["others"], serde_json::json!([]));
    assert_eq!(rotated["agent"], before["agent"]);
    let up = home.up();
    let again = home.json(&["id", "rotate"]);
    assert_ne!(again["key"], rotated["key"]);
    // The running node has the new key, and lets devices in with it.
    let device = device_only();
    let name = text(&shown(&device), "device");
    let log = home.run(&["id", "add-device", &name]).ok();
    drop(up);
    let log = device.write("log", log);
    device.run(&["id", "adopt", &log]).ok();
    let after = shown(&home);
    assert_eq!(
        (&after["rotations_left"], &after["rotations"]),
        (&62.into(), &2.into())
    );
    assert_eq!(after["key"], again["key"]);
    assert_eq!(after["key_here"], true);
    home.commit("k", "still mine");
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

/// A home whose keys are sealed by a passphrase: a running node does not know it, and is told.
#[test]
fn a_running_node_seals_again_under_the_passphrase() {
    let home = Home::empty();
    let run = |args: &[&str], passphrase: &str| {
        let mut command = home.command(args);
        command.env("ALLOD_PASSPHRASE", passphrase);
        command.output().unwrap()
    };
    let ok = |output: std::process::Output| {
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    ok(run(&["init"], "correct horse"));
    let mut node = home.command(&["up", "--listen", "127.0.0.1:0"]);
    node.env("ALLOD_PASSPHRASE", "correct horse")
        .stdout(Stdio::piped());
    let mut node = node.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(node.stdout.as_mut().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(!run(&["id", "rotate"], "wrong horse").status.success());
    ok(run(&["id", "rotate"], "correct horse"));
    node.kill().unwrap();
    node.wait().unwrap();
    let shown = ok(run(&["id", "show", "--json"], "correct horse"));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (&shown["rotations"], &shown["key_here"]),
        (&1.into(), &true.into())
    );
}

#[test]
fn a_kit_restores_an_agent_in_a_new_home() {
    let lost = Home::with_space();
    let agent = text(&shown(&lost), "agent");
    let kit = lost.file("kit").to_str().unwrap().to_owned();
    lost.run(&["id", "export", "--kit", &kit]).ok();
    lost.run(&["id", "export", "--kit", &kit])
        .fails(1, &["exists"]);
    let paper = lost.json(&["id", "export", "--paper"]);
    assert_eq!(paper["agent"], agent.as_str());
    let line = text(&paper, "kit");
    assert_eq!(line.len(), 139);
    // From the file.
    let new = device_only();
    let imported = new.run(&["id", "import", &kit, "--yes"]);
    assert!(imported.err.contains("nothing newer"), "{}", imported.err);
    imported.ok();
    let restored = shown(&new);
    assert_eq!(
        (&restored["agent"], &restored["key_here"]),
        (&agent.as_str().into(), &true.into())
    );
    assert_eq!(
        (&restored["rotations"], &restored["acts"]),
        (&1.into(), &true.into())
    );
    new.run(&["id", "import", &kit])
        .fails(1, &["acts for an agent already"]);
    // From paper: the key log comes from elsewhere, here from the home that was restored.
    let third = device_only();
    third
        .feed(&["id", "import"], line.as_bytes())
        .fails(1, &["no key log"]);
    let log = new.file("log").to_str().unwrap().to_owned();
    new.run(&["id", "log", "--out", &log]).ok();
    let wrong = line.replacen(&line[..4], "ZZZZ", 1);
    third
        .feed(&["id", "import", "--log", &log], wrong.as_bytes())
        .fails(1, &["recovery kit"]);
    third
        .feed(
            &["id", "import", "--log", &log],
            line.to_lowercase().as_bytes(),
        )
        .ok();
    assert_eq!(shown(&third)["rotations"], 2);
    // Where the key was before, it is of no use when that is heard.
    let log = third.file("log").to_str().unwrap().to_owned();
    third.run(&["id", "log", "--out", &log]).ok();
    let other = text(&shown(&third), "device");
    assert!(shown(&third)["devices"].to_string().contains(&other));
}

/// The key log of a home, in a file.
fn log_of(home: &Home) -> String {
    let log = home.file("log").to_str().unwrap().to_owned();
    home.run(&["id", "log", "--out", &log]).ok();
    log
}

/// A kit that was written before a device came and another went (IDENT-50).
#[test]
fn with_an_old_kit_the_newest_log_counts() {
    let lost = Home::new();
    let [phone, tablet] = [device_only(), device_only()];
    let [phone_id, tablet_id] = [&phone, &tablet].map(|home| text(&shown(home), "device"));
    lost.run(&["id", "add-device", &tablet_id, "--name", "tablet"])
        .ok();
    let kit = lost.file("kit").to_str().unwrap().to_owned();
    lost.run(&["id", "export", "--kit", &kit]).ok();
    lost.run(&["id", "add-device", &phone_id, "--name", "phone"])
        .ok();
    lost.run(&["id", "device", "remove", "tablet"]).ok();
    let newest = log_of(&lost);
    phone.run(&["id", "adopt", &newest]).ok();

    // Nobody can tell whether the kit is old, so it is asked.
    let new = device_only();
    let year = &allod::utc(allod::now_ms())[..4];
    for answer in [&b""[..], b"n\n"] {
        new.feed(&["id", "import", &kit], answer)
            .fails(1, &["knows 3 events", year, "act again", "--log", "--yes"]);
    }
    assert_eq!(shown(&new)["agent"], Value::Null);
    let imported = new.run(&["id", "import", &kit, "--log", &newest]);
    assert!(
        imported.err.contains("here is known 5 events"),
        "{}",
        imported.err
    );
    imported.ok();
    let devices = shown(&new)["devices"].to_string();
    assert!(
        devices.contains(&phone_id) && !devices.contains(&tablet_id),
        "{devices}"
    );
    // What was added since the kit was written speaks on, where the new log is heard too.
    phone.run(&["id", "learn", &log_of(&new)]).ok();
    let heard = shown(&phone);
    assert_eq!(
        (&heard["acts"], &heard["rotations"]),
        (&true.into(), &1.into())
    );
    assert_eq!(heard["frozen"], Value::Null);

    // The kit alone takes things back, and says so.
    let alone = device_only();
    let imported = alone.feed(&["id", "import", &kit], b"y\n");
    assert!(imported.err.contains("nothing newer"), "{}", imported.err);
    imported.ok();
    let devices = shown(&alone)["devices"].to_string();
    assert!(
        devices.contains(&tablet_id) && !devices.contains(&phone_id),
        "{devices}"
    );
}

/// A kit whose log contradicts what is known here takes nothing of that back (IDENT-50).
#[test]
fn a_kit_of_another_side_does_not_count() {
    let home = Home::new();
    let copy = Home::empty();
    crate::home::copy_dir(&home.path(), &copy.path());
    let [phone, tablet] = [(); 2].map(|()| text(&shown(&device_only()), "device"));
    home.run(&["id", "add-device", &phone]).ok();
    copy.run(&["id", "add-device", &tablet]).ok();
    let kit = copy.file("kit").to_str().unwrap().to_owned();
    copy.run(&["id", "export", "--kit", &kit]).ok();
    let new = device_only();
    let imported = new.run(&["id", "import", &kit, "--log", &log_of(&home)]);
    assert!(imported.err.contains("contradicts"), "{}", imported.err);
    imported.ok();
    let restored = shown(&new);
    let devices = restored["devices"].to_string();
    assert!(
        devices.contains(&phone) && !devices.contains(&tablet),
        "{devices}"
    );
    assert_eq!(
        (&restored["frozen"], &restored["acts"]),
        (&Value::Null, &true.into())
    );
}

#[test]
fn a_kit_can_be_taken_out_of_the_home() {
    let home = Home::new();
    let kit = home.file("kit").to_str().unwrap().to_owned();
    let line = text(&home.json(&["id", "export", "--paper"]), "kit");
    let end = &line[line.len() - 4..];
    home.feed(&["id", "export", "--kit", &kit, "--remove"], b"0000\n")
        .fails(1, &["stays in this home"]);
    assert_eq!(shown(&home)["chain_here"], true);
    home.feed(
        &["id", "export", "--paper", "--remove"],
        format!("{end}\n").as_bytes(),
    )
    .ok();
    assert_eq!(
        (&shown(&home)["chain_here"], &shown(&home)["key_here"]),
        (&false.into(), &true.into())
    );
    home.run(&["id", "rotate"]).fails(1, &["--kit"]);
    home.run(&["id", "export", "--paper"]).fails(1, &["--kit"]);
    let other = Home::new();
    let others = text(&other.json(&["id", "export", "--paper"]), "kit");
    home.feed(&["id", "rotate", "--kit", "-"], others.as_bytes())
        .fails(1, &["another agent"]);
    home.run(&["id", "rotate", "--kit", &kit]).ok();
    let shown = shown(&home);
    assert_eq!(
        (&shown["rotations"], &shown["chain_here"]),
        (&1.into(), &false.into())
    );
    assert_eq!(shown["key_here"], true);
}

/// Two copies of a home say different things. Nothing counts, until the next key says what does.
#[test]
fn a_log_that_contradicts_itself_is_told_of_and_resolved() {
    let home = Home::new();
    let copy = Home::empty();
    crate::home::copy_dir(&home.path(), &copy.path());
    let phone = text(&shown(&device_only()), "device");
    let tablet = text(&shown(&device_only()), "device");
    home.run(&["id", "add-device", &phone, "--name", "phone"])
        .ok();
    copy.run(&["id", "add-device", &tablet, "--name", "tablet"])
        .ok();
    let log = copy.file("log").to_str().unwrap().to_owned();
    copy.run(&["id", "log", "--out", &log]).ok();
    // Both are heard of where they meet.
    home.run(&["id", "learn", &log]).ok();
    let frozen = shown(&home);
    assert_eq!(
        (&frozen["frozen"], &frozen["key"]),
        (&2.into(), &Value::Null)
    );
    assert_eq!(frozen["beside"].as_array().unwrap().len(), 2);
    assert!(home.run(&["id"]).ok().contains("allod id rotate"));
    home.run(&["id", "add-device", &tablet])
        .fails(1, &["contradicts itself", "allod id rotate"]);
    home.run(&["id", "rotate"]).ok();
    let resolved = shown(&home);
    assert_eq!(resolved["frozen"], Value::Null);
    let devices = resolved["devices"].to_string();
    assert!(
        devices.contains(&phone) && !devices.contains(&tablet),
        "{devices}"
    );
    // The other copy could have chosen its own side, or this one.
    let log = home.file("log").to_str().unwrap().to_owned();
    home.run(&["id", "log", "--out", &log]).ok();
    copy.run(&["id", "learn", &log]).ok();
    assert_eq!(shown(&copy)["devices"], resolved["devices"]);
    copy.run(&["id", "rotate", "--after", "nothing"])
        .fails(1, &["no event"]);
}

/// A key that other programs made is an agent, and others read who that is.
#[test]
fn an_agent_has_a_key_of_before_and_a_document() {
    let home = Home::empty();
    let seed = home.write("seed", "01".repeat(32));
    let key = home.file("key").to_str().unwrap().to_owned();
    let init = ["init", "--key-file", &key, "--agent-key", &seed];
    home.run(&init).fails(1, &["chmod 600"]);
    std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(0o600)).unwrap();
    home.run(&init).ok();
    let agent = "did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX";
    assert_eq!(shown(&home)["agent"], agent);
    let document = home.run(&["id", "show", "--did"]).json();
    assert_eq!(document["id"], agent);
    let methods = document["verificationMethod"].as_array().unwrap();
    assert_eq!(methods.len(), 2, "{document}");
    home.run(&["id", "rotate"]).ok();
    let after = home.run(&["id", "show", "--did"]).json();
    assert_eq!(after["id"], agent);
    assert_ne!(
        after["verificationMethod"][0],
        document["verificationMethod"][0]
    );
    let bad = Home::empty();
    let seed = bad.write("seed", "no key");
    std::fs::set_permissions(&seed, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = bad.file("key").to_str().unwrap().to_owned();
    bad.run(&["init", "--key-file", &key, "--agent-key", &seed])
        .fails(1, &["not a secret key"]);
}
