//! `events`: what happens here, as it happens.

use std::ops::ControlFlow;
use std::time::Duration;

use allod::{LogStanding, Node, NodeError, utc};
use allod_blocks::parse_cid;
use allod_events::{Renderer, schema_cid};
use allod_feed::{Cursor, Event, FeedError, Filter, PAGE_BYTES_MAX, Retention, Spaces, Told};
use allod_repo::{CommitId, Content, Repo, State};
use anyhow::{Context as _, Result, bail};
use multibase::Base;
use serde_json::{Map, Value, json};

use crate::cli::Usage;
use crate::cli::events_args::{EventsCommand, LogOptions, Tail, Which};
use crate::cli::io::{Io, count};
use crate::cli::keys::key_text;

/// How often it is looked whether whoever asked is still there: nothing else tells.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Events that are read at a time.
const PAGE: usize = 256;

/// Characters of a value that a line shows.
const SHOWN: usize = 60;

pub(crate) fn events(
    node: &Node,
    space: Option<&str>,
    command: &EventsCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    match command {
        EventsCommand::Tail(options) => tail(node, space, options, io),
        EventsCommand::Cursor { at } => {
            let cursor = cursor_at(node, at)?.to_string();
            io.data(&json!({ "cursor": cursor }), || cursor.clone())
        }
        EventsCommand::Log(options) => log(node, options, io),
        EventsCommand::Schema { schema } => show_schema(node, schema, io),
    }
}

fn log(node: &Node, options: &LogOptions, io: &mut Io<'_>) -> Result<()> {
    if options.keep.is_some() || options.max.is_some() {
        let now = node.log_standing()?.retention;
        let keep = options.keep.unwrap_or(now.keep);
        let retention = Retention {
            keep,
            max: options.max.unwrap_or(now.max.max(keep)),
        };
        if !retention.is_sound() {
            bail!(Usage(
                "--keep is at least 1, and --max not less than that".to_owned()
            ));
        }
        retention.set(node.store().as_ref())?;
    }
    let mut removed = 0;
    if options.trim {
        let mut progress = io.progress("trimming the log");
        removed = node.trim_log(&mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })?;
    }
    let LogStanding {
        there,
        retention,
        readers,
        begin,
    } = node.log_standing()?;
    let value = json!({
        "begin": there.start,
        "end": there.end,
        "keep": retention.keep,
        "max": retention.max,
        "removable": begin - there.start,
        "removed": removed,
        "readers": readers.iter().map(|reader| json!({
            "kind": reader.kind.name(),
            "name": reader.name,
            "next": reader.next,
            "behind": there.end.saturating_sub(reader.next),
            "missed": reader.next < there.start,
        })).collect::<Vec<_>>(),
    });
    io.data(&value, || {
        let entries = there.end - there.start;
        let mut text = format!("{} moves: {} to {}", count(entries), there.start, there.end);
        text += &format!(
            "\nthe last {} stay, and up to {} that somebody has not read",
            count(retention.keep),
            count(retention.max)
        );
        if options.trim {
            text += &format!("\n{} removed", count(removed));
        } else if begin > there.start {
            text += &format!("\n{} can go", count(begin - there.start));
        }
        for reader in &readers {
            let behind = count(there.end.saturating_sub(reader.next));
            text += &format!(
                "\n{:<4} {}  {behind} behind",
                reader.kind.name(),
                reader.name
            );
            if reader.next < there.start {
                text += ", and what it would read next is gone";
            }
        }
        text
    })
}

fn show_schema(node: &Node, text: &str, io: &mut Io<'_>) -> Result<()> {
    let cid = schema_cid(text).or_else(|| parse_cid(text).ok());
    let cid = cid.context("a schema is named as in dataschema: allod://schema/CID")?;
    let found = node.event_schema(&cid)?;
    let found = found.with_context(|| format!("no event told here has the schema {cid}"))?;
    if !io.json {
        return Ok(io.out.write_all(&found.bytes)?);
    }
    let value = match std::str::from_utf8(&found.bytes) {
        Ok(text) if found.language != "protobuf" => json!({ "text": text }),
        _ => json!({ "base64": Base::Base64Pad.encode(&found.bytes) }),
    };
    let (cid, language) = (cid.to_string(), found.language);
    let value = json!({ "schema": cid, "language": language, "value": value });
    io.data(&value, String::new)
}

/// The cursor that a text means.
pub(crate) fn cursor_at(node: &Node, text: &str) -> Result<Cursor> {
    let words = "now, beginning, snapshot, or what `allod events cursor` printed";
    match node.cursor_at(text) {
        Err(NodeError::Feed(error @ FeedError::Cursor)) => Err(error).context(words),
        cursor => Ok(cursor?),
    }
}

