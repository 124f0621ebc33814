//! SQL from the command line.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::home::Home;

const ENDLESS: &str = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c)";

/// Three entries: `a` has 10, `b` has 20, `c` has a text of two lines.
fn with_entries() -> Home {
    let home = Home::with_space();
    home.run(&["put", "a", "10"]).ok();
    home.run(&["put", "b", "20"]).ok();
    home.run(&["put", "c", "two\nlines, \"quoted\""]).ok();
    home.run(&["commit", "-m", "three entries"]).ok();
    home
}

fn sql(home: &Home, statement: &str, args: &[&str]) -> crate::home::Done {
    home.run(&[&["sql", statement], args].concat())
}

/// What each form of output is, with the same rows through a node as without.
#[test]
fn rows_have_many_forms() {
    let home = with_entries();
    let statement = "SELECT _key, value, length(value) AS n, NULL AS none FROM allod_entries";
    let ask = |args: &[&str]| sql(&home, statement, args);
    let forms = || {
        let table = ask(&[]);
        assert_eq!(table.err, "3 rows\n");
        assert_eq!(
            table.ok().lines().collect::<Vec<_>>(),
            [
                "_key  value                  n  none",
                "----  --------------------  --  ----",
                "a     10                     2  -",
                "b     20                     2  -",
                "c     two\\nlines, \"quoted\"  19  -",
            ]
        );
        let csv = ask(&["--format", "csv"]).ok();
        assert_eq!(
            csv,
            "_key,value,n,none\r\na,10,2,\r\nb,20,2,\r\nc,\"two\nlines, \"\"quoted\"\"\",19,\r\n"
        );
        let lines = ask(&["--json"]);
        assert_eq!(lines.err, "");
        let lines = lines.rows();
        assert_eq!(
            lines[0],
            json!({ "_key": "a", "value": "10", "n": 2, "none": null })
        );
        assert_eq!(lines, ask(&["--format", "ndjson"]).rows());
        assert_eq!(Value::from(lines), ask(&["--format", "json"]).json());
    };
    forms();
    let up = home.up();
    forms();
    assert_eq!(up.stop(), Some(0));
    let exact = "SELECT 9223372036854775807 AS i, x'00ff' AS b, 1.0 AS r, 9223372036854775807 AS i";
    assert_eq!(
        sql(&home, exact, &["--json"]).ok(),
        "{\"i\":9223372036854775807,\"b\":{\"base16\":\"00ff\"},\"r\":1.0,\"i_2\":9223372036854775807}\n"
    );
    home.run(&["sql", "SELECT 1", "--json", "--format", "csv"])
        .fails(2, &["--json"]);
}

#[test]
fn parameters_are_typed() {
    let home = with_entries();
    let types = "SELECT typeof(?), typeof(?), typeof(?), typeof(?), typeof(?), ?5 AS code";
    let params = ["null", "-1", "1.5", "text", "'7'"];
    let args: Vec<&str> = params.iter().flat_map(|it| ["--param", it]).collect();
    let row = &sql(&home, types, &[&args[..], &["--format", "csv"]].concat()).ok();
    assert!(
        row.ends_with("\r\nnull,integer,real,text,text,7\r\n"),
        "{row}"
    );
    let found = sql(
        &home,
        "SELECT _key FROM allod_entries WHERE value + 0 > ? AND _key <> ?",
        &["--param", "10", "--param", "x", "--json"],
    );
    assert_eq!(found.rows(), [json!({ "_key": "b" })]);
    sql(&home, "SELECT ?", &[]).fails(1, &["E_SQL_PARAMETERS"]);
    sql(&home, "SELECT 1", &["--param", "1"]).fails(1, &["E_SQL_PARAMETERS"]);
}

