//! `grant`, `grants`, `rules`, `member`, and `revoke` of a grant.

use std::collections::{BTreeMap, BTreeSet};

use allod::{Node, now_ms, random, utc};
use allod_access::{
    Answer, Command, Draft, Facts, Glob, Grant, Member, On, Op, Pattern, Policy, Principal,
    Request, Roles, Rule, Selector, Statement, Target, Ungrant, roles,
};
use allod_identity::AgentId;
use allod_repo::{Granting, Repo};
use anyhow::{Context as _, Result, ensure};
use cid::Cid;
use serde_json::{Value, json};

use crate::cli::access_args::{
    About, Gift, GrantArgs, GrantsArgs, MemberCommand, RuleArgs, RulesCommand,
};
use crate::cli::io::{Io, plain};
use crate::cli::{Usage, parts};

pub(crate) fn grant(
    node: &Node,
    space: Option<&str>,
    options: &GrantArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let mut what = granting(&options.gift)?;
    parts::check(&options.gift)?;
    what.not_before = options.after.map(|after| now_ms().saturating_add(after));
    let seed = random()?;
    let made = repo.grant(options.to, &what, &seed, node.author()?, now_ms())?;
    parts::declare_for(node, &repo, &options.gift, io)?;
    node.touch();
    for (cid, command) in made.iter().zip(&what.commands) {
        let value = json!({
            "grant": cid.to_string(),
            "to": options.to.to_string(),
            "command": command.as_str(),
            "policy": what.policy.to_string(),
            "expires": what.expires,
        });
        io.data(&value, || format!("{cid}  {command}"))?;
    }
    Ok(())
}

/// What options grant.
pub(crate) fn granting(gift: &Gift) -> Result<Granting> {
    if gift.can.is_empty() {
        return Err(Usage("say what with --can: read, write, delete, ...".to_owned()).into());
    }
    let commands = gift.can.iter().map(|text| command(text));
    let commands = commands.collect::<Result<BTreeSet<Command>>>()?;
    let mut policy = match &gift.policy {
        Some(text) => serde_json::from_str(text).context("--policy is no policy of JSON")?,
        None => Policy::default(),
    };
    for (selector, texts) in [
        (Selector::Key, prefixes(&gift.prefix)),
        (Selector::Branch, globs(&gift.branch)?),
    ] {
        let mut any: Vec<Statement> = texts
            .into_iter()
            .map(|glob| Statement::Like(selector, glob))
            .collect();
        match any.len() {
            0 => {}
            1 => policy.0.append(&mut any),
            _ => policy.0.push(Statement::Or(any)),
        }
    }
    Ok(Granting {
        commands: commands.into_iter().collect(),
        policy,
        not_before: None,
        expires: gift.expires.map(|time| now_ms().saturating_add(time)),
    })
}

