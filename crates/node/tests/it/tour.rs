//! Every command once, on a home of one's own.

use crate::home::Home;

#[test]
fn values_are_staged_read_listed_and_removed() {
    let home = Home::with_space();
    for key in ["a", "b", "c", "d"] {
        home.run(&["put", key, &format!("value of {key}")]).ok();
    }
    home.feed(&["put", "e"], b"from outside").ok();
    assert_eq!(home.run(&["get", "a"]).ok(), "value of a\n");
    assert_eq!(home.run(&["get", "e", "--raw"]).ok(), "from outside");
    assert_eq!(home.staged(), 5);
    assert_eq!(home.run(&["ls"]).ok(), "a\nb\nc\nd\ne\n");
    assert_eq!(home.run(&["ls", "--from", "b", "--to", "d"]).ok(), "b\nc\n");
    assert_eq!(
        home.run(&["ls", "--limit", "2", "--reverse"]).ok(),
        "e\nd\n"
    );
    let rows = home.run(&["ls", "--json", "--limit", "1"]).rows();
    assert_eq!(rows[0]["key"], "a");
    assert_eq!(rows[0]["size"], 10);
    home.run(&["commit", "-m", "first"]).ok();
    assert_eq!(home.staged(), 0);
    home.run(&["del", "a", "b"]).ok();
    home.run(&["get", "a"]).fails(1, &["a"]);
    assert_eq!(home.run(&["get", "a", "--at", "main"]).ok(), "value of a\n");
    assert_eq!(home.run(&["diff"]).ok().lines().count(), 2);
    home.run(&["commit", "-m", "second"]).ok();
    assert_eq!(home.run(&["ls"]).ok(), "c\nd\ne\n");
}

/// What is imported is what was written; what programs read is whole, and what is no text is no
/// output that could be taken for the value.
#[test]
fn no_value_is_changed_or_cut_on_its_way() {
    let home = Home::with_space();
    let row = r#"{"id": 1.0, "x": 1.50, "big": 12345678901234567890123, "t": " a \" b "}"#;
    let rows = home.write("rows.json", format!("[\n {row} \n]"));
    home.run(&["import", &rows]).ok();
    let kept = r#"{"id":1.0,"x":1.50,"big":12345678901234567890123,"t":" a \" b "}"#;
    assert_eq!(home.run(&["get", "1.0", "--raw"]).ok(), kept);

    let long = |end: &str| format!("{}{end}", "line\n".repeat(100));
    home.commit("long", &long("one"));
    home.feed(&["put", "bytes"], b"\xff\xfe").ok();
    let commit = home.commit("long", &long("two"));
    let change = home.run(&["diff", &commit, "main", "--json"]);
    assert_eq!(change.ok(), "");
    home.run(&["put", "long", &long("three")]).ok();
    let changes = home.run(&["diff", "--json"]).rows();
    assert_eq!(changes[0]["before"], long("two"));
    assert_eq!(changes[0]["after"], long("three"));
    let blamed = home.run(&["blame", "long", "--json"]).rows();
    assert_eq!(blamed[0]["value"], long("two"));
    let shown = home.json(&["show", "main"]);
    let values: Vec<_> = shown["changes"].as_array().unwrap().iter().collect();
    assert_eq!(values[0]["value"]["base64"], "//4=");
    assert_eq!(values[1]["value"], long("two"));

    home.run(&["get", "bytes"])
        .fails(1, &["2 B that are no text", "--raw"]);
    home.run(&["get", "bytes", "--raw", "--json"])
        .fails(2, &["--raw"]);
    assert_eq!(home.json(&["get", "bytes"])["base16"], "fffe");

    // Files whose names differ in their ends alone do not overwrite each other.
    home.feed(&["put", "doc.txt"], &vec![b'x'; 2_000_000]).ok();
    home.run(&["put", "doc.part", "small"]).ok();
    let out = home.file("out");
    home.run(&[
        "export",
        "doc.",
        "--format",
        "dir",
        "-o",
        out.to_str().unwrap(),
    ])
    .ok();
    let files = crate::home::files(&out);
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(std::fs::read(out.join("doc.part")).unwrap(), b"small");
    for key in ["a//b", "a/./b", "a/", "/a", "a/../b"] {
        home.run(&["put", key, "x"]).ok();
        home.run(&["export", "--format", "dir", "-o", out.to_str().unwrap()])
            .fails(1, &["no relative path"]);
        home.run(&["del", key]).ok();
    }
}

