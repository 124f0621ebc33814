//! `hooks`, and what hooks say after a command.

use std::time::Duration;

use allod::{HookFile, Node};
use allod_repo::Repo;
use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::cli::Usage;
use crate::cli::io::{Io, count};

/// Seconds that a hook may take.
const TIME: &str = "ALLOD_HOOK_SECONDS";

/// The longest that can be asked for: an hour.
const SECONDS_MAX: u64 = 3600;

/// Whether hooks are asked.
#[derive(Debug, Default, Args)]
pub(crate) struct Verify {
    /// Do not ask the pre-commit hooks
    #[arg(long)]
    no_verify: bool,
}

impl Verify {
    /// The space, with its hooks or without.
    pub(crate) fn space(&self, node: &Node, space: Option<&str>) -> Result<Repo> {
        let repo = node.space(space)?;
        Ok(if self.no_verify {
            repo.unhooked()
        } else {
            repo
        })
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "A hook is a program in the directory hooks of the home: pre-commit sees each commit before it counts,\n\
    also those that arrive, and refuses it with an exit code other than 0; post-commit hears of each\n\
    once it is durable. In hooks/SPACE they are for one space, by its name or id.\n\n\
    They get JSON on standard input, a line for each changed key: specs/27-hooks.md has the form.\n\n\
    Example, which keeps passwords out:\n  \
    $ cat ~/.local/share/allod/hooks/pre-commit\n  \
    #!/bin/sh\n  \
    if grep -qi '\"key\":\"[^\"]*password'; then echo 'no passwords here'; exit 1; fi\n\n\
    A hook may take 30 seconds, or as many as ALLOD_HOOK_SECONDS says."
)]
pub(crate) struct Hooks {}

pub(crate) fn hooks(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let dir = node.home().path().join("hooks");
    let files = node.hooks().with_context(|| dir.display().to_string())?;
    for file in &files {
        print(node, file, io)?;
    }
    for words in node.take_hook_words() {
        io.say(format!("a commit that arrived was refused: {words}"))?;
    }
    if files.is_empty() {
        io.say(format!("no hooks in {}", dir.display()))?;
    }
    Ok(())
}

fn print(node: &Node, file: &HookFile, io: &mut Io<'_>) -> Result<()> {
    let progress = node.hook_progress(file)?;
    let value = json!({
        "hook": file.kind.name(),
        "space": file.space,
        "path": file.path.display().to_string(),
        "fault": file.fault,
        "waiting": progress.map(|progress| progress.waiting),
        "failed": progress.map(|progress| progress.failed),
        "given_up": progress.map(|progress| progress.given_up),
        "missed": progress.map(|progress| progress.missed),
    });
    io.data(&value, || {
        let space = file.space.as_deref().unwrap_or("all spaces");
        let mut text = format!("{:<11}  {space:<16}  ", file.kind.name());
        text += file.fault.unwrap_or("ready");
        if let Some(progress) = progress {
            text += &format!("  {} to hear of", count(progress.waiting));
            for (what, number) in [
                ("failures at the next", progress.failed),
                ("given up", progress.given_up),
                ("missed", progress.missed),
            ] {
                if number > 0 {
                    text += &format!(", {} {what}", count(number));
                }
            }
        }
        text
    })
}

/// Sets the time that hooks may take, if the environment says one.
pub(crate) fn set_time(node: &Node) -> Result<()> {
    let Some(seconds) = std::env::var_os(TIME) else {
        return Ok(());
    };
    let seconds = seconds.to_str().and_then(|text| text.parse().ok());
    let seconds = seconds.filter(|seconds| (1..=SECONDS_MAX).contains(seconds));
    let seconds = seconds.ok_or_else(|| Usage(format!("{TIME} is 1 to {SECONDS_MAX}")))?;
    node.set_hook_time(Duration::from_secs(seconds));
    Ok(())
}

/// Tells hooks of what a command did, and the user of what they said that failed. The command has
/// done its work: nothing of this is its failure.
pub(crate) fn tell(node: &Node, io: &mut Io<'_>) -> Result<()> {
    let words = node.take_hook_words().into_iter();
    for words in words {
        io.say(format!("a commit that arrived was refused: {words}"))?;
    }
    match node.run_hooks() {
        Ok(failures) => {
            for failure in failures {
                io.say(format!("a post-commit hook failed: {failure}"))?;
            }
        }
        Err(error) => io.say(format!("post-commit hooks could not be told: {error}"))?,
    }
    Ok(())
}

/// Refuses a command that signs within a hook (HOOK-23).
pub(crate) fn check_outside() -> Result<()> {
    match std::env::var("ALLOD_HOOK") {
        Err(_) => Ok(()),
        Ok(hook) => Err(Usage(format!(
            "a {hook} hook may not commit or sync: it would be asked about its own work"
        ))
        .into()),
    }
}