#[test]
fn errors_show_their_place() {
    let home = with_entries();
    let bad = "SELECT _key,\n  valu FROM allod_entries";
    let done = sql(&home, bad, &[]);
    assert!(
        done.err
            .ends_with("  2 |   valu FROM allod_entries\n    |   ^\n"),
        "{}",
        done.err
    );
    done.fails(1, &["no such column: valu; is it value? (E_SQL_COLUMN)"]);
    let done = sql(&home, bad, &["--json"]);
    let told: Value = serde_json::from_str(done.err.strip_prefix("error: ").unwrap()).unwrap();
    assert_eq!(done.code, Some(1));
    assert_eq!(
        (
            &told["code"],
            &told["offset"],
            &told["line"],
            &told["column"]
        ),
        (&"E_SQL_COLUMN".into(), &15.into(), &2.into(), &3.into())
    );
    let table = "SELECT * FROM allod_entry";
    sql(&home, table, &[]).fails(1, &["E_SQL_TABLE", "is it allod_entries?", "^"]);
    let state = "SELECT * FROM allod_entries AS OF 'nowhere'";
    sql(&home, state, &[]).fails(1, &["E_SQL_STATE", "nowhere", "^"]);
    sql(&home, "DROP TABLE allod_entries", &[]).fails(1, &["E_SQL_DENIED"]);
    sql(&home, "EXPLAIN SELECT x FROM allod_entries", &[])
        .fails(1, &["E_SQL_COLUMN", "\n    |                ^\n"]);
    sql(&home, " -- nothing", &[]).fails(2, &["no statement"]);
    home.run(&["sql", "SELECT 1", "--timeout", "0"])
        .fails(2, &["0.001"]);
    home.run(&["sql", "--param", "1"]).fails(2, &["STATEMENT"]);
    home.run(&["sql", "SELECT 1", "--at", "nowhere"])
        .fails(1, &["nowhere"]);
}

#[test]
fn standard_input_has_statements() {
    let home = with_entries();
    let script = b"-- two; statements\nSELECT ';' AS a;\n\nSELECT count(*) AS b FROM allod_entries";
    let rows = home.feed(&["sql", "--json"], script).rows();
    assert_eq!(rows, [json!({ "a": ";" }), json!({ "b": 3 })]);
    let tables = home.feed(&["sql", "-"], script).ok();
    assert_eq!(tables, "a\n-\n;\n\nb\n-\n3\n");
    // What comes before a failure counts, and the line of the input is told.
    let done = home.feed(
        &["sql", "--json"],
        b"SELECT 1 AS a;\nSELECT 2 AS b;\nSELEC 3;\nSELECT 4;",
    );
    assert_eq!(done.out, "{\"a\":1}\n{\"b\":2}\n");
    assert!(done.err.contains("\"line\":3"), "{}", done.err);
    assert_eq!(done.code, Some(1));
    home.feed(&["sql"], b"SELECT '\xff'")
        .fails(1, &["line 1", "UTF-8"]);
    let long = [b"SELECT '", vec![b'x'; 2 << 20].as_slice(), b"';"].concat();
    home.feed(&["sql"], &long).fails(1, &["E_SQL_LIMIT"]);
    assert_eq!(home.run(&["sql"]).ok(), "");
    // A node reads the input of whoever asks.
    let up = home.up();
    assert_eq!(home.feed(&["sql", "--json"], script).rows(), rows);
    assert_eq!(up.stop(), Some(0));
}

/// Records of the type `item`: a has 10, b 20, c 30.
fn with_items() -> Home {
    let home = Home::with_space();
    home.run(&["type", "define", "item", "--field", "n:integer"])
        .ok();
    let rows = "INSERT INTO item (_id, n) VALUES ('a', 10), ('b', 20), ('c', 30)";
    home.run(&["sql", rows]).ok();
    home.run(&["commit", "-m", "three items"]).ok();
    home
}

