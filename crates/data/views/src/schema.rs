//! Definitions of types as JSON Schema, and back (TYPE-20).

use serde_json::{Map, Value as Json, json};

use crate::expr::Expr;
use crate::record::FieldKind;
use crate::types::{BadType, FieldDefinition, Received, Type, TypeDefinition};

/// The version that is written, and read.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// What says nothing of records.
const ANNOTATIONS: [&str; 7] = [
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "examples",
    "deprecated",
];

impl Type {
    /// The definition as a JSON Schema of an object.
    #[must_use]
    pub fn to_json_schema(&self, title: &str) -> Json {
        let definition = self.definition();
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in &definition.fields {
            if field.required {
                required.push(json!(field.name));
            }
            properties.insert(field.name.clone(), property(field));
        }
        let mut schema = json!({
            "$schema": DIALECT,
            "title": title,
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": !definition.closed,
        });
        if let Some(check) = &definition.check {
            schema["x-allod-check"] = json!(check);
        }
        match definition.received {
            Received::Flag => {}
            Received::Quarantine => schema["x-allod-received"] = json!("quarantine"),
            Received::Refuse => schema["x-allod-received"] = json!("refuse"),
        }
        schema
    }
}

fn property(field: &FieldDefinition) -> Json {
    let of = match &field.kind {
        FieldKind::String => json!({ "type": "string" }),
        FieldKind::Number => json!({ "type": "number" }),
        FieldKind::Integer => json!({ "type": "integer" }),
        FieldKind::Float => json!({ "type": "number", "x-allod-kind": "float" }),
        FieldKind::Boolean => json!({ "type": "boolean" }),
        FieldKind::Timestamp => json!({ "type": "string", "format": "date-time" }),
        FieldKind::Bytes => json!({ "type": "string", "contentEncoding": "base64" }),
        FieldKind::Ref(name) => json!({ "type": "string", "x-allod-ref": name.as_str() }),
    };
    let mut property = if field.list {
        json!({ "type": "array", "items": of })
    } else {
        of
    };
    if let Some(default) = &field.default {
        // It was read when the type was made.
        property["default"] = serde_json::from_str(default).unwrap_or(Json::Null);
    }
    if field.unique {
        property["x-allod-unique"] = json!(true);
    }
    if let Some(check) = &field.check {
        property["x-allod-check"] = json!(check);
    }
    if !field.was.is_empty() {
        property["x-allod-was"] = json!(field.was);
    }
    property
}

impl TypeDefinition {
    /// Reads a JSON Schema of an object. What it demands and a type cannot is refused by name (TYPE-20).
    ///
    /// # Errors
    /// [`BadType::Broken`].
    pub fn from_json_schema(schema: &Json) -> Result<Self, BadType> {
        let schema = object(schema, "the schema")?;
        let mut made = Self {
            check: None,
            closed: false,
            fields: Vec::new(),
            received: Received::Flag,
        };
        let mut required = Vec::new();
        for (name, value) in schema {
            match name.as_str() {
                "type" if value == "object" => {}
                "properties" => {
                    for (name, property) in object(value, "properties")? {
                        made.fields.push(field(name, property)?);
                    }
                }
                "required" => required = texts(value, "required")?,
                "additionalProperties" if value.is_boolean() => made.closed = value == false,
                "x-allod-check" => made.check = Some(spelled(&text(value, name)?)?),
                "x-allod-received" => {
                    made.received = serde_json::from_value(value.clone())
                        .map_err(|_error| refused(name, value))?;
                }
                _ if ANNOTATIONS.contains(&name.as_str()) => {}
                _ => return Err(refused(name, value)),
            }
        }
        for name in required {
            let mut fields = made.fields.iter_mut();
            let field = fields.find(|field| field.name == name);
            let field = field
                .ok_or_else(|| BadType::broken(format!("required: {name:?} is no property")))?;
            field.required = true;
        }
        Ok(made)
    }
}

fn field(name: &str, property: &Json) -> Result<FieldDefinition, BadType> {
    let within = |error: BadType| BadType::broken(format!("{name}: {error}"));
    let property = object(property, name)?;
    let is_list = property.get("type").is_some_and(|kind| kind == "array");
    let mut made = FieldDefinition::new(name, FieldKind::String);
    made.list = is_list;
    if is_list {
        let items = property.get("items");
        let items = items.ok_or_else(|| within(BadType::broken("an array without items")))?;
        let items = object(items, name)?;
        made.kind = kind(items).map_err(within)?;
        for (word, value) in items {
            if !is_of_kind(word) && !ANNOTATIONS.contains(&word.as_str()) {
                return Err(within(refused(word, value)));
            }
        }
    } else {
        made.kind = kind(property).map_err(within)?;
    }
    for (word, value) in property {
        match word.as_str() {
            "default" => made.default = Some(value.to_string()),
            "x-allod-unique" if value.is_boolean() => made.unique = value == true,
            "x-allod-was" => made.was = texts(value, word)?,
            "type" | "x-allod-check" => {}
            "items" if is_list => {}
            word if !is_list && (is_of_kind(word) || CONSTRAINTS.contains(&word)) => {}
            word if ANNOTATIONS.contains(&word) => {}
            _ => return Err(within(refused(word, value))),
        }
    }
    made.check = check(name, &made.kind, property).map_err(within)?;
    Ok(made)
}

