//! What who bears a session token may do over HTTP: HTTP-83 to HTTP-89, ACCESS-20 to ACCESS-26.

use serde_json::{Value, json};

use crate::home::Home;
use crate::http_client::{Answer, Served};

const SPACE: &str = "/v1/spaces/notes";

/// A value that becomes a file.
const FILE_BYTES: usize = 1_100_000;

/// A served space with rules: who is a viewer reads `public/`, who is an editor writes there; on `main` alone.
struct Ruled {
    served: Served,
    /// A commit on `hidden`, and nowhere else.
    hidden: String,
    /// A file under `secret/`.
    file: String,
}

impl Ruled {
    fn new() -> Self {
        let home = Home::with_space();
        home.commit("public/a", "1");
        home.commit("public/b", "2");
        home.run(&["put", "secret/x", "hush"]).ok();
        home.commit("public/c", "3");
        home.run(&["branch", "hidden"]).ok();
        home.run(&["switch", "hidden"]).ok();
        let hidden = home.commit("public/h", "hidden value");
        home.run(&["switch", "main"]).ok();
        let served = Served::of(home, &[]);
        for args in [
            &[
                "key",
                "public/*",
                "--allow",
                "viewer=read",
                "--allow",
                "editor=read,write,delete",
            ][..],
            &[
                "branch",
                "main",
                "--allow",
                "viewer=read",
                "--allow",
                "editor=read,write,create",
            ],
            &[
                "branch",
                "own/*",
                "--allow",
                "editor=read,write,create,delete",
            ],
        ] {
            served.home.run(&[&["rules", "set"], args].concat()).ok();
        }
        let path = format!("{SPACE}/entries/secret%2Ffile");
        let put = served
            .send("PUT", &path, &[], &vec![b'x'; FILE_BYTES])
            .is(201);
        let file = put.header("etag").trim_matches('"').to_owned();
        Self {
            served,
            hidden,
            file,
        }
    }

    fn token(&self, asked: &Value) -> Bearer<'_> {
        let begun = self.served.post("/v1/session", asked).is(201).json();
        let token = begun["token"].as_str().unwrap().to_owned();
        Bearer {
            served: &self.served,
            token,
        }
    }

    /// Somebody with roles, who may use them for everything.
    fn role(&self, roles: &[&str]) -> Bearer<'_> {
        self.token(&json!({ "user": "ada", "roles": roles, "can": ["/"] }))
    }
}

struct Bearer<'a> {
    served: &'a Served,
    token: String,
}

impl Bearer<'_> {
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let shown = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", &shown[..])];
        if method == "POST" {
            headers.push(("content-type", "application/json"));
        }
        self.served.send(method, path, &headers, body)
    }

    fn get(&self, rest: &str) -> Answer {
        self.ask("GET", &format!("{SPACE}{rest}"), b"")
    }

    fn post(&self, rest: &str, body: &Value) -> Answer {
        self.ask(
            "POST",
            &format!("{SPACE}{rest}"),
            body.to_string().as_bytes(),
        )
    }

    fn sql(&self, sql: &str) -> Answer {
        self.post("/sql", &json!({ "sql": sql }))
    }

    #[track_caller]
    fn keys(&self, rest: &str) -> Vec<String> {
        let page = self.get(rest).is(200).json();
        let entries = page["entries"].as_array().unwrap();
        let keys = entries
            .iter()
            .map(|entry| entry["key"].as_str().unwrap().to_owned());
        keys.collect()
    }
}

