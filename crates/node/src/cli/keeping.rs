//! What keeps a store small and whole: `gc`, `pin`, `store`, `check`.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use allod::{Home, Node, NodeError, Peer};
use allod_blocks::{Block, Cid, MemoryStore, Store, StoreError, import_car, parse_cid};
use allod_identity::DeviceId;
use allod_repo::{
    GcOptions, GcPhase, Mended, Problem, ProblemKind, SpaceId, check_store, collect_garbage,
    forget_found, lost_blocks, mend, note_lost, pin, pins, unpin,
};
use allod_tree::BlockSource;
use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::cli::home_args::{Gc, StoreCommand};
use crate::cli::io::{Io, count, size};
use crate::cli::{Usage, with_net};

/// Pins listed at a time.
const PAGE: usize = 1024;

pub(crate) fn gc(node: &Node, options: &Gc, io: &mut Io<'_>) -> Result<()> {
    let moves = if options.dry_run {
        let log = node.log_standing()?;
        log.begin - log.there.start
    } else {
        forget_unused(node, io)?;
        let mut progress = io.progress("trimming the log");
        node.trim_log(&mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })?
    };
    let report = {
        let mut progress = io.progress("collecting");
        let options = GcOptions {
            moves_kept: options.keep_moves,
            dry_run: options.dry_run,
        };
        collect_garbage(node.store().as_ref(), options, &mut |phase, done| {
            if phase != GcPhase::Reclaim {
                progress.at(done, 0);
            }
            ControlFlow::Continue(())
        })?
    };
    let value = json!({
        "dry_run": options.dry_run,
        "live_blocks": report.live_blocks,
        "removed_blocks": report.dead_blocks,
        "removed_bytes": report.dead_bytes,
        "removed_commits": report.dead_commits,
        "in_use": report.in_use,
        "removed_moves": moves,
        "disk_before": report.disk_before,
        "disk_after": report.disk_after,
    });
    io.data(&value, || {
        let removed = if options.dry_run {
            "would be removed"
        } else {
            "removed"
        };
        let mut text = format!(
            "{} blocks of {} {removed}, {} commits among them; {} blocks stay\n\
             disk: {} before, {} after",
            count(report.dead_blocks),
            size(report.dead_bytes),
            count(report.dead_commits),
            count(report.live_blocks),
            size(report.disk_before),
            size(report.disk_after),
        );
        if options.dry_run {
            text += "\nprojections and columns that are of no more use, and large files that are elsewhere, go \
                     first, and are not counted here";
        }
        if moves > 0 {
            text += &format!("\n{} old moves {removed} from the log", count(moves));
        }
        if report.in_use > 0 {
            let in_use = count(report.in_use);
            text += &format!("\n{in_use} more are in use at the moment");
        }
        text
    })
}

/// Lets go of what was computed and is of no more use (PROJ-25), and of large files that are elsewhere (PART-15).
fn forget_unused(node: &Node, io: &mut Io<'_>) -> Result<()> {
    for (name, id) in node.spaces()? {
        let views = node.repo(id).and_then(|repo| node.views(&repo));
        let forgotten = views.and_then(|views| Ok(views.forget_unused()?));
        // Of a space that cannot be read all stays, and the others are collected.
        if let Err(error) = forgotten {
            io.say(format!(
                "of the space {name} nothing that was computed is let go: {error}"
            ))?;
        }
        if let Ok(repo) = node.repo(id)
            && let Some(next) = repo.next_part()?.and_then(|next| next.part())
            && next.value_max() != repo.part().and_then(|part| part.value_max())
        {
            io.say(format!(
                "of the space {name} other sizes of files are about to be kept, so all files stay; \
                 `allod space part --give-up` ends that"
            ))?;
        }
        let released = node.repo(id).and_then(|repo| node.release_large(&repo));
        if let Err(error) = released {
            io.say(format!(
                "of the space {name} no large file is let go: {error}"
            ))?;
        }
    }
    Ok(())
}

pub(crate) fn pin_command(
    node: &Node,
    cid: Option<&str>,
    remove: bool,
    io: &mut Io<'_>,
) -> Result<()> {
    let store = node.store().as_ref();
    let Some(text) = cid else {
        let mut after = None;
        loop {
            let page = pins(store, after.as_ref(), PAGE)?;
            for cid in &page {
                io.data(&json!({ "cid": cid.to_string() }), || cid.to_string())?;
            }
            match page.last() {
                Some(last) => after = Some(*last),
                None => return Ok(()),
            }
        }
    };
    let cid = parse_cid(text).with_context(|| format!("{text:?} names nothing"))?;
    if !remove {
        return Ok(pin(store, &cid)?);
    }
    if !unpin(store, &cid)? {
        bail!("{cid} is not pinned; `allod pin` lists what is");
    }
    io.say("nothing keeps it now but what refers to it; `allod gc` removes what nothing keeps")
}

