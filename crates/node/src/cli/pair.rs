//! `id device add` and `id join`: pairing.

use std::net::SocketAddr;
use std::time::Duration;

use allod::{Joining, Node, NodeError, PairingEvent, utc};
use allod_identity::DeviceId;
use allod_identity::pairing::{CODE_MS, PairError, PairingCode};
use allod_repo::SpaceId;
use allod_sync::Backoff;
use anyhow::{Result, bail};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use crate::cli::id::{ask, asks_yes};
use crate::cli::id_args::{Add, Join};
use crate::cli::io::{Io, Net, plain};
use crate::cli::{net, qr, with_net, with_own_net};

/// How often a command that waits looks whether the node stops.
const POLL: Duration = Duration::from_millis(200);

/// How long a new device may take for its spaces before a command that serves it alone ends. It goes on by itself with
/// others.
const FETCH_WAIT: Duration = Duration::from_hours(1);

pub(crate) fn add(node: &Node, options: &Add, io: &mut Io<'_>) -> Result<()> {
    // A clear word before anything is shown.
    node.agent_key(&*node.own_log()?)?;
    serving(node, options.listen, io, |io, net| {
        let mut addrs: Vec<String> = options.addr.iter().map(ToString::to_string).collect();
        if addrs.is_empty() {
            addrs = net::reachable(net.endpoint.local_addr()?);
        }
        let (code, told) = node.offer_pairing(addrs)?;
        show_code(&code, options, io)?;
        wait(net, told, options, io)
    })
}