/// The filter that options mean, of a space if one is named.
pub(crate) fn filter_of(node: &Node, space: Option<&str>, which: &Which) -> Result<Filter> {
    let filter = match &which.filter {
        Some(text) => text.parse()?,
        None => of_options(which)?,
    };
    let both = || Usage("the filter names spaces, and --space another".to_owned());
    Ok(node.only_of(space, filter)?.ok_or_else(both)?)
}

fn of_options(which: &Which) -> Result<Filter> {
    let mut fields = Map::new();
    for (name, values) in [
        ("branches", &which.branch),
        ("kinds", &which.kind),
        ("prefixes", &which.prefix),
        ("types", &which.type_name),
        ("authors", &which.author),
        ("reach", &which.reach),
    ] {
        if !values.is_empty() {
            fields.insert(name.to_owned(), json!(values));
        }
    }
    Ok(Value::Object(fields).to_string().parse()?)
}

fn tail(node: &Node, space: Option<&str>, options: &Tail, io: &mut Io<'_>) -> Result<()> {
    if io.net.is_none() && !options.once {
        bail!("nothing happens while no node runs; start one with `allod up`, or use --once");
    }
    let filter = filter_of(node, space, &options.which)?;
    let renderer = node.renderer()?;
    let mut consumer = node.subscribe(cursor_at(node, &options.from)?, filter)?;
    let mut left = options.limit.unwrap_or(usize::MAX);
    while left > 0 {
        let page = consumer.page(node, PAGE.min(left), PAGE_BYTES_MAX)?;
        left = left.saturating_sub(page.events.len());
        for (event, cursor) in page.events.iter().zip(&page.cursors) {
            show(node, &renderer, (event, cursor), io)?;
        }
        // Fails once nobody reads any more.
        io.out.flush()?;
        if page.is_end {
            if options.once || io.is_stopping() {
                break;
            }
            consumer.wait(LOOK_EVERY);
        }
    }
    io.say(format!("go on with --from {}", consumer.cursor()))
}

fn show(
    node: &Node,
    renderer: &Renderer,
    (event, cursor): (&Event, &Cursor),
    io: &mut Io<'_>,
) -> Result<()> {
    if io.json {
        if let Some(cloud) = renderer.render_at(node, event, cursor)? {
            writeln!(io.out, "{}", cloud.to_json()?)?;
        }
        return Ok(());
    }
    // Of a space that went away since, nobody can say what its values are.
    match Spaces::repo(node, event.space)? {
        Some(repo) => io.line(line_of(&repo, event)?),
        None => Ok(()),
    }
}

fn line_of(repo: &Repo, event: &Event) -> Result<String> {
    let branch = &event.branch;
    Ok(match &event.told {
        Told::Commit { id, commit, .. } => {
            let said = commit.payload();
            let message = said.message.lines().next().unwrap_or_default();
            let when = utc(said.stamp.millis());
            format!("{when}  commit   {branch}  {}  {message}", id.short())
        }
        Told::Change {
            key, state, stamp, ..
        } => {
            let when = stamp.map_or_else(|| " ".repeat(19), |stamp| utc(stamp.millis()));
            match value_text(repo, state)? {
                None => format!("{when}  deleted  {branch}  {}", key_text(key)),
                Some(value) => format!("{when}  put      {branch}  {} = {value}", key_text(key)),
            }
        }
        Told::Move { from, to, .. } => {
            let blank = " ".repeat(19);
            let (from, to) = (shorts(from), shorts(to));
            match (from.is_empty(), to.is_empty()) {
                (true, _) => format!("{blank}  made     {branch}  at {to}"),
                (_, true) => format!("{blank}  gone     {branch}  was at {from}"),
                _ => format!("{blank}  moved    {branch}  {from} -> {to}"),
            }
        }
        _ => String::new(),
    })
}

fn shorts(ids: &[CommitId]) -> String {
    let shorts: Vec<String> = ids.iter().map(CommitId::short).collect();
    shorts.join(" ")
}

/// The beginning of what a state holds, in one line; `None` of what holds nothing.
fn value_text(repo: &Repo, state: &State) -> Result<Option<String>> {
    let content = match repo.content_of(state) {
        Err(allod_repo::RepoError::Missing(cid)) => return Ok(Some(format!("({cid}, not here)"))),
        content => content?,
    };
    Ok(content.map(|content| match content {
        Content::File(cid) => format!("(file {cid})"),
        Content::Bytes(bytes) => match std::str::from_utf8(&bytes) {
            Err(_) => format!("({} bytes)", bytes.len()),
            Ok(text) => {
                let line = text.lines().next().unwrap_or_default();
                let shown: String = line
                    .chars()
                    .filter(|c| !c.is_control())
                    .take(SHOWN)
                    .collect();
                let is_all = shown.len() == text.len();
                format!("{shown}{}", if is_all { "" } else { "..." })
            }
        },
    }))
}
