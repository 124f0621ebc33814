//! Random tables, written by others, are read as they were.

use allod_adapters::Kind;
use allod_sql::Scalar;
use csv::{QuoteStyle, Terminator, WriterBuilder};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{CSV, JSON, Outside, at};

fn value(kind: Kind) -> BoxedStrategy<Scalar> {
    let some = match kind {
        Kind::Boolean => (0..=1_i64).prop_map(Scalar::Integer).boxed(),
        Kind::Integer => any::<i64>().prop_map(Scalar::Integer).boxed(),
        Kind::Number => prop_oneof![
            any::<i64>().prop_map(Scalar::Integer),
            // With a fraction: a whole number is none.
            (-1_000_000..1_000_000_i64).prop_map(|it| Scalar::Real(it as f64 + 0.25)),
        ]
        .boxed(),
        Kind::Real => any::<f64>()
            .prop_filter("finite", |it| it.is_finite())
            .prop_map(Scalar::Real)
            .boxed(),
        _ => prop_oneof![
            "[a-z\",;\r\n\t ]{1,8}",
            "\\PC{1,5}",
            Just("true".to_owned()),
            Just("1".to_owned())
        ]
        .prop_map(Scalar::Text)
        .boxed(),
    };
    prop_oneof![4 => some, 1 => Just(Scalar::Null)].boxed()
}

type Rows = (Vec<Kind>, Vec<Vec<Scalar>>);

fn rows() -> impl Strategy<Value = Rows> {
    let kind = prop_oneof![
        Just(Kind::Boolean),
        Just(Kind::Integer),
        Just(Kind::Number),
        Just(Kind::Real),
        Just(Kind::Text)
    ];
    vec(kind, 1..6).prop_flat_map(|kinds| {
        let row: Vec<_> = kinds.iter().map(|kind| value(*kind)).collect();
        (Just(kinds), vec(row, 0..20))
    })
}

/// All columns declared.
fn declared(kinds: &[Kind]) -> Vec<String> {
    let columns = kinds.iter().enumerate();
    columns.map(|(at, kind)| format!("n{at}:{kind}")).collect()
}

fn with(file: Outside, declared: &[String]) -> Outside {
    let declared: Vec<&str> = declared.iter().map(String::as_str).collect();
    file.declaring(&declared)
}

fn is_same(one: &[Vec<Scalar>], two: &[Vec<Scalar>]) -> bool {
    let is_same = |(one, two): (&Scalar, &Scalar)| match (one, two) {
        // Zero has two signs.
        (Scalar::Real(one), Scalar::Real(two)) => one.to_bits() == two.to_bits(),
        (one, two) => one == two,
    };
    one.len() == two.len()
        && one
            .iter()
            .zip(two)
            .all(|(one, two)| one.len() == two.len() && one.iter().zip(two).all(is_same))
}

