//! `merge`, `cherry-pick`, `revert`, `rebase` and `merge-type`.

use allod::Node;
use allod::heads_at;
use allod::one_commit;
use allod_repo::{
    Applied, BranchName, CommitId, Done, FastForward, Keys, MergeOptions, Outcome, Pattern, Repo,
    Resolving, Rule, Stopped, Strategy, Task, UnderWay,
};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::cli::Usage;
use crate::cli::conflicts::{conflict_row, conflict_text};
use crate::cli::history::who;
use crate::cli::io::{Io, count};
use crate::cli::keys::key_text;
use crate::cli::merge_args::{Decide, Merge, MergeTypes, Pick, Rebase, Waiting};
use crate::cli::values::branch as current_branch;

/// Conflicts that are printed; `conflicts` shows all.
const SHOWN: usize = 20;

pub(crate) fn named_branch(node: &Node, repo: &Repo, name: Option<&str>) -> Result<BranchName> {
    match name {
        None => current_branch(node, repo),
        Some(name) => name
            .parse()
            .map_err(|error| Usage(format!("{name:?}: {error}")).into()),
    }
}

impl Decide {
    pub(crate) fn rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for text in &self.strategy {
            let (pattern, name) = text.rsplit_once('=').ok_or_else(|| {
                Usage(format!(
                    "{text:?}: a rule is PATTERN=NAME, like 'doc/*=json'"
                ))
            })?;
            rules.push(rule(pattern, name)?);
        }
        let all = [
            ("ours", self.ours),
            ("theirs", self.theirs),
            ("newest", self.newest),
        ];
        for (name, _) in all.iter().filter(|(_, is_set)| *is_set) {
            rules.push(rule("*", name)?);
        }
        Ok(rules)
    }
}

fn rule(pattern: &str, name: &str) -> Result<Rule> {
    let pattern: Pattern = pattern
        .parse()
        .map_err(|error| Usage(format!("{pattern:?}: {error}")))?;
    let strategy: Strategy = name
        .parse()
        .map_err(|error| Usage(format!("{name:?}: {error}")))?;
    Ok((pattern, strategy))
}

/// What decides conflicts in this program: rules, and no merge types yet.
pub(crate) fn resolving(rules: &[Rule]) -> Resolving<'_> {
    Resolving {
        rules,
        ..Resolving::default()
    }
}

pub(crate) fn merge(
    node: &Node,
    space: Option<&str>,
    options: &Merge,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = options.verify.space(node, space)?;
    let branch = current_branch(node, &repo)?;
    let Some(from) = &options.from else {
        return go_on(
            node,
            &repo,
            &branch,
            ("merge", &options.waiting, &options.decide),
            io,
        );
    };
    let theirs = heads_at(&repo, from)?;
    let rules = options.decide.rules()?;
    let outcome = repo.merge(
        &branch,
        &theirs,
        node.author()?,
        &MergeOptions {
            resolving: resolving(&rules),
            fast_forward: match (options.no_ff, options.ff_only) {
                (true, _) => FastForward::Never,
                (_, true) => FastForward::Only,
                _ => FastForward::Allowed,
            },
            allow_unrelated: options.allow_unrelated,
            message: Some(match &options.message {
                Some(message) => message.clone(),
                None => format!("Merge {from} into {branch}"),
            }),
        },
        allod::now_ms(),
    )?;
    tell(node, &repo, &branch, outcome, io)
}

pub(crate) fn pick(
    node: &Node,
    space: Option<&str>,
    options: &Pick,
    undo: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = options.verify.space(node, space)?;
    let branch = current_branch(node, &repo)?;
    let Some(commit) = &options.commit else {
        return go_on(
            node,
            &repo,
            &branch,
            (
                if undo { "revert" } else { "cherry-pick" },
                &options.waiting,
                &options.decide,
            ),
            io,
        );
    };
    let commit = one_commit(&repo, commit)?;
    let mainline = options.mainline.as_deref();
    let mainline = mainline
        .map(|parent| one_commit(&repo, parent))
        .transpose()?;
    if mainline.is_none() {
        check_single(node, &repo, commit)?;
    }
    let applied = Applied { commit, mainline };
    let rules = options.decide.rules()?;
    let (author, now) = (node.author()?, allod::now_ms());
    let outcome = if undo {
        repo.revert(&branch, applied, author, resolving(&rules), now)?
    } else {
        repo.cherry_pick(&branch, applied, author, resolving(&rules), now)?
    };
    tell(node, &repo, &branch, outcome, io)
}

