//! `sink`: events to brokers, servers and files.

use allod::{Node, SinkStanding, utc};
use allod_feed::Cursor;
use allod_sinks::{BadSink, DataAs, Definition, Registry, To};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cli::events::{cursor_at, filter_of};
use crate::cli::io::{Io, count};
use crate::cli::sink_args::{Add, SinkCommand};

pub(crate) fn sink(
    node: &Node,
    space: Option<&str>,
    command: &SinkCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let sinks = node.sinks();
    match command {
        SinkCommand::Add(options) => add(node, space, options, io),
        SinkCommand::List => {
            for (name, definition) in sinks.list()? {
                let definition = match definition {
                    Ok(definition) => definition,
                    Err(error) => {
                        let value = json!({ "sink": name, "why": error.to_string() });
                        io.data(&value, || format!("{name}  {error}"))?;
                        continue;
                    }
                };
                let value = json!({ "sink": name, "definition": definition });
                let place = definition.to.place();
                let rests = if definition.paused { "  (paused)" } else { "" };
                io.data(&value, || format!("{name}  {place}{rests}"))?;
            }
            Ok(())
        }
        SinkCommand::Status { name: Some(name) } => status(&node.sink_standing(name)?, io),
        SinkCommand::Status { name: None } => {
            for (name, definition) in sinks.list()? {
                if let Err(error) = definition {
                    io.warn(format!("{error}"))?;
                    continue;
                }
                status(&node.sink_standing(&name)?, io)?;
            }
            Ok(())
        }
        SinkCommand::Pause { name } => {
            sinks.pause(name, true)?;
            io.say(format!("{name} rests"))
        }
        SinkCommand::Resume { name, from } => {
            if let Some(from) = from {
                let from = cursor_at(node, from)?;
                check_cursor(node, &from)?;
                sinks.go_on_from(name, &from)?;
            }
            sinks.pause(name, false)?;
            io.say(format!("{name} goes on"))
        }
        SinkCommand::Remove { name } => {
            sinks.remove(name)?;
            io.say(format!(
                "{name} is removed; what its target has stays there"
            ))
        }
        SinkCommand::Dead { name, drop } => dead(node, (name, *drop), io),
        SinkCommand::Run { name } => {
            if io.net.is_some() {
                bail!("the running node carries it");
            }
            let (_stop, stopping) = watch::channel(false);
            let standing = node.carry_sink(name, stopping)?;
            status(&standing, io)?;
            match standing.state.words {
                Some(words) => bail!("{name}: {words}"),
                None => Ok(()),
            }
        }
    }
}

fn add(node: &Node, space: Option<&str>, options: &Add, io: &mut Io<'_>) -> Result<()> {
    let to = &options.to;
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| io.path(path));
    let to = match (&to.nats, &to.kafka, &to.webhook, &to.file) {
        (Some(url), ..) => To::Nats {
            url: url.clone(),
            stream: options.stream.as_deref().unwrap_or("allod").to_owned(),
            subject: options.subject.clone(),
            credentials: path(&options.credentials),
        },
        (_, Some(brokers), ..) => To::Kafka {
            brokers: brokers.clone(),
            topic: options.topic.as_deref().unwrap_or("allod").to_owned(),
            partitions: options.partitions,
            properties: path(&options.properties),
        },
        (_, _, Some(url), _) => To::Webhook {
            url: url.clone(),
            secret: path(&options.secret),
            token: path(&options.token),
        },
        (_, _, _, Some(file)) => To::File {
            path: io.path(file),
        },
        _ => To::Stdout {},
    };
    let definition = Definition {
        to,
        mode: options.mode.parse::<allod_sinks::Mode>()?,
        data: options.data.parse::<DataAs>()?,
        registry: options.registry.as_ref().map(|url| Registry {
            url: url.clone(),
            token: path(&options.registry_token),
        }),
        filter: filter_of(node, space, &options.which)?,
        paused: false,
    };
    definition.check().map_err(|bad: BadSink| bad)?;
    let from = cursor_at(node, &options.from)?;
    check_cursor(node, &from)?;
    node.sinks().add(&options.name, &definition, from)?;
    let place = definition.to.place();
    io.say(format!(
        "{} carries to {place} while a node runs",
        options.name
    ))
}

/// Refuses a cursor from which the log does not go on, before a sink would stop at it.
fn check_cursor(node: &Node, from: &Cursor) -> Result<()> {
    node.feed().read(from.clone(), std::sync::Arc::default())?;
    Ok(())
}

fn status(standing: &SinkStanding, io: &mut Io<'_>) -> Result<()> {
    let SinkStanding {
        name,
        definition,
        state,
        behind,
    } = standing;
    let word = match state {
        _ if definition.paused => "paused",
        state if state.stopped => "stopped",
        state if state.failures > 0 => "failing",
        _ => "carrying",
    };
    let value = json!({
        "sink": name,
        "status": word,
        "to": definition.to.place(),
        "delivered": state.delivered,
        "delivered_ms": state.delivered_ms,
        "behind": behind,
        "dead": state.dead,
        "failures": state.failures,
        "why": state.words,
        "cursor": state.cursor.to_string(),
    });
    io.data(&value, || text(standing, word))
}

fn text(standing: &SinkStanding, word: &str) -> String {
    let state = &standing.state;
    let (name, place) = (&standing.name, standing.definition.to.place());
    let delivered = count(state.delivered);
    let mut text = format!("{name}  {word}  {place}\n  {delivered} events delivered");
    if let Some(at) = state.delivered_ms {
        text += &format!(", the last at {}", utc(at));
    }
    if standing.behind > 0 {
        text += &format!("; {} moves behind", count(standing.behind));
    }
    if state.dead > 0 {
        let dead = count(state.dead);
        text += &format!("\n  {dead} were refused: `allod sink dead {name}` lists them");
    }
    if let Some(words) = &state.words {
        text += &format!("\n  {words}");
        if !state.stopped {
            text += &format!("; tried {} times, and again", state.failures);
        }
    }
    text
}

fn dead(node: &Node, (name, drop): (&str, bool), io: &mut Io<'_>) -> Result<()> {
    let sinks = node.sinks();
    for (number, letter) in sinks.dead(name)? {
        let value: Value = json!({
            "number": number,
            "id": letter.id,
            "source": letter.source,
            "cursor": letter.cursor,
            "why": letter.words,
        });
        io.data(&value, || {
            format!("{number}  {}  {}", letter.id, letter.words)
        })?;
    }
    if drop {
        let dropped = sinks.drop_dead(name)? as u64;
        io.say(format!("{} dropped", count(dropped)))?;
    }
    Ok(())
}
