//! The shape of a projection, as it is typed.

use allod_views::{Function, ShapeDefinition};
use anyhow::Result;

use crate::cli::Usage;
use crate::cli::view_args::CreateProjection;

pub(crate) fn shape(options: &CreateProjection) -> Result<ShapeDefinition> {
    let computed = options.computed.iter().map(|text| column(text)).collect();
    if !options.agg.is_empty() {
        let totals = options.agg.iter().map(|text| total(text));
        return Ok(ShapeDefinition::Group {
            by: options.group_by.iter().map(|text| column(text)).collect(),
            totals: totals.collect::<Result<_>>()?,
        });
    }
    if let (Some(other), Some(on), Some(to)) = (&options.join, &options.on, &options.to) {
        return Ok(ShapeDefinition::Join {
            on: on.clone(),
            other: other.clone(),
            to: to.clone(),
            left: computed,
            right: listed(&options.fields).map(column).collect(),
            outer: !options.inner,
        });
    }
    if !options.fulltext.is_empty() {
        return Ok(ShapeDefinition::Words {
            of: listed(&options.fulltext).map(str::to_owned).collect(),
        });
    }
    let by = match &options.index {
        Some(index) => vec![index.clone()],
        None => listed(&options.compound).map(str::to_owned).collect(),
    };
    Ok(ShapeDefinition::Index {
        by,
        values: computed,
    })
}

/// Expressions with commas between them, of which those within brackets and quotes are their own.
fn listed(lists: &[String]) -> impl Iterator<Item = &str> {
    lists.iter().flat_map(|list| {
        let (mut depth, mut quote) = (0_i32, None);
        list.split(move |c| {
            match (quote, c) {
                (Some(open), _) if c == open => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '(' | '[') => depth += 1,
                (None, ')' | ']') => depth -= 1,
                (None, _) => return c == ',' && depth == 0,
            }
            false
        })
    })
}

/// `name=expression`; without a name the expression is it.
fn column(text: &str) -> (String, String) {
    match text.split_once('=') {
        // What follows a comparison is no expression by itself.
        Some((name, of)) if is_plain(name) && !of.starts_with('=') => {
            (name.trim().to_owned(), of.to_owned())
        }
        _ => (text.to_owned(), text.to_owned()),
    }
}

fn is_plain(name: &str) -> bool {
    let name = name.trim();
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// `name=FUNCTION(expression)`.
fn total(text: &str) -> Result<(String, Function, Option<String>)> {
    let form = || {
        Usage(format!(
            "{text:?} is not NAME=FUNCTION(EXPRESSION), as total=SUM(amount)"
        ))
    };
    let (name, call) = text.split_once('=').ok_or_else(form)?;
    let (function, of) = call.trim().split_once('(').ok_or_else(form)?;
    let of = of.strip_suffix(')').ok_or_else(form)?.trim();
    let function = match function.trim().to_ascii_uppercase().as_str() {
        "COUNT" => Function::Count,
        "SUM" => Function::Sum,
        "AVG" => Function::Avg,
        "MIN" => Function::Min,
        "MAX" => Function::Max,
        other => return Err(Usage(format!("{other:?}: COUNT, SUM, AVG, MIN or MAX")).into()),
    };
    let of = (of != "*").then(|| of.to_owned());
    Ok((name.trim().to_owned(), function, of))
}

#[cfg(test)]
mod tests {
    use super::listed;

    #[test]
    fn commas_within_brackets_and_quotes_divide_nothing() {
        let lists = [
            "a,b".to_owned(),
            "x=COALESCE(a, 'it''s, (', b),c[1,2],\"d,e\"".to_owned(),
        ];
        let parts: Vec<&str> = listed(&lists).collect();
        assert_eq!(
            parts,
            [
                "a",
                "b",
                "x=COALESCE(a, 'it''s, (', b)",
                "c[1,2]",
                "\"d,e\""
            ]
        );
    }
}