pub(crate) fn store(node: &Node, command: &StoreCommand, io: &mut Io<'_>) -> Result<()> {
    let StoreCommand::Compression { how } = command else {
        return Err(Usage("no node may run while its store is copied".to_owned()).into());
    };
    match how {
        None => {
            let how = node.config().compression.to_string();
            io.data(&json!({ "compression": how }), || how.clone())
        }
        Some(how) => {
            node.set_compression(*how)?;
            io.say("new blocks are compressed so; what is stored already stays as it is")
        }
    }
}

/// Another store, to fetch blocks from.
struct Elsewhere(Arc<dyn Store>);

impl BlockSource for Elsewhere {
    fn block(&self, cid: &Cid) -> Result<Option<Block>, StoreError> {
        self.0.get(cid)
    }
}

/// Where damaged blocks are fetched from.
enum Source {
    Stored(Elsewhere),
    /// Spaces, and peers of theirs.
    Peers(Vec<(SpaceId, DeviceId, Peer)>),
}

/// A path if there is one of this name, and else a peer.
fn source(node: &Node, name: &str, io: &Io<'_>) -> Result<Source> {
    let path = io.path(Path::new(name));
    if path.exists() {
        return Ok(Source::Stored(elsewhere(&path)?));
    }
    // By the references alone: on damaged blocks a space may not open.
    let mut found = Vec::new();
    for (_, space) in node.spaces()? {
        let peers = node.peers_of(space)?.into_iter();
        let called = peers.filter(|(device, peer)| peer.is_called(*device, name));
        found.extend(called.map(|(device, peer)| (space, device, peer)));
    }
    if found.is_empty() {
        bail!("{name} is no home, no archive and no known peer; `allod peers` shows the peers");
    }
    Ok(Source::Peers(found))
}

/// A home's store, or an archive in memory.
fn elsewhere(path: &Path) -> Result<Elsewhere> {
    let store: Arc<dyn Store> = if path.is_dir() {
        Arc::clone(Node::open(Home::at(path.to_owned()), None)?.store())
    } else {
        let mut file = File::open(path).with_context(|| path.display().to_string())?;
        let store = MemoryStore::new();
        import_car(&store, &mut file).with_context(|| path.display().to_string())?;
        Arc::new(store)
    };
    Ok(Elsewhere(store))
}

/// Asks peers one after the other, until nothing is lost any more.
fn ask_peers(
    node: &Node,
    peers: &[(SpaceId, DeviceId, Peer)],
    mended: &mut Mended,
    io: &mut Io<'_>,
) -> Result<()> {
    with_net(node, io, |io, net| {
        for (space, device, peer) in peers {
            if mended.lost.is_empty() {
                break;
            }
            let fetched = {
                let mut progress = io.progress("asking a peer");
                let net = (&net.endpoint, &net.handle);
                let on = &mut |done| progress.at(done, 0);
                node.heal_from(net, *space, (*device, peer), on)
            };
            match fetched {
                Ok(fetched) => mended.fetched.extend(fetched),
                Err(error) => {
                    let value = json!({ "peer": device.to_string(), "error": error.to_string() });
                    io.data(&value, || format!("{device}  {error}"))?;
                }
            }
            mended.lost = lost_blocks(node.store().as_ref())?;
        }
        Ok(())
    })
}

fn mend_store(node: &Node, heal: Option<&str>, io: &mut Io<'_>) -> Result<()> {
    let source = heal.map(|name| source(node, name, io)).transpose()?;
    let mut mended = {
        let mut progress = io.progress("reading blocks");
        let stored = match &source {
            Some(Source::Stored(stored)) => Some(stored as &dyn BlockSource),
            _ => None,
        };
        mend(node.store().as_ref(), stored, &mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })?
    };
    if let Some(Source::Peers(peers)) = &source {
        ask_peers(node, peers, &mut mended, io)?;
    }
    let names = |cids: &[Cid]| cids.iter().map(ToString::to_string).collect::<Vec<_>>();
    let value = json!({
        "set_aside": names(&mended.set_aside),
        "unreadable": names(&mended.unreadable),
        "fetched": names(&mended.fetched),
        "lost": names(&mended.lost),
    });
    io.data(&value, || {
        format!(
            "{} damaged blocks put aside, {} that cannot be read taken out, {} fetched, {} needed \
             and nowhere",
            count(mended.set_aside.len() as u64),
            count(mended.unreadable.len() as u64),
            count(mended.fetched.len() as u64),
            count(mended.lost.len() as u64)
        )
    })
}

