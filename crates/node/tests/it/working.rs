//! What is staged, by commands.

use crate::home::Home;

#[test]
fn staged_edits_are_dropped_by_key_or_all() {
    let home = Home::with_space();
    home.commit("a", "1");
    for key in ["a", "b", "c"] {
        home.run(&["put", key, "2"]).ok();
    }
    home.run(&["unstage"]).fails(2, &[]);
    home.run(&["unstage", "a", "x"])
        .fails(1, &["x", "not staged"]);
    assert_eq!(home.json(&["unstage", "a"])["unstaged"], 1);
    assert_eq!(home.run(&["get", "a"]).ok(), "1\n");
    assert_eq!(home.json(&["unstage", "--all"])["unstaged"], 2);
    assert_eq!(home.run(&["ls"]).ok(), "a\n");
}

#[test]
fn a_stash_survives_a_switch_and_is_merged_when_it_comes_back() {
    let home = Home::with_space();
    home.commit("k", "base");
    home.run(&["stash"]).fails(1, &["nothing is staged"]);
    home.run(&["put", "k", "mine"]).ok();
    home.run(&["put", "new", "1"]).ok();
    assert_eq!(home.json(&["stash", "-m", "later"])["stash"], 1);
    assert_eq!(home.staged(), 0);
    home.run(&["switch", "-c", "side"]).ok();
    home.run(&["switch", "main"]).ok();
    home.commit("k", "ours");
    let list = home.json(&["stash", "list"]);
    assert_eq!(
        (&list["message"], &list["keys"], &list["branch"]),
        (&"later".into(), &2.into(), &"main".into())
    );
    assert_eq!(
        home.run(&["stash", "show", "--json"]).rows()[0]["value"],
        "mine"
    );
    home.run(&["stash", "pop"])
        .fails(1, &["1 conflicts", "stash 1 is kept", "--theirs"]);
    assert_eq!(home.staged(), 0);
    let done = home.json(&["stash", "apply", "1", "--ours"]);
    assert_eq!(
        (&done["keys"][0], &done["kept"]),
        (&"new".into(), &true.into())
    );
    home.run(&["unstage", "--all"]).ok();
    assert_eq!(home.json(&["stash", "pop", "--theirs"])["staged"], 2);
    assert_eq!(home.run(&["get", "k"]).ok(), "mine\n");
    home.run(&["stash", "pop"]).fails(1, &["no stash"]);
    home.run(&["stash", "drop", "1"]).fails(1, &["no stash 1"]);
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn moves_are_listed_and_taken_back() {
    let home = Home::with_space();
    let first = home.commit("k", "1");
    let second = home.commit("k", "2");
    let moves = home.run(&["undo", "--list", "--json"]).rows();
    assert_eq!(moves.len(), 2);
    assert_eq!(
        (&moves[0]["from"][0], &moves[0]["to"][0]),
        (&first.as_str().into(), &second.as_str().into())
    );
    let number = moves[1]["move"].to_string();
    home.run(&["undo", &number])
        .fails(1, &["moved since", &moves[0]["move"].to_string()]);
    assert_eq!(home.json(&["undo"])["to"][0], first.as_str());
    assert_eq!(home.run(&["get", "k"]).ok(), "1\n");
    home.run(&["undo"]).ok();
    assert_eq!(home.run(&["get", "k"]).ok(), "2\n");
    home.run(&["undo", "99"]).fails(1, &["no move 99"]);

    home.run(&["switch", "-c", "side"]).ok();
    home.run(&["undo"]).fails(1, &["current branch"]);
    let third = home.commit("s", "1");
    home.run(&["switch", "main"]).ok();
    home.run(&["branch", "-d", "side", "--force"]).ok();
    let gone = home.run(&["undo", "--list", "--json"]).rows()[0]["move"].to_string();
    home.run(&["undo", &gone]).ok();
    assert_eq!(home.json(&["show", "side"])["commit"], third.as_str());
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}

#[test]
fn tags_are_made_read_and_deleted() {
    let home = Home::with_space();
    home.run(&["tag", "v1"]).fails(1, &["no commit yet"]);
    let first = home.commit("k", "1");
    assert_eq!(
        home.json(&["tag", "v1", "-m", "First"])["commit"],
        first.as_str()
    );
    home.commit("k", "2");
    home.run(&["tag", "v1"]).fails(1, &["v1 exists already"]);
    home.run(&["tag", "V1"]).fails(1, &["called v1"]);
    home.run(&["tag", "a..b/.c"]).fails(2, &["name"]);
    home.run(&["branch", "v1"]).fails(1, &["called v1"]);
    assert_eq!(home.run(&["get", "k", "--at", "v1"]).ok(), "1\n");
    assert_eq!(home.json(&["show", "v1"])["commit"], first.as_str());
    home.run(&["branch", "old", "v1"]).ok();
    let row = home.json(&["tag"]);
    assert_eq!(
        (&row["tag"], &row["message"], &row["here"]),
        (&"v1".into(), &"First".into(), &true.into())
    );
    home.run(&["tag", "-d", "v1"]).ok();
    home.run(&["tag", "-d", "v1"]).fails(1, &["no tag v1"]);
    home.run(&["get", "k", "--at", "v1"]).fails(1, &["v1"]);
    home.run(&["tag", "v1", "main"]).ok();
    assert_eq!(home.run(&["get", "k", "--at", "v1"]).ok(), "2\n");
    assert_eq!(home.json(&["check"])["problem_count"], 0);
}
