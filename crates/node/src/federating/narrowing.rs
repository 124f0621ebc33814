//! Where a space is stricter than a link of it: what counts is what both allow (FED-52).

use allod_federation::Mode;
use serde::Serialize;
use serde_json::Value;

use super::settings::{BadSetting, LinkDefinition, Shared};

/// Something that the space allows less of than the link says.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Narrowed {
    /// What it is, as the setting of the space is called: `signatures`, `trustedAuthors`, `give` and so on.
    pub what: &'static str,
    /// What the space says of it; null for nothing.
    pub space: Value,
    /// What the link says of it; null for nothing.
    pub link: Value,
}

impl LinkDefinition {
    /// Where a space is stricter than this link: there it is the space that counts.
    pub fn narrowed_by(&self, shared: &Shared) -> Result<Vec<Narrowed>, BadSetting> {
        let (space, link) = (&shared.trust, &self.trust);
        let both = space.and(link);
        let mut narrowed = Vec::new();
        let mut differ = |what, is_less: bool, space: Value, link: Value| {
            narrowed.extend(is_less.then_some(Narrowed { what, space, link }));
        };
        differ(
            "signatures",
            both.signatures != link.signatures,
            json(&space.signatures)?,
            json(&link.signatures)?,
        );
        for (what, both, space, link) in [
            (
                "trustedAuthors",
                &both.trusted_authors,
                &space.trusted_authors,
                &link.trusted_authors,
            ),
            (
                "trustedSystems",
                &both.trusted_systems,
                &space.trusted_systems,
                &link.trusted_systems,
            ),
        ] {
            differ(what, both != link, json(space)?, json(link)?);
        }
        for (what, both, space, link) in [
            (
                "deniedAuthors",
                &both.denied_authors,
                &space.denied_authors,
                &link.denied_authors,
            ),
            (
                "deniedSystems",
                &both.denied_systems,
                &space.denied_systems,
                &link.denied_systems,
            ),
        ] {
            differ(what, both != link, json(space)?, json(link)?);
        }
        let (config, rules) = (self.config()?, shared.rules()?);
        let gives = config.mode != Mode::Pull && rules.give.is_some();
        let takes = config.mode != Mode::Push && rules.take.is_some();
        let is_less = gives && rules.give != config.push_filter;
        differ(
            "give",
            is_less,
            text(shared.give.as_deref())?,
            text(self.push.as_deref())?,
        );
        let is_less = takes && rules.take != config.pull_filter;
        differ(
            "take",
            is_less,
            text(shared.take.as_deref())?,
            text(self.pull.as_deref())?,
        );
        Ok(narrowed)
    }
}

fn json(value: &impl Serialize) -> Result<Value, BadSetting> {
    serde_json::to_value(value).map_err(|error| BadSetting(error.to_string()))
}

fn text(filter: Option<&str>) -> Result<Value, BadSetting> {
    let read = filter.map(serde_json::from_str::<Value>);
    let read = read.transpose();
    let read = read.map_err(|error| BadSetting(error.to_string()))?;
    Ok(read.unwrap_or(Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Told of is what makes a difference, and nothing else.
    #[test]
    fn only_what_the_space_narrows_is_told_of() {
        let mut shared = Shared::new("deltas".parse().unwrap());
        let mut link = LinkDefinition::new("space", "ws://127.0.0.1:1/federation");
        let what = |link: &LinkDefinition, shared: &Shared| -> Vec<&str> {
            let narrowed = link.narrowed_by(shared).unwrap().into_iter();
            narrowed.map(|narrowed| narrowed.what).collect()
        };
        assert_eq!(what(&link, &shared), [""; 0]);
        link.trust = serde_json::from_str(r#"{"signatures":"optional"}"#).unwrap();
        assert_eq!(what(&link, &shared), ["signatures"]);
        shared.trust = serde_json::from_str(
            r#"{"signatures":"optional","trustedAuthors":["a","b"],"deniedSystems":["x"]}"#,
        )
        .unwrap();
        assert_eq!(what(&link, &shared), ["trustedAuthors", "deniedSystems"]);
        // A link that is as strict, or stricter, has nothing to be told of.
        link.trust = serde_json::from_str(
            r#"{"signatures":"required","trustedAuthors":["a"],"deniedSystems":["x","y"]}"#,
        )
        .unwrap();
        assert_eq!(what(&link, &shared), [""; 0]);
        link.trust.trusted_authors = Some(["a".to_owned(), "c".to_owned()].into());
        assert_eq!(what(&link, &shared), ["trustedAuthors"]);
        link.trust = shared.trust.clone();
        shared.give = Some(r#"{"authors":["a"]}"#.to_owned());
        shared.take = Some(r#"{"targetContexts":["title"]}"#.to_owned());
        assert_eq!(what(&link, &shared), ["give", "take"]);
        link.pull = Some(r#"{ "targetContexts": ["title"] }"#.to_owned());
        assert_eq!(what(&link, &shared), ["give"]);
        // What does not go over a link is not narrowed on it.
        link.mode = "pull".to_owned();
        assert_eq!(what(&link, &shared), [""; 0]);
    }
}