#[test]
fn what_may_not_be_read_is_not_told_of() {
    let ruled = Ruled::new();
    let viewer = ruled.role(&["viewer"]);
    assert_eq!(
        viewer.keys("/entries"),
        ["public/a", "public/b", "public/c"]
    );
    let page = viewer.get("/entries?limit=2").is(200).json();
    assert_eq!(page["next"], "public/b");
    // The last page does not say that anything follows.
    let last = viewer.get("/entries?limit=2&after=public/b").is(200);
    assert_eq!(
        (last.json()["next"].clone(), last.header("link")),
        (Value::Null, "")
    );
    assert_eq!(viewer.keys("/entries?reverse=true&limit=1"), ["public/c"]);
    viewer
        .get("/entries?prefix=secret/")
        .fails(403, "E_HTTP_DENIED");
    // The same words whether there is such a key or not.
    let (there, none) = (
        viewer.get("/entries/secret%2Fx"),
        viewer.get("/entries/secret%2Fnone"),
    );
    assert_eq!((there.status, there.text()), (403, none.text()));
    assert_eq!(viewer.get("/entries/public%2Fa").is(200).text(), "1");
    viewer
        .get("/entries/public%2Fnone")
        .fails(404, "E_HTTP_ENTRY");
    let diff = viewer.get("/diff").is(200).text();
    assert!(
        diff.contains("public/a") && !diff.contains("secret"),
        "{diff}"
    );
    // A commit tells of all its keys.
    viewer.get("/commits").fails(403, "E_HTTP_DENIED");
    viewer.get("/commits/main").fails(403, "E_HTTP_DENIED");
    // A branch that may not be read, by its name and by a commit.
    let branches = viewer.get("/branches").is(200).json();
    let branches = branches["branches"].as_array().unwrap().iter();
    let names: Vec<&Value> = branches.map(|branch| &branch["name"]).collect();
    assert_eq!(names, ["main", "meta"]);
    for name in ["hidden", "nowhere"] {
        viewer
            .get(&format!("/branches/{name}"))
            .fails(403, "E_HTTP_DENIED");
        viewer
            .get(&format!("/entries?branch={name}"))
            .fails(403, "E_HTTP_DENIED");
        viewer
            .get(&format!("/entries?at={name}"))
            .fails(404, "E_HTTP_STATE");
    }
    let hidden = &ruled.hidden;
    viewer
        .get(&format!("/entries?at={hidden}"))
        .fails(404, "E_HTTP_STATE");
    viewer
        .get(&format!("/entries?at={}", &hidden[..20]))
        .fails(404, "E_HTTP_STATE");
    viewer
        .get(&format!("/commits/{hidden}"))
        .fails(404, "E_HTTP_STATE");
    viewer
        .get(&format!("/diff?from={hidden}"))
        .fails(404, "E_HTTP_STATE");
    // A history that may be read is no way to another one.
    let owner = ruled.role(&["owner"]);
    owner.get("/commits").is(200);
    owner
        .get(&format!("/commits?branch=main&after={hidden}"))
        .fails(400, "E_HTTP_REQUEST");
    // Each refusal is noted with why, and without the token (ACCESS-25, ACCESS-33).
    let noted = ruled.served.home.path().join("decisions.jsonl");
    let noted = std::fs::read_to_string(noted).unwrap();
    assert!(
        noted.contains("main secret/x") && noted.contains("no grant"),
        "{noted}"
    );
    assert!(!noted.contains(&viewer.token));
    ruled.served.stop();
}

#[test]
fn sql_gives_the_rows_that_may_be_read() {
    let ruled = Ruled::new();
    let (viewer, owner) = (ruled.role(&["viewer"]), ruled.role(&["owner"]));
    let count =
        |bearer: &Bearer<'_>, sql: &str| bearer.sql(sql).is(200).json()["rows"][0][0].clone();
    for (sql, seen, all) in [
        ("SELECT count(*) FROM allod_entries", 3, 5),
        (
            "SELECT count(*) FROM allod_entries WHERE _key = 'secret/x'",
            0,
            1,
        ),
        ("SELECT count(*) FROM allod_entries WHERE _key > 'q'", 0, 2),
        ("SELECT count(*) FROM allod_blame('*')", 3, 5),
        ("SELECT count(*) FROM allod_branches()", 2, 3),
    ] {
        assert_eq!(count(&viewer, sql), seen, "{sql}");
        assert_eq!(count(&owner, sql), all, "{sql}");
    }
    for sql in [
        "SELECT * FROM allod_log()",
        "SELECT * FROM allod_log('hidden')",
        "SELECT * FROM allod_conflicts('hidden')",
        "SELECT * FROM allod_entries ON BRANCH 'hidden'",
        "SELECT * FROM allod_entries AS OF 'hidden'",
        "SELECT * FROM allod_entries ON BRANCH 'nowhere'",
    ] {
        let answer = viewer.sql(sql);
        assert!(!answer.text().contains("hidden value"), "{sql}");
        answer.fails(422, "E_SQL_STATE");
    }
    assert_eq!(
        count(
            &owner,
            "SELECT count(*) FROM allod_entries ON BRANCH 'hidden'"
        ),
        5
    );
    let at = format!("SELECT * FROM allod_entries AS OF '{}'", ruled.hidden);
    viewer.sql(&at).fails(422, "E_SQL_STATE");
    owner.sql(&at).is(200);
    let ask = json!({ "sql": "SELECT 1", "branch": "hidden" });
    viewer.post("/sql", &ask).fails(403, "E_HTTP_DENIED");
    ruled.served.stop();
}