/// A merge is applied as seen from one of its parents, which only the user can choose.
fn check_single(node: &Node, repo: &Repo, commit: CommitId) -> Result<()> {
    let merge = repo.commit(commit)?;
    let parents = &merge.payload().parents;
    if parents.len() < 2 {
        return Ok(());
    }
    let mut text = format!(
        "{} is a merge; say from which of its parents its changes are seen, with --mainline:",
        commit.short()
    );
    for id in parents {
        let parent = repo.commit(*id)?;
        let said = parent.payload();
        let message = said.message.lines().next().unwrap_or_default();
        let who = who(node, &said.author);
        let (id, branch) = (id.short(), &said.branch);
        text.push_str(&format!("\n  {id}  {branch}  {who}  {message}"));
    }
    Err(Usage(text).into())
}

pub(crate) fn rebase(
    node: &Node,
    space: Option<&str>,
    options: &Rebase,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = options.verify.space(node, space)?;
    let branch = named_branch(node, &repo, options.branch.as_deref())?;
    if options.skip {
        check_verb(&repo, &branch, "rebase")?;
        let outcome = repo.skip(&branch, node.author()?, resolving(&[]), allod::now_ms())?;
        return tell(node, &repo, &branch, outcome, io);
    }
    let Some(onto) = &options.onto else {
        return go_on(
            node,
            &repo,
            &branch,
            ("rebase", &options.waiting, &options.decide),
            io,
        );
    };
    let to = match &options.name {
        Some(_) => named_branch(node, &repo, options.name.as_deref())?,
        None if options.force || !was_shared(node, &repo)? => branch.clone(),
        None => bail!(
            "a peer may have {branch}: its commits would come back beside the new ones; keep it and \
             make a new branch with --as NAME, or insist with --force"
        ),
    };
    let onto = heads_at(&repo, onto)?;
    let rules = options.decide.rules()?;
    let by = (node.author()?, resolving(&rules));
    let outcome = repo.rebase(&branch, &onto, &to, by, allod::now_ms())?;
    tell(node, &repo, &branch, outcome, io)
}

/// Whether any peer was in a session about the space to its end, or was sent a commit in one that
/// was cut, and so may have what was here then.
pub(crate) fn was_shared(node: &Node, repo: &Repo) -> Result<bool> {
    let peers = node.peers(repo)?;
    Ok(peers
        .iter()
        .any(|(_, peer)| peer.synced_ms.is_some() || peer.was_sent))
}

/// `--continue` or `--abort`.
fn go_on(
    node: &Node,
    repo: &Repo,
    branch: &BranchName,
    (verb, waiting, decide): (&str, &Waiting, &Decide),
    io: &mut Io<'_>,
) -> Result<()> {
    if decide.ours || decide.theirs || decide.newest || !decide.strategy.is_empty() {
        let text =
            "what waits keeps the rules it was begun with; decide the rest with `allod resolve`";
        return Err(Usage(text.to_owned()).into());
    }
    check_verb(repo, branch, verb)?;
    if waiting.abort {
        let what = task_text(&repo.abort(branch)?);
        let value = json!({ "outcome": "aborted", "task": what });
        return io.data(&value, || format!("{what} given up; {branch} is as it was"));
    }
    let outcome = repo.resume(branch, node.author()?, resolving(&[]), allod::now_ms())?;
    tell(node, repo, branch, outcome, io)
}

/// Each verb goes on with its own: whoever types another has something else in mind.
fn check_verb(repo: &Repo, branch: &BranchName, verb: &str) -> Result<()> {
    let Some(under_way) = repo.under_way(branch)? else {
        return Ok(());
    };
    let own = match &under_way.task {
        Task::Merge(_) => "merge",
        Task::Pick(_) => "cherry-pick",
        Task::Revert(_) => "revert",
        Task::Replay(_) => "rebase",
        _ => verb,
    };
    if own == verb {
        return Ok(());
    }
    let what = task_text(&under_way);
    let text =
        format!("under way on {branch} is a {what}; `allod {own}` goes on with it or aborts it");
    Err(Usage(text).into())
}

/// What is under way in a few words.
pub(crate) fn task_text(under_way: &UnderWay) -> String {
    match &under_way.task {
        Task::Merge(theirs) => format!("merge of {}", short(theirs)),
        Task::Pick(applied) => format!("cherry-pick of {}", applied.commit.short()),
        Task::Revert(applied) => format!("revert of {}", applied.commit.short()),
        Task::Replay(replay) => format!("rebase with {} commits left", replay.todo.len()),
        _ => "something newer".to_owned(),
    }
}

