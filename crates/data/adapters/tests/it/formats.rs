//! What is in columns, and where rows are found.

use allod_adapters::{Format, Kind};
use allod_sql::Scalar::{self, Null};

use crate::world::{CSV, JSON, Outside, at};

fn text(text: &str) -> Scalar {
    text.into()
}

#[test]
fn csv_has_typed_columns() {
    let file = Outside::new(
        CSV,
        "\u{feff}sku,n,price,ok,note\r\n\
         007,1,1.5,true,\"two\nlines, \"\"quoted\"\"\"\r\n\
         \r\n\
         a,-2,3,FALSE,\r\n\
         ,,,,\"\"\n\
         x,9223372036854775807,1e2,true,5\" pipe",
    );
    assert_eq!(
        file.kinds(),
        "sku text, n integer, price number, ok boolean, note text"
    );
    assert_eq!(file.find().unwrap().rows, 4);
    assert_eq!(
        file.rows(),
        [
            [
                text("007"),
                1.into(),
                1.5.into(),
                1.into(),
                text("two\nlines, \"quoted\"")
            ],
            [text("a"), (-2).into(), 3.into(), 0.into(), Null],
            // What is not there is null, and what is in quotes is a text without letters.
            [Null, Null, Null, Null, text("")],
            [
                text("x"),
                i64::MAX.into(),
                100.into(),
                1.into(),
                text("5\" pipe")
            ],
        ]
    );
}

#[test]
fn csv_may_have_other_delimiters_and_no_names() {
    let format = Format::Csv {
        delimiter: b'\t',
        has_names: false,
    };
    let content = "a\t1\t\nb,c\t2\t\n";
    let file = Outside::new(format.clone(), content);
    assert_eq!(file.kinds(), "c1 text, c2 integer, c3 text");
    assert_eq!(file.rows()[1], [text("b,c"), 2.into(), Null]);
    let file = Outside::new(format.clone(), content).declaring(&["left", "right:real"]);
    assert_eq!(file.kinds(), "left text, right real, c3 text");
    assert_eq!(file.rows()[0], [text("a"), 1.0.into(), Null]);
    let quote = Format::Csv {
        delimiter: b'"',
        has_names: true,
    };
    assert_eq!(
        Outside::new(quote, "a").find().unwrap_err().code(),
        "E_TAB_DEFINITION"
    );
}

#[test]
fn names_of_columns_are_told_apart() {
    let file = Outside::new(CSV, "a,A,,\"x \"\"y\"\"\"\n1,2,3,4\n");
    assert_eq!(
        file.kinds(),
        "a integer, A_2 integer, c3 integer, x \"y\" integer"
    );
    let sql = "SELECT a, A_2, c3, \"x \"\"y\"\"\" FROM t";
    assert_eq!(
        file.ask(sql).unwrap(),
        [[1.into(), 2.into(), 3.into(), 4.into()] as [Scalar; 4]]
    );
}

#[test]
fn json_is_an_array_or_one_behind_the_other() {
    let rows = [
        r#"{"a":1,"b":"x \u00fc \"q\"","c":null}"#,
        r#"{"b":null,"d":[1, 2],"a":-1}"#,
        "{}",
        r#"{"a":2,"c":true,"e":0.5,"d":"x"}"#,
    ];
    let lines = rows.join("\n");
    let array = format!("\u{feff} [{}\n] ", rows.join(" , "));
    let pretty = rows.join("\r\n\n").replace(",\"", ",\n\t\"");
    for content in [lines, array, pretty] {
        let file = Outside::new(JSON, content);
        assert_eq!(
            file.kinds(),
            "a integer, b text, c boolean, d json, e number"
        );
        assert_eq!(
            file.rows(),
            [
                [1.into(), text("x \u{fc} \"q\""), Null, Null, Null],
                [(-1).into(), Null, Null, text("[1, 2]"), Null],
                [Null, Null, Null, Null, Null],
                [2.into(), Null, 1.into(), text("\"x\""), 0.5.into()],
            ]
        );
    }
    // JSON within a row is what the functions of SQL take.
    let file = Outside::new(JSON, rows.join("\n"));
    let sql = "SELECT value FROM t, json_each(t.d) WHERE t.a = -1";
    assert_eq!(
        file.ask(sql).unwrap(),
        [[1.into()], [2.into()]] as [[Scalar; 1]; 2]
    );
}

#[test]
fn a_pointer_leads_to_rows() {
    let document = r#"{"skip":{"data":[{"x":0}]},"da/ta~":[7,{"rows":[{"x":1},{"x":2}],"x":"]"}],"more":[[{}],"}"]}"#;
    let file = Outside::new(at("/da~1ta~0/1/rows"), document);
    assert_eq!(file.rows(), [[1.into()], [2.into()]] as [[Scalar; 1]; 2]);
    // An object there is one row.
    let file = Outside::new(at("/skip/data/0"), document);
    assert_eq!(file.rows(), [[0.into()]] as [[Scalar; 1]; 1]);
    for (pointer, words) in [
        ("/skip/rows", "nothing at /skip/rows"),
        ("/da~1ta~0/2", "nothing at /da~1ta~0/2"),
        ("/skip/data/0/x/y", "nothing at /skip/data/0/x/y"),
    ] {
        let error = Outside::new(at(pointer), document).find().unwrap_err();
        assert_eq!(error.code(), "E_TAB_FORMAT");
        assert!(error.to_string().contains(words), "{error}");
    }
    // What is behind the rows has to end as well: an answer that was cut is none.
    let cut = &document[..document.len() - 1];
    let error = Outside::new(at("/skip/data"), cut).find().unwrap_err();
    assert!(error.to_string().contains("ends in the middle"), "{error}");
}

#[test]
fn columns_can_be_declared() {
    let file = Outside::new(CSV, "id,n,v\n1,2,3\n").declaring(&["id:text", "n:number", "v:json"]);
    assert_eq!(file.kinds(), "id text, n number, v json");
    assert_eq!(file.rows(), [[text("1"), 2.into(), text("3")]]);
    let file = Outside::new(JSON, "{\"b\":1}").declaring(&["a:text", "b:real"]);
    // What the source has stands first.
    assert_eq!(file.kinds(), "b real, a text");
    assert_eq!(file.rows(), [[1.0.into(), Null]]);
    let found = Outside::new(JSON, "{\"b\":1}").find().unwrap();
    assert_eq!(found.columns[0].kind, Kind::Integer);
}

#[test]
fn a_source_may_have_no_rows() {
    assert_eq!(Outside::new(CSV, "a,b\n").kinds(), "a text, b text");
    assert!(Outside::new(CSV, "a").rows().is_empty());
    let file = Outside::new(JSON, " [ ] ").declaring(&["a:integer"]);
    assert!(file.rows().is_empty());
    for (format, content) in [(JSON, "[]"), (JSON, ""), (JSON, "{}")] {
        let error = Outside::new(format, content).find().unwrap_err();
        assert_eq!(error.code(), "E_TAB_DEFINITION");
    }
    let error = Outside::new(CSV, "\n").find().unwrap_err();
    assert!(
        error.to_string().contains("names of the columns"),
        "{error}"
    );
}
