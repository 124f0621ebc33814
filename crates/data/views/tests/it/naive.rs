//! What projections must be, computed from all records of a state in the most obvious way.

use std::collections::BTreeMap;

use allod_repo::{Content, Span};
use allod_views::{
    Datum, Expr, Fields as _, Function, Number, ProjectionDefinition, Record, Row, ShapeDefinition,
    Snapshot, Type, Value, encode_key,
};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};

fn expr(text: &str) -> Expr {
    text.parse().unwrap()
}

fn value(of: &str, record: &Record<'_>) -> Value {
    expr(of).eval(record).unwrap_or_default()
}

/// The elements of a list, or one value.
fn elements(of: &str, record: &Record<'_>) -> Vec<Value> {
    match expr(of).as_field() {
        Some(path) => match record.get(path) {
            Datum::Many(mut list, _) => {
                list.sort();
                list.dedup();
                list
            }
            Datum::One(_) => vec![record.field(path)],
        },
        None => vec![value(of, record)],
    }
}

/// All records of a pattern, as keys and bytes.
fn records(snapshot: &Snapshot, pattern: &str) -> Vec<(Bytes, Bytes)> {
    let prefix = pattern.strip_suffix('*').unwrap();
    let mut found = Vec::new();
    for item in snapshot
        .view()
        .range(&Span::prefix(prefix.as_bytes()), false)
    {
        let (key, entry) = item.unwrap();
        if let Some(Content::Bytes(bytes)) = snapshot.view().content(&entry).unwrap() {
            found.push((key, bytes));
        }
    }
    found
}

fn combinations(by: &[String], record: &Record<'_>) -> Vec<Vec<Value>> {
    by.iter().fold(vec![Vec::new()], |starts, of| {
        let elements = elements(of, record);
        let longer = |start: &Vec<Value>| -> Vec<Vec<Value>> {
            let with = |element: &Value| [&start[..], std::slice::from_ref(element)].concat();
            elements.iter().map(with).collect()
        };
        starts.iter().flat_map(longer).collect()
    })
}

/// Rows with what they are sorted by.
type Sorted = Vec<(Vec<u8>, Row)>;

/// The rows of a projection, in their order.
pub(crate) fn rows(snapshot: &Snapshot, definition: &ProjectionDefinition) -> Vec<Row> {
    let own = records(snapshot, &definition.source);
    let parsed = own.iter().filter_map(|(key, bytes)| {
        let record = Record::parse(bytes, kind(snapshot, key)).ok()?;
        let filter = definition.filter.as_deref();
        let holds = filter.map(|filter| expr(filter).holds(&record));
        holds
            .is_none_or(|holds| holds == Ok(Some(true)))
            .then_some((key.clone(), record))
    });
    let parsed: Vec<(Bytes, Record<'_>)> = parsed.collect();
    let mut all = match &definition.shape {
        ShapeDefinition::Index { by, values } => index(&parsed, by, values),
        ShapeDefinition::Group { by, totals } => groups(&parsed, by, totals),
        ShapeDefinition::Join { .. } => pairs(snapshot, &parsed, &definition.shape),
        ShapeDefinition::Words { of } => words(&parsed, of),
    };
    let order = |(by, row): &(Vec<u8>, Row)| (by.clone(), row.key.clone(), row.other.clone());
    all.sort_by_key(order);
    all.into_iter().map(|(_, row)| row).collect()
}

/// What rows are sorted by: the values, long texts by their beginnings and digests (PROJ-4).
fn order_key(values: &[Value]) -> Vec<u8> {
    let short = values.iter().map(|value| match value {
        Value::Text(text) if text.len() > 128 => {
            let beginning = (0..=64).rev().find_map(|end| text.get(..end));
            let digest = Sha256::digest(text)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>();
            Value::Text(beginning.unwrap_or_default().to_owned() + &digest)
        }
        value => value.clone(),
    });
    encode_key(&short.collect::<Vec<_>>())
}

fn kind<'a>(snapshot: &'a Snapshot, key: &[u8]) -> Option<&'a Type> {
    snapshot.types().kind_of(key).map(|(_, kind)| &**kind)
}

fn row(key: Option<&Bytes>, other: Option<&Bytes>, values: Vec<Value>) -> Row {
    Row {
        key: key.cloned(),
        other: other.cloned(),
        values,
    }
}

fn computed(values: &[(String, String)], record: &Record<'_>) -> Vec<Value> {
    values.iter().map(|(_, of)| value(of, record)).collect()
}

