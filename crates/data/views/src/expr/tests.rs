//! The vectors, the one spelling, what is refused, and what it costs.

use proptest::prelude::*;
use serde_json::json;

use super::cast::Type;
use super::functions::Function;
use super::node::Operator;
use super::*;
use crate::number::Number;
use crate::value::{Float, Kind};
use crate::vectors::{document, read, written};

#[test]
fn expr_vectors() {
    for case in document("expr") {
        let input = &case["input"];
        let record = |path: &FieldPath| match input["record"].get(path.to_string()) {
            Some(value) => read(value).unwrap(),
            None => Value::Null,
        };
        let got = match input["text"].as_str().unwrap().parse::<Expr>() {
            Err(_error) => json!({ "error": BadExpr::CODE }),
            Ok(expr) => match expr.eval(&record) {
                Ok(value) => {
                    json!({ "ok": { "text": expr.to_string(), "value": written(&value) } })
                }
                Err(_error) => json!({ "error": EvalError::CODE }),
            },
        };
        assert_eq!(got, case["expect"], "{}", case["id"]);
    }
}

fn literal() -> impl Strategy<Value = Node> {
    let number = (-2000..2000_i128, -40..40)
        .prop_map(|(coefficient, power)| Value::Number(Number::new(coefficient, power).unwrap()));
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        number,
        any::<i64>().prop_map(Value::Timestamp),
        "['a%\u{e4}\"\0 ]{0,4}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Bytes),
    ]
    .prop_map(Node::Literal)
}

fn field() -> impl Strategy<Value = Node> {
    let name = prop_oneof![
        Just("role".to_owned()),
        "[a-zA-Z_][a-zA-Z0-9_]{0,3}",
        "[a-c0-9'\". \u{e4}]{0,3}",
        prop::sample::select(node::RESERVED.to_vec()).prop_map(str::to_lowercase),
        Just("timestamp".to_owned()),
        Just("x".to_owned()),
    ];
    prop::collection::vec(name, 1..3).prop_map(|names| Node::Field(FieldPath::new(names)))
}

fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Equal,
        Operator::Unequal,
        Operator::Is,
        Operator::Less,
        Operator::AtMost,
        Operator::More,
        Operator::AtLeast,
        Operator::Plus,
        Operator::Minus,
        Operator::Times,
        Operator::Over,
        Operator::Modulo,
        Operator::Concat,
    ])
}

/// What the parser can make, and all of it.
fn node() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![literal(), field()];
    leaf.prop_recursive(6, 60, 4, |part| {
        let boxed = || part.clone().prop_map(Box::new);
        let some = |least| prop::collection::vec(part.clone(), least..4);
        let two = || [part.clone(), part.clone()];
        prop_oneof![
            boxed().prop_map(Node::Not),
            boxed().prop_map(|part| match *part {
                Node::Literal(Value::Number(_)) => *part,
                _ => Node::Minus(part),
            }),
            some(2).prop_map(Node::And),
            some(2).prop_map(Node::Or),
            (operator(), two())
                .prop_map(|(operator, parts)| Node::Binary(operator, Box::new(parts))),
            [part.clone(), part.clone(), part.clone()]
                .prop_map(|parts| Node::Between(Box::new(parts))),
            (boxed(), some(1)).prop_map(|(of, list)| Node::In(of, list)),
            (
                two(),
                prop::option::of(prop::sample::select(vec!['\\', '\'', '\u{e4}']))
            )
                .prop_map(|(parts, escape)| Node::Like(Box::new(parts), escape)),
            (
                prop::option::of(boxed()),
                prop::collection::vec(two(), 1..3),
                prop::option::of(boxed())
            )
                .prop_map(|(of, branches, otherwise)| Node::Case {
                    of,
                    branches,
                    otherwise
                }),
            (boxed(), prop::sample::select(Type::ALL.to_vec()))
                .prop_map(|(part, to)| Node::Cast(part, to)),
            (
                prop::sample::select(vec!["coalesce", "max", "min"]),
                some(2)
            )
                .prop_map(|(name, parts)| Node::Call(Function::named(name).unwrap(), parts)),
            (
                prop::sample::select(vec!["length", "typeof", "year"]),
                part.clone()
            )
                .prop_map(|(name, part)| Node::Call(Function::named(name).unwrap(), vec![part])),
        ]
    })
}

