//! What the node answers over HTTP: HTTP-1 to HTTP-27, HTTP-60.

use std::io::Write as _;

use serde_json::{Value, json};

use crate::home::Home;
use crate::http_client::{Served, answer, request};

const SPACE: &str = "/v1/spaces/notes";

/// A served space with keys `a`, `b`, `c` and `hex:ff`, in two commits.
fn some() -> (Served, String, String) {
    let home = Home::with_space();
    home.run(&["put", "a", "1"]).ok();
    home.run(&["put", "c", "{\"n\": 1.50}"]).ok();
    let first = home.commit("b", "2");
    home.run(&["put", "hex:ff", "binary"]).ok();
    home.feed(&["put", "bytes"], b"\xff\xd8").ok();
    let second = home.commit("b", "3");
    (Served::of(home, &[]), first, second)
}

#[test]
fn every_route_of_the_document_answers() {
    let (served, first, second) = some();
    let document = served.get("/openapi.json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let blob = "bafkreicin2sgejgrxnh3nahtj56jvwlkr4sozcf6opvi4wtmmuta5hfyu4";
    let mut routes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{space}", "notes")
            .replace("{branch}", "main")
            .replace("{commit}", &first)
            .replace("{key}", "a")
            .replace("{cid}", blob);
        for (method, operation) in item.as_object().unwrap() {
            routes += 1;
            let responses = operation["responses"].as_object().unwrap();
            let answer = served.ask(&method.to_uppercase(), &path);
            assert!(
                responses.contains_key(&answer.status.to_string()),
                "{method} {path}: {}",
                answer.status
            );
            assert!(answer.status < 500, "{method} {path}");
            for name in ["400", "401", "403", "404", "421", "500", "503"] {
                assert!(responses.contains_key(name), "{method} {path} lacks {name}");
            }
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
    assert_eq!(routes, 27);
    let node = served.get("/v1/node");
    assert_eq!(node["device"], served.up.device);
    assert_eq!(served.get("/v1/spaces")["spaces"][0]["name"], "notes");
    let space = served.get(SPACE);
    assert_eq!(
        (&space["branch"], &space["whole"]),
        (&json!("main"), &json!(true))
    );
    let by_id = served.get(&format!("/v1/spaces/{}", space["id"].as_str().unwrap()));
    assert_eq!(by_id, space);
    let branches = served.get(&format!("{SPACE}/branches"));
    // The deletion of `a` above is a commit more.
    assert_ne!(branches["branches"][0]["heads"], json!([second]));
    let page = served.ask("GET", "/").is(200);
    assert!(
        page.text().contains("/v1/spaces/{space}/diff")
            && page.text().contains("id=\"E_HTTP_KEY\"")
    );
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'; style-src 'self'")
    );
    assert!(!page.text().contains("http://") && !page.text().contains("https://"));
    served.ask("GET", "/style.css").is(200);
    assert_eq!(served.get("/healthz"), json!({ "status": "ok" }));
    served.ask("GET", "/v1/nothing").fails(404, "E_HTTP_PATH");
    served
        .ask("GET", "/v1/spaces/other")
        .fails(404, "E_HTTP_SPACE");
    let refused = served.ask("POST", SPACE);
    assert_eq!(refused.header("allow"), "GET,HEAD");
    refused.fails(405, "E_HTTP_METHOD");
    served.stop();
}

#[test]
fn values_are_given_as_they_are_with_their_names() {
    let (served, _, second) = some();
    let at = |key: &str| format!("{SPACE}/entries/{key}");
    let value = served.ask("GET", &at("b")).is(200);
    assert_eq!(value.text(), "3");
    assert_eq!(value.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(value.header("cache-control"), "private, no-cache");
    assert_eq!(value.header("allod-state"), format!("\"{second}\""));
    let tag = value.header("etag").to_owned();
    let cid = allod_blocks::sha256_cid(allod_blocks::Codec::Raw, b"3");
    assert_eq!(tag, format!("\"{cid}\""));
    let known = served
        .send("GET", &at("b"), &[("if-none-match", &tag)], b"")
        .is(304);
    assert_eq!((known.body.len(), known.header("etag")), (0, &tag[..]));
    served
        .send("GET", &at("b"), &[("if-match", "\"other\"")], b"")
        .fails(412, "E_HTTP_CONDITION");
    let head = served.ask("HEAD", &at("b")).is(200);
    assert_eq!((head.body.len(), head.header("content-length")), (0, "1"));
    // Every spelling of a key.
    for (key, expected, media) in [
        ("hex:ff", &b"binary"[..], "text/plain; charset=utf-8"),
        ("%FF", b"binary", "text/plain; charset=utf-8"),
        ("hex:61", b"1", "text/plain; charset=utf-8"),
        ("c", b"{\"n\": 1.50}", "application/json"),
        ("bytes", b"\xff\xd8", "application/octet-stream"),
    ] {
        let value = served.ask("GET", &at(key)).is(200);
        assert_eq!(
            (&value.body[..], value.header("content-type")),
            (expected, media),
            "{key}"
        );
    }
    served.ask("GET", &at("nothing")).fails(404, "E_HTTP_ENTRY");
    served.ask("GET", &at("hex:f")).fails(400, "E_HTTP_KEY");
    // The entry.
    let entry = served.get(&at("c?as=json"));
    assert_eq!(
        (&entry["key"], &entry["kind"], &entry["size"]),
        (&json!("c"), &json!("value"), &json!(11))
    );
    assert_eq!(entry["value"], "{\"n\": 1.50}");
    served
        .ask("GET", &at("c?as=xml"))
        .fails(400, "E_HTTP_REQUEST");
    served.stop();
}

#[test]
fn states_are_named_as_on_the_command_line() {
    let (served, first, _) = some();
    let at = |key: &str| format!("{SPACE}/entries/{key}");
    let old = served.ask("GET", &at(&format!("b?at={first}"))).is(200);
    assert_eq!(
        (old.text(), old.header("cache-control")),
        ("2".to_owned(), "private, max-age=31536000, immutable")
    );
    let short = served
        .ask("GET", &at(&format!("b?at={}", &first[50..])))
        .is(200);
    assert_eq!(
        (short.text(), short.header("cache-control")),
        ("2".to_owned(), "private, no-cache")
    );
    let made = served.get(&format!("{SPACE}/commits/{first}"))["time"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        served
            .ask("GET", &at(&format!("b?at={made}")))
            .is(200)
            .text(),
        "2"
    );
    // Commands take it too.
    assert_eq!(served.home.run(&["get", "b", "--at", &made]).ok(), "2\n");
    assert_eq!(
        served.ask("GET", &at("b?at=2100-01-01")).is(200).text(),
        "3"
    );
    served
        .ask("GET", &at("b?at=2000-01-01"))
        .fails(404, "E_HTTP_STATE");
    assert_eq!(
        served
            .ask("GET", &at(&format!("b?branch=main&at={first}")))
            .is(200)
            .text(),
        "2"
    );
    served
        .ask("GET", &at("b?branch=other"))
        .fails(404, "E_HTTP_STATE");
    served
        .ask("GET", &at("b?at=other"))
        .fails(404, "E_HTTP_STATE");
    // What is staged is its owner's affair.
    served.home.run(&["put", "b", "staged"]).ok();
    assert_eq!(served.ask("GET", &at("b")).is(200).text(), "3");
    // The space's own branch is where its owner stands.
    served.home.run(&["unstage", "b"]).ok();
    served.home.run(&["tag", "v1", &first]).ok();
    assert_eq!(
        served.get(&format!("{SPACE}/tags"))["tags"],
        json!([{ "name": "v1", "commit": first }])
    );
    assert_eq!(served.ask("GET", &at("b?at=v1")).is(200).text(), "2");
    served.home.run(&["switch", "--detach", "v1"]).ok();
    assert_eq!(served.ask("GET", &at("b")).is(200).text(), "2");
    assert_eq!(served.get(SPACE)["commit"], first);
    served.stop();
}

/// The keys of a page.
fn keys(value: &Value) -> Vec<String> {
    let rows = value["entries"].as_array().unwrap().iter();
    rows.map(|row| row["key"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_are_ranges_in_pages() {
    let (served, first, second) = some();
    let list = |query: &str| {
        served
            .ask("GET", &format!("{SPACE}/entries{query}"))
            .is(200)
    };
    let all = ["a", "b", "bytes", "c", "hex:ff"];
    let whole = list("?values=true");
    assert_eq!(keys(&whole.json()), all);
    assert_eq!(whole.header("etag"), format!("\"{second}\""));
    let rows = whole.json();
    assert_eq!(rows["entries"][2]["value"], json!({ "base64": "/9g=" }));
    assert_eq!(
        (&rows["heads"], &rows["next"]),
        (&json!([second]), &Value::Null)
    );
    assert_eq!(keys(&list("").json()), all);
    assert_eq!(list("").json()["entries"][0].get("value"), None);
    let known = [("if-none-match", whole.header("etag"))];
    served
        .send("GET", &format!("{SPACE}/entries"), &known, b"")
        .is(304);
    for (query, expected) in [
        ("?prefix=b", &["b", "bytes"][..]),
        ("?from=b&to=c", &["b", "bytes"]),
        ("?from=%FF", &["hex:ff"]),
        ("?prefix=b&reverse=true", &["bytes", "b"]),
        ("?after=b", &["bytes", "c", "hex:ff"]),
        ("?after=b&reverse=true", &["a"]),
        ("?prefix=nothing", &[]),
    ] {
        assert_eq!(keys(&list(query).json()), expected, "{query}");
    }
    let at = list(&format!("?at={first}"));
    assert_eq!(keys(&at.json()), ["a", "b", "c"]);
    assert!(at.header("cache-control").contains("immutable"));
    for bad in BAD_RANGES {
        served
            .ask("GET", &format!("{SPACE}/entries{bad}"))
            .fails(400, "E_HTTP_REQUEST");
    }
    served.stop();
}

const BAD_RANGES: [&str; 7] = [
    "?limit=0",
    "?limit=1001",
    "?limit=x",
    "?reverse=yes",
    "?prefx=a",
    "?from=a&from=b",
    "?from=%4",
];

#[test]
fn pages_go_on_where_they_ended() {
    let (served, ..) = some();
    let all = ["a", "b", "bytes", "c", "hex:ff"];
    // As `Link` says, forwards and backwards.
    for (query, reverse) in [("?limit=2", false), ("?limit=1&reverse=true", true)] {
        let mut found = Vec::new();
        let mut path = format!("{SPACE}/entries{query}");
        loop {
            let page = served.ask("GET", &path).is(200);
            found.extend(keys(&page.json()));
            assert_eq!(
                page.headers.contains_key("link"),
                page.json()["next"].is_string()
            );
            let Some(link) = page.headers.get("link") else {
                break;
            };
            path = link
                .strip_prefix('<')
                .unwrap()
                .split_once('>')
                .unwrap()
                .0
                .to_owned();
        }
        let mut expected = all.map(str::to_owned);
        if reverse {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }
    served.stop();
}

#[test]
fn history_and_differences_come_in_pages() {
    let (served, first, second) = some();
    let third = served.home.commit("d", "4");
    let mut ids = Vec::new();
    let mut path = format!("{SPACE}/commits?limit=2");
    loop {
        let page = served.get(&path);
        let commits = page["commits"].as_array().unwrap().iter();
        ids.extend(commits.map(|commit| commit["commit"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("{SPACE}/commits?limit=2&after={next}");
    }
    assert_eq!(ids, [third.clone(), second.clone(), first.clone()]);
    let by_branch = served.get(&format!("{SPACE}/commits?branch=main&limit=1"));
    assert_eq!(by_branch["commits"][0]["commit"], third);
    assert_eq!(
        served.get(&format!("{SPACE}/commits?at={first}"))["next"],
        Value::Null
    );
    let commit = served
        .ask("GET", &format!("{SPACE}/commits/{second}"))
        .is(200);
    assert_eq!(commit.json()["parents"], json!([first]));
    assert!(commit.header("cache-control").contains("immutable"));
    assert_eq!(commit.header("etag"), format!("\"{second}\""));
    let named = served.ask("GET", &format!("{SPACE}/commits/main")).is(200);
    assert_eq!(
        named.header("content-location"),
        format!("{SPACE}/commits/{third}")
    );
    assert_eq!(named.header("cache-control"), "private, no-cache");
    served
        .ask("GET", &format!("{SPACE}/commits/bafyother"))
        .fails(404, "E_HTTP_STATE");
    served
        .ask("GET", &format!("{SPACE}/commits?after=x"))
        .fails(400, "E_HTTP_REQUEST");

    let diff = served.get(&format!("{SPACE}/diff?from={first}&to={second}"));
    let shown = served.home.run(&["diff", &first, &second, "--json"]).rows();
    assert_eq!(diff["changes"].as_array().unwrap(), &shown);
    assert_eq!(
        (&diff["from"], &diff["to"]),
        (&json!([first]), &json!([second]))
    );
    let whole = served.get(&format!("{SPACE}/diff"));
    assert_eq!(whole["changes"].as_array().unwrap().len(), 6);
    let page = served.get(&format!("{SPACE}/diff?limit=5"));
    let rest = served.get(&format!(
        "{SPACE}/diff?limit=5&after={}",
        page["next"].as_str().unwrap()
    ));
    assert_eq!(
        (&rest["changes"][0]["key"], &rest["next"]),
        (&json!("hex:ff"), &Value::Null)
    );
    let some = served.get(&format!("{SPACE}/diff?from={first}&prefix=b"));
    assert_eq!(some["changes"].as_array().unwrap().len(), 2);
    served
        .ask("GET", &format!("{SPACE}/diff?from=nothing"))
        .fails(404, "E_HTTP_STATE");
    served.stop();
}

#[test]
fn a_history_with_branches_is_walked_once() {
    let served = Served::new();
    served.home.commit("a", "1");
    served.home.run(&["branch", "side"]).ok();
    for number in 0..3 {
        served.home.commit("a", &number.to_string());
        let path = format!("{SPACE}/entries/b?branch=side");
        served.send("PUT", &path, &[], number.to_string().as_bytes());
    }
    served.home.run(&["merge", "side"]).ok();
    let log = served.home.run(&["log", "--json"]).rows();
    let expected: Vec<_> = log.iter().map(|row| row["commit"].clone()).collect();
    assert_eq!(expected.len(), 8);
    let mut found = Vec::new();
    let mut path = format!("{SPACE}/commits?limit=1");
    loop {
        let page = served.get(&path);
        found.push(page["commits"][0]["commit"].clone());
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("{SPACE}/commits?limit=1&after={next}");
    }
    assert_eq!(found, expected);
    served.stop();
}

#[test]
fn branches_are_made_and_deleted() {
    let (served, first, second) = some();
    let branches = format!("{SPACE}/branches");
    let made = served
        .post(&branches, &json!({ "name": "ada/side" }))
        .is(201);
    assert_eq!(made.header("location"), format!("{branches}/ada%2Fside"));
    assert_eq!(made.json()["heads"], json!([second]));
    let side = format!("{branches}/ada%2Fside");
    let shown = served.ask("GET", &side).is(200);
    assert_eq!(shown.header("etag"), format!("\"{second}\""));
    served
        .send(
            "GET",
            &side,
            &[("if-none-match", shown.header("etag"))],
            b"",
        )
        .is(304);
    served
        .post(&branches, &json!({ "name": "ada/side" }))
        .fails(409, "E_HTTP_EXISTS");
    served
        .post(&branches, &json!({ "name": "ADA/side" }))
        .fails(409, "E_HTTP_EXISTS");
    served
        .post(&branches, &json!({ "name": "../x" }))
        .fails(422, "E_HTTP_VALUE");
    served
        .post(&branches, &json!({ "name": "x", "at": "nothing" }))
        .fails(404, "E_HTTP_STATE");
    served
        .post(&branches, &json!({ "nme": "x" }))
        .fails(400, "E_HTTP_REQUEST");
    let old = served
        .post(&branches, &json!({ "name": "old", "at": first }))
        .is(201);
    assert_eq!(old.json()["heads"], json!([first]));
    // With a commit of its own it is deleted only by force, and only as it is.
    let path = format!("{SPACE}/entries/own?branch=ada%2Fside");
    let written = served.send("PUT", &path, &[], b"1").is(201).json();
    served.ask("DELETE", &side).fails(409, "E_HTTP_REFUSED");
    let stale = [("if-match", shown.header("etag"))];
    served
        .send("DELETE", &format!("{side}?force=true"), &stale, b"")
        .fails(412, "E_HTTP_CONDITION");
    let deleted = served.ask("DELETE", &format!("{side}?force=true")).is(200);
    assert_eq!(deleted.json()["heads"], json!([written["commit"]]));
    served.ask("GET", &side).fails(404, "E_HTTP_STATE");
    served.ask("DELETE", &side).fails(404, "E_HTTP_STATE");
    served
        .ask("DELETE", &format!("{branches}/main"))
        .fails(409, "E_HTTP_REFUSED");
    served.stop();
}

/// Asks for lines; the status and what they say.
fn lines(served: &Served, ask: &Value) -> (u16, Vec<Value>) {
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/x-ndjson"),
    ];
    let path = format!("{SPACE}/sql");
    let answer = served.send("POST", &path, &headers, ask.to_string().as_bytes());
    let text = answer.text();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (answer.status, rows.collect())
}

#[test]
fn statements_are_answered_whole_or_line_by_line() {
    let (served, first, _) = some();
    let path = format!("{SPACE}/sql");
    let sql = "SELECT _key, 1.0, ?1 AS p, ?2, x'ff', NULL FROM allod_entries ORDER BY 1 LIMIT 2";
    let ask = json!({ "sql": sql, "params": [9_007_199_254_740_993_i64, { "base64": "AP8" }] });
    let value = served.post(&path, &ask).is(200).json();
    let row = |key: &str| json!([key, 1.0, 9_007_199_254_740_993_i64, { "base16": "00ff" }, { "base16": "ff" }, null]);
    assert_eq!(value["rows"], json!([row("a"), row("b")]));
    assert_eq!(
        (&value["count"], &value["columns"][2]["name"]),
        (&json!(2), &json!("p"))
    );
    let none = served
        .post(&path, &json!({ "sql": "SELECT 1 WHERE 0" }))
        .is(200)
        .json();
    assert_eq!(
        none,
        json!({ "columns": [{ "name": "1", "type": null }], "rows": [], "count": 0 })
    );
    let old = json!({ "sql": "SELECT count(*) FROM allod_entries", "at": first });
    assert_eq!(
        served.post(&path, &old).is(200).json()["rows"],
        json!([[3]])
    );

    let counting =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c";
    let wide = counting.replace("SELECT x FROM", "SELECT x, hex(zeroblob(500)) FROM");
    let (status, rows) = lines(
        &served,
        &json!({ "sql": format!("{counting} LIMIT 100000") }),
    );
    assert_eq!((status, rows.len()), (200, 100_002));
    assert_eq!(
        (&rows[0]["columns"][0]["name"], &rows[100_000]),
        (&json!("x"), &json!([100_000]))
    );
    assert_eq!(rows[100_001], json!({ "count": 100_000 }));
    // A failure behind rows that were sent is the last line.
    let (status, rows) = lines(&served, &json!({ "sql": counting, "max_rows": 50_000 }));
    let last = rows.last().unwrap();
    assert_eq!(
        (status, &last["problem"]["code"]),
        (200, &json!("E_SQL_LIMIT"))
    );
    // And in one answer there are no rows without it.
    served
        .post(&path, &json!({ "sql": counting, "max_rows": 50_000 }))
        .fails(422, "E_SQL_LIMIT");
    served
        .post(&path, &json!({ "sql": wide }))
        .fails(422, "E_HTTP_ANSWER");
    let endless = format!("SELECT count(*) FROM ({counting})");
    served
        .post(&path, &json!({ "sql": endless, "max_ms": 50 }))
        .fails(422, "E_SQL_LIMIT");
    served.stop();
}

#[test]
fn statements_that_fail_say_why() {
    let (served, ..) = some();
    let path = format!("{SPACE}/sql");
    for (sql, code) in [
        ("SELECT FROM", "E_SQL"),
        ("SELECT * FROM absent", "E_SQL_TABLE"),
        ("SELECT absent FROM allod_entries", "E_SQL_COLUMN"),
        ("SELECT ?1", "E_SQL_PARAMETERS"),
        ("SELECT * FROM allod_entries AS OF 'absent'", "E_SQL_STATE"),
        ("ATTACH 'x' AS y", "E_SQL_DENIED"),
        ("DELETE FROM allod_entries", "E_SQL_READ_ONLY"),
    ] {
        served.post(&path, &json!({ "sql": sql })).fails(422, code);
        assert_eq!(lines(&served, &json!({ "sql": sql })).0, 422, "{sql}");
    }
    served
        .post(&path, &json!({ "sql": "SELECT 1", "max_ms": 60_001 }))
        .fails(422, "E_HTTP_VALUE");
    served
        .post(&path, &json!({ "sql": "SELECT ?1", "params": [[]] }))
        .fails(400, "E_HTTP_REQUEST");
    // Outside data is read with the rights of the node, so it is not to be had here.
    let file = served.home.write("secret.csv", "n\n42\n");
    served
        .home
        .run(&["table", "add", "secret", "--csv", &file])
        .ok();
    served
        .post(&path, &json!({ "sql": "SELECT * FROM secret" }))
        .fails(422, "E_SQL_TABLE");
    served.stop();
}

/// Were they not cancelled, they would have all turns for half a minute.
#[test]
fn statements_of_clients_that_went_away_end() {
    let served = Served::new();
    let sql =
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
    let body = json!({ "sql": sql, "max_ms": 60_000 }).to_string();
    let path = format!("{SPACE}/sql");
    let headers = [("content-type", "application/json")];
    let ask = request(served.addr(), ("POST", &path), &headers, body.as_bytes());
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = served.connect();
            stream.write_all(&ask).unwrap();
            stream
        })
        .collect();
    drop(clients);
    // It may be busy until it has seen them go.
    let mut asked = 0;
    while served.ask("GET", "/v1/node").status != 200 {
        asked += 1;
        assert!(asked < 2, "no turn is given back");
    }
    served.stop();
}

#[test]
fn files_are_given_by_range_and_by_name_if_a_space_has_them() {
    let served = Served::new();
    let long: Vec<u8> = (0..3_000_000_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let put = served.put("file", &long, &[]).is(201);
    let cid = put.header("etag").trim_matches('"').to_owned();
    let entry = format!("{SPACE}/entries/file");
    let whole = served.ask("GET", &entry).is(200);
    assert!(whole.body == long && whole.is_whole);
    assert_eq!(
        (whole.header("etag"), whole.header("accept-ranges")),
        (put.header("etag"), "bytes")
    );
    let blob = format!("/v1/blobs/{cid}");
    for path in [
        entry.clone(),
        blob.clone(),
        format!("{blob}?space=notes&key=file"),
        format!("{blob}?space=notes"),
    ] {
        for (range, from, to) in [
            ("bytes=0-0", 0, 1),
            ("bytes=1048570-1048580", 1_048_570, 1_048_581),
            ("bytes=-5", 2_999_995, 3_000_000),
            ("bytes=2999999-", 2_999_999, 3_000_000),
        ] {
            let part = served.send("GET", &path, &[("range", range)], b"").is(206);
            assert!(part.body == long[from..to], "{path} {range}");
            assert_eq!(
                part.header("content-range"),
                format!("bytes {from}-{}/3000000", to - 1)
            );
        }
        let beyond = served.send("GET", &path, &[("range", "bytes=3000000-")], b"");
        assert_eq!(beyond.header("content-range"), "bytes */3000000");
        beyond.fails(416, "E_HTTP_RANGE");
        let head = served.ask("HEAD", &path).is(200);
        assert_eq!(
            (head.body.len(), head.header("content-length")),
            (0, "3000000")
        );
        let tag = put.header("etag");
        served
            .send("GET", &path, &[("if-none-match", tag)], b"")
            .is(304);
        let rest = [("range", "bytes=5-"), ("if-range", "\"other\"")];
        assert_eq!(
            served.send("GET", &path, &rest, b"").is(200).body.len(),
            3_000_000
        );
    }
    assert!(
        served
            .ask("HEAD", &blob)
            .header("cache-control")
            .contains("immutable")
    );
    served.stop();
}

#[test]
fn files_that_no_entry_links_to_are_not_given() {
    let served = Served::new();
    let put = served.put("file", &vec![1; 3_000_000], &[]).is(201);
    let cid = put.header("etag").trim_matches('"').to_owned();
    let entry = format!("{SPACE}/entries/file");
    let blob = format!("/v1/blobs/{cid}");
    // What no entry links to is not served, whether it is in the store or not.
    let file = served.home.write("secret", vec![7; 2_000_000]);
    let added = served.home.run(&["add", &file]).ok();
    served
        .ask("GET", &format!("/v1/blobs/{}", added.trim()))
        .fails(404, "E_HTTP_BLOB");
    let commit = put.json()["commit"].as_str().unwrap().to_owned();
    served
        .ask("GET", &format!("/v1/blobs/{commit}"))
        .fails(404, "E_HTTP_BLOB");
    served.put("other", b"1", &[]).is(201);
    served
        .ask("GET", &format!("{blob}?space=notes&key=other"))
        .fails(404, "E_HTTP_BLOB");
    served
        .ask("GET", &format!("{blob}?key=file"))
        .fails(400, "E_HTTP_REQUEST");
    served
        .ask("GET", &format!("{blob}?space=nothing"))
        .fails(404, "E_HTTP_SPACE");
    served
        .ask("GET", "/v1/blobs/nothing")
        .fails(400, "E_HTTP_REQUEST");
    // Gone from the branch it is found only where it was.
    served.ask("DELETE", &entry).is(200);
    served.ask("GET", &blob).fails(404, "E_HTTP_BLOB");
    served
        .ask("GET", &format!("{blob}?space=notes&key=file&at={commit}"))
        .is(200);
    served.stop();
}

#[test]
fn figures_are_those_of_requests_and_of_the_node() {
    let served = Served::new();
    served.put("k", b"v", &[]).is(201);
    served.ask("GET", "/v1/unknown/%00").is(404);
    let scraped = served.ask("GET", "/metrics").is(200);
    assert!(
        scraped
            .header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = scraped.text();
    assert!(text.ends_with("# EOF\n"));
    for line in [
        "allod_http_requests_total{method=\"PUT\",route=\"/v1/spaces/{space}/entries/{*key}\",status=\"201\"} 1",
        "allod_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "allod_http_requests_open 1",
        "allod_http_faults_total 0",
        "allod_spaces 1",
        "allod_peers_connected 0",
        "allod_space_operations_total{verb=\"commit\"} 1",
        "allod_http_request_duration_seconds_count{route=\"none\"} 1",
    ] {
        assert!(
            text.lines().any(|it| it == line),
            "{line} is not in\n{text}"
        );
    }
    let figure = |name: &str| -> f64 {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(figure("allod_store_bytes") > 0.0);
    assert!(figure("allod_log_end") >= 1.0);
    assert!(figure("allod_space_operation_seconds{verb=\"commit\",quantile=\"0.5\"}") > 0.0);
    served.stop();
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let served = Served::new();
    let mut stream = served.connect();
    let keep =
        |method: &str, path: &str| format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let asked = keep("GET", "/healthz")
        + &keep("HEAD", "/healthz")
        + "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(asked.as_bytes()).unwrap();
    let all = answer(&mut stream, true).unwrap();
    assert_eq!(all.text().matches("HTTP/1.1 200 OK").count(), 2);
    served.stop();
}