/// Prints what became of it; conflicts are a failure.
fn tell(
    node: &Node,
    repo: &Repo,
    branch: &BranchName,
    outcome: Outcome,
    io: &mut Io<'_>,
) -> Result<()> {
    node.touch();
    match outcome {
        Outcome::Nothing => io.data(&json!({ "outcome": "nothing" }), || {
            "there is nothing to do".to_owned()
        }),
        Outcome::FastForward { heads, merged } => {
            let heads: Vec<CommitId> = heads.into_iter().collect();
            let value = json!({
                "outcome": "fast-forward",
                "heads": whole(&heads),
                "merged": merged.count,
                "keys": keys(&merged),
            });
            io.data(&value, || {
                let (heads, merged) = (short(&heads), count(merged.count));
                format!("{branch} moved to {heads}  {merged} keys changed")
            })
        }
        Outcome::Done(done) => tell_done(branch, &done, io),
        Outcome::Stopped(stopped) => tell_stopped(repo, branch, &stopped, io),
        other => bail!("an outcome that this program does not know: {other:?}"),
    }
}

pub(crate) fn whole(ids: &[CommitId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub(crate) fn short(ids: &[CommitId]) -> String {
    let ids: Vec<String> = ids.iter().map(CommitId::short).collect();
    ids.join(", ")
}

pub(crate) fn keys(keys: &Keys) -> Vec<String> {
    keys.first.iter().map(|key| key_text(key)).collect()
}

fn tell_done(branch: &BranchName, done: &Done, io: &mut Io<'_>) -> Result<()> {
    if done.moved {
        io.say(format!(
            "{branch} had moved; this was done on what it is now"
        ))?;
    }
    let value = json!({
        "outcome": "done",
        "commits": whole(&done.commits),
        "merged": done.merged.count,
        "keys": keys(&done.merged),
        "decided": done.decided,
        "empty": done.empty,
        "moved": done.moved,
    });
    io.data(&value, || {
        let (commits, merged) = (short(&done.commits), count(done.merged.count));
        let mut text = format!("{commits}  {merged} keys changed");
        for (number, what) in [
            (done.decided, "conflicts decided"),
            (done.empty, "commits had nothing left to change"),
        ] {
            if number > 0 {
                text = format!("{text}, {} {what}", count(number));
            }
        }
        text
    })
}

fn tell_stopped(
    repo: &Repo,
    branch: &BranchName,
    stopped: &Stopped,
    io: &mut Io<'_>,
) -> Result<()> {
    if stopped.moved {
        io.say(format!(
            "{branch} had moved; conflicts are with what it is now"
        ))?;
    }
    let rows = stopped.conflicts.iter();
    let rows: Vec<Value> = rows
        .map(|conflict| conflict_row(repo, conflict, None))
        .collect();
    let value = json!({
        "outcome": "stopped",
        "at": stopped.at.map(|id| id.to_string()),
        "conflicts": stopped.count,
        "merged": stopped.merged.count,
        "keys": keys(&stopped.merged),
        "moved": stopped.moved,
        "rows": rows,
    });
    io.data(&value, || {
        let shown = stopped.conflicts.iter().take(SHOWN);
        let rows: Vec<String> = shown
            .map(|conflict| conflict_text(conflict, None))
            .collect();
        rows.join("\n")
    })?;
    let task = repo.under_way(branch)?.as_ref().map(task_text);
    bail!(
        "{} conflicts; {branch} is as it was. `allod conflicts` shows them, `allod resolve KEY` \
         decides, then --continue, or --abort ({})",
        count(stopped.count),
        task.unwrap_or_default()
    )
}

pub(crate) fn merge_types(
    node: &Node,
    space: Option<&str>,
    command: &MergeTypes,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let now = allod::now_ms();
    let id = match command {
        MergeTypes::List => {
            for (pattern, strategy) in repo.merge_rules()? {
                let (pattern, name) = (pattern.to_string(), strategy.to_string());
                io.data(&json!({ "pattern": pattern, "name": name }), || {
                    format!("{pattern}  {name}")
                })?;
            }
            return Ok(());
        }
        MergeTypes::Set { pattern, name } => {
            let (pattern, strategy) = rule(pattern, name)?;
            repo.set_merge_rule(&pattern, Some(&strategy), node.author()?, now)?
        }
        MergeTypes::Remove { pattern } => {
            let rules = repo.merge_rules()?;
            let known = rules
                .iter()
                .find(|(known, _)| known.to_string() == *pattern);
            let (pattern, _) = known.with_context(|| format!("no rule for {pattern:?}"))?;
            repo.set_merge_rule(pattern, None, node.author()?, now)?
        }
    };
    node.touch();
    io.data(&json!({ "commit": id.to_string() }), || {
        format!("{}  on meta", id.short())
    })
}
