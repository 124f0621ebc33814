//! `demo`: three nodes of two people show the main job, as three processes on this machine.

mod actors;
mod courses;
mod liar;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::cli::demo::actors::Actor;
use crate::cli::demo::report::Report;
use crate::cli::home_args::Demo;
use crate::cli::io::{Io, count};

/// How long the nodes get to agree after they met again.
const CONVERGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Keys that both people edit while they are apart.
const CONTESTED: usize = 20;

/// Keys that each edits alone.
const OWN: usize = 200;

/// Where the homes live: kept, or removed at the end.
struct Stage {
    dir: PathBuf,
    keep: bool,
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.keep {
            // A directory in the system's temporary place; it is cleaned up there if not here.
            std::fs::remove_dir_all(&self.dir).ok();
        }
    }
}

/// Runs the demo; fails if anything does not hold.
pub(crate) fn run(options: &Demo, io: &mut Io<'_>) -> Result<()> {
    let stage = stage(options)?;
    let mut report = Report::new();
    io.say("Three nodes: Ada's laptop and tablet, Bea's home server.\n")?;
    let mut laptop = Actor::new("laptop", &stage.dir, io.live)?;
    let mut tablet = Actor::new("tablet", &stage.dir, io.live)?;
    let mut server = Actor::new("server", &stage.dir, io.live)?;

    prepare([&mut laptop, &mut tablet, &mut server], &mut report, io)?;
    fill(&laptop, &stage, options.entries, &mut report, io)?;
    let ticket = text(&laptop.json(&["space", "ticket"])?, "ticket")?;
    for actor in [&server, &tablet] {
        report.step(
            io,
            &format!("the {} joins by ticket", actor.name()),
            |step| {
                let joined = actor.json_live(&["space", "join", &ticket])?;
                step.bytes = number(&joined, "bytes_in")?;
                let (entries, commits) = (number(&joined, "entries")?, number(&joined, "commits")?);
                Ok(format!(
                    "{} entries, {} commits",
                    count(entries),
                    count(commits)
                ))
            },
        )?;
    }
    apart(&mut laptop, &mut tablet, &mut report, io)?;
    together([&mut laptop, &mut tablet, &mut server], &mut report, io)?;
    verify(
        [&laptop, &tablet, &server],
        options.entries,
        &mut report,
        io,
    )?;
    for actor in [&mut laptop, &mut tablet, &mut server] {
        actor.stop()?;
    }
    liar::tell_lies(&laptop, &server, &mut report, io)?;
    report.print(io)?;
    if stage.keep {
        io.say(format!(
            "\nThe homes are in {}; look around with `allod --home ...`",
            stage.dir.display()
        ))?;
    }
    Ok(())
}

fn stage(options: &Demo) -> Result<Stage> {
    let (dir, keep) = match &options.keep {
        Some(dir) => (std::path::absolute(dir)?, true),
        None => (
            std::env::temp_dir().join(format!("allod-demo-{}", std::process::id())),
            false,
        ),
    };
    if dir.exists() && dir.read_dir()?.next().is_some() {
        bail!(
            "{} is not empty; name another directory with --keep",
            dir.display()
        );
    }
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(Stage { dir, keep })
}

fn prepare(actors: [&mut Actor; 3], report: &mut Report, io: &mut Io<'_>) -> Result<()> {
    let [laptop, tablet, server] = actors;
    report.step(io, "make homes, keys, agents", |_| {
        laptop.run(&[
            "init",
            "--device-name",
            "laptop",
            "--key-file",
            "laptop.key",
        ])?;
        server.run(&[
            "init",
            "--device-name",
            "server",
            "--key-file",
            "server.key",
        ])?;
        tablet.run(&[
            "init",
            "--device-name",
            "tablet",
            "--key-file",
            "tablet.key",
            "--device-only",
        ])?;
        let device = text(&tablet.json(&["id"])?, "device")?;
        laptop.run(&[
            "id",
            "add-device",
            &device,
            "--name",
            "tablet",
            "--out",
            "tablet.keylog",
        ])?;
        tablet.run(&["id", "adopt", "tablet.keylog"])?;
        Ok("2 agents, 3 devices".to_owned())
    })?;
    report.step(io, "start the nodes", |_| {
        for actor in [laptop, tablet, server] {
            actor.up()?;
        }
        Ok("3 processes, QUIC on loopback".to_owned())
    })
}

