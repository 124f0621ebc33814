//! Makes a failing world smaller: what is planned and does not matter for the failure is left out.

use std::collections::BTreeSet;
use std::mem::discriminant;

use crate::error::Failure;
use crate::plan::plan;
use crate::scenario::Scenario;
use crate::world::World;

/// Runs that shrinking may take: a minute or so.
const RUNS_MAX: usize = 400;

/// The smallest scenario that was found to fail in the same way, and its failure.
///
/// Leaves out halves of what is planned, then quarters, down to single things, as long as that fails still.
#[must_use]
pub fn shrink(scenario: &Scenario, failure: Failure) -> (Scenario, Failure) {
    let all = 0..plan(scenario).len();
    let mut kept: Vec<usize> = match &scenario.keep {
        Some(keep) => all.filter(|number| keep.contains(number)).collect(),
        None => all.collect(),
    };
    let mut found = (scenario.clone(), failure);
    let mut runs = 0;
    let mut size = kept.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < kept.len() && runs < RUNS_MAX {
            let end = (at + size).min(kept.len());
            let fewer: Vec<usize> = [&kept[..at], &kept[end..]].concat();
            let keep: BTreeSet<usize> = fewer.iter().copied().collect();
            let smaller = Scenario {
                keep: Some(keep),
                ..scenario.clone()
            };
            runs += 1;
            match World::new(smaller.clone()).and_then(World::run) {
                Err(failure) if discriminant(&failure) == discriminant(&found.1) => {
                    kept = fewer;
                    found = (smaller, failure);
                }
                _ => at = end,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    found
}