#[test]
fn what_is_written_is_staged_and_seen_by_what_follows() {
    let home = with_items();
    let script = b"INSERT INTO item (_id, n) VALUES ('d', 1), ('e', 2);\n\
        SELECT count(*) AS n FROM item;\n\
        DELETE FROM item WHERE _id = 'a';\n\
        SELECT count(*) AS n FROM item";
    let rows = home.feed(&["sql", "--json"], script).rows();
    assert_eq!(
        rows,
        [
            json!({ "written": 2 }),
            json!({ "n": 5 }),
            json!({ "written": 1 }),
            json!({ "n": 4 })
        ]
    );
    assert_eq!(home.staged(), 3);
    let done = sql(&home, "UPDATE item SET n = 7 WHERE _key = 'item:d'", &[]);
    assert_eq!(done.err, "1 row written, staged on main\n");
    assert_eq!(done.ok(), "");
    assert_eq!(home.run(&["get", "item:d"]).ok(), "{\"n\":7}\n");
    sql(&home, "UPDATE item SET n = 'x'", &[]).fails(1, &["E_SQL_CONSTRAINT", "expected integer"]);
    // Elsewhere it is as it was.
    let count = "SELECT count(*) AS n FROM item AS OF 'main'";
    assert_eq!(home.json(&["sql", count])["n"], 3);
    let commit = home.json(&["show", "main"])["commit"].clone();
    let first = commit.as_str().unwrap();
    let at = ["sql", "SELECT count(*) AS n FROM item", "--at", first];
    assert_eq!(home.json(&at)["n"], 3);
    home.run(&["sql", "DELETE FROM item", "--at", first])
        .fails(1, &["E_SQL_READ_ONLY"]);
    home.run(&["branch", "side"]).ok();
    home.run(&["sql", "DELETE FROM item", "--at", "side", "-q"])
        .ok();
    assert_eq!(home.staged(), 3, "it was staged on the other branch");
    home.run(&["switch", "side"]).ok();
    assert_eq!(home.staged(), 3);
}

/// A table beside its own past, what differs, and the history.
#[test]
fn states_are_part_of_the_language() {
    let home = with_items();
    home.run(&["tag", "v1", "main"]).ok();
    home.run(&["switch", "-c", "draft"]).ok();
    home.run(&["sql", "UPDATE item SET n = n * 2 WHERE n > 10"])
        .ok();
    home.run(&["sql", "DELETE FROM item WHERE _id = 'a'"]).ok();
    home.run(&["commit", "-m", "doubled"]).ok();
    let past = "SELECT now._id, old.n AS old, now.n AS now FROM item now JOIN item AS OF 'v1' old USING (_key) ORDER BY 1";
    let rows = sql(&home, past, &["--json"]).rows();
    assert_eq!(
        rows,
        [
            json!({ "_id": "b", "old": 20, "now": 40 }),
            json!({ "_id": "c", "old": 30, "now": 60 })
        ]
    );
    let diff = "DIFF 'v1' 'draft' ON item WHERE _change = 'removed'";
    assert_eq!(sql(&home, diff, &["--json"]).rows()[0]["old_n"], 10);
    let sum = "SELECT sum(n) AS n FROM item ON BRANCH 'main'";
    assert_eq!(home.json(&["sql", sum])["n"], 60);
    let log = "SELECT message FROM allod_log() ORDER BY generation DESC LIMIT 1";
    assert_eq!(home.json(&["sql", log])["message"], "doubled");
    sql(&home, "SELECT * FROM item AS OF 'v2'", &[]).fails(1, &["E_SQL_STATE", "v2", "^"]);
    sql(&home, "SELECT * FROM itm", &[]).fails(1, &["is it item?"]);
    home.run(&[
        "projection",
        "create",
        "by_n",
        "--source",
        "item:*",
        "--index",
        "n",
    ])
    .ok();
    let many = format!("INSERT INTO item (_id, n) {ENDLESS} SELECT 'r' || x, x FROM c LIMIT 500");
    sql(&home, &many, &[]).ok();
    home.run(&["commit", "-m", "many"]).ok();
    home.run(&["projection", "query", "by_n"]).ok();
    let plan = sql(&home, "SELECT * FROM item WHERE n = 40", &["--explain"]).ok();
    assert!(plan.contains("by_n (n=?)"), "{plan}");
}