/// A value for each field, of every kind.
fn record(path: &FieldPath) -> Value {
    let nth = path.names().iter().map(String::len).sum::<usize>();
    match nth % 7 {
        0 => Value::Null,
        1 => Value::Boolean(true),
        2 => Value::Number(Number::new(-125, -1).unwrap()),
        3 => Value::Float(Float::new(0.1).unwrap()),
        4 => Value::Timestamp(1_700_000_000_000_000),
        5 => Value::text("A\u{e4}%_ 1"),
        _ => Value::Bytes(vec![0, 255]),
    }
}

/// What holds for whatever was accepted.
fn check(expr: &Expr) {
    let text = expr.to_string();
    assert!(text.len() <= EXPR_BYTES_MAX);
    assert_eq!(text.parse().as_ref(), Ok(expr), "{text}");
    let value = expr.eval(&record);
    assert_eq!(value, text.parse::<Expr>().unwrap().eval(&record), "{text}");
    if let Ok(Value::Boolean(boolean)) = value {
        assert_eq!(expr.holds(&record), Ok(Some(boolean)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_expression_is_read_as_it_is_written(node in node()) {
        let expr = Expr(node);
        match expr.to_string().parse::<Expr>() {
            Ok(read) => {
                prop_assert_eq!(&read, &expr, "{}", expr);
                check(&expr);
            }
            Err(error) => {
                let is_large = matches!(error.fault, ExprFault::TooLong | ExprFault::TooDeep | ExprFault::TooLarge);
                prop_assert!(is_large, "{}: {}", expr, error);
            }
        }
    }

    #[test]
    fn no_words_panic(words in prop::collection::vec(word(), 0..16), between in "[ \n]?") {
        if let Ok(expr) = words.join(&between).parse::<Expr>() {
            check(&expr);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(expr) = String::from_utf8_lossy(&bytes).parse::<Expr>() {
            check(&expr);
        }
    }
}

fn word() -> impl Strategy<Value = String> {
    let words = "NOT AND OR IS NULL BETWEEN IN LIKE ESCAPE CASE WHEN THEN ELSE END CAST AS integer text TRUE \
        TIMESTAMP + - * / % || = <> < <= ( ) ( ) , . length( max( substr( year( 1 2.5 .5 1e9 1e-1000 'a' '%' '' ' \
        \" x'00' x' role a abc abcde -- 'it''s' '2026-11-26T08:00:00Z' \u{e4}";
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    prop::sample::select(words)
}

fn parse(text: &str) -> Expr {
    text.parse().unwrap()
}

fn fault(text: &str) -> BadExpr {
    text.parse::<Expr>().unwrap_err()
}

#[test]
fn holds_is_true_or_false_or_not_known() {
    let holds = |text: &str| parse(text).holds(&record);
    assert_eq!(holds("1 < 2"), Ok(Some(true)));
    assert_eq!(holds("1 > 2"), Ok(Some(false)));
    assert_eq!(holds("NULL > 2"), Ok(None));
    let error = holds("1").unwrap_err();
    let kinds = vec![Kind::Number];
    assert_eq!(
        error,
        EvalError::Kind {
            operation: "a condition",
            kinds
        }
    );
    assert_eq!(error.to_string(), "a condition does not take number");
}

#[test]
fn fields_are_named_once() {
    let expr =
        parse("b.c + a * \"B\" - length(b . \"c\") + CASE a WHEN d THEN e ELSE f END IN (g, 'h')");
    let fields: Vec<_> = expr.fields().map(ToString::to_string).collect();
    assert_eq!(fields, ["B", "a", "b.c", "d", "e", "f", "g"]);
    assert_eq!(expr.as_field(), None);
    let path = parse("(\"b\".c)");
    assert_eq!(path.as_field().unwrap().names(), ["b", "c"]);
    assert_eq!(parse("1").fields().count(), 0);
}

#[test]
fn a_fault_says_where_and_what() {
    let shown = |text: &str| fault(text).to_string();
    assert_eq!(
        shown("a = 1 AND OR b"),
        "at byte 10, `OR b`: expected a value, a field or a function"
    );
    assert_eq!(
        shown("lenght(a) > 1"),
        "at byte 0, `lenght(a) > 1`: there is no such function; is length meant?"
    );
    assert_eq!(
        shown("sqrt(2)"),
        "at byte 0, `sqrt(2)`: there is no such function"
    );
    assert_eq!(
        shown("1 + substr('a')"),
        "at byte 4, `substr('a')`: substr takes 2 to 3 arguments"
    );
    assert_eq!(shown("abs()"), "at byte 0, `abs()`: abs takes one argument");
    assert_eq!(
        shown("max(1)"),
        "at byte 0, `max(1)`: max takes 2 arguments or more"
    );
    assert_eq!(
        shown("(1"),
        "at the end of the expression: expected an operator, or )"
    );
    assert_eq!(
        shown("'a"),
        "at the end of the expression: expected ' at the end of a text"
    );
    let near = fault("a = 1 \u{e4}\n aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_eq!((near.at, near.near.chars().count()), (6, 24));
    assert!(near.to_string().contains("\\n"), "{near}");
}

#[test]
fn a_failure_says_what_failed() {
    let shown = |text: &str| parse(text).eval(&record).unwrap_err().to_string();
    assert_eq!(shown("1 + 'a'"), "+ does not take number and text");
    assert_eq!(
        shown("replace('a', x'00', 1)"),
        "replace does not take text, bytes and number"
    );
    assert_eq!(shown("5 % 0.5"), "% takes whole numbers only");
    assert_eq!(
        shown("1e1000 * 10"),
        "* has a number that is too large, too small or of more than 38 digits"
    );
    assert_eq!(
        shown("CAST('a' AS number)"),
        "CAST takes a text that is a number, such as '-12.5'"
    );
}

/// What is nested as deep as can be, and deeper, with a small stack.
#[test]
fn nothing_goes_deep() {
    let deep = || {
        let many = |part: &str| part.repeat(EXPR_BYTES_MAX / part.len());
        for part in [
            "(",
            "NOT ",
            "- ",
            "abs(",
            "CASE ",
            "CASE WHEN ",
            "CAST(",
            "1 IN (",
            "a.",
            "1+",
            "1 AND ",
            "1 OR NOT (",
            "1 = (1 < - (",
            "1 BETWEEN ",
            "a LIKE ",
            "CASE WHEN 1 THEN ",
            "max(1,",
            "1 IS NOT ",
            "'a' || ",
            "1 OR 2 AND NOT 3 = 4 < 5 + 6 * 7 || - (",
        ] {
            let text = many(part);
            let _fault = fault(&text);
            // Some of them are expressions, such as a number with many signs.
            if let Ok(expr) = format!("{}1", &text[..text.len() - 1]).parse() {
                check(&expr);
            }
        }
        for (before, middle, after) in [
            ("(", "1", ")"),
            ("abs(", "1", ")"),
            ("1 IN (", "1", ")"),
            ("- (", "a", ")"),
            ("NOT (NOT ", "TRUE", ")"),
            ("1 OR 2 AND NOT 3 = 4 < 5 + 6 * 7 || (", "1", ")"),
            ("CASE WHEN TRUE THEN ", "1", " END"),
            ("CAST(", "1", " AS number)"),
        ] {
            let text = |count| before.repeat(count) + middle + &after.repeat(count);
            let deepest = (0..=EXPR_DEPTH_MAX)
                .take_while(|count| text(*count).parse::<Expr>().is_ok())
                .last();
            let count = deepest.unwrap();
            assert!((7..=EXPR_DEPTH_MAX).contains(&count), "{count} of {before}");
            check(&parse(&text(count)));
            let fault = fault(&text(count + 1)).fault;
            assert!(matches!(fault, ExprFault::TooDeep), "{fault} for {before}");
        }
    };
    let thread = std::thread::Builder::new()
        .stack_size(384 << 10)
        .spawn(deep);
    thread.unwrap().join().unwrap();
}

#[test]
fn a_result_that_is_too_long_is_never_made() {
    let long = Value::Text("a".repeat(EXPR_RESULT_BYTES_MAX / 2));
    let record = |_path: &FieldPath| long.clone();
    let eval = |text: &str| parse(text).eval(&record);
    assert_eq!(
        eval("length(a || a)"),
        Ok(Value::Number((1_i64 << 20).into()))
    );
    assert_eq!(
        eval("a || a || 'b'"),
        Err(EvalError::TooLong { operation: "||" })
    );
    // Two to the 38 bytes.
    let operation = "replace";
    assert_eq!(
        eval("replace(a, 'a', a)"),
        Err(EvalError::TooLong { operation })
    );
}