/// Whether a gift lets somebody read.
pub(crate) fn may_read(gift: &Gift) -> Result<bool> {
    let read = Command::from(Op::Read);
    for text in &gift.can {
        if command(text)?.covers(read.as_str()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn prefixes(texts: &[String]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::prefix(text)).collect()
}

fn globs(texts: &[String]) -> Result<Vec<Glob>> {
    let globs = texts.iter().map(|text| Glob::try_from(text.clone()));
    Ok(globs.collect::<Result<_, _>>()?)
}

fn command(text: &str) -> Result<Command> {
    if text == "all" {
        return Ok(Command::all());
    }
    if text.starts_with('/') {
        return Ok(text.parse()?);
    }
    Ok(text.parse::<Op>()?.into())
}

pub(crate) fn grants(
    node: &Node,
    space: Option<&str>,
    options: &GrantsArgs,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    let rights = repo.authorizer()?;
    let now = now_ms();
    let mut any = false;
    for (cid, grant) in &rights.facts().grants {
        if options.to.is_some_and(|to| to != grant.audience) {
            continue;
        }
        let standing = standing(&rights, (cid, grant), now);
        if standing != "holds" && standing != "begins" && !options.all {
            continue;
        }
        any = true;
        let value = json!({
            "grant": cid.to_string(),
            "from": grant.issuer.to_string(),
            "to": grant.audience.to_string(),
            "command": grant.command.as_str(),
            "policy": grant.policy.to_string(),
            "rests_on": grant.proof.map(|proof| proof.to_string()),
            "not_before": grant.not_before,
            "expires": grant.expires,
            "standing": standing,
        });
        io.data(&value, || grant_text(cid, grant, standing))?;
    }
    if !any {
        io.say("no grant; `allod grant DID --can read` makes one")?;
    }
    Ok(())
}

/// Whether a grant holds, in a word.
fn standing(
    rights: &allod_access::Authorizer,
    (cid, grant): (&Cid, &Grant),
    now: u64,
) -> &'static str {
    if rights.holds(&grant.audience, cid, now) {
        "holds"
    } else if grant.expires.is_some_and(|end| end <= now) {
        "ended"
    } else if grant.not_before.is_some_and(|from| from > now) {
        "begins"
    } else {
        "taken back"
    }
}

fn grant_text(cid: &Cid, grant: &Grant, standing: &str) -> String {
    let mut text = format!(
        "{cid}  {standing}\n  {} may {}",
        grant.audience, grant.command
    );
    if !grant.policy.is_empty() {
        text += &format!(" where {}", plain(&grant.policy.to_string()));
    }
    if let Some(from) = grant.not_before {
        text += &format!(", from {}", utc(from));
    }
    if let Some(end) = grant.expires {
        text += &format!(", until {}", utc(end));
    }
    text + &format!("; says {}", grant.issuer)
}

/// Takes a grant back, if it is one of a space here. Whether it was.
pub(crate) fn revoke(
    node: &Node,
    (space, record): (Option<&str>, &str),
    reason: Option<&str>,
    io: &mut Io<'_>,
) -> Result<bool> {
    let Ok(cid) = record.parse::<Cid>() else {
        return Ok(false);
    };
    let Some(repo) = space_of(node, space, &cid)? else {
        return Ok(false);
    };
    let rights = repo.authorizer()?;
    let mut after = rights.facts().clone();
    after.ungrants.push(Ungrant {
        at: now_ms(),
        by: node.agent()?,
        of: cid,
        reason: None,
    });
    keep_what_is(node, &repo, (&after, "a right is taken back"), io)?;
    let made = repo.ungrant(cid, reason, node.author()?, now_ms())?;
    node.touch();
    let value = json!({ "grant": cid.to_string(), "new": made.is_some() });
    io.data(&value, || match made {
        Some(_) => format!("{cid} is taken back, with all that rests on it"),
        None => format!("{cid} was taken back already"),
    })?;
    Ok(true)
}

/// Commits on top of what would count no more after a change of rights, so that it stays (REPO-117).
fn keep_what_is(
    node: &Node,
    repo: &Repo,
    (after, what): (&Facts, &str),
    io: &mut Io<'_>,
) -> Result<()> {
    let message = format!("What was here before {what}");
    for branch in repo.branches_at_stake(after)? {
        let kept = repo.vouch_before(&branch, after, (node.author()?, &message), now_ms());
        match kept {
            Ok(_) => {}
            Err(error) if error.refusal().is_some() => io.warn(format!(
                "some of what others wrote on {branch} counts no more when {what}: you may not commit there"
            ))?,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The space that has a grant.
fn space_of(node: &Node, space: Option<&str>, grant: &Cid) -> Result<Option<Repo>> {
    let spaces = match space {
        Some(name) => vec![node.space(Some(name))?],
        None => node
            .spaces()?
            .into_iter()
            .map(|(_, id)| node.repo(id))
            .collect::<Result<_, _>>()?,
    };
    for repo in spaces {
        if repo.authorizer()?.facts().grants.contains_key(grant) {
            return Ok(Some(repo));
        }
    }
    Ok(None)
}

pub(crate) fn rules(
    node: &Node,
    space: Option<&str>,
    command: &RulesCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match command {
        RulesCommand::Show => show(&repo, io),
        RulesCommand::Set(options) => {
            let rule = rule(options)?;
            let said = format!("Rule for {} {}", rule.on().name(), rule.pattern());
            set_rule(node, &repo, &rule, &said, io)
        }
        RulesCommand::Remove { about, pattern } => {
            let rule = Rule::removed(on(*about), pattern.parse()?);
            let is_it = |it: &&Rule| it.on() == rule.on() && it.pattern() == rule.pattern();
            let rights = repo.authorizer()?;
            let known = rights.facts().rules.values().find(is_it);
            ensure!(
                known.is_some_and(Rule::says_something),
                "there is no rule for {} {pattern}; `allod rules show` lists them",
                rule.on().name()
            );
            let said = format!("No rule for {} {pattern}", rule.on().name());
            set_rule(node, &repo, &rule, &said, io)
        }
        RulesCommand::Test {
            who,
            op,
            branch,
            key,
        } => test(&repo, (who, op, branch, key.as_deref()), io),
    }
}

fn set_rule(node: &Node, repo: &Repo, rule: &Rule, said: &str, io: &mut Io<'_>) -> Result<()> {
    let mut after = repo.authorizer()?.facts().clone();
    after
        .rules
        .retain(|_, known| known.on() != rule.on() || known.pattern() != rule.pattern());
    after.rules.insert("new".to_owned(), rule.clone());
    keep_what_is(node, repo, (&after, "a rule changes"), io)?;
    let made = repo.set_rule(rule, (node.author()?, said), now_ms())?;
    node.touch();
    let rights = repo.authorizer()?;
    let is_for_all =
        |it: &Rule| it.on() == rule.on() && it.pattern().as_str() == "*" && it.says_something();
    if rule.says_something() && !rights.facts().rules.values().any(is_for_all) {
        io.warn(format!(
            "what no rule about a {} allows is denied to members from now on; a rule for '*' says what they may elsewhere",
            rule.on().name()
        ))?;
    }
    let value = json!({ "rule": rule_json(rule), "new": made.is_some() });
    io.data(&value, || rule_text(rule))
}

const fn on(about: About) -> On {
    match about {
        About::Key => On::Key,
        About::Branch => On::Branch,
    }
}

/// The rule that options say.
fn rule(options: &RuleArgs) -> Result<Rule> {
    let on = on(options.about);
    let mut allow = by_operation(on, &options.allow)?;
    for text in &options.nobody {
        let op = operation(on, text)?;
        if allow.insert(op, Vec::new()).is_some() {
            return Err(Usage(format!("{op} cannot be for some and for nobody")).into());
        }
    }
    let draft = Draft {
        on,
        allow,
        deny: by_operation(on, &options.deny)?,
        owner: options.owner.clone(),
        pattern: options.pattern.parse::<Pattern>()?,
    };
    let rule = Rule::try_from(draft)?;
    if !rule.says_something() {
        let words = "a rule says something: --owner, --allow, --deny or --nobody";
        return Err(Usage(words.to_owned()).into());
    }
    Ok(rule)
}

/// `ROLE=WHAT,WHAT`, by what.
fn by_operation(on: On, texts: &[String]) -> Result<Roles> {
    let mut all: BTreeMap<Op, BTreeSet<String>> = BTreeMap::new();
    for text in texts {
        let (role, ops) = text
            .split_once('=')
            .ok_or_else(|| Usage(format!("{text:?} is not ROLE=WHAT, as editor=read,write")))?;
        for op in ops.split(',') {
            let of = all.entry(operation(on, op)?).or_default();
            of.insert(role.to_owned());
        }
    }
    let all = all.into_iter();
    Ok(all
        .map(|(op, roles)| (op, roles.into_iter().collect()))
        .collect())
}

fn operation(on: On, text: &str) -> Result<Op> {
    // Of a branch as such, deleting it is what is meant.
    if on == On::Branch && text == "delete" {
        return Ok(Op::Drop);
    }
    Ok(text.parse::<Op>()?)
}

fn show(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let rights = repo.authorizer()?;
    let rules = &rights.facts().rules;
    let mut said: Vec<&Rule> = rules
        .values()
        .filter(|rule| rule.says_something())
        .collect();
    said.sort_by_key(|rule| (rule.on(), rule.pattern().as_str().to_owned()));
    for rule in &said {
        io.data(&rule_json(rule), || rule_text(rule))?;
    }
    if said.is_empty() {
        io.say("no rules: members may read and write everything, and grants say what others may")?;
    }
    let mut versions: BTreeMap<(On, &str), usize> = BTreeMap::new();
    for rule in rules.values() {
        *versions
            .entry((rule.on(), rule.pattern().as_str()))
            .or_default() += 1;
    }
    for ((on, pattern), count) in versions {
        if count > 1 {
            io.warn(format!(
                "{} {pattern} was changed in {count} places apart: what all of them allow holds, until it is set anew",
                on.name()
            ))?;
        }
    }
    Ok(())
}

fn rule_json(rule: &Rule) -> Value {
    let of = |roles: &Roles| {
        let each = roles.iter().map(|(op, roles)| (op.name(), json!(roles)));
        each.collect::<BTreeMap<_, _>>()
    };
    json!({
        "on": rule.on().name(),
        "pattern": rule.pattern().as_str(),
        "owner": rule.owner(),
        "allow": of(rule.allow()),
        "deny": of(rule.deny()),
    })
}

fn rule_text(rule: &Rule) -> String {
    let mut parts = Vec::new();
    if let Some(owner) = rule.owner() {
        parts.push(format!("belongs to {owner}"));
    }
    for (op, roles) in rule.allow() {
        parts.push(if roles.is_empty() {
            format!("{op}: nobody")
        } else {
            format!("{op}: {}", roles.join(", "))
        });
    }
    for (op, roles) in rule.deny() {
        parts.push(format!("never {op}: {}", roles.join(", ")));
    }
    if parts.is_empty() {
        parts.push("says nothing any more".to_owned());
    }
    let (on, pattern) = (rule.on().name(), rule.pattern());
    format!("{on} {}  {}", plain(pattern.as_str()), parts.join("; "))
}

fn test(
    repo: &Repo,
    (who, op, branch, key): (&str, &str, &str, Option<&str>),
    io: &mut Io<'_>,
) -> Result<()> {
    let rights = repo.authorizer()?;
    let agent = match who.parse::<AgentId>() {
        Ok(agent) => agent,
        Err(_) => *rights
            .members()
            .find(|agent| rights.standing(agent).and_then(|(_, name)| name) == Some(who))
            .with_context(|| format!("{who:?} is no agent's DID, and no member is called so"))?,
    };
    let principal = Principal::agent(agent);
    let target = match key {
        None => Target::Branch,
        Some(key) => match key.strip_suffix('*') {
            Some(prefix) => Target::Prefix(prefix.as_bytes()),
            None => Target::Key(key.as_bytes()),
        },
    };
    let request = Request {
        who: &principal,
        op: op.parse::<Op>()?,
        branch,
        target,
        at: now_ms(),
    };
    let verdict = rights.check(&request);
    let answer = match verdict.answer {
        Answer::Allow => "allowed",
        Answer::Deny => "denied",
        Answer::Partly => "partly",
    };
    let chain: Vec<String> = verdict.chain.iter().map(Cid::to_string).collect();
    let value = json!({
        "answer": answer,
        "ground": verdict.ground.name(),
        "rule": verdict.rule.as_deref(),
        "chain": chain,
        "words": verdict.words(),
    });
    io.data(&value, || {
        let mut text = format!("{answer}: {}", plain(&verdict.words()));
        for link in &chain {
            text += &format!("\n  {link}");
        }
        text
    })
}

pub(crate) fn member(
    node: &Node,
    space: Option<&str>,
    command: &MemberCommand,
    io: &mut Io<'_>,
) -> Result<()> {
    let repo = node.space(space)?;
    match command {
        MemberCommand::List => members(&repo, io),
        MemberCommand::Set { agent, name, role } => {
            ensure!(
                !repo.is_owner(agent),
                "{agent} owns the space, and is what it is"
            );
            let mut all: BTreeSet<String> = role.iter().cloned().collect();
            all.insert(roles::MEMBER.to_owned());
            let member = Member::new(name.clone(), all.into_iter().collect())?;
            let said = format!("Say what {agent} is");
            say_member(node, &repo, (agent, &member), &said, io)
        }
        MemberCommand::Remove { agent } => {
            let rights = repo.authorizer()?;
            ensure!(
                rights.standing(agent).is_some(),
                "{agent} is no member; `allod member list` shows them"
            );
            let said = format!("{agent} is a member no more");
            say_member(node, &repo, (agent, &Member::removed()), &said, io)?;
            let now = now_ms();
            let rights = repo.authorizer()?;
            if rights.has_grants(agent, now) {
                io.warn("it has grants besides; `allod grants --to DID` lists them, `allod revoke CID` takes one back")?;
            }
            Ok(())
        }
    }
}

fn say_member(
    node: &Node,
    repo: &Repo,
    (agent, member): (&AgentId, &Member),
    said: &str,
    io: &mut Io<'_>,
) -> Result<()> {
    let mut after = repo.authorizer()?.facts().clone();
    after.members.insert(*agent, vec![member.clone()]);
    keep_what_is(node, repo, (&after, "what somebody is changes"), io)?;
    let made = repo.set_member((agent, member), (node.author()?, said), now_ms())?;
    node.touch();
    let value = json!({
        "agent": agent.to_string(),
        "name": member.name(),
        "roles": member.roles(),
        "new": made.is_some(),
    });
    io.data(&value, || {
        if member.roles().is_empty() {
            format!("{agent} is a member no more")
        } else {
            format!("{agent}: {}", member.roles().join(", "))
        }
    })
}

fn members(repo: &Repo, io: &mut Io<'_>) -> Result<()> {
    let rights = repo.authorizer()?;
    let owner = rights.owner();
    let value = json!({ "agent": owner.to_string(), "name": null, "roles": ["owner"] });
    io.data(&value, || format!("{owner}  owner"))?;
    for agent in rights.facts().members.keys() {
        let Some((roles, name)) = rights.standing(agent) else {
            continue;
        };
        let value = json!({ "agent": agent.to_string(), "name": name, "roles": roles });
        io.data(&value, || {
            let roles: Vec<&str> = roles.iter().map(String::as_str).collect();
            let name = name.map(|name| format!("{name}  ")).unwrap_or_default();
            format!("{agent}  {name}{}", roles.join(", "))
        })?;
    }
    Ok(())
}
