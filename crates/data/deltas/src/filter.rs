//! Filters: which deltas somebody asks for (DELTA-13).

use std::collections::BTreeSet;

use crate::delta::Delta;
use crate::json::{Members, is_shallow, put_text};
use crate::number::Number;

/// The most texts in a list of a filter: what is asked of an index one by one.
pub const FILTER_LIST_MAX: usize = 1024;

/// The largest filter, in bytes of JSON.
pub(crate) const FILTER_BYTES_MAX: usize = 256 * 1024;

/// Which deltas are wanted: within a field any of what is listed, and all fields together (DELTA-13).
///
/// A field that is `None` asks for nothing; an empty list is met by no delta.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DeltaFilter {
    /// The ids.
    pub ids: Option<BTreeSet<String>>,
    /// Ids that a pointer refers to.
    pub target_ids: Option<BTreeSet<String>>,
    /// Contexts that a pointer refers under, not necessarily the same pointer.
    pub target_contexts: Option<BTreeSet<String>>,
    /// Authors.
    pub authors: Option<BTreeSet<String>>,
    /// Systems.
    pub systems: Option<BTreeSet<String>>,
    /// When: both ends included.
    pub timestamp_range: Option<TimestampRange>,
    /// Whether negated deltas are wanted too. [`matches`](Self::matches) does not look at it.
    pub include_negated: bool,
}

/// A range of timestamps, with its ends.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TimestampRange {
    /// The first.
    pub start: Option<Number>,
    /// The last.
    pub end: Option<Number>,
}

/// Why something is no filter. Blame: whoever wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// Not an object of JSON.
    #[error("a filter is an object of JSON")]
    Json,
    /// A field is of another type.
    #[error("{0} of a filter is of another type")]
    Field(&'static str),
    /// A list, or the whole, is too long.
    #[error("a filter is too large")]
    Size,
}

impl FilterError {
    /// The registered error code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Json | Self::Field(_) | Self::Size => "E_DELTA_FILTER",
        }
    }
}

impl DeltaFilter {
    /// Every delta, negated ones among them.
    #[must_use]
    pub fn all() -> Self {
        Self {
            include_negated: true,
            ..Self::default()
        }
    }

    /// Reads a filter from JSON. Fields that it does not know are passed over.
    pub fn decode(json: &str) -> Result<Self, FilterError> {
        if json.len() > FILTER_BYTES_MAX {
            return Err(FilterError::Size);
        }
        if !is_shallow(json) {
            return Err(FilterError::Json);
        }
        let mut members = Members::read(json).ok_or(FilterError::Json)?;
        Ok(Self {
            ids: list(&mut members, "ids")?,
            target_ids: list(&mut members, "targetIds")?,
            target_contexts: list(&mut members, "targetContexts")?,
            authors: list(&mut members, "authors")?,
            systems: list(&mut members, "systems")?,
            timestamp_range: range(&mut members)?,
            include_negated: members
                .optional::<bool>("includeNegated")
                .map_err(|_error| FilterError::Field("includeNegated"))?
                .unwrap_or_default(),
        })
    }

    /// The filter as JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::from("{");
        for (name, list) in [
            ("ids", &self.ids),
            ("targetIds", &self.target_ids),
            ("targetContexts", &self.target_contexts),
            ("authors", &self.authors),
            ("systems", &self.systems),
        ] {
            let Some(list) = list else { continue };
            out.push_str(&format!("\"{name}\":["));
            for (at, text) in list.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                put_text(&mut out, text);
            }
            out.push_str("],");
        }
        if let Some(range) = &self.timestamp_range {
            let ends = [("start", range.start), ("end", range.end)];
            let ends: Vec<String> = ends
                .into_iter()
                .filter_map(|(name, end)| end.map(|end| format!("\"{name}\":{end}")))
                .collect();
            out.push_str(&format!("\"timestampRange\":{{{}}},", ends.join(",")));
        }
        out.push_str(&format!("\"includeNegated\":{}}}", self.include_negated));
        out
    }

    /// Whether a delta meets every field but `include_negated`, which takes other deltas to say.
    #[must_use]
    pub fn matches(&self, delta: &Delta) -> bool {
        let has = |list: &Option<BTreeSet<String>>, text: &str| {
            list.as_ref().is_none_or(|list| list.contains(text))
        };
        has(&self.ids, delta.id())
            && has(&self.authors, delta.author())
            && has(&self.systems, delta.system())
            && self
                .timestamp_range
                .is_none_or(|range| range.contains(delta.timestamp()))
            && self.target_ids.as_ref().is_none_or(|ids| {
                let mut references = delta.references();
                references.any(|(_, reference)| ids.contains(reference.id()))
            })
            && self.target_contexts.as_ref().is_none_or(|contexts| {
                let mut references = delta.references().filter_map(|(_, to)| to.context());
                references.any(|context| contexts.contains(context))
            })
    }
}

impl TimestampRange {
    /// Whether a time lies in it.
    #[must_use]
    pub fn contains(&self, at: Number) -> bool {
        self.start.is_none_or(|start| at >= start) && self.end.is_none_or(|end| at <= end)
    }
}

fn list(
    members: &mut Members<'_>,
    name: &'static str,
) -> Result<Option<BTreeSet<String>>, FilterError> {
    let list: Option<Vec<String>> = members
        .optional(name)
        .map_err(|_error| FilterError::Field(name))?;
    if list
        .as_ref()
        .is_some_and(|list| list.len() > FILTER_LIST_MAX)
    {
        return Err(FilterError::Size);
    }
    Ok(list.map(|list| list.into_iter().collect()))
}

fn range(members: &mut Members<'_>) -> Result<Option<TimestampRange>, FilterError> {
    const FIELD: FilterError = FilterError::Field("timestampRange");
    let raw = members.take("timestampRange");
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Ok(None);
    };
    let mut ends = Members::read(raw.get()).ok_or(FIELD)?;
    let mut end = |name| match ends.take(name) {
        Some(raw) if raw.get() != "null" => {
            Number::parse(raw.get()).map(Some).map_err(|_error| FIELD)
        }
        _ => Ok(None),
    };
    Ok(Some(TimestampRange {
        start: end("start")?,
        end: end("end")?,
    }))
}
