//! How a world begins: a space that every node has.

use std::sync::Arc;

use allod_blocks::Store;
use allod_identity::{KeyChain, KeyLog, SecretKey};
use allod_repo::{Agents, Author, Genesis, Rejected, Repo, RepoError, SpaceClass};
use bytes::Bytes;

use crate::node::{Disk, Node};
use crate::part::part;
use crate::plan::START_MS;
use crate::rng::Rng;
use crate::scenario::Scenario;

/// The space on every node: its genesis, the agents' key logs, a device for each node.
pub(crate) fn settle(
    scenario: &Scenario,
    rng: &mut Rng,
    disk: &mut dyn FnMut(usize) -> Arc<dyn Disk>,
) -> Result<(SecretKey, Vec<Node>), String> {
    let agents: Vec<SecretKey> = (0..scenario.agents)
        .map(|_| SecretKey::from_seed(rng.seed()))
        .collect();
    let devices: Vec<SecretKey> = (0..scenario.nodes)
        .map(|_| SecretKey::from_seed(rng.seed()))
        .collect();
    let logs = agents
        .iter()
        .enumerate()
        .map(|(agent, key)| {
            let chain = KeyChain::new(SecretKey::from_seed(rng.seed()));
            let mut log = KeyLog::inception(key, chain.commitment(0))?;
            for (name, device) in devices.iter().enumerate() {
                if name % agents.len() == agent {
                    log.add_device(key, device.device_id(), format!("node {name}"), START_MS)?;
                }
            }
            Ok(log)
        })
        .collect::<Result<Vec<KeyLog>, allod_identity::KeyLogError>>()
        .map_err(|error| error.to_string())?;
    let genesis = Genesis {
        at: START_MS,
        class: SpaceClass::Convergent,
        name: "simulated".to_owned(),
        nonce: [7; 16],
        owner: agents[0].agent_id(),
    };
    let mut nodes = Vec::new();
    let mut first: Option<Repo> = None;
    for (name, device) in devices.into_iter().enumerate() {
        let agent = name % agents.len();
        let platter = disk(name);
        let store: Arc<dyn Store> = platter.clone();
        // A node knows its own agent and the owner, as after joining by a ticket.
        for known in [0, agent] {
            let events: Vec<Bytes> = logs[known]
                .events()
                .iter()
                .map(|e| e.bytes().clone())
                .collect();
            Agents::new(Arc::clone(&store))
                .learn(&agents[known].agent_id(), &events)
                .map_err(|error: Rejected| error.to_string())?;
        }
        let repo = match &first {
            None => {
                let author = Author {
                    agent: agents[0].agent_id(),
                    key: &agents[0],
                };
                let made = Repo::create(Arc::clone(&store), genesis.clone(), author);
                made.map_err(|error: RepoError| error.to_string())?
            }
            Some(first) => {
                let is_part = (scenario.whole()..scenario.honest()).contains(&name);
                let part = if is_part { part(rng) } else { None };
                let genesis = first.genesis().bytes().clone();
                Repo::adopt_part(Arc::clone(&store), genesis, part.as_ref())
                    .map_err(|error| error.to_string())?
            }
        };
        let hostile = name >= scenario.honest();
        let skew = scenario.skew_ms.get(name).copied().unwrap_or_default();
        let identity = (agents[agent].agent_id(), device);
        let node = Node::new(name, identity, skew, hostile, platter, repo.id());
        nodes.push(node.map_err(|error| error.to_string())?);
        first.get_or_insert(repo);
    }
    let mut agents = agents;
    Ok((agents.swap_remove(0), nodes))
}