fn fill(
    laptop: &Actor,
    stage: &Stage,
    entries: usize,
    report: &mut Report,
    io: &mut Io<'_>,
) -> Result<()> {
    laptop.run(&["space", "new", "courses"])?;
    let files = courses::write(&stage.dir.join("learning-paths"))?;
    report.step(io, "import five learning paths", |_| {
        laptop.run(&["import", "learning-paths", "--prefix", "path/"])?;
        laptop.run(&["commit", "-m", "Five learning paths"])?;
        Ok(format!("{files} files"))
    })?;
    let rows = entries.saturating_sub(files);
    courses::generate(&stage.dir.join("progress.ndjson"), rows)?;
    report.step(io, "import a generated set", |_| {
        laptop.json_live(&["import", "progress.ndjson", "--prefix", "progress/"])?;
        laptop.run(&["commit", "-m", "Progress of the learners"])?;
        Ok(format!(
            "{} rows, {} entries in all",
            count(rows as u64),
            count(entries as u64)
        ))
    })
}

fn apart(
    laptop: &mut Actor,
    tablet: &mut Actor,
    report: &mut Report,
    io: &mut Io<'_>,
) -> Result<()> {
    report.step(io, "laptop and tablet go offline", |_| {
        laptop.stop()?;
        tablet.stop()?;
        Ok("both processes stopped".to_owned())
    })?;
    for actor in [&*laptop, &*tablet] {
        report.step(io, &format!("edit on the {} alone", actor.name()), |_| {
            let file = format!("{}.edits.ndjson", actor.name());
            courses::edits(&actor.dir().join(&file), actor.name(), CONTESTED, OWN)?;
            actor.run(&["import", &file, "--prefix", "progress/"])?;
            actor.run(&[
                "put",
                "path/notes",
                &format!("as the {} saw it", actor.name()),
            ])?;
            actor.run(&["commit", "-m", &format!("Edits on the {}", actor.name())])?;
            Ok(format!(
                "{} keys, {} of them edited on both",
                CONTESTED + OWN + 1,
                CONTESTED + 1
            ))
        })?;
    }
    Ok(())
}

fn together(actors: [&mut Actor; 3], report: &mut Report, io: &mut Io<'_>) -> Result<()> {
    let [laptop, tablet, server] = actors;
    report.step(io, "they come back and converge", |step| {
        laptop.up()?;
        tablet.up()?;
        for actor in [&*laptop, &*tablet, &*laptop] {
            for line in actor.rows(&["sync"])? {
                step.bytes += line["bytes_in"].as_u64().unwrap_or(0);
                step.bytes += line["bytes_out"].as_u64().unwrap_or(0);
            }
        }
        let started = std::time::Instant::now();
        loop {
            let heads = [&*laptop, &*tablet, &*server].map(Actor::heads);
            let [a, b, c] = heads;
            let (a, b, c) = (a?, b?, c?);
            if a == b && b == c && !a.is_empty() {
                return Ok(format!("{} heads, the same on all three", a.len()));
            }
            ensure!(
                started.elapsed() < CONVERGE_TIMEOUT,
                "the nodes do not agree: {a:?}, {b:?}, {c:?}"
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

fn verify(actors: [&Actor; 3], entries: usize, report: &mut Report, io: &mut Io<'_>) -> Result<()> {
    report.step(io, "compare the roots", |_| {
        let mut roots = Vec::new();
        for actor in actors {
            roots.push(text(&actor.json(&["status"])?, "root")?);
        }
        ensure!(
            roots.windows(2).all(|pair| pair[0] == pair[1]),
            "roots differ: {roots:?}"
        );
        Ok(format!("three times {}", roots[0]))
    })?;
    report.step(io, "show what was put aside", |_| {
        let aside = actors[2].rows(&["conflicts", "-n", "1000"])?.len();
        ensure!(
            aside == CONTESTED + 1,
            "{aside} conflicts, expected {}",
            CONTESTED + 1
        );
        Ok(format!(
            "{aside} keys were edited on both sides; the later edit is kept"
        ))
    })?;
    for actor in actors {
        report.step(io, &format!("check the {}", actor.name()), |_| {
            let found = actor.json_live(&["check"])?;
            ensure!(
                number(&found, "problem_count")? == 0,
                "problems: {}",
                found["problems"]
            );
            let live = number(&found, "live")?;
            ensure!(
                live as usize >= entries,
                "{live} live entries, expected {entries} or more"
            );
            Ok(format!(
                "{} commits, {} signatures and trees good, {} live entries",
                number(&found, "commits")?,
                number(&found, "commits")?,
                count(live)
            ))
        })?;
    }
    report.entries = number(&actors[0].json(&["check"])?, "live")?;
    report.commits = actors[0].rows(&["log"])?.len() as u64;
    Ok(())
}

/// A text member of a JSON answer.
fn text(value: &Value, name: &str) -> Result<String> {
    let member = value[name].as_str();
    Ok(member
        .with_context(|| format!("no {name} in {value}"))?
        .to_owned())
}

/// A number in a JSON answer.
fn number(value: &Value, name: &str) -> Result<u64> {
    value[name]
        .as_u64()
        .with_context(|| format!("no {name} in {value}"))
}
