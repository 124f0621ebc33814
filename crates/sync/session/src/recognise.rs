//! Whether whoever says hello may hear of a space (SYNC-2, SYNC-3).

use allod_identity::DeviceId;
use allod_repo::{Rejected, Repo};
use bytes::Bytes;

use crate::message::{Hello, VERSION};
use crate::readers::Reader;
use crate::session::{Fault, Stop};

/// Recognises the device `peer` by its hello, or says why it is not told anything.
pub(crate) fn recognise(
    repo: &Repo,
    peer: DeviceId,
    hello: &Hello,
    now_ms: u64,
) -> Result<Reader, Stop> {
    if hello.version != VERSION {
        return Err(Stop(
            "E_VERSION",
            format!("version {} is not known here", hello.version),
        ));
    }
    if hello.space != repo.id() {
        return Err(Stop(
            "E_WRONG_SPACE",
            "this session is about another space".to_owned(),
        ));
    }
    let reader = Reader::agent(repo, hello.agent, now_ms).map_err(Fault::from)?;
    if !reader.knows() {
        return Err(not_member());
    }
    let events: Vec<Bytes> = hello
        .events
        .iter()
        .map(|event| Bytes::copy_from_slice(event))
        .collect();
    match repo.agents().learn(&hello.agent, &events) {
        Ok(()) | Err(Rejected::Refused(_)) => drop(repo.heed_logs().map_err(Fault::from)?),
        Err(Rejected::Fault(fault)) => return Err(Fault::from(fault).into()),
    }
    let log = repo.agents().key_log(&hello.agent).map_err(Fault::from)?;
    if !log.speaks(peer.key()) {
        // The same words for all strangers: who guesses a member learns nothing (SYNC-3).
        return Err(not_member());
    }
    // What was learned of it may have changed what it may.
    Ok(Reader::agent(repo, hello.agent, now_ms).map_err(Fault::from)?)
}

pub(crate) fn not_member() -> Stop {
    let reason = "not a space that this agent shares here";
    Stop("E_NOT_MEMBER", reason.to_owned())
}
