//! `type`: what the records of a space have.

use allod::one_commit;
use std::ops::ControlFlow;

use allod::Node;
use allod_repo::{Content, Edit, Repo, Span};
use allod_views::{
    Expr, FieldDefinition, Migration, Name, Received, Snapshot, Type, TypeDefinition, Views,
    define_type, drop_type,
};
use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::cli::Usage;
use crate::cli::io::{Io, count};
use crate::cli::values;
use crate::cli::view_args::{DefineType, MigrateType, TypeCommand};

pub(crate) fn types(
    node: &Node,
    space: Option<&str>,
    command: &TypeCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let views = node.views(&repo)?;
    match command {
        TypeCommand::Define(options) => define(node, &repo, options, io),
        TypeCommand::List { at } => list(&snapshot(node, &repo, &views, at.as_deref())?, io),
        TypeCommand::Show { name, schema, at } => {
            let snapshot = snapshot(node, &repo, &views, at.as_deref())?;
            let name = parse_name(name)?;
            let kind = snapshot.types().kind(&name);
            let kind = kind
                .with_context(|| format!("no type named {name}; `allod type list` shows them"))?;
            show((&name, kind), *schema, io)
        }
        TypeCommand::Drop { name } => {
            let name = parse_name(name)?;
            let made = drop_type(&repo, &name, (node.author()?, allod::now_ms()))?;
            node.touch();
            let value = json!({ "dropped": name.as_str(), "meta": made.to_string() });
            io.data(&value, || {
                format!("{name} is no type any more; its records stay")
            })
        }
        TypeCommand::Migrate(options) => migrate(node, &repo, &views, options, io),
        TypeCommand::Check { name, at, limit } => {
            let name = name.as_deref().map(parse_name).transpose()?;
            let snapshot = snapshot(node, &repo, &views, at.as_deref())?;
            check(&snapshot, name.as_ref(), *limit, io)
        }
    }
}

pub(crate) fn parse_name(text: &str) -> Result<Name> {
    let name = text
        .parse()
        .map_err(|error| Usage(format!("{text:?}: {error}")))?;
    Ok(name)
}

/// A named state with the types in force there, or where the space stands with those of now.
pub(crate) fn snapshot(
    node: &Node,
    repo: &Repo,
    views: &Views,
    at: Option<&str>,
) -> Result<Snapshot> {
    match at {
        None => {
            let view = values::view(node, repo, None)?;
            Ok(views.snapshot(view)?)
        }
        Some(at) => match at.parse() {
            Ok(branch) if !repo.heads(&branch)?.is_empty() => Ok(views.branch(&branch)?),
            _ => Ok(views.commit(one_commit(repo, at)?)?),
        },
    }
}

fn define(node: &Node, repo: &Repo, options: &DefineType, io: &mut Io<'_>) -> Result<()> {
    let name = parse_name(&options.name)?;
    let definition = match &options.from {
        Some(file) => {
            let path = io.path(file);
            let text =
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let schema = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
            TypeDefinition::from_json_schema(&schema).with_context(|| path.display().to_string())?
        }
        None => from_options(options)?,
    };
    let by = (node.author()?, allod::now_ms());
    let made = define_type(repo, &name, definition, options.drop_fields, by)?;
    node.touch();
    let value = json!({ "type": name.as_str(), "meta": made.to_string() });
    io.data(&value, || format!("{name}  {}  on meta", made.short()))
}

fn from_options(options: &DefineType) -> Result<TypeDefinition> {
    let fields = options.field.iter().map(|text| field(text));
    let mut definition = TypeDefinition {
        check: options.check.clone(),
        closed: options.closed,
        fields: fields.collect::<Result<_>>()?,
        received: match options.received.as_str() {
            "flag" => Received::Flag,
            "quarantine" => Received::Quarantine,
            "refuse" => Received::Refuse,
            other => return Err(Usage(format!("{other:?}: flag, quarantine or refuse")).into()),
        },
    };
    for name in &options.unique {
        named(&mut definition, name)?.unique = true;
    }
    for text in &options.default {
        let (name, json) = pair(text, "FIELD=JSON")?;
        named(&mut definition, name)?.default = Some(json.to_owned());
    }
    for text in &options.rename {
        let (old, new) = pair(text, "OLD=NEW")?;
        named(&mut definition, new)?.was.push(old.to_owned());
    }
    Ok(definition)
}

