//! What whoever listens hears of what happens (HTTP-88).

use std::collections::BTreeMap;

use allod_access::{Op, Request, Target as Keys};
use allod_events::{CloudEvent, Data};
use allod_feed::{Event, Told};
use allod_repo::{RightsNow, SpaceId};
use serde_json::Value;
use serde_json::value::RawValue;

use super::problem::Problem;
use super::routes::base64;
use super::who::Who;
use crate::clock::now_ms;
use crate::node::Node;
use crate::seeing::Sight;

/// Who listens, with the rights in the spaces that were heard of: as they are while a page is read.
pub(crate) struct Hearing<'a> {
    node: &'a Node,
    who: &'a Who,
    rights: BTreeMap<SpaceId, Option<RightsNow>>,
}

impl<'a> Hearing<'a> {
    /// Refuses who bears a token that is taken no more.
    pub(crate) fn new(node: &'a Node, who: &'a Who) -> Result<Self, Problem> {
        who.check_still(node)?;
        Ok(Self {
            node,
            who,
            rights: BTreeMap::new(),
        })
    }

    /// The rights in a space, if whoever listens may hear of what changes there.
    fn rights(&mut self, space: SpaceId) -> Result<Option<RightsNow>, Problem> {
        if let Some(known) = self.rights.get(&space) {
            return Ok(known.clone());
        }
        let rights = match allod_feed::Spaces::repo(self.node, space)? {
            // It went away, and nobody can read what it held.
            None => None,
            Some(repo) => Some(repo.authorizer()?),
        };
        let request = Request {
            who: self.who.principal(),
            op: Op::Events,
            branch: "",
            target: Keys::Branch,
            at: now_ms(),
        };
        let rights = rights.filter(|rights| rights.check(&request).is_allowed());
        self.rights.insert(space, rights.clone());
        Ok(rights)
    }

    /// What may be read on the branch of an event, if it is for whoever listens.
    pub(crate) fn hears(&mut self, event: &Event) -> Result<Option<Sight>, Problem> {
        let Some(rights) = self.rights(event.space)? else {
            return Ok(None);
        };
        let keys = match &event.told {
            Told::Change { key, .. } => Keys::Key(key),
            _ => Keys::Prefix(b""),
        };
        let on = (event.branch.as_str(), keys);
        Ok(Sight::of(&rights, self.who.principal(), on))
    }
}

/// Takes out of what is told of a commit the keys that may not be read. Whether any is left.
pub(crate) fn narrow(
    cloud: &mut CloudEvent,
    event: &Event,
    sight: &Sight,
) -> Result<bool, Problem> {
    if sight.is_whole() || !matches!(event.told, Told::Commit { .. }) {
        return Ok(true);
    }
    let Some(Data::Json(data)) = &cloud.data else {
        return Ok(false);
    };
    let mut data: Value = serde_json::from_str(data.get()).map_err(Problem::fault)?;
    let Some(changes) = data.get_mut("changes").and_then(Value::as_array_mut) else {
        return Ok(false);
    };
    changes.retain(|change| key_of(change).is_some_and(|key| sight.sees(&key)));
    if changes.is_empty() {
        return Ok(false);
    }
    let text = RawValue::from_string(data.to_string()).map_err(Problem::fault)?;
    cloud.data = Some(Data::Json(text));
    Ok(true)
}

/// The key of a change as its event spells it.
fn key_of(change: &Value) -> Option<Vec<u8>> {
    if let Some(text) = change.get("key_base64").and_then(Value::as_str) {
        return base64(text);
    }
    let text = change.get("key").and_then(Value::as_str)?;
    Some(text.as_bytes().to_vec())
}