#[test]
fn limits_end_a_statement() {
    let home = with_entries();
    let endless = format!("{ENDLESS} SELECT count(*) FROM c");
    let started = Instant::now();
    sql(&home, &endless, &["--timeout", "0.2"]).fails(1, &["time", "E_SQL_LIMIT", "--timeout"]);
    assert!(started.elapsed() < Duration::from_secs(10));
    let rows = format!("{ENDLESS} SELECT x FROM c");
    let done = sql(&home, &rows, &["--max-rows", "2"]);
    assert_eq!(done.out, "x\n-\n1\n2\n");
    done.fails(1, &["rows", "E_SQL_LIMIT", "--max-rows"]);
    // A reader that has enough ends it without a failure.
    let mut child = home
        .command(&["sql", &rows, "--format", "ndjson"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 8];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"{\"x\":1}\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn plans_and_tables_are_shown() {
    let home = with_entries();
    let join = "SELECT * FROM allod_entries a JOIN (SELECT _key FROM allod_entries LIMIT 2) b USING (_key)";
    let tree = sql(&home, join, &["--explain"]).ok();
    assert!(
        tree.lines()
            .any(|line| line.starts_with("  SCAN allod_entries")),
        "{tree}"
    );
    assert_eq!(sql(&home, &format!("EXPLAIN {join}"), &[]).ok(), tree);
    assert_eq!(
        sql(&home, &format!("EXPLAIN QUERY PLAN {join}"), &[]).ok(),
        tree
    );
    let rows = sql(&home, join, &["--explain", "--json"]).rows();
    assert_eq!(rows.len(), tree.lines().count());
    assert!(rows[1]["parent"].is_number() && rows[1]["detail"].is_string());
    let shown = home.run(&["sql", "--tables"]).ok();
    assert!(
        shown.starts_with("allod_entries  _key value size file written\n"),
        "{shown}"
    );
    let tables = home.run(&["sql", "--tables", "--json"]).rows();
    assert_eq!(tables[0]["columns"][1]["column"], "value");
    assert_eq!(
        home.run(&["sql", "--describe", "ALLOD_entries"]).ok(),
        "_key     TEXT\nvalue    ANY\nsize     INTEGER\nfile     TEXT\nwritten  TEXT\n"
    );
    home.run(&["sql", "--describe", "x"])
        .fails(1, &["no table", "--tables"]);
    let timed = sql(&home, "SELECT 1", &["--timing"]);
    assert!(timed.err.starts_with("1 row in 0."), "{}", timed.err);
}

#[test]
fn rows_are_drawn() {
    let home = with_entries();
    let numbers = "SELECT _key, value + 0 AS n FROM allod_entries WHERE _key < 'c'";
    let bars = sql(&home, numbers, &["--plot", "bar"]).ok();
    let lengths: Vec<usize> = bars.lines().map(|line| line.matches('#').count()).collect();
    assert_eq!(lengths, [0, 37, 74], "{bars}");
    let line = sql(&home, numbers, &["--plot", "line"]).ok();
    assert!(
        line.lines().all(|line| line.len() <= 80) && line.contains('+'),
        "{line}"
    );
    let svg = sql(&home, numbers, &["--plot", "bar", "--svg", "-"]).ok();
    well_formed(&svg);
    assert!(svg.contains("<title>SELECT _key, value + 0 AS n") && svg.contains("_key &lt; 'c'"));
    for kind in ["bar", "line", "scatter"] {
        let done = sql(&home, numbers, &["--plot", kind, "--svg", "plot.svg"]);
        assert!(done.err.contains("plot.svg"), "{}", done.err);
        done.ok();
        well_formed(&std::fs::read_to_string(home.file("plot.svg")).unwrap());
    }
    // Where the one who asks wants it, through a node as well.
    let up = home.up();
    sql(&home, numbers, &["--plot", "bar", "--svg", "asked.svg"]).ok();
    assert_eq!(sql(&home, numbers, &["--plot", "bar"]).ok(), bars);
    assert_eq!(up.stop(), Some(0));
    assert_eq!(
        std::fs::read_to_string(home.file("asked.svg")).unwrap(),
        svg
    );
    sql(
        &home,
        "SELECT _key, value FROM allod_entries",
        &["--plot", "bar"],
    )
    .fails(2, &["no numbers"]);
    sql(&home, &format!("{numbers};{numbers}"), &["--plot", "bar"]).fails(2, &["one statement"]);
    sql(
        &home,
        &format!("{ENDLESS} SELECT x, x FROM c"),
        &["--plot", "bar"],
    )
    .fails(2, &["10000 rows"]);
    sql(&home, numbers, &["--svg", "-"]).fails(2, &["--plot"]);
}

/// Reads a picture with the parser of Python, which accepts only XML.
fn well_formed(svg: &str) {
    let mut python = Command::new("python3");
    python.args([
        "-c",
        "import sys, xml.dom.minidom as m; m.parseString(sys.stdin.buffer.read())",
    ]);
    let mut child = python.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(svg.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{svg}");
}

/// A terminal, and the shell that runs in it.
struct Terminal {
    keys: File,
    shown: Arc<Mutex<String>>,
    /// How much of what is shown was waited for.
    seen: usize,
    child: Child,
}

impl Terminal {
    fn new(home: &Home, args: &[&str]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let open = || {
            File::options()
                .read(true)
                .write(true)
                .open(name.to_str().unwrap())
        };
        // With a session of its own, the terminal sends Ctrl-C to what runs in it.
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", env!("CARGO_BIN_EXE_allod")]);
        command.args(args).current_dir(home.dir.path());
        command.env("ALLOD_HOME", home.path()).env("TERM", "xterm");
        command
            .stdin(open().unwrap())
            .stdout(open().unwrap())
            .stderr(open().unwrap());
        let child = command.spawn().unwrap();
        drop(command);
        let keys = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut screen, into) = (keys.try_clone().unwrap(), Arc::clone(&shown));
        // Ends with an error once nobody has the terminal open.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = screen.read(&mut buffer) {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                into.lock().unwrap().push_str(&text);
            }
        });
        Self {
            keys,
            shown,
            seen: 0,
            child,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether a text is shown behind what was waited for before, within a while.
    fn shows(&mut self, text: &str, wait: Duration) -> bool {
        let started = Instant::now();
        loop {
            let shown = self.shown.lock().unwrap();
            if let Some(at) = shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return true;
            }
            drop(shown);
            if started.elapsed() > wait {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        let is_shown = self.shows(text, Duration::from_secs(20));
        assert!(is_shown, "{text:?} after: {}", self.shown.lock().unwrap());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The shell as somebody uses it, by itself and beside a node.
#[test]
fn the_shell_takes_statements_and_commands() {
    let home = with_entries();
    for is_up in [false, true] {
        let up = is_up.then(|| home.up());
        let mut shell = Terminal::new(&home, &["sql"]);
        shell.wait_for("allod> ");
        // Completed, and on two lines.
        shell.press("SELECT count(*) + 40 AS n FROM allod_e\t\r");
        shell.wait_for("allod_entries");
        shell.press("WHERE _key < 'c';\r");
        shell.wait_for("\r\n42\r\n");
        shell.wait_for("1 row");
        shell.wait_for("allod> ");
        shell.press("\\d allod_entries\r");
        shell.wait_for("written  TEXT");
        shell.press("\\format csv\r");
        shell.press("SELECT 'x' AS y, 'z';\r");
        shell.wait_for("y,'z'\r");
        shell.wait_for("x,z");
        shell.press("\\plot bar SELECT 'lbl', 5;\r");
        shell.wait_for("lbl |####");
        shell.press("\\nothing\r");
        shell.wait_for("no command");
        shell.press("SELECT x;\r");
        shell.wait_for("E_SQL_COLUMN");
        shell.wait_for("allod> ");
        shell.press(&format!("{ENDLESS} SELECT count(*) FROM c;\r"));
        shell.wait_for("FROM c;");
        let mut tries = 0..100;
        while !shell.shows("cancelled", Duration::from_millis(200)) {
            assert!(tries.next().is_some(), "{}", shell.shown.lock().unwrap());
            shell.press("\u{3}");
        }
        // What was said is kept, and the last comes first.
        shell.press("SELECT 6 * 7 AS product;\r");
        shell.wait_for("product\r");
        shell.wait_for("42\r");
        shell.wait_for("allod> ");
        shell.press("\\q\r");
        assert_eq!(shell.child.wait().unwrap().code(), Some(0));
        if let Some(up) = up {
            assert_eq!(up.stop(), Some(0));
        }
    }
    let history = std::fs::read_to_string(home.path().join("sql_history")).unwrap();
    assert!(history.ends_with("\\\\q\n"), "{history}");
    assert!(history.contains("SELECT 'x' AS y, 'z';\n"), "{history}");
}

#[test]
fn a_shell_without_a_home_says_so() {
    let home = Home::empty();
    let mut shell = Terminal::new(&home, &["sql"]);
    shell.wait_for("error: ");
    assert_eq!(shell.child.wait().unwrap().code(), Some(1));
}
