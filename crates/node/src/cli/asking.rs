//! `blame`, `log --key` and `bisect`.

use allod::one_commit;
use allod::shown::state_value;
use std::path::Path;
use std::process::Command;

use allod::Node;
use allod_repo::{Bisect, Blame, CommitId, Content, Repo, Span, Verdict};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::ask_args::{BisectArgs, BlameArgs};
use crate::cli::history::{state_text, who};
use crate::cli::io::{Io, count};
use crate::cli::keys::{key_bytes, key_text};
use crate::cli::space::say_part;

pub(crate) fn blame(
    node: &Node,
    space: Option<&str>,
    options: &BlameArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let heads = node.commits_at(&repo, None, options.at.as_deref())?;
    if options.prefix {
        let span = Span::prefix(&key_bytes(&options.key)?);
        say_part(&repo, span.from.as_deref(), io)?;
        for blame in repo.blame_range(&heads, &span, options.limit)? {
            print(node, &blame, io)?;
        }
        return Ok(());
    }
    let blame = repo.blame(&heads, &key_bytes(&options.key)?)?;
    let blame = blame.with_context(|| format!("nobody wrote {:?}", options.key))?;
    print(node, &blame, io)
}

pub(crate) fn key_log(
    node: &Node,
    space: Option<&str>,
    key: &str,
    (limit, from): (Option<usize>, Option<&str>),
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let heads = node.commits_at(&repo, None, from)?;
    let history = repo.key_history(&heads, &key_bytes(key)?)?;
    for blame in history.take(limit.unwrap_or(usize::MAX)) {
        print(node, &blame?, io)?;
    }
    Ok(())
}

fn print(node: &Node, blame: &Blame, io: &mut Io<'_>) -> Result<()> {
    let (key, state) = (key_text(&blame.key), state_text(&blame.entry.state));
    let said = blame.commit.payload();
    let time = allod::utc(blame.entry.stamp.millis());
    let value = json!({
        "key": key,
        "value": state_value(node.store().as_ref(), &blame.entry.state),
        "commit": blame.id.to_string(),
        "author": blame.author().to_string(),
        "device": blame.device().to_string(),
        "time": time,
        "message": said.message,
    });
    io.data(&value, || {
        let message = said.message.lines().next().unwrap_or_default();
        let (id, who) = (blame.id.short(), who(node, &blame.author()));
        format!("{id}  {time}  {who}  {key}  {state}  ({message})")
    })
}

/// One answer of a search: what to test next, or what was found.
///
/// It is made anew from all verdicts each time, so that nothing is kept between commands and a
/// test may use the space itself.
pub(crate) fn bisect(
    node: &Node,
    space: Option<&str>,
    options: &BisectArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    if !options.command.is_empty() {
        return Err(Usage("a command cannot be run inside a node".to_owned()).into());
    }
    let repo = node.space(space)?;
    let good = one_commit(&repo, &options.good)?;
    let bad = one_commit(&repo, &options.bad)?;
    let mut search = repo.bisect(good, bad)?;
    for (ids, verdict) in [
        (&options.is_good, Verdict::Good),
        (&options.is_bad, Verdict::Bad),
        (&options.skip, Verdict::Skip),
    ] {
        for id in ids {
            search.tell(one_commit(&repo, id)?, verdict);
        }
    }
    let mut tests = 0;
    while let (Some(key), Some(id)) = (&options.key, search.next()) {
        let content = repo.at(id)?.get(&key_bytes(key)?)?;
        let is_good = match (&content, &options.equals) {
            (Some(Content::Bytes(value)), Some(wanted)) => value == wanted.as_bytes(),
            (content, None) => content.is_some(),
            (_, Some(_)) => false,
        };
        search.tell(id, if is_good { Verdict::Good } else { Verdict::Bad });
        tests += 1;
    }
    answer(node, &repo, &search, tests, io)
}

fn answer(node: &Node, repo: &Repo, search: &Bisect, tests: u64, io: &mut Io<'_>) -> Result<()> {
    let open = search.len() as u64;
    if let Some(next) = search.next() {
        let value = json!({ "next": next.to_string(), "open": open });
        return io.data(&value, || {
            format!("{next}\n  test this one; {} commits are open", count(open))
        });
    }
    if search.is_empty() {
        bail!(
            "nothing is open: by these verdicts every commit is good, so they contradict each other, or \
             GOOD has all that BAD has"
        );
    }
    let found: Vec<CommitId> = search.suspects().collect();
    let ids: Vec<String> = found.iter().map(ToString::to_string).collect();
    let mut lines = Vec::new();
    for id in &found {
        let commit = repo.commit(*id)?;
        let said = commit.payload();
        lines.push(format!(
            "{}  {}  {}  {}",
            id.short(),
            allod::utc(said.stamp.millis()),
            who(node, &said.author),
            said.message.lines().next().unwrap_or_default()
        ));
    }
    io.data(&json!({ "first_bad": ids, "tests": tests }), || {
        let lines = lines.join("\n");
        match found.len() {
            1 => lines,
            _ => format!("one of these, the others could not be tested:\n{lines}"),
        }
    })
}

/// Searches with a command as the test. Each question goes to a process of its own, so that the home is
/// free while the command runs.
pub(crate) fn bisect_with(
    home: &Path,
    space: Option<&str>,
    options: &BisectArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let (program, args) = options
        .command
        .split_first()
        .context("a command is needed")?;
    let mut told: Vec<String> = Vec::new();
    let mut tests: u64 = 0;
    loop {
        let mut question = Command::new(std::env::current_exe()?);
        question.arg("--home").arg(home).arg("--json");
        if let Some(space) = space {
            question.args(["--space", space]);
        }
        question
            .args(["bisect", &options.good, &options.bad])
            .args(&told);
        let answer = question.output()?;
        if !answer.status.success() {
            let text = String::from_utf8_lossy(&answer.stderr).into_owned();
            bail!("{}", text.trim_start_matches("error: ").trim_end());
        }
        let mut answer: Value = serde_json::from_slice(&answer.stdout)?;
        let Some(next) = answer["next"].as_str() else {
            answer["tests"] = tests.into();
            let found: Vec<&str> = answer["first_bad"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            return io.data(&answer, || match &found[..] {
                [one] => format!("{one} is the first bad commit ({tests} tests)"),
                several => format!(
                    "one of these, the others could not be tested:\n{}",
                    several.join("\n")
                ),
            });
        };
        let mut test = Command::new(program);
        test.args(args)
            .env("ALLOD_HOME", home)
            .env("ALLOD_COMMIT", next);
        if let Some(space) = space {
            test.env("ALLOD_SPACE", space);
        }
        // What it prints is no answer of ours.
        test.stdout(std::io::stderr());
        let status = test.status().with_context(|| program.clone())?;
        tests += 1;
        let verdict = match status.code() {
            Some(0) => "--is-good",
            Some(125) => "--skip",
            Some(1..=127) => "--is-bad",
            _ => bail!(
                "the command ended with {status}; 0 is good, 125 cannot tell, 1 to 127 is bad"
            ),
        };
        io.say(format!("{next}  {}", verdict.trim_start_matches("--")))?;
        told.extend([verdict.to_owned(), next.to_owned()]);
    }
}