#[test]
fn writes_are_asked_for_key_by_key() {
    let ruled = Ruled::new();
    let (viewer, editor) = (ruled.role(&["viewer"]), ruled.role(&["editor"]));
    let at = |key: &str| format!("{SPACE}/entries/{key}");
    viewer
        .ask("PUT", &at("public%2Fd"), b"4")
        .fails(403, "E_HTTP_DENIED");
    viewer
        .ask("DELETE", &at("public%2Fa"), b"")
        .fails(403, "E_HTTP_DENIED");
    editor.ask("PUT", &at("public%2Fd"), b"4").is(201);
    editor.ask("PUT", &at("public%2Fd"), b"5").is(200);
    editor.ask("DELETE", &at("public%2Fd"), b"").is(200);
    for (key, method) in [
        ("secret%2Fx", "PUT"),
        ("secret%2Fnone", "PUT"),
        ("secret%2Fx", "DELETE"),
    ] {
        editor
            .ask(method, &at(key), b"4")
            .fails(403, "E_HTTP_DENIED");
    }
    // All changes of a commit, or none.
    let both = json!({ "changes": [{ "key": "public/e", "text": "1" }, { "key": "secret/e", "text": "1" }] });
    editor.post("/commits", &both).fails(403, "E_HTTP_DENIED");
    editor.get("/entries/public%2Fe").fails(404, "E_HTTP_ENTRY");
    let one = json!({ "changes": [{ "key": "public/e", "text": "1" }] });
    editor.post("/commits", &one).is(201);
    // What it may be used for is less than what its roles may.
    let reader = ruled.token(&json!({ "user": "ada", "roles": ["editor"], "can": ["read"] }));
    reader.get("/entries/public%2Fa").is(200);
    reader
        .ask("PUT", &at("public%2Fd"), b"4")
        .fails(403, "E_HTTP_DENIED");
    // Who may not read a key does not hear by a write whether it was there.
    let writer =
        ruled.token(&json!({ "user": "ada", "roles": ["editor"], "can": ["write", "delete"] }));
    writer.ask("PUT", &at("public%2Fnew"), b"4").is(200);
    writer
        .ask("DELETE", &at("public%2Fnew"), b"")
        .fails(404, "E_HTTP_SPACE");
    // A file that may not be read is not read by a link to it.
    let file = &ruled.file;
    let cid = format!("/v1/blobs/{file}");
    editor.ask("GET", &cid, b"").fails(404, "E_HTTP_BLOB");
    editor
        .ask("GET", &format!("{cid}?space=notes&key=secret%2Ffile"), b"")
        .fails(403, "E_HTTP_DENIED");
    let link = json!({ "changes": [{ "key": "public/steal", "file": file }] });
    editor
        .post("/commits", &link)
        .fails(422, "E_HTTP_NEEDS_FILE");
    ruled.served.ask("GET", &cid).is(200);
    // A branch begins with what may be read of all keys, so that it is no way around rules.
    let begin = |name: &str, at: &str| json!({ "name": name, "at": at });
    editor
        .post("/branches", &begin("own/x", "main"))
        .fails(403, "E_HTTP_DENIED");
    editor
        .post("/branches", &begin("own/x", "hidden"))
        .fails(404, "E_HTTP_STATE");
    editor
        .post("/branches", &begin("other", "main"))
        .fails(403, "E_HTTP_DENIED");
    for name in ["hidden", "none"] {
        editor
            .ask("DELETE", &format!("{SPACE}/branches/{name}"), b"")
            .fails(403, "E_HTTP_DENIED");
    }
    ruled.served.stop();
}

#[test]
fn events_are_told_of_what_may_be_read() {
    let ruled = Ruled::new();
    let body = json!({ "message": "both", "changes": [
        { "key": "public/both", "text": "seen" }, { "key": "secret/both", "text": "unseen" },
    ] });
    let path = format!("{SPACE}/commits");
    ruled.served.post(&path, &body).is(201);
    let all = "/v1/events?from=beginning&limit=1000";
    let told = ruled
        .role(&["member", "viewer"])
        .ask("GET", all, b"")
        .is(200)
        .text();
    assert!(
        told.contains("public/both") && told.contains("seen"),
        "{told}"
    );
    for never in ["secret", "unseen", "hidden value", "\"hidden\""] {
        assert!(!told.contains(never), "{never} in {told}");
    }
    let owner = ruled.role(&["owner"]).ask("GET", all, b"").is(200).text();
    assert!(owner.contains("secret/both") && owner.contains("unseen"));
    // Without the right to hear, nothing of the space is told.
    let viewer = ruled.role(&["viewer"]);
    assert_eq!(viewer.ask("GET", all, b"").is(200).text(), "[]");
    viewer
        .ask("GET", &format!("{all}&space=notes"), b"")
        .fails(403, "E_HTTP_DENIED");
    ruled.served.stop();
}

