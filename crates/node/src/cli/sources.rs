//! `source`: events of others into a space.

use allod::{Node, NodeError, SourceStanding, utc};
use allod_repo::BranchName;
use allod_sinks::source::{From, SourceDefinition};
use anyhow::{Result, bail};
use serde_json::json;
use tokio::sync::watch;

use crate::cli::io::{Io, count};
use crate::cli::source_args::{Add, SourceCommand};
use crate::cli::values::branch;

pub(crate) fn source(
    node: &Node,
    space: Option<&str>,
    command: &SourceCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let sources = node.sources();
    match command {
        SourceCommand::Add(options) => add(node, space, options, io),
        SourceCommand::List => {
            for (name, definition) in sources.list()? {
                let definition = match definition {
                    Ok(definition) => definition,
                    Err(error) => {
                        let value = json!({ "source": name, "why": error.to_string() });
                        io.data(&value, || format!("{name}  {error}"))?;
                        continue;
                    }
                };
                let value = json!({ "source": name, "definition": definition });
                let place = definition.from.place();
                let rests = if definition.paused { "  (paused)" } else { "" };
                io.data(&value, || format!("{name}  {place}{rests}"))?;
            }
            Ok(())
        }
        SourceCommand::Status { name: Some(name) } => status(&node.source_standing(name)?, io),
        SourceCommand::Status { name: None } => {
            for (name, definition) in sources.list()? {
                if let Err(error) = definition {
                    io.warn(format!("{error}"))?;
                    continue;
                }
                status(&node.source_standing(&name)?, io)?;
            }
            Ok(())
        }
        SourceCommand::Pause { name } => {
            sources.pause(name, true)?;
            io.say(format!("{name} rests"))
        }
        SourceCommand::Resume { name, from } => {
            if let Some(from) = from {
                sources.seek(name, from == "beginning")?;
            }
            sources.pause(name, false)?;
            io.say(format!("{name} goes on"))
        }
        SourceCommand::Remove { name } => {
            sources.remove(name)?;
            io.say(format!("{name} is removed; what it has imported stays"))
        }
        SourceCommand::Dead { name, drop } => dead(node, (name, *drop), io),
        SourceCommand::Run { name } => {
            if io.net.is_some() {
                bail!("the running node imports it");
            }
            let (_stop, stopping) = watch::channel(false);
            let standing = node.import_source(name, stopping)?;
            status(&standing, io)?;
            match standing.state.words {
                Some(words) => bail!("{name}: {words}"),
                None => Ok(()),
            }
        }
    }
}

fn add(node: &Node, space: Option<&str>, options: &Add, io: &mut Io<'_>) -> Result<()> {
    let repo = node.space(space)?;
    let to = match &options.branch {
        Some(name) => name.parse::<BranchName>()?,
        None => branch(node, &repo)?,
    };
    // One that is misspelled is not made by what is imported.
    if to != BranchName::main() && repo.heads(&to)?.is_empty() {
        return Err(NodeError::NoBranch(to.to_string()).into());
    }
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| io.path(path));
    let from = match (&options.from.nats, &options.from.kafka, &options.from.file) {
        (Some(url), ..) => From::Nats {
            url: url.clone(),
            stream: options.stream.clone(),
            subject: options.subject.clone(),
            credentials: path(&options.credentials),
        },
        (_, Some(brokers), _) => From::Kafka {
            brokers: brokers.clone(),
            topic: options.topic.clone(),
            properties: path(&options.properties),
        },
        (_, _, Some(file)) => From::File {
            path: io.path(file),
        },
        _ => bail!("a source has --nats, --kafka or --file"),
    };
    let definition = SourceDefinition {
        from,
        space: repo.id().to_string(),
        branch: to.to_string(),
        key: options.key.clone(),
        their_branch: Some(options.their_branch.clone()),
        their_space: options.their_space.clone(),
        prefix: options.prefix.clone(),
        whole: options.whole,
        paused: false,
    };
    let sought = options.at.as_deref().map(|at| at == "beginning");
    node.sources().add(&options.name, &definition, sought)?;
    let place = definition.from.place();
    io.say(format!(
        "{} imports from {place} into {to} while a node runs",
        options.name
    ))
}

fn status(standing: &SourceStanding, io: &mut Io<'_>) -> Result<()> {
    let SourceStanding {
        name,
        definition,
        state,
    } = standing;
    let word = match state {
        _ if definition.paused => "paused",
        state if state.stopped => "stopped",
        state if state.failures > 0 => "failing",
        _ => "importing",
    };
    let value = json!({
        "source": name,
        "status": word,
        "from": definition.from.place(),
        "space": definition.space,
        "branch": definition.branch,
        "imported": state.imported,
        "imported_ms": state.imported_ms,
        "passed": state.passed,
        "links": state.links,
        "dead": state.dead,
        "failures": state.failures,
        "why": state.words,
    });
    io.data(&value, || text(standing, word))
}

fn text(standing: &SourceStanding, word: &str) -> String {
    let state = &standing.state;
    let (name, place) = (&standing.name, standing.definition.from.place());
    let imported = count(state.imported);
    let mut text = format!("{name}  {word}  {place}\n  {imported} entries imported");
    if let Some(at) = state.imported_ms {
        text += &format!(", the last at {}", utc(at));
    }
    if state.passed > 0 {
        text += &format!("; {} events passed over", count(state.passed));
    }
    if state.links > 0 {
        let links = count(state.links);
        text += &format!("\n  {links} values are too large to be in events, and were left out");
    }
    if state.dead > 0 {
        let dead = count(state.dead);
        text += &format!("\n  {dead} were refused: `allod source dead {name}` lists them");
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
    let sources = node.sources();
    for letter in sources.dead(name)? {
        let (part, at) = (letter.part, letter.at);
        let value = json!({
            "part": part,
            "at": at,
            "id": letter.id,
            "source": letter.source,
            "why": letter.words,
        });
        io.data(&value, || {
            format!("{part}-{at}  {}  {}", letter.id, letter.words)
        })?;
    }
    if drop {
        let dropped = sources.drop_dead(name)? as u64;
        io.say(format!("{} dropped", count(dropped)))?;
    }
    Ok(())
}
