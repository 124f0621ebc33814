//! Giving rights and taking them back (ACCESS-5, ACCESS-6, REPO-111).

use allod_access::{Command, Grant, Policy, Ungrant};
use allod_blocks::Cid;
use allod_identity::{AgentId, Verified};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Refusal, RepoError};
use crate::ids::CommitId;
use crate::repo::{Author, Repo};

/// What is granted to somebody: one grant for each command.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Granting {
    /// What they may.
    pub commands: Vec<Command>,
    /// Under which conditions.
    pub policy: Policy,
    /// From when on, in milliseconds since 1970.
    pub not_before: Option<u64>,
    /// Until when.
    pub expires: Option<u64>,
}

impl Repo {
    /// Grants something to an agent, and puts it into `meta`. Who does not own the space passes on what it was granted.
    /// `seed` makes these grants others than any before: random bytes, or what is used once.
    ///
    /// # Errors
    /// [`Refusal::Rights`] if the author has no right to pass on; [`Refusal::Malformed`] if it is no grant.
    pub fn grant(
        &self,
        audience: AgentId,
        what: &Granting,
        seed: &[u8; 16],
        author: Author<'_>,
        now_ms: u64,
    ) -> Result<Vec<Cid>, RepoError> {
        let rights = self.rights()?;
        let mut grants = Vec::new();
        for command in &what.commands {
            let proof = rights.authorizer.proof_for(&author.agent, command, now_ms);
            if proof.is_none() && !self.is_owner(&author.agent) {
                return Err(Refusal::Rights.into());
            }
            let grant = Grant {
                issuer: author.agent,
                audience,
                space: *self.id().cid(),
                command: command.clone(),
                policy: what.policy.clone(),
                proof: proof.copied().filter(|_| !self.is_owner(&author.agent)),
                not_before: what.not_before,
                expires: what.expires,
                nonce: nonce(seed, command),
            };
            let signed = Verified::sign(author.key, grant);
            grants.push(signed.map_err(|_error| Refusal::Malformed("no grant is like that"))?);
        }
        let message = format!("Grant {audience} {}", said(&what.commands));
        self.put_rights(&grants, &[], (author, &message), now_ms)?;
        Ok(grants.iter().map(|grant| *grant.cid()).collect())
    }

    /// Takes a grant back, and all that rests on it. `None` if that was said already.
    ///
    /// # Errors
    /// [`Refusal::Rights`] if it is no grant that the author may take back (ACCESS-6).
    pub fn ungrant(
        &self,
        grant: Cid,
        reason: Option<&str>,
        author: Author<'_>,
        now_ms: u64,
    ) -> Result<Option<CommitId>, RepoError> {
        let rights = self.rights()?;
        let is_said = |it: &Ungrant| it.of == grant && it.by == author.agent;
        if rights.facts.ungrants.iter().any(is_said) {
            return Ok(None);
        }
        if !rights.authorizer.may_take_back(&author.agent, &grant) {
            return Err(Refusal::Rights.into());
        }
        let ungrant = Ungrant {
            at: now_ms,
            by: author.agent,
            of: grant,
            reason: reason.map(ToOwned::to_owned),
        };
        let signed = Verified::sign(author.key, ungrant)
            .map_err(|_error| Refusal::Malformed("a reason is a line of 256 bytes"))?;
        let message = format!("Take back {grant}");
        self.put_rights(&[], &[signed], (author, &message), now_ms)
    }
}

fn nonce(seed: &[u8; 16], command: &Command) -> [u8; 16] {
    let digest = Sha256::new_with_prefix(b"allod/grant-nonce/1\0")
        .chain_update(seed)
        .chain_update(command.as_str())
        .finalize();
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&digest[..16]);
    nonce
}

fn said(commands: &[Command]) -> String {
    let texts: Vec<&str> = commands.iter().map(Command::as_str).collect();
    texts.join(", ")
}
