//! What happens to lies: a forged signature and a tampered block, sent by somebody who sits on the
//! laptop's line to the server.

use std::collections::VecDeque;

use allod::{Home, Node, read_key_file};
use allod_identity::Signed;
use allod_repo::{BranchName, Commit, Edit, Repo};
use allod_sync::{Input, Me, Message, Outcome, Output, Session, Stats};
use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;

use crate::cli::demo::actors::Actor;
use crate::cli::demo::report::Report;
use crate::cli::io::Io;

/// Sends lies to the server, then the truth.
pub(crate) fn tell_lies(
    laptop: &Actor,
    server: &Actor,
    report: &mut Report,
    io: &mut Io<'_>,
) -> Result<()> {
    let (laptop, server) = (open(laptop)?, open(server)?);
    let main = BranchName::main();
    let (from, to) = (laptop.space(None)?, server.space(None)?);
    let before = to.heads(&main)?;
    // A page large enough to travel as a block of its own.
    let page = "A page that somebody will tamper with. ".repeat(100);
    from.stage(
        &main,
        [(Bytes::from("path/page"), Edit::Put(page.into()))],
        allod::now_ms(),
    )?;
    let id = from.commit_staged(&main, laptop.author()?, "A page", allod::now_ms())?;

    report.step(io, "a commit with a forged signature", |_| {
        let (stats, _) = exchange(&laptop, &from, &server, &to, &mut forge_signature)?;
        let refused = stats
            .refused
            .first()
            .context("the forged commit was accepted")?;
        ensure!(to.heads(&main)? == before, "the server's state has changed");
        Ok(format!("refused: {} ({})", refused.reason, refused.code))
    })?;
    report.step(io, "a tampered block", |_| {
        let (_, outcome) = exchange(&laptop, &from, &server, &to, &mut tamper_block)?;
        let Outcome::Ended { code, reason } = outcome else {
            bail!("the block was accepted")
        };
        ensure!(to.heads(&main)? == before, "the server's state has changed");
        Ok(format!("refused: {reason} ({code})"))
    })?;
    report.step(io, "the same without lies", |_| {
        let (_, outcome) = exchange(&laptop, &from, &server, &to, &mut |message| message)?;
        ensure!(
            outcome == Outcome::Complete,
            "the honest session ended with {outcome:?}"
        );
        ensure!(to.heads(&main)?.contains(&id), "the commit did not arrive");
        Ok(format!("accepted: {}", id.short()))
    })
}

fn open(actor: &Actor) -> Result<Node> {
    let home = Home::at(actor.home());
    let secret = read_key_file(&actor.dir().join(format!("{}.key", actor.name())))?;
    let keys = home.unlock(&secret)?;
    Ok(Node::open(home, Some(keys))?)
}

fn forge_signature(message: Message) -> Message {
    match message {
        Message::Commit {
            statement,
            branch,
            mode,
        } => {
            let mut bytes = statement.to_vec();
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            debug_assert!(
                Signed::<Commit>::decode(bytes.clone()).is_ok(),
                "still well-formed"
            );
            Message::Commit {
                statement: bytes.into(),
                branch,
                mode,
            }
        }
        other => other,
    }
}

fn tamper_block(message: Message) -> Message {
    match message {
        Message::Blocks { blocks, absent } => {
            let tampered = blocks.into_iter().map(|block| {
                let mut bytes = block.to_vec();
                if let Some(byte) = bytes.first_mut() {
                    *byte ^= 1;
                }
                Bytes::from(bytes)
            });
            Message::Blocks {
                blocks: tampered.collect(),
                absent,
            }
        }
        other => other,
    }
}

/// A session between two open nodes in this process, with somebody on the line from `left`.
/// Returns what the right side counted and how it ended there.
fn exchange(
    left: &Node,
    left_repo: &Repo,
    right: &Node,
    right_repo: &Repo,
    bend: &mut dyn FnMut(Message) -> Message,
) -> Result<(Stats, Outcome)> {
    let session = |node: &Node, repo: &Repo, peer: &Node, initiator| -> Result<Session> {
        let me = Me {
            agent: node.agent()?,
            initiator,
            introduce: true,
            scope: allod_sync::Scope::default(),
        };
        Ok(Session::new(
            repo.clone(),
            me,
            peer.device()?,
            allod::now_ms(),
        ))
    };
    let mut sides = [
        session(left, left_repo, right, true)?,
        session(right, right_repo, left, false)?,
    ];
    let mut wires: [VecDeque<Bytes>; 2] = [VecDeque::new(), VecDeque::new()];
    let mut ended = None;
    loop {
        let mut moved = false;
        for side in 0..2 {
            if sides[side].is_busy() {
                sides[side].handle(allod::now_ms(), Input::Tick);
                moved = true;
            }
            if let Some(frame) = wires[side].pop_front() {
                sides[side].handle(allod::now_ms(), Input::Frame(frame));
                moved = true;
            }
            while let Some(output) = sides[side].poll() {
                match output {
                    Output::Send(frame) if side == 0 => {
                        wires[1].push_back(bend(Message::decode(&frame)?).encode());
                    }
                    Output::Send(frame) => wires[0].push_back(frame),
                    Output::Close(outcome) if side == 1 => ended = Some(outcome),
                    Output::Close(_) | Output::Event(_) => {}
                }
            }
        }
        if !moved {
            let outcome = ended.context("the session did not end")?;
            return Ok((sides[1].stats().clone(), outcome));
        }
    }
}
