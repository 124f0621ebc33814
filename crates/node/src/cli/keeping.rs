//! What keeps a store small and whole: `gc`, `pin`, `store`.

use std::ops::ControlFlow;

use allod::Node;
use allod_blocks::parse_cid;
use allod_repo::{GcOptions, GcPhase, collect_garbage, pin, pins, unpin};
use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::cli::args::{Gc, StoreCommand};
use crate::cli::io::{Io, count, size};

/// Pins listed at a time.
const PAGE: usize = 1024;

pub(crate) fn gc(node: &Node, options: &Gc, io: &mut Io<'_>) -> Result<()> {
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
        if report.in_use > 0 {
            let in_use = count(report.in_use);
            text += &format!("\n{in_use} more are in use at the moment");
        }
        text
    })
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
    let StoreCommand::Compression { how } = command;
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