pub(crate) fn check(
    node: &Node,
    space: Option<&str>,
    repair: bool,
    heal: Option<&str>,
    io: &mut Io<'_>,
) -> Result<()> {
    if repair || heal.is_some() {
        mend_store(node, heal, io)?;
    }
    let mut problems: Vec<Problem> = Vec::new();
    let stored = {
        let mut progress = io.progress("reading blocks");
        let mut on = |problem: &Problem| problems.push(problem.clone());
        check_store(node.store().as_ref(), &mut on, &mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })?
    };
    for problem in &problems {
        tell(problem, io)?;
    }
    note(node, &problems).context("what is lost could not be noted")?;
    if stored.problems > 0 {
        // A space on damaged blocks may not even open; what matters has been said.
        return damaged(stored.problems);
    }
    let repo = node.space(space)?;
    let report = {
        let mut progress = io.progress("checking commits");
        repo.check(&mut |done, total| progress.at(done, total))?
    };
    for problem in &report.problems {
        tell(problem, io)?;
    }
    let value = json!({
        "blocks": stored.blocks,
        "bytes": stored.bytes,
        "orphaned": stored.orphaned,
        "references": stored.references,
        "log_entries": stored.log_entries,
        "commits": report.commits,
        "nodes": report.nodes,
        "entries": report.entries,
        "files": report.files,
        "live": report.live,
        "problems": report.problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "problem_count": report.problem_count,
    });
    io.data(&value, || {
        format!(
            "{} blocks read, {} of them garbage\n\
             {} commits, {} nodes, {} entries, {} files checked; {} live entries",
            count(stored.blocks),
            count(stored.orphaned),
            count(report.commits),
            count(report.nodes),
            count(report.entries),
            count(report.files),
            count(report.live)
        )
    })?;
    if report.problem_count > 0 {
        return damaged(report.problem_count);
    }
    io.say("everything is as it was signed")
}

/// Notes what is lost, for the next session to ask for, and what is whole again (REPO-69).
fn note(node: &Node, problems: &[Problem]) -> Result<()> {
    let store = node.store().as_ref();
    let is_lost = |problem: &&Problem| {
        use ProblemKind::{Corrupt, DanglingRef, Missing};
        matches!(problem.kind, Corrupt | DanglingRef | Missing)
    };
    let lost = problems.iter().filter(is_lost);
    let lost: Vec<Cid> = lost.filter_map(|problem| problem.block).collect();
    forget_found(store)?;
    Ok(note_lost(store, &lost)?)
}

fn tell(problem: &Problem, io: &mut Io<'_>) -> Result<()> {
    let value = json!({
        "problem": problem.kind.name(),
        "block": problem.block.map(|cid| cid.to_string()),
        "text": problem.text,
    });
    io.data(&value, || format!("  {problem}"))
}

fn damaged(problems: u64) -> Result<()> {
    bail!(
        "{} problems; `allod check --heal PEER` fetches what is damaged from a peer, or from another \
         home or archive at a path, and `allod store rebuild` makes a new store of what can be read",
        count(problems)
    )
}

/// Copies the store of a home that no process has open.
pub(crate) fn rebuild(home: &Home, io: &mut Io<'_>) -> Result<()> {
    let (old, copied) = {
        let mut progress = io.progress("copying blocks");
        home.rebuild_store(&mut |done| {
            progress.at(done, 0);
            ControlFlow::Continue(())
        })
        .map_err(|error| match error {
            NodeError::Unsynced { .. } => error.into(),
            error => anyhow::Error::new(error).context(
                "the store cannot be copied whole, and stays as it is; a new home that joins its \
                 spaces from a peer has all that the peer has",
            ),
        })?
    };
    let value = json!({
        "blocks": copied.blocks,
        "bytes": copied.bytes,
        "references": copied.references,
        "log_entries": copied.log_entries,
        "unreadable": copied.unreadable,
        "former": old.display().to_string(),
    });
    io.data(&value, || {
        format!(
            "{} blocks, {} references and {} log entries copied; {} blocks could not be read\n\
             the former store is {}",
            count(copied.blocks),
            count(copied.references),
            count(copied.log_entries),
            count(copied.unreadable),
            old.display()
        )
    })?;
    if copied.unreadable > 0 {
        io.say("next: `allod check --heal PEER`")?;
    }
    Ok(())
}