#[test]
fn who_may_read_nothing_hears_of_no_space() {
    let ruled = Ruled::new();
    let elsewhere = ruled.served.home.run(&["space", "new", "other"]);
    elsewhere.ok();
    let stranger = ruled.role(&[]);
    let wrong = json!({ "user": "ada", "roles": ["owner"], "can": ["/"], "space": "other" });
    let wrong = ruled.token(&wrong);
    for bearer in [&stranger, &wrong] {
        let spaces = bearer.ask("GET", "/v1/spaces", b"").is(200).text();
        assert!(!spaces.contains("notes"), "{spaces}");
        for rest in [
            "",
            "/entries",
            "/entries/public%2Fa",
            "/branches",
            "/branches/main",
            "/tags",
            "/commits",
            "/diff",
        ] {
            let of = |space: &str| {
                let answer = bearer.ask("GET", &format!("/v1/spaces/{space}{rest}"), b"");
                (answer.status, answer.text().replace(space, "?"))
            };
            assert_eq!(of("notes"), of("nothing"), "{rest}");
            assert_eq!(of("notes").0, 404, "{rest}");
        }
        bearer.sql("SELECT 1").fails(404, "E_HTTP_SPACE");
        let put = bearer.ask("PUT", &format!("{SPACE}/entries/public%2Fa"), b"1");
        put.fails(404, "E_HTTP_SPACE");
        bearer
            .post("/branches", &json!({ "name": "own/y" }))
            .fails(404, "E_HTTP_SPACE");
        let told = bearer
            .ask("GET", "/v1/events?from=beginning", b"")
            .is(200)
            .text();
        assert!(!told.contains("public/"), "{told}");
    }
    let node = stranger.ask("GET", "/v1/node", b"").is(200).json();
    assert_eq!(
        (&node["spaces"], &node["peers_connected"]),
        (&json!(0), &Value::Null)
    );
    ruled.served.stop();
}

/// The statuses of one request for each door that HTTP has.
fn statuses(bearer: &Bearer<'_>, own: &str) -> Vec<u16> {
    let entry = format!("{SPACE}/entries/public%2Fput");
    let change = json!({ "changes": [{ "key": "public/commit", "text": own }] });
    let branch = json!({ "name": format!("own/{own}"), "at": "main" });
    let answers = [
        bearer.get("/entries/public%2Fa"),
        bearer.get("/entries?prefix=public/"),
        bearer.get("/commits"),
        bearer.get("/diff?prefix=public/"),
        bearer.sql("SELECT 1"),
        bearer.ask("GET", "/v1/events?space=notes", b""),
        bearer.ask("PUT", &entry, b"1"),
        bearer.post("/commits", &change),
        bearer.ask("DELETE", &entry, b""),
        bearer.post("/branches", &branch),
        bearer.ask(
            "DELETE",
            &format!("{SPACE}/branches/own%2F{own}?force=true"),
            b"",
        ),
    ];
    answers.iter().map(|answer| answer.status).collect()
}

#[test]
fn every_route_answers_everybody_as_the_table_says() {
    let ruled = Ruled::new();
    ruled.served.home.run(&["space", "new", "other"]).ok();
    let bearer = |roles: &[&str], can: &str, space: &str| {
        let asked = json!({ "user": "ada", "roles": roles, "can": [can], "space": space });
        ruled.token(&asked)
    };
    let ended = bearer(&["owner"], "/", "notes");
    ended.ask("DELETE", "/v1/session", b"").is(204);
    // get, range, history, diff, sql, feed, put, commit, delete, create-branch, delete-branch
    let table = [
        (
            "owner",
            bearer(&["owner"], "/", "notes"),
            [200, 200, 200, 200, 200, 200, 201, 201, 200, 201, 200],
        ),
        (
            "editor",
            bearer(&["editor"], "/", "notes"),
            [200, 200, 403, 200, 200, 403, 201, 201, 200, 403, 404],
        ),
        (
            "viewer",
            bearer(&["viewer"], "/", "notes"),
            [200, 200, 403, 200, 200, 403, 403, 403, 403, 403, 403],
        ),
        (
            "member",
            bearer(&["member", "viewer"], "/", "notes"),
            [200, 200, 403, 200, 200, 200, 403, 403, 403, 403, 403],
        ),
        (
            "reads",
            bearer(&["owner"], "read", "notes"),
            [200, 200, 200, 200, 200, 403, 403, 403, 403, 403, 403],
        ),
        ("stranger", bearer(&[], "/", "notes"), [404; 11]),
        ("elsewhere", bearer(&["owner"], "/", "other"), [404; 11]),
        ("ended", ended, [401; 11]),
    ];
    for (who, bearer, expected) in &table {
        assert_eq!(statuses(bearer, who), expected, "{who}");
    }
    ruled.served.stop();
}