fn pair<'a>(text: &'a str, form: &str) -> Result<(&'a str, &'a str)> {
    let pair = text.split_once('=');
    pair.ok_or_else(|| Usage(format!("{text:?} is not {form}")).into())
}

fn named<'a>(definition: &'a mut TypeDefinition, name: &str) -> Result<&'a mut FieldDefinition> {
    let mut fields = definition.fields.iter_mut();
    let field = fields.find(|field| field.name == name);
    field.ok_or_else(|| Usage(format!("{name:?} is none of the fields given")).into())
}

/// `name:kind`, `name:[kind]`, with `!` behind if it is required.
fn field(text: &str) -> Result<FieldDefinition> {
    let (text, required) = match text.strip_suffix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let Some((name, kind)) = text.split_once(':') else {
        return Err(Usage(format!("{text:?} is not NAME:KIND")).into());
    };
    let inner = kind
        .strip_prefix('[')
        .and_then(|kind| kind.strip_suffix(']'));
    let parsed = inner.unwrap_or(kind).parse();
    let kind = parsed.map_err(|error| Usage(format!("{text:?}: {error}")))?;
    Ok(FieldDefinition {
        list: inner.is_some(),
        required,
        ..FieldDefinition::new(name, kind)
    })
}

/// A field as people write it.
fn shown(field: &FieldDefinition) -> String {
    let kind = field.kind.to_string();
    let kind = if field.list {
        format!("[{kind}]")
    } else {
        kind
    };
    let required = if field.required { "!" } else { "" };
    format!("{}:{kind}{required}", field.name)
}

fn list(snapshot: &Snapshot, io: &mut Io<'_>) -> Result<()> {
    for (name, kind) in snapshot.types().types() {
        let fields: Vec<String> = kind.definition().fields.iter().map(shown).collect();
        let value = json!({ "type": name.as_str(), "fields": fields });
        io.data(&value, || format!("{name}  {}", fields.join(" ")))?;
    }
    Ok(())
}

fn show((name, kind): (&Name, &Type), schema: bool, io: &mut Io<'_>) -> Result<()> {
    let as_schema = kind.to_json_schema(name.as_str());
    if schema || io.json {
        return if io.json {
            io.data(&as_schema, String::new)
        } else {
            io.line(serde_json::to_string_pretty(&as_schema)?)
        };
    }
    let definition = kind.definition();
    for field in &definition.fields {
        let mut line = format!("  {}", shown(field));
        if field.unique {
            line += "  unique";
        }
        if let Some(default) = &field.default {
            line += &format!("  default {default}");
        }
        if let Some(check) = &field.check {
            line += &format!("  check {check}");
        }
        if !field.was.is_empty() {
            line += &format!("  was {}", field.was.join(", "));
        }
        io.line(line)?;
    }
    if let Some(check) = &definition.check {
        io.line(format!("  check {check}"))?;
    }
    if definition.closed {
        io.line("  no other fields")?;
    }
    match definition.received {
        Received::Flag => Ok(()),
        Received::Quarantine => io.line("  received records that break this are left out"),
        Received::Refuse => io.line("  received commits that break this are refused"),
    }
}

/// Records that a dry run shows.
const SHOWN_MAX: usize = 20;

