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
