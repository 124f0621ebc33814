//! A shape in the language of Protobuf, as schema registries take it.

use std::fmt::Write as _;

use crate::proto::is_explicit;
use crate::shape::{Kind, RecordShape};

/// The text of the file that declares a message.
pub(crate) fn text(shape: &RecordShape) -> String {
    let mut text = format!("syntax = \"proto3\";\npackage {};\n\n", shape.package());
    message(&mut text, shape, 0);
    text
}

fn message(text: &mut String, shape: &RecordShape, depth: usize) {
    let indent = "  ".repeat(depth);
    // Writing into a text never fails.
    let _written = writeln!(text, "{indent}message {} {{", shape.short_name());
    for field in &shape.fields {
        if let Kind::Record(inner) = &field.kind {
            message(text, inner, depth + 1);
        }
    }
    for (number, field) in (1..).zip(&shape.fields) {
        let _written = writeln!(
            text,
            "{indent}  {}{} {} = {number};",
            match field {
                field if field.is_list => "repeated ",
                field if is_explicit(field) => "optional ",
                _ => "",
            },
            type_of(&field.kind),
            field.name,
        );
    }
    let _written = writeln!(text, "{indent}}}");
}

fn type_of(kind: &Kind) -> String {
    match kind {
        Kind::Boolean => "bool".to_owned(),
        Kind::Integer | Kind::Timestamp => "int64".to_owned(),
        Kind::Float => "double".to_owned(),
        Kind::Text => "string".to_owned(),
        Kind::Bytes => "bytes".to_owned(),
        Kind::Record(shape) => format!(".{}", shape.name),
    }
}