fn migrate(
    node: &Node,
    repo: &Repo,
    views: &Views,
    options: &MigrateType,
    io: &mut Io<'_>,
) -> Result<()> {
    let name = parse_name(&options.name)?;
    let branch = values::branch(node, repo)?;
    let expr = |text: &str| -> Result<Expr> {
        Ok(text
            .parse()
            .map_err(|error| Usage(format!("{text:?}: {error}")))?)
    };
    let set = options.set.iter().map(|text| {
        let (field, of) = pair(text, "FIELD=EXPRESSION")?;
        Ok((field.to_owned(), expr(of)?))
    });
    let migration = Migration {
        set: set.collect::<Result<_>>()?,
        unset: options.unset.clone(),
        filter: options.filter.as_deref().map(expr).transpose()?,
    };
    let snapshot = snapshot(node, repo, views, None)?;
    let kind = snapshot.types().kind(&name);
    let kind =
        kind.with_context(|| format!("no type named {name}; `allod type list` shows them"))?;
    let mut edits = Vec::new();
    for item in snapshot
        .view()
        .range(&Span::prefix(format!("{name}:").as_bytes()), false)
    {
        let (key, entry) = item?;
        let Some(Content::Bytes(bytes)) = snapshot.view().content(&entry)? else {
            continue;
        };
        let shown = String::from_utf8_lossy(&key).into_owned();
        let migrated = migration.apply(&bytes, Some(kind)).context(shown)?;
        let Some(migrated) = migrated else { continue };
        kind.check_record(&key, &migrated)?;
        if options.dry_run && edits.len() < SHOWN_MAX {
            let record = String::from_utf8_lossy(&migrated);
            let key = String::from_utf8_lossy(&key);
            io.data(&json!({ "key": key, "record": record }), || {
                format!("{key}  {record}")
            })?;
        }
        edits.push((key, Edit::Put(migrated)));
    }
    let changed = count(edits.len() as u64);
    if options.dry_run {
        return io.say(format!("{changed} records would be staged"));
    }
    repo.stage(&branch, edits, allod::now_ms())?;
    io.say(format!("{changed} records staged on {branch}"))
}

fn check(snapshot: &Snapshot, only: Option<&Name>, limit: usize, io: &mut Io<'_>) -> Result<()> {
    if let Some(name) = only
        && snapshot.types().kind(name).is_none()
    {
        bail!("no type named {name}; `allod type list` shows them");
    }
    let (mut looked, mut broken) = (0_u64, 0_usize);
    for (name, kind) in snapshot.types().types() {
        if only.is_some_and(|only| only != name) {
            continue;
        }
        let span = Span::prefix(format!("{name}:").as_bytes());
        for item in snapshot.view().range(&span, false) {
            let (key, entry) = item?;
            looked += 1;
            let told = match snapshot.view().content(&entry)? {
                Some(Content::Bytes(bytes)) => kind.check_record(&key, &bytes).err(),
                _ => None,
            };
            let Some(bad) = told else { continue };
            broken += 1;
            if broken <= limit {
                let faults = bad.faults.iter();
                let faults =
                    faults.map(|fault| json!({ "field": fault.field, "what": fault.what }));
                let faults: Vec<_> = faults.collect();
                io.data(&json!({ "key": bad.key, "faults": faults }), || {
                    bad.to_string()
                })?;
            }
        }
    }
    let shared = shared(snapshot, only, limit.saturating_sub(broken), io)?;
    io.say(format!("{} records looked at", count(looked)))?;
    match broken + shared {
        0 => Ok(()),
        all => bail!("{all} records are not what their type says"),
    }
}

/// Tells of unique values that several records have; how many there are.
fn shared(
    snapshot: &Snapshot,
    only: Option<&Name>,
    limit: usize,
    io: &mut Io<'_>,
) -> Result<usize> {
    let go_on = &mut |_| ControlFlow::Continue(());
    let all = snapshot.shared_values(only, go_on)?;
    for (index, (field, keys)) in all.iter().enumerate() {
        if index >= limit {
            break;
        }
        let what = format!("unique, and {} have the same value", keys.join(" and "));
        let value = json!({ "key": keys.first(), "faults": [{ "field": field, "what": what }] });
        io.data(&value, || format!("field {field:?}: {what}"))?;
    }
    Ok(all.len())
}