/// The network of the running node, or one of this command's own, on which the node serves.
fn serving<T>(
    node: &Node,
    listen: SocketAddr,
    io: &mut Io<'_>,
    run: impl FnOnce(&mut Io<'_>, &Net) -> Result<T>,
) -> Result<T> {
    if let Some(net) = io.net.clone() {
        return run(io, &net);
    }
    // One thread serves while another does what visits the store.
    with_own_net(node, (listen, 2), io, |io, net| {
        let (stop, stopped) = watch::channel(false);
        let (node, endpoint) = (node.clone(), net.endpoint.clone());
        let serve = async move { node.serve(&endpoint, Backoff::default(), stopped).await };
        let serving = net.handle.spawn(serve);
        let result = run(io, net);
        stop.send_replace(true);
        net.handle.block_on(serving)?;
        result
    })
}

fn show_code(code: &PairingCode, options: &Add, io: &mut Io<'_>) -> Result<()> {
    let (short, long) = (code.short(), code.long());
    let until = utc(allod::now_ms().saturating_add(CODE_MS));
    let value = json!({ "code": short, "link": long, "until": until, "addrs": code.addrs });
    let shown = short.clone().or_else(|| long.clone()).unwrap_or_default();
    io.data(&value, || shown.clone())?;
    if let Some(image) = long
        .as_deref()
        .filter(|_| !options.no_qr && !io.json)
        .and_then(|long| qr::drawn(long, io.live))
    {
        io.say(image)?;
    }
    io.say(format!(
        "on the new device: allod init --pair -\nand type the code {shown}\ngood until {until}, for one device"
    ))?;
    Ok(io.out.flush()?)
}

/// What happened next; `None` while nothing did.
fn next(net: &Net, told: &mut mpsc::Receiver<PairingEvent>) -> Result<Option<PairingEvent>> {
    let waited = async { tokio::time::timeout(POLL, told.recv()).await };
    match net.handle.block_on(waited) {
        Err(_elapsed) => Ok(None),
        Ok(Some(event)) => Ok(Some(event)),
        Ok(None) => bail!("another code took the place of this one"),
    }
}

fn wait(
    net: &Net,
    mut told: mpsc::Receiver<PairingEvent>,
    options: &Add,
    io: &mut Io<'_>,
) -> Result<()> {
    let until = allod::now_ms().saturating_add(CODE_MS);
    let mut added = None;
    loop {
        if io.is_stopping() {
            bail!(NodeError::Stopped);
        }
        match next(net, &mut told)? {
            Some(PairingEvent::Ask {
                digits,
                device,
                name,
                answer,
            }) => {
                let name = plain(&name);
                let value = json!({ "digits": digits.to_string(), "device": device.to_string(), "name": name });
                io.data(&value, || {
                    format!("{name}  {device}\nshows the digits  {digits}")
                })?;
                io.out.flush()?;
                let is_same = if options.yes {
                    io.warn("--yes: the device is let in although nobody compared the digits")?;
                    true
                } else {
                    asks_yes("Does the new device show the same digits?", io)?
                };
                // Who gave up meanwhile is told of by the next event.
                answer.send(is_same).ok();
            }
            Some(PairingEvent::Added(device)) => {
                let value = json!({ "added": device.to_string() });
                io.data(&value, || format!("{device} acts for this agent now"))?;
                io.out.flush()?;
                added = Some((device, std::time::Instant::now()));
                io.say("it fetches the spaces now; this goes on until it has them")?;
            }
            Some(PairingEvent::Done) => return Ok(()),
            Some(PairingEvent::Failed { error, is_over }) => match added {
                Some((device, _)) => return left(device, &error, io),
                None if is_over => bail!(error),
                None => io.warn(format!("a try came to nothing: {error}; the code waits on"))?,
            },
            Some(_) => {}
            None => {
                // Who made the code may be gone.
                io.out.flush()?;
                match added {
                    Some((_, when)) if when.elapsed() > FETCH_WAIT => return Ok(()),
                    None if allod::now_ms() >= until => bail!(NodeError::Pair(PairError::Expired)),
                    _ => {}
                }
            }
        }
    }
}

/// A device that was let in went away before it was done.
fn left(device: DeviceId, error: &NodeError, io: &mut Io<'_>) -> Result<()> {
    if let NodeError::Pair(said) = error
        && said.code() == PairError::Digits.code()
    {
        // PAIR-9.
        bail!(
            "the person at the new device said that the digits differ ({}), so whoever was let in is somebody else, and acts \
             for this agent until you say `allod id device remove {device}`",
            said.code()
        );
    }
    io.warn(format!(
        "the new device went away before it had all spaces ({error}); it goes on by itself"
    ))
}

pub(crate) fn join(node: &Node, options: &Join, io: &mut Io<'_>) -> Result<()> {
    let text = if options.code == "-" {
        ask("Code:", io)?
    } else {
        Zeroizing::new(options.code.clone())
    };
    let code: PairingCode = text.parse().map_err(NodeError::Pair)?;
    with_net(node, io, |io, net| {
        let begun = node.begin_pairing(&net.endpoint, &code);
        let mut joining = net.handle.block_on(begun)?;
        let digits = joining.digits();
        let value = json!({ "digits": digits.to_string(), "device": joining.host().to_string() });
        io.data(&value, || format!("the digits are  {digits}"))?;
        io.out.flush()?;
        if options.yes {
            io.warn("--yes: nobody compared the digits")?;
        } else if !asks_yes("Does the other device show the same digits?", io)? {
            // Who is gone need not hear it.
            drop(net.handle.block_on(joining.refuse()));
            bail!("nothing was joined; make a new code, and look who is on the line");
        }
        io.say("waiting for the other device")?;
        let spaces = net.handle.block_on(joining.wait(node))?;
        let agent = node.agent()?;
        let value = json!({ "agent": agent.to_string(), "spaces": spaces.len() });
        io.data(&value, || format!("this device acts for {agent} now"))?;
        fetch(node, (&joining, &spaces), net, io)?;
        // That it cannot be told is no matter: it notices by itself.
        drop(net.handle.block_on(joining.done()));
        Ok(())
    })
}

/// Joins the spaces of the agent, all of them first, and then fetches one after the other. One that fails keeps no other from
/// coming.
fn fetch(
    node: &Node,
    (joining, spaces): (&Joining, &[(String, SpaceId)]),
    net: &Net,
    io: &mut Io<'_>,
) -> Result<()> {
    let failed = |name: &str, error: &dyn std::fmt::Display, io: &mut Io<'_>| {
        let value = json!({ "space": name, "error": error.to_string() });
        io.data(&value, || format!("{name}  not yet: {error}"))
    };
    let mut joined = Vec::new();
    for (name, space) in spaces {
        let join = joining.join(node, &net.endpoint, (name, *space));
        match net.handle.block_on(join) {
            Ok(repo) => joined.push((name, repo)),
            Err(error) => failed(name, &error, io)?,
        }
    }
    for (name, repo) in joined {
        match net::sync_first(node, &repo, joining.host(), net, io) {
            Ok(report) => {
                let stats = &report.stats;
                let value = json!({ "space": name, "commits": stats.commits_in, "bytes_in": stats.bytes_in });
                io.data(&value, || format!("{name}  {} commits", stats.commits_in))?;
            }
            Err(error) => failed(name, &format!("{error:#}; `allod up` tries again"), io)?,
        }
    }
    Ok(())
}
