//! Differences and patches by commands.

use crate::home::Home;

#[test]
fn a_patch_goes_to_another_home_and_back() {
    let (one, two) = (Home::with_space(), Home::with_space());
    for home in [&one, &two] {
        home.commit("notes/a", "1");
        home.commit("notes/b", "1");
    }
    one.run(&["put", "notes/a", "two"]).ok();
    one.run(&["del", "notes/b"]).ok();
    one.run(&["put", "other", "x"]).ok();
    let rows = one.run(&["diff", "--json"]).rows();
    let keys: Vec<&str> = rows
        .iter()
        .map(|row| row["key"].as_str().unwrap())
        .collect();
    assert_eq!(keys, ["notes/a", "notes/b", "other"]);
    assert_eq!(rows[0]["before"], "1");
    assert_eq!(rows[0]["after"], "two");
    assert!(rows[1]["after"].is_null() && rows[2]["before"].is_null());
    let stat = one.json(&["diff", "--stat"]);
    let numbers = [
        "added",
        "added_bytes",
        "changed",
        "changed_bytes_before",
        "changed_bytes_after",
    ];
    assert_eq!(
        numbers.map(|name| stat[name].as_u64().unwrap()),
        [1, 1, 1, 1, 3]
    );
    assert_eq!(
        (&stat["removed"], &stat["removed_bytes"]),
        (&1.into(), &1.into())
    );
    let shown = |args: &[&str]| one.run(&[&["diff"][..], args].concat()).ok();
    assert_eq!(
        shown(&["--prefix", "notes/"]),
        "~ notes/a  two\n- notes/b  1\n"
    );
    assert_eq!(
        shown(&["--from", "notes/b", "--to", "other"]),
        "- notes/b  1\n"
    );

    let patch = one.run(&["diff", "--patch"]).ok();
    let file = two.write("a.patch", &patch);
    let staged = |home: &Home| home.run(&["diff", "--json"]).ok();
    assert_eq!(two.json(&["apply", &file, "--check"])["applies"], 3);
    assert_eq!(staged(&two), "");
    assert_eq!(two.json(&["apply", &file])["staged"], 3);
    assert_eq!(staged(&two), staged(&one));
    two.run(&["apply", &file])
        .fails(1, &["3 keys", "notes/a", "notes/b", "other"]);
    two.feed(&["apply", "-", "--reverse"], patch.as_bytes())
        .ok();
    assert_eq!(staged(&two), "");
    two.commit("notes/b", "mine");
    two.run(&["apply", &file]).fails(1, &["1 keys", "notes/b"]);
    two.run(&["apply", &file, "--check"]).fails(1, &["notes/b"]);
    assert_eq!(staged(&two), "");
    let cut: String = patch.split_inclusive('\n').take(2).collect();
    two.feed(&["apply", "-"], cut.as_bytes())
        .fails(1, &["3 changes"]);
    // By the node that holds the home, too.
    let up = two.up();
    two.feed(&["apply", "-"], cut.as_bytes())
        .fails(1, &["3 changes"]);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn keys_are_counted_and_listed_page_by_page() {
    let home = Home::with_space();
    for key in ["a/1", "a/2", "a/3", "b"] {
        home.commit(key, "x");
    }
    home.run(&["del", "a/2"]).ok();
    let commit = home.run(&["commit", "-m", "less"]);
    commit.ok();
    home.run(&["put", "c", "staged"]).ok();
    let ls = |args: &[&str]| home.run(&[&["ls"][..], args].concat()).ok();
    assert_eq!(ls(&["--count"]), "4\n");
    assert_eq!(ls(&["--count", "--live"]), "4\n");
    assert_eq!(ls(&["--count", "a/"]), "3\n");
    assert_eq!(ls(&["--count", "--live", "a/"]), "2\n");
    assert_eq!(ls(&["-n", "2"]), "a/1\na/3\n");
    assert_eq!(ls(&["-n", "2", "--after", "a/3"]), "b\nc\n");
    assert_eq!(ls(&["a/", "--after", "a/1"]), "a/3\n");
    assert_eq!(ls(&["b", "--after", "a/1"]), "b\n");
}
