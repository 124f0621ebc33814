//! Types: what is one, what a record of it is, and what may take its place.

use std::sync::Arc;

use allod_views::{
    BadType, FieldDefinition, FieldKind, Received, Record, RecordReader, Type, TypeDefinition,
    Value,
};
use serde_json::json;

use crate::world::typed;

fn made(fields: &[&str]) -> Type {
    Type::new(typed(fields)).unwrap()
}

/// What is wrong with a record, as text.
#[track_caller]
fn faults(kind: &Type, record: &str) -> String {
    match kind.check_record(b"user:1", record.as_bytes()) {
        Ok(()) => String::new(),
        Err(bad) => bad.to_string(),
    }
}

#[test]
fn a_record_is_told_field_by_field_what_is_wrong() {
    let kind = made(&[
        "id:string!",
        "age:integer",
        "rate:number",
        "f:float",
        "ok:boolean",
        "at:timestamp",
        "raw:bytes",
        "boss:ref:user",
        "tags:string[]",
    ]);
    let good = r#"{"id":"1","age":30,"rate":0.1,"f":1e308,"ok":true,"at":"2026-11-26T08:00:00.5+01:00",
        "raw":"AAE=","boss":"2","tags":["a"],"more":{"x":[1]}}"#;
    assert_eq!(faults(&kind, good), "");
    assert_eq!(faults(&kind, r#"{"id":"1","age":null}"#), "");
    for (record, words) in [
        (r#"{"id":5}"#, "field \"id\": expected string, found 5"),
        ("{}", "field \"id\": expected string, found nothing"),
        (
            r#"{"id":null}"#,
            "field \"id\": expected string, found nothing",
        ),
        (
            r#"{"id":"1","age":1.5}"#,
            "field \"age\": expected integer, found 1.5",
        ),
        (r#"{"id":"1","age":"7"}"#, "field \"age\": expected"),
        (r#"{"id":"1","rate":1e2000}"#, "38 digits"),
        (r#"{"id":"1","f":1e999}"#, "field \"f\": expected float"),
        (
            r#"{"id":"1","ok":1}"#,
            "field \"ok\": expected boolean, found 1",
        ),
        (
            r#"{"id":"1","at":"yesterday"}"#,
            "expected a timestamp like",
        ),
        (
            r#"{"id":"1","at":"2026-02-29T00:00:00Z"}"#,
            "expected a timestamp like",
        ),
        (r#"{"id":"1","raw":"AAE"}"#, "base64"),
        (r#"{"id":"1","boss":2}"#, "expected ref:user, found 2"),
        (r#"{"id":"1","tags":"a"}"#, "expected an array of string"),
        (r#"{"id":"1","tags":["a",1]}"#, "expected string, found 1"),
        (r#"["id"]"#, "no object of JSON"),
        (r#"{"id":"1","id":"2"}"#, "\"id\" is there twice"),
        (r#"{"id":"1""#, "no object of JSON"),
        ("", "no object of JSON"),
    ] {
        let told = faults(&kind, record);
        assert!(told.starts_with("user:1"), "{record}: {told}");
        assert!(told.contains(words), "{record}: {told}");
    }
    assert!(kind.check_record(b"user:1", &vec![b' '; 1 << 21]).is_err());
    assert!(kind.check_record(b"user:1", b"{\"id\":\"\xff\"}").is_err());
    let both = faults(&kind, r#"{"age":"x","ok":0}"#);
    assert_eq!(both.matches("user:1").count(), 3, "{both}");
}

#[test]
fn checks_and_closed_types() {
    let mut definition = typed(&["low:number", "high:number"]);
    definition.check = Some("low <= high".to_owned());
    definition.fields[0].check = Some("low BETWEEN 0 AND 10".to_owned());
    definition.closed = true;
    let kind = Type::new(definition).unwrap();
    assert_eq!(faults(&kind, r#"{"low":1,"high":2}"#), "");
    assert_eq!(faults(&kind, r#"{"low":1}"#), "", "null is not false");
    let told = faults(&kind, r#"{"low":11,"high":2,"x":1}"#);
    for words in [
        "field \"low\": expected low BETWEEN 0 AND 10",
        "no such field",
        "expected low <= high",
    ] {
        assert!(told.contains(words), "{told}");
    }
    let mut bad = typed(&["a:string"]);
    bad.check = Some("a + 1 > 0".to_owned());
    let told = faults(&Type::new(bad).unwrap(), r#"{"a":"x"}"#);
    assert!(told.contains("cannot be computed"), "{told}");
}

#[test]
fn a_reader_reads_each_record_as_if_it_were_alone() {
    let mut definition = typed(&["name:string", "age:integer"]);
    definition.fields[0].was = vec!["called".to_owned()];
    let kind = Arc::new(Type::new(definition).unwrap());
    let many: Vec<String> = (0..70_000).map(|n| format!("\"f{n}\":0")).collect();
    let long = format!("{{{},\"name\":\"last\",\"age\":7}}", many.join(","));
    let records = [
        r#"{"name":"a","age":1}"#,
        r#"{"name":"b","age":null}"#,
        r#"{"age":2,"name":"c"}"#,
        r#"{"called":"d","name":"e"}"#,
        r#"{"name":"f","name":"g"}"#,
        r#"{"name":"h","age":01}"#,
        r#"{"name":"i" ,"age":1}"#,
        r#"{"n\u0061me":"j","age":3}"#,
        "{}",
        &long,
        r#"{"name":"a","age":1}"#,
    ];
    let mut reader = RecordReader::new(Some(Arc::clone(&kind)));
    let fields = |record: &Record<'_>| [record.field_at(0), record.field_at(1)];
    for record in records.iter().chain(&records) {
        let alone = Record::parse(record.as_bytes(), Some(&kind));
        let read = reader.read(record.as_bytes());
        assert_eq!(
            read.as_ref().map(fields).map_err(ToString::to_string),
            alone.as_ref().map(fields).map_err(ToString::to_string),
            "{record:.60}"
        );
    }
}

#[test]
fn old_records_are_read_by_new_definitions() {
    let mut definition = typed(&["name:string", "age:integer", "level:integer"]);
    definition.fields[0].was = vec!["called".to_owned(), "title".to_owned()];
    definition.fields[2].default = Some("1".to_owned());
    let kind = Type::new(definition).unwrap();
    let read = |record: &str, path: &str| {
        let record = Record::parse(record.as_bytes(), Some(&kind)).unwrap();
        let expr: allod_views::Expr = path.parse().unwrap();
        expr.eval(&record).unwrap()
    };
    assert_eq!(read(r#"{"called":"a"}"#, "name"), Value::text("a"));
    assert_eq!(
        read(r#"{"called":"a","title":"b"}"#, "name"),
        Value::text("b"),
        "the last name first"
    );
    assert_eq!(
        read(r#"{"called":"a","name":"c"}"#, "name"),
        Value::text("c")
    );
    assert_eq!(read("{}", "level"), Value::Number(1.into()));
    assert_eq!(read(r#"{"level":null}"#, "level"), Value::Null);
    assert_eq!(
        read(r#"{"age":"x"}"#, "age"),
        Value::Null,
        "what cannot be read is null"
    );
    assert_eq!(
        read(r#"{"home":{"city":"Oslo"}}"#, "home.city"),
        Value::text("Oslo")
    );
    assert_eq!(
        read(r#"{"home":{"city":"Oslo"}}"#, "home.street"),
        Value::Null
    );
    assert_eq!(read(r#"{"home":[1, 2]}"#, "home"), Value::text("[1, 2]"));
}

#[track_caller]
fn broken(definition: TypeDefinition, words: &str) {
    let error = Type::new(definition).unwrap_err();
    assert_eq!(error.code(), "E_TYPE");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn definitions_that_are_none() {
    broken(typed(&[]), "1 to 256 fields");
    let many: Vec<String> = (0..257).map(|n| format!("f{n}:string")).collect();
    broken(
        typed(&many.iter().map(String::as_str).collect::<Vec<_>>()),
        "1 to 256 fields",
    );
    broken(typed(&["a:string", "a:number"]), "two fields");
    broken(typed(&["a.b:string"]), "no name of a field");
    broken(typed(&[":string"]), "no name of a field");
    let with = |change: &dyn Fn(&mut FieldDefinition)| {
        let mut definition = typed(&["a:string", "b:integer"]);
        change(&mut definition.fields[1]);
        definition
    };
    broken(
        with(&|field| field.was = vec!["a".to_owned()]),
        "two fields",
    );
    broken(
        with(&|field| field.default = Some("\"x\"".to_owned())),
        "its default",
    );
    broken(
        with(&|field| field.default = Some("{".to_owned())),
        "its default",
    );
    broken(
        with(&|field| {
            field.required = true;
            field.default = Some("null".to_owned());
        }),
        "null by default",
    );
    broken(
        with(&|field| field.check = Some("b >".to_owned())),
        "the check",
    );
    broken(
        with(&|field| field.check = Some("c > 1".to_owned())),
        "no field",
    );
    broken(
        with(&|field| field.name = "x".repeat(129)),
        "no name of a field",
    );
    let mut long = typed(&["a:string"]);
    long.fields[0].default = Some(format!("\"{}\"", "x".repeat(70_000)));
    broken(long, "65536 bytes");
    for kind in ["", "text", "ref:", "ref:1x", "String"] {
        assert!(kind.parse::<FieldKind>().is_err(), "{kind}");
    }
    assert!(Type::decode(b"").is_none());
    assert!(Type::decode(&made(&["a:string"]).encode()).is_some());
}

#[test]
fn definitions_that_may_take_the_place_of_others() {
    let before = made(&["id:string!", "age:integer", "tags:string[]"]);
    let may = |fields: &[&str], drop| before.may_become(&made(fields), drop);
    assert_eq!(
        may(
            &["id:string!", "age:number", "tags:string[]", "new:string"],
            false
        ),
        Ok(())
    );
    assert_eq!(
        may(&["id:string", "age:integer", "tags:string[]"], false),
        Ok(())
    );
    for (fields, words) in [
        (
            &["id:string!", "age:string", "tags:string[]"][..],
            "integer does not become string",
        ),
        (
            &["id:string!", "age:integer!", "tags:string[]"],
            "becomes required without a default",
        ),
        (
            &["id:string!", "age:integer", "tags:string"],
            "[string] does not become string",
        ),
        (&["id:string!", "age:integer"], "the field goes"),
        (
            &["id:string!", "age:integer", "tags:string[]", "new:string!"],
            "a new field is required",
        ),
    ] {
        let error = may(fields, false).unwrap_err();
        assert_eq!(error.code(), "E_TYPE_NARROWED");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert_eq!(may(&["id:string!"], true), Ok(()));
    assert!(
        may(&["id:number!"], true).is_err(),
        "what stays is not narrowed"
    );
    let mut renamed = typed(&["id:string!", "years:integer", "tags:string[]"]);
    renamed.fields[1].was = vec!["age".to_owned()];
    assert_eq!(
        before.may_become(&Type::new(renamed).unwrap(), false),
        Ok(())
    );
    let mut closed = typed(&["id:string!", "age:integer", "tags:string[]"]);
    closed.closed = true;
    let closed = Type::new(closed).unwrap();
    assert!(before.may_become(&closed, false).is_err());
    assert_eq!(before.may_become(&closed, true), Ok(()));
}

#[test]
fn types_are_json_schemas_and_back() {
    let mut definition = typed(&[
        "id:string!",
        "age:integer",
        "rate:number",
        "f:float",
        "ok:boolean",
        "at:timestamp",
        "raw:bytes",
        "boss:ref:user",
        "tags:string[]",
        "times:timestamp[]",
    ]);
    definition.fields[0].unique = true;
    definition.fields[1].default = Some("7".to_owned());
    definition.fields[1].check = Some("age > 0".to_owned());
    definition.fields[2].was = vec!["price".to_owned()];
    definition.check = Some("age < 200".to_owned());
    definition.closed = true;
    definition.received = Received::Refuse;
    // A schema has its fields in the order of their names.
    definition.fields.sort_by(|a, b| a.name.cmp(&b.name));
    let kind = Type::new(definition.clone()).unwrap();
    let schema = kind.to_json_schema("user");
    assert_eq!(TypeDefinition::from_json_schema(&schema), Ok(definition));
    assert_eq!(
        schema["properties"]["at"],
        json!({ "type": "string", "format": "date-time" })
    );
    assert_eq!(schema["required"], json!(["id"]));
}

#[test]
fn constraints_of_a_schema_become_checks_or_are_refused() {
    let schema = json!({
        "title": "a person", "type": "object", "required": ["name"],
        "properties": {
            "name": { "type": "string", "minLength": 1, "maxLength": 5, "description": "what one is called" },
            "age": { "type": "integer", "minimum": 0, "exclusiveMaximum": 150 },
            "role": { "type": "string", "enum": ["it's", "user"] },
        },
    });
    let kind = Type::new(TypeDefinition::from_json_schema(&schema).unwrap()).unwrap();
    assert_eq!(
        faults(&kind, r#"{"name":"Ada","age":30,"role":"it's"}"#),
        ""
    );
    for record in [
        r#"{"age":30}"#,
        r#"{"name":""}"#,
        r#"{"name":"too long"}"#,
        r#"{"name":"a","age":-1}"#,
        r#"{"name":"a","age":150}"#,
        r#"{"name":"a","role":"admin"}"#,
    ] {
        assert_ne!(faults(&kind, record), "", "{record}");
    }
    for (schema, words) in [
        (json!([]), "an object is expected"),
        (json!({ "type": "array" }), "\"type\""),
        (json!({ "oneOf": [] }), "\"oneOf\""),
        (
            json!({ "properties": { "a": { "type": "string", "pattern": "(a+)+$" } } }),
            "\"pattern\"",
        ),
        (
            json!({ "properties": { "a": { "type": ["string", "null"] } } }),
            "cannot be",
        ),
        (
            json!({ "properties": { "a": { "type": "string", "format": "email" } } }),
            "cannot be",
        ),
        (
            json!({ "properties": { "a": { "type": "array" } } }),
            "without items",
        ),
        (
            json!({ "properties": { "a": { "type": "array", "items": { "type": "string", "minLength": 1 } } } }),
            "minLength",
        ),
        (
            json!({ "properties": { "a": { "type": "integer", "minimum": "1" } } }),
            "minimum",
        ),
        (
            json!({ "properties": { "a": { "type": "string", "enum": [["x"]] } } }),
            "enum",
        ),
        (
            json!({ "properties": { "a": { "type": "object" } } }),
            "cannot be",
        ),
        (
            json!({ "properties": { "a": { "$ref": "http://x" } } }),
            "cannot be",
        ),
        (json!({ "required": ["a"] }), "is no property"),
        (
            json!({ "additionalProperties": { "type": "string" } }),
            "additionalProperties",
        ),
    ] {
        let error = TypeDefinition::from_json_schema(&schema).unwrap_err();
        assert!(matches!(error, BadType::Broken(_)));
        assert!(error.to_string().contains(words), "{schema}: {error}");
    }
}

#[test]
fn records_are_migrated_field_by_field() {
    let kind = made(&["first:string", "last:string", "age:integer"]);
    let expr = |text: &str| text.parse::<allod_views::Expr>().unwrap();
    let migration = allod_views::Migration {
        set: vec![
            ("name".to_owned(), expr("first || ' ' || last")),
            ("age".to_owned(), expr("age + 1")),
        ],
        unset: vec!["first".to_owned(), "last".to_owned()],
        filter: Some(expr("age > 1")),
    };
    let apply = |record: &str| {
        let migrated = migration.apply(record.as_bytes(), Some(&kind)).unwrap();
        migrated.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
    };
    let before = r#"{"age": 30,"first":"A\u0064a","x":{"y": 1.50},"last":"L"}"#;
    let after = r#"{"age":31,"x":{"y": 1.50},"name":"Ada L"}"#;
    assert_eq!(apply(before).as_deref(), Some(after));
    assert_eq!(apply(r#"{"age":1}"#), None, "none of those");
    // What is null goes.
    assert_eq!(
        apply(r#"{"age":2,"name":"x"}"#).as_deref(),
        Some(r#"{"age":3}"#)
    );
    let nothing = allod_views::Migration::default();
    assert_eq!(nothing.apply(before.as_bytes(), None), Ok(None));
    let wrong = allod_views::Migration {
        set: vec![("age".to_owned(), expr("first + 1"))],
        ..allod_views::Migration::default()
    };
    let told = wrong.apply(before.as_bytes(), Some(&kind)).unwrap_err();
    assert!(told.to_string().starts_with("age: "), "{told}");
    assert!(wrong.apply(b"[]", Some(&kind)).is_err());
}