#[test]
fn rows_and_files_are_imported_and_exported() {
    let home = Home::with_space();
    let json = home.write("rows.json", r#"[{"id":"j1","n":1},{"id":2,"n":2}]"#);
    let ndjson = home.write("rows.ndjson", "{\"id\":\"n1\"}\n{\"id\":\"n2\"}\n");
    let csv = home.write("rows.csv", "mail,name\na@b,\"Ada, L.\"\nc@d,Bob\n");
    std::fs::create_dir_all(home.file("tree/sub")).unwrap();
    home.write("tree/one.txt", "1");
    home.write("tree/sub/two.bin", vec![0xff; 1_200_000]);
    home.run(&["import", &json, &ndjson]).ok();
    home.run(&["import", &csv, "--key", "mail", "--prefix", "person/"])
        .ok();
    let tree = home.file("tree");
    home.run(&["import", tree.to_str().unwrap(), "--prefix", "files/"])
        .ok();
    let keys = "2\nfiles/one.txt\nfiles/sub/two.bin\nj1\nn1\nn2\nperson/a@b\nperson/c@d\n";
    assert_eq!(home.run(&["ls"]).ok(), keys);
    let ada = home.run(&["get", "person/a@b", "--raw"]).json();
    assert_eq!(ada["name"], "Ada, L.");
    home.run(&["commit", "-m", "all kinds"]).ok();
    // Out again: rows, files, an archive.
    let rows = home.run(&["export"]).rows();
    assert_eq!(rows.len(), 8);
    let out = home.file("out");
    home.run(&[
        "export",
        "files/",
        "--format",
        "dir",
        "-o",
        out.to_str().unwrap(),
    ])
    .ok();
    assert_eq!(std::fs::read(out.join("files/one.txt")).unwrap(), b"1");
    let two = std::fs::read(out.join("files/sub/two.bin")).unwrap();
    assert!(two == vec![0xff; 1_200_000]);
    let car = home.file("all.car");
    home.run(&["export", "--format", "car", "-o", car.to_str().unwrap()])
        .ok();
    let archive = std::fs::read(&car).unwrap();
    assert!(archive.len() > 1_200_000);
    let store = allod_blocks::MemoryStore::new();
    let info = allod_blocks::import_car(&store, &mut &archive[..]).unwrap();
    let show = home.json(&["show", "main"]);
    assert_eq!(show["tree"], info.roots[0].to_string());
}

#[test]
fn history_branches_and_positions() {
    let home = Home::with_space();
    let first = home.commit("k", "1");
    let second = home.commit("k", "2");
    let log = home.run(&["log", "--json"]).rows();
    let ids: Vec<&str> = log
        .iter()
        .map(|row| row["commit"].as_str().unwrap())
        .collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    assert_eq!(log[0]["parents"][0], first.as_str());
    assert_eq!(home.run(&["log", "-n", "1"]).ok().lines().count(), 1);
    let end = &first[first.len() - 8..];
    assert_eq!(home.json(&["show", end])["commit"], first.as_str());
    let diff = home.run(&["diff", &first, &second, "--json"]).rows();
    assert_eq!(
        (&diff[0]["before"], &diff[0]["after"]),
        (&"1".into(), &"2".into())
    );
    // A branch of its own, and back.
    home.run(&["branch", "draft"]).ok();
    home.run(&["switch", "draft"]).ok();
    home.commit("k", "draft");
    assert_eq!(home.run(&["get", "k"]).ok(), "draft\n");
    home.run(&["switch", "main"]).ok();
    assert_eq!(home.run(&["get", "k"]).ok(), "2\n");
    home.run(&["switch", "-c", "other"]).ok();
    assert_eq!(home.json(&["status"])["at"], "other");
    let branches = home.run(&["branch", "--json"]).rows();
    assert_eq!(branches.len(), 3);
    // A commit, to look at.
    home.run(&["switch", "--detach", &first]).ok();
    assert_eq!(home.run(&["get", "k"]).ok(), "1\n");
    home.run(&["put", "k", "no"]).fails(2, &["allod branch"]);
    home.run(&["switch", "main"]).ok();
    assert_eq!(home.run(&["conflicts"]).ok(), "");
    let check = home.json(&["check"]);
    assert_eq!(check["problem_count"], 0);
    assert_eq!(check["commits"], 3);
}

/// The README names each command, and what joins is explained by examples.
#[test]
fn commands_are_told_of() {
    let home = Home::empty();
    let help = home.run(&["help"]).ok();
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let (commands, _) = commands.split_once("\n\n").unwrap();
    let names = commands.lines().filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then_some(name)
    });
    let names: Vec<&str> = names.collect();
    assert!(names.len() > 40, "{names:?}");
    let readme = include_str!("../../../../README.md");
    for name in &names {
        let quoted = format!("`{name}");
        let mut found = readme.match_indices(&quoted);
        let is_told = found.any(|(at, _)| readme[at + quoted.len()..].starts_with(['`', ' ']));
        assert!(is_told, "the README says nothing of `{name}`");
    }
    for name in ["values", "counter", "set", "register", "map", "list", "doc"] {
        let help = home.run(&[name, "--help"]).ok();
        assert!(
            help.contains(&format!("Examples:\n  allod {name} ")),
            "{help}"
        );
    }
}

#[test]
fn blobs_and_completions() {
    let home = Home::with_space();
    let content: Vec<u8> = (0..5_000_000u32).map(|n| (n % 253) as u8).collect();
    let path = home.write("film", &content);
    let added = home.json(&["add", &path]);
    assert_eq!(added["size"], 5_000_000);
    let cid = added["cid"].as_str().unwrap();
    assert!(home.run(&["cat", cid]).bytes == content);
    assert!(home.run(&["cat", &format!("ipfs://{cid}")]).bytes == content);
    let piped = home.feed(&["add", "-", "--json"], &content).json();
    assert_eq!(piped["cid"], added["cid"]);
    let completions = home.run(&["completions", "bash"]).ok();
    assert!(completions.contains("complete -F"));
}