/// One check of all constraints of a field.
fn check(
    name: &str,
    kind: &FieldKind,
    property: &Map<String, Json>,
) -> Result<Option<String>, BadType> {
    let mut checks = Vec::new();
    for word in CONSTRAINTS {
        if let Some(value) = property.get(word) {
            let check = constraint(word, &format!("\"{name}\""), kind, value);
            checks.push(check.ok_or_else(|| refused(word, value))?);
        }
    }
    if let Some(value) = property.get("x-allod-check") {
        // Read by itself: it could close a bracket of others.
        checks.push(spelled(&text(value, "x-allod-check")?)?);
    }
    if checks.is_empty() {
        return Ok(None);
    }
    spelled(&format!("({})", checks.join(") AND ("))).map(Some)
}

/// A check as it is written (VIEW-11).
fn spelled(text: &str) -> Result<String, BadType> {
    let check = text.parse::<Expr>();
    let check = check.map_err(|error| BadType::broken(format!("the check {text:?}: {error}")))?;
    Ok(check.to_string())
}

/// What becomes checks, in their order.
const CONSTRAINTS: [&str; 8] = [
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "minLength",
    "maxLength",
    "enum",
    "const",
];

/// The check of one constraint; none if it says nothing of such a field, or no check can.
fn constraint(word: &str, field: &str, kind: &FieldKind, value: &Json) -> Option<String> {
    let is_number = matches!(
        kind,
        FieldKind::Number | FieldKind::Integer | FieldKind::Float
    );
    let bound = |operator: &str| {
        let literal = literal(value, kind).filter(|_| is_number);
        literal.map(|literal| format!("{field} {operator} {literal}"))
    };
    let length = |operator: &str| {
        let is_text = matches!(kind, FieldKind::String | FieldKind::Ref(_));
        let whole = value.as_u64().filter(|_| is_text);
        whole.map(|whole| format!("length({field}) {operator} {whole}"))
    };
    match word {
        "minimum" => bound(">="),
        "maximum" => bound("<="),
        "exclusiveMinimum" => bound(">"),
        "exclusiveMaximum" => bound("<"),
        "minLength" => length(">="),
        "maxLength" => length("<="),
        "const" => literal(value, kind).map(|literal| format!("{field} = {literal}")),
        "enum" => {
            let list = value.as_array()?.iter().map(|item| literal(item, kind));
            let list: Vec<String> = list.collect::<Option<_>>()?;
            Some(format!("{field} IN ({})", list.join(", ")))
        }
        _ => None,
    }
}

/// The words by which a schema says the kind of a value.
fn is_of_kind(word: &str) -> bool {
    [
        "type",
        "format",
        "contentEncoding",
        "x-allod-kind",
        "x-allod-ref",
    ]
    .contains(&word)
}

fn kind(property: &Map<String, Json>) -> Result<FieldKind, BadType> {
    let word = |name: &str| {
        property
            .get(name)
            .map(|value| value.as_str().unwrap_or("?"))
    };
    let said = [
        word("type"),
        word("format"),
        word("contentEncoding"),
        word("x-allod-kind"),
        word("x-allod-ref"),
    ];
    Ok(match said {
        [Some("string"), None, None, None, None] => FieldKind::String,
        [Some("string"), Some("date-time"), None, None, None] => FieldKind::Timestamp,
        [Some("string"), None, Some("base64"), None, None] => FieldKind::Bytes,
        [Some("string"), None, None, None, Some(name)] => {
            let name = name
                .parse()
                .map_err(|error| BadType::broken(format!("x-allod-ref: {error}")))?;
            FieldKind::Ref(name)
        }
        [Some("number"), None, None, None, None] => FieldKind::Number,
        [Some("number"), None, None, Some("float"), None] => FieldKind::Float,
        [Some("integer"), None, None, None, None] => FieldKind::Integer,
        [Some("boolean"), None, None, None, None] => FieldKind::Boolean,
        _ => {
            let said: Vec<&str> = said.into_iter().flatten().collect();
            return Err(BadType::broken(format!(
                "a field cannot be {:?}",
                said.join(", ")
            )));
        }
    })
}

/// A value of a field as an expression has it, to be compared with it; none if a field of the kind has
/// no such value, and for null, as a comparison with that is never false.
fn literal(value: &Json, kind: &FieldKind) -> Option<String> {
    match (kind, value) {
        (FieldKind::Boolean, Json::Bool(bool)) => Some(bool.to_string()),
        (FieldKind::Number | FieldKind::Integer, Json::Number(number)) => Some(number.to_string()),
        (FieldKind::Float, Json::Number(number)) => Some(format!("CAST({number} AS float)")),
        (FieldKind::String | FieldKind::Ref(_), Json::String(text)) => {
            Some(format!("'{}'", text.replace('\'', "''")))
        }
        _ => None,
    }
}

fn refused(word: &str, value: &Json) -> BadType {
    /// What is shown of a value, in characters.
    const SHOWN: usize = 60;
    let shown: String = value.to_string().chars().take(SHOWN).collect();
    BadType::broken(format!(
        "a type cannot demand {word:?}: {shown}; a check may"
    ))
}

fn object<'a>(value: &'a Json, what: &str) -> Result<&'a Map<String, Json>, BadType> {
    let object = value.as_object();
    object.ok_or_else(|| BadType::broken(format!("{what}: an object is expected")))
}

fn text(value: &Json, what: &str) -> Result<String, BadType> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| BadType::broken(format!("{what}: a text is expected")))
}

fn texts(value: &Json, what: &str) -> Result<Vec<String>, BadType> {
    let list = value
        .as_array()
        .ok_or_else(|| BadType::broken(format!("{what}: a list is expected")))?;
    list.iter().map(|item| text(item, what)).collect()
}
