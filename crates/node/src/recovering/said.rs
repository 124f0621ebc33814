//! Statements about recoveries, as they travel (IDENT-40 to IDENT-47).

use allod_blocks::Cid;
use allod_identity::{
    AgentId, GuardianSays, Objection, Payload, PublicKey, RecoveryRequest, Says, Signed, Verified,
    domain_of,
};
use bytes::Bytes;

use crate::recovering::RecoveryError;

/// Something that was said of a recovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Said {
    /// By a guardian.
    Guardian(Verified<GuardianSays>),
    /// Against one.
    Objection(Verified<Objection>),
}

impl Said {
    /// Reads and verifies a statement.
    ///
    /// # Errors
    /// [`RecoveryError::Unfit`].
    pub fn read(bytes: &Bytes) -> Result<Self, RecoveryError> {
        const UNFIT: RecoveryError =
            RecoveryError::Unfit("it is damaged, or not signed by whoever it names");
        fn verified<T: Payload>(bytes: &Bytes) -> Option<Verified<T>> {
            Signed::<T>::decode(bytes.clone()).ok()?.verify().ok()
        }
        let domain = domain_of(bytes).map_err(|_error| UNFIT)?;
        let said = if domain == Objection::DOMAIN {
            verified(bytes).map(Self::Objection)
        } else {
            verified(bytes).map(Self::Guardian)
        };
        said.ok_or(UNFIT)
    }

    /// About whom.
    #[must_use]
    pub const fn agent(&self) -> AgentId {
        match self {
            Self::Guardian(said) => said.payload().agent,
            Self::Objection(said) => said.payload().agent,
        }
    }

    /// By whom.
    #[must_use]
    pub const fn signer(&self) -> PublicKey {
        match self {
            Self::Guardian(said) => *said.signer(),
            Self::Objection(said) => *said.signer(),
        }
    }

    /// When, by the clock of whoever said it.
    #[must_use]
    pub const fn at(&self) -> u64 {
        match self {
            Self::Guardian(said) => said.payload().at,
            Self::Objection(said) => said.payload().at,
        }
    }

    /// `approve`, `confirm`, `release` or `object`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Objection(_) => "object",
            Self::Guardian(said) => match said.payload().says {
                Says::Approve { .. } => "approve",
                Says::Confirm { .. } => "confirm",
                _ => "release",
            },
        }
    }

    /// Which key it is about, if it is about one.
    #[must_use]
    pub const fn key(&self) -> Option<PublicKey> {
        match self {
            Self::Objection(said) => Some(said.payload().key),
            Self::Guardian(said) => match said.payload().says {
                Says::Approve { key, .. } | Says::Confirm { key, .. } => Some(key),
                _ => None,
            },
        }
    }

    /// The request that a guardian approved or confirmed; `None` if it is something else that was said.
    #[must_use]
    pub const fn request(&self) -> Option<RecoveryRequest> {
        match self {
            Self::Guardian(said) => {
                let said = said.payload();
                RecoveryRequest::of(said.agent, &said.says)
            }
            Self::Objection(_) => None,
        }
    }

    /// The statement.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        match self {
            Self::Guardian(said) => said.bytes(),
            Self::Objection(said) => said.bytes(),
        }
    }

    /// Whether both say the same, by the same key, at whatever time. One of them is kept.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        let is_same = match (self, other) {
            (Self::Objection(_), Self::Objection(_)) => self.key() == other.key(),
            (Self::Guardian(one), Self::Guardian(two)) => {
                let (one, two) = (&one.payload().says, &two.payload().says);
                match (one, two) {
                    (Says::Confirm { .. }, Says::Confirm { .. }) => {
                        self.request() == other.request()
                    }
                    _ => one == two,
                }
            }
            _ => false,
        };
        is_same && self.signer() == other.signer() && self.agent() == other.agent()
    }

    /// What is not to be kept of a confirmation: that it was given before the wait was over, or begins in time to come.
    pub(super) fn check_wait(&self, wait: u64, now: u64) -> Result<(), RecoveryError> {
        let Self::Guardian(said) = self else {
            return Ok(());
        };
        let Says::Confirm { since, .. } = said.payload().says else {
            return Ok(());
        };
        if since > now {
            return Err(RecoveryError::Unfit(
                "it was approved later than now; is a clock wrong?",
            ));
        }
        if self.at() < since.saturating_add(wait) {
            return Err(RecoveryError::Unfit(
                "it was confirmed before the wait was over",
            ));
        }
        Ok(())
    }

    pub(crate) const fn name(&self) -> &Cid {
        match self {
            Self::Guardian(said) => said.cid(),
            Self::Objection(said) => said.cid(),
        }
    }
}

#[cfg(test)]
mod tests {
    use allod_identity::SecretKey;

    use super::*;

    fn key(number: u8) -> SecretKey {
        SecretKey::from_seed([number; 32])
    }

    fn says(by: u8, at: u64, says: Says) -> Said {
        let agent = key(1).public().into();
        Said::Guardian(Verified::sign(&key(by), GuardianSays { agent, at, says }).unwrap())
    }

    fn objects(by: u8, at: u64, new: u8) -> Said {
        let (agent, key_to_be) = (key(1).public().into(), key(new).public());
        let said = Objection {
            agent,
            at,
            key: key_to_be,
        };
        Said::Objection(Verified::sign(&key(by), said).unwrap())
    }

    fn request(new: u8) -> RecoveryRequest {
        RecoveryRequest {
            agent: key(1).public().into(),
            key: key(new).public(),
            next: [7; 32],
            prev: *objects(1, 1, 2).name(),
        }
    }

    #[test]
    fn a_confirmation_waited_by_a_clock_that_is_not_ahead() {
        let confirm = |at, since| says(2, at, request(3).confirm(since));
        assert!(confirm(150, 50).check_wait(100, 50).is_ok());
        for (at, since, now) in [(150, 51, 50), (149, 50, 50), (u64::MAX >> 16, 1 << 47, 50)] {
            let outcome = confirm(at, since).check_wait(100, now);
            assert!(
                matches!(outcome, Err(RecoveryError::Unfit(_))),
                "{at} {since}"
            );
        }
        // Nothing else waits.
        assert!(
            says(2, 150, request(3).approve())
                .check_wait(100, 50)
                .is_ok()
        );
    }

    #[test]
    fn one_statement_to_the_same_effect_is_kept() {
        let confirmed = says(2, 150, request(3).confirm(50));
        assert!(confirmed.is_as(&says(2, 170, request(3).confirm(60))));
        for other in [
            says(4, 150, request(3).confirm(50)),
            says(2, 150, request(4).confirm(50)),
            says(2, 150, request(3).approve()),
            objects(2, 150, 3),
        ] {
            assert!(!confirmed.is_as(&other), "{other:?}");
        }
        let approved = says(2, 1, request(3).approve());
        assert!(approved.is_as(&says(2, 2, request(3).approve())));
        assert!(objects(2, 1, 3).is_as(&objects(2, 2, 3)));
        assert!(!objects(2, 1, 3).is_as(&objects(2, 1, 4)));
    }
}