fn field(value: &Scalar, kind: Kind) -> String {
    match value {
        Scalar::Null => String::new(),
        Scalar::Integer(1) if kind == Kind::Boolean => "true".to_owned(),
        Scalar::Integer(0) if kind == Kind::Boolean => "false".to_owned(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Real(number) => format!("{number:?}"),
        Scalar::Text(text) => text.clone(),
        Scalar::Blob(_) => unreachable!(),
    }
}

fn member(value: &Scalar, kind: Kind) -> serde_json::Value {
    match value {
        Scalar::Null => serde_json::Value::Null,
        Scalar::Integer(number) if kind == Kind::Boolean => (*number == 1).into(),
        Scalar::Integer(number) => (*number).into(),
        Scalar::Real(number) => (*number).into(),
        Scalar::Text(text) => text.as_str().into(),
        Scalar::Blob(_) => unreachable!(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn csv_is_read_as_it_was_written((kinds, rows) in rows(), crlf: bool, always: bool) {
        let names: Vec<String> = (0..kinds.len()).map(|at| format!("n{at}")).collect();
        // Quoted, nothing is told from an empty text; so null stays without quotes.
        let style = if always { QuoteStyle::NonNumeric } else { QuoteStyle::Necessary };
        let has_null = rows.iter().flatten().any(|it| *it == Scalar::Null);
        prop_assume!(!(always && has_null));
        let mut builder = WriterBuilder::new();
        builder.quote_style(style);
        if crlf {
            builder.terminator(Terminator::CRLF);
        }
        let mut writer = builder.from_writer(Vec::new());
        writer.write_record(&names).unwrap();
        for row in &rows {
            let fields = row.iter().zip(&kinds).map(|(value, kind)| field(value, *kind));
            writer.write_record(fields).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let file = with(Outside::new(CSV, &bytes), &declared(&kinds));
        let read = file.rows();
        // A record of one empty field is written in quotes, or it would be none.
        let expected: Vec<Vec<Scalar>> = rows.iter().map(|row| match &row[..] {
            [Scalar::Null] if kinds[0] == Kind::Text => vec!["".into()],
            _ => row.clone(),
        }).collect();
        prop_assert!(is_same(&read, &expected), "{read:?}\n{expected:?}\n{}", String::from_utf8_lossy(&bytes));
        // The fields are what another reader has.
        let mut theirs = csv::ReaderBuilder::new().has_headers(false).from_reader(&bytes[..]);
        let theirs: Vec<Vec<String>> = theirs.records().skip(1)
            .map(|it| it.unwrap().iter().map(str::to_owned).collect()).collect();
        let texts: Vec<String> = names.iter().map(|name| format!("{name}:text")).collect();
        let ours = with(Outside::new(CSV, &bytes), &texts).rows();
        let ours: Vec<Vec<String>> = ours.iter()
            .map(|row| row.iter().map(|it| field(it, Kind::Text)).collect()).collect();
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn json_is_read_as_it_was_written((kinds, rows) in rows(), is_pretty: bool, form in 0..3) {
        let object = |row: &Vec<Scalar>| {
            let members = row.iter().zip(&kinds).enumerate();
            let members = members.map(|(at, (value, kind))| (format!("n{at}"), member(value, *kind)));
            serde_json::Value::Object(members.collect())
        };
        let objects: Vec<_> = rows.iter().map(object).collect();
        let written = |value: &serde_json::Value| if is_pretty {
            serde_json::to_string_pretty(value).unwrap()
        } else {
            value.to_string()
        };
        let (format, content) = match form {
            0 => (JSON, objects.iter().map(written).collect::<Vec<_>>().join("\n")),
            1 => (JSON, written(&objects.into())),
            _ => (at("/a/b"), written(&serde_json::json!({ "a": { "x": objects, "b": objects }, "c": [0] }))),
        };
        let file = with(Outside::new(format, content), &declared(&kinds));
        let sql_columns: Vec<String> = (0..kinds.len()).map(|at| format!("n{at}")).collect();
        let read = file.ask(&format!("SELECT {} FROM t", sql_columns.join(", "))).unwrap();
        prop_assert!(is_same(&read, &rows), "{read:?}\n{rows:?}");
    }

    /// What is found for the columns takes every value, and gives numbers and texts back.
    #[test]
    fn columns_that_are_found_fit((kinds, rows) in rows()) {
        let names: Vec<String> = (0..kinds.len()).map(|at| format!("n{at}")).collect();
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&names).unwrap();
        for row in &rows {
            writer.write_record(row.iter().zip(&kinds).map(|(it, kind)| field(it, *kind))).unwrap();
        }
        let file = Outside::new(CSV, writer.into_inner().unwrap());
        for (read, row) in file.rows().iter().zip(&rows) {
            for (read, (value, kind)) in read.iter().zip(row.iter().zip(&kinds)) {
                match (read, value) {
                    (Scalar::Integer(one), Scalar::Real(two)) => prop_assert_eq!((*one as f64).to_bits(), two.to_bits()),
                    (Scalar::Text(text), value) => prop_assert_eq!(text, &field(value, *kind)),
                    (one, Scalar::Text(text)) => {
                        let again = field(one, *kind);
                        let is_flag = text == "true" && again == "1";
                        prop_assert!(is_flag || &again == text);
                    }
                    (one, two) => prop_assert_eq!(one, two),
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes: Vec<u8>, form in 0..3) {
        let format = match form { 0 => CSV, 1 => JSON, _ => at("/a/0") };
        drop(Outside::new(format, bytes).find());
    }

    #[test]
    fn no_near_json_panics(text in "[\\[\\]{}:,\"a0 \n\\\\]{0,40}", is_pointed: bool) {
        let format = if is_pointed { at("/a") } else { JSON };
        if let Ok(found) = Outside::new(format.clone(), &text).find() {
            let rows = Outside::new(format, &text).rows();
            prop_assert_eq!(rows.len() as u64, found.rows);
        }
    }
}
