//! How long an evaluation may take (ACCESS-24).

/// Steps of an evaluation at most (ACCESS-24): about a millisecond.
pub const STEPS_MAX: usize = 65_536;

/// Steps that are left.
#[derive(Debug)]
pub(crate) struct Steps(usize);

impl Steps {
    pub(crate) const fn new() -> Self {
        Self(STEPS_MAX)
    }

    /// Takes some; `None` if there are not as many.
    pub(crate) fn take(&mut self, steps: usize) -> Option<()> {
        self.0 = self.0.checked_sub(steps)?;
        Some(())
    }
}
