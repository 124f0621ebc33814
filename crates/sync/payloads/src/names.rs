//! Names that Avro and Protobuf take (EVENT-20).

use std::collections::BTreeSet;

/// Names in the order given, each made an identifier of ASCII that none before it has, in whatever case and with or
/// without `_` (EVENT-20).
#[must_use]
pub fn unique_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let unique = names.into_iter().map(|name| {
        let name = identifier(name);
        let mut own = name.clone();
        let mut count = 2_u32;
        while !taken.insert(told_apart_by(&own)) {
            own = format!("{name}_{count}");
            count += 1;
        }
        own
    });
    unique.collect()
}

fn identifier(name: &str) -> String {
    let mut own: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if !own.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        own.insert(0, '_');
    }
    own
}

/// What compilers of Protobuf tell names apart by, at the least.
fn told_apart_by(name: &str) -> String {
    name.replace('_', "").to_ascii_lowercase()
}
