//! What the demo tells: each step as it happens, and a table at the end.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

use crate::cli::io::{Io, count, size};

/// One step that held.
#[derive(Default)]
pub(crate) struct Step {
    name: String,
    outcome: String,
    time: Duration,
    /// Bytes that crossed between nodes.
    pub(crate) bytes: u64,
}

/// The steps so far.
pub(crate) struct Report {
    steps: Vec<Step>,
    pub(crate) entries: u64,
    pub(crate) commits: u64,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self {
            steps: Vec::new(),
            entries: 0,
            commits: 0,
        }
    }

    /// Does a step, tells its outcome, and keeps its time.
    pub(crate) fn step(
        &mut self,
        io: &mut Io<'_>,
        name: &str,
        run: impl FnOnce(&mut Step) -> Result<String>,
    ) -> Result<()> {
        let mut step = Step {
            name: name.to_owned(),
            ..Step::default()
        };
        let started = Instant::now();
        let outcome = run(&mut step).map_err(|error| error.context(format!("{name}: failed")))?;
        step.time = started.elapsed();
        step.outcome = outcome;
        io.say(format!(
            "{:>6.2} s  {:<34} {}",
            step.time.as_secs_f64(),
            step.name,
            step.outcome
        ))?;
        self.steps.push(step);
        Ok(())
    }

    /// Prints the table.
    pub(crate) fn print(&self, io: &mut Io<'_>) -> Result<()> {
        let bytes: u64 = self.steps.iter().map(|step| step.bytes).sum();
        let time: Duration = self.steps.iter().map(|step| step.time).sum();
        let steps: Vec<_> = self
            .steps
            .iter()
            .map(|step| {
                json!({
                    "step": step.name,
                    "outcome": step.outcome,
                    "bytes": step.bytes,
                    "ms": step.time.as_millis() as u64,
                })
            })
            .collect();
        let value = json!({
            "entries": self.entries,
            "commits": self.commits,
            "bytes_on_the_wire": bytes,
            "ms": time.as_millis() as u64,
            "steps": steps,
        });
        io.data(&value, || {
            let mut table = format!("\n{:<36} {:>9} {:>12}\n", "step", "time", "wire");
            for step in &self.steps {
                let wire = if step.bytes > 0 {
                    size(step.bytes)
                } else {
                    String::new()
                };
                let time = step.time.as_secs_f64();
                table += &format!("{:<36} {time:>7.2} s {wire:>12}\n", step.name);
            }
            let total = time.as_secs_f64();
            table += &format!("{:<36} {total:>7.2} s {:>12}\n", "all", size(bytes));
            table += &format!(
                "\n{} entries, {} commits; everything held.",
                count(self.entries),
                count(self.commits)
            );
            table
        })
    }
}