fn index(parsed: &[(Bytes, Record<'_>)], by: &[String], values: &[(String, String)]) -> Sorted {
    let mut all = Vec::new();
    for (key, record) in parsed {
        for start in combinations(by, record) {
            let values = [&start[..], &computed(values, record)].concat();
            all.push((order_key(&start), row(Some(key), None, values)));
        }
    }
    all
}

fn groups(
    parsed: &[(Bytes, Record<'_>)],
    by: &[(String, String)],
    totals: &[(String, Function, Option<String>)],
) -> Sorted {
    let of: Vec<String> = by.iter().map(|(_, of)| of.clone()).collect();
    let mut groups: BTreeMap<Vec<Value>, Vec<&Record<'_>>> = BTreeMap::new();
    for (_, record) in parsed {
        for group in combinations(&of, record) {
            groups.entry(group).or_default().push(record);
        }
    }
    let rows = groups.into_iter().map(|(group, members)| {
        let of_totals = totals
            .iter()
            .map(|(_, function, of)| total(*function, of.as_deref(), &members));
        let values = group.iter().cloned().chain(of_totals).collect();
        (order_key(&group), row(None, None, values))
    });
    rows.collect()
}

fn pairs(snapshot: &Snapshot, parsed: &[(Bytes, Record<'_>)], shape: &ShapeDefinition) -> Sorted {
    let ShapeDefinition::Join {
        on,
        other,
        to,
        left,
        right,
        outer,
    } = shape
    else {
        return Vec::new();
    };
    let theirs = records(snapshot, other);
    let partners = theirs
        .iter()
        .filter_map(|(key, bytes)| Some((key, Record::parse(bytes, kind(snapshot, key)).ok()?)));
    let partners: Vec<(&Bytes, Record<'_>)> = partners.collect();
    let mut all = Vec::new();
    for (key, record) in parsed {
        let own = computed(left, record);
        for value_on in elements(on, record) {
            let by = order_key(std::slice::from_ref(&value_on));
            let mut is_alone = true;
            for (other_key, partner) in &partners {
                if value_on == Value::Null || !elements(to, partner).contains(&value_on) {
                    continue;
                }
                is_alone = false;
                let values = [&own[..], &computed(right, partner)].concat();
                all.push((by.clone(), row(Some(key), Some(other_key), values)));
            }
            if is_alone && *outer {
                let values = [&own[..], &vec![Value::Null; right.len()]].concat();
                all.push((by, row(Some(key), None, values)));
            }
        }
    }
    all
}

fn words(parsed: &[(Bytes, Record<'_>)], of: &[String]) -> Sorted {
    let mut all = Vec::new();
    for (key, record) in parsed {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for value in of.iter().flat_map(|of| elements(of, record)) {
            let Value::Text(text) = value else { continue };
            let is_part = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric();
            let spaced: String = text
                .chars()
                .map(|c| if is_part(c) { c } else { ' ' })
                .collect();
            for word in spaced.split(' ').filter(|word| !word.is_empty()) {
                *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
            }
        }
        for (word, count) in counts {
            let word = Value::Text(word);
            let values = vec![word.clone(), Value::Number(count.into())];
            all.push((order_key(&[word]), row(Some(key), None, values)));
        }
    }
    all
}

fn total(function: Function, of: Option<&str>, members: &[&Record<'_>]) -> Value {
    let count = |number: usize| Value::Number(i64::try_from(number).unwrap().into());
    let Some(of) = of else {
        return count(members.len());
    };
    let values = members.iter().map(|record| value(of, record));
    let mut values: Vec<Value> = values.filter(|value| *value != Value::Null).collect();
    // Long texts by what is written of them (PROJ-7).
    values.sort_by_cached_key(|value| order_key(std::slice::from_ref(value)));
    let numbers: Vec<Number> = values
        .iter()
        .filter_map(|value| match value {
            Value::Number(number) => Some(*number),
            _ => None,
        })
        .collect();
    // The test's numbers are small enough to be added with 38 digits.
    let sum = numbers
        .iter()
        .try_fold(Number::default(), |sum, number| sum.plus(*number))
        .unwrap();
    match function {
        Function::Count => count(values.len()),
        Function::Min => values.first().cloned().unwrap_or_default(),
        Function::Max => values.last().cloned().unwrap_or_default(),
        _ if numbers.is_empty() => Value::Null,
        Function::Sum => Value::Number(sum),
        Function::Avg => {
            let by = Number::from(i64::try_from(numbers.len()).unwrap());
            Value::Number(sum.divided_by(by).unwrap().unwrap())
        }
    }
}
