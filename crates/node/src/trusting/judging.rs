//! What is taken from whom, by the policy of a space (RECS-10 to RECS-13).

use std::sync::Arc;

use allod_identity::{DeviceId, Link, Verified, What};
use allod_repo::{BranchName, Commit, CommitId, Content, Judge, Judgement, Repo};
use allod_trust::{Outcome, Policy, Signer, Subject, Verdict, World};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::hooks::lock;
use crate::node::{Node, WeakNode};

use super::decisions::TAKE;
use super::{Basis, TRIES};

/// The key in `meta` that has the policy.
const POLICY: &str = "trust-policy";

/// Judges by the policies of a node's spaces.
pub(crate) fn judge_of(node: WeakNode) -> Arc<Judge> {
    Arc::new(move |repo, commit| {
        let Some(node) = node.get() else {
            return Ok(Judgement::Quarantine("the node stopped".to_owned()));
        };
        let judged = node.judge(repo, commit);
        Ok(judged
            .unwrap_or_else(|error| Judgement::Quarantine(format!("it cannot be judged: {error}"))))
    })
}

impl Node {
    /// The policy of a space, if it has one.
    ///
    /// # Errors
    /// [`NodeError::Policy`] if it cannot be read.
    #[expect(clippy::unused_self, reason = "whatever judges is asked of the node")]
    pub fn trust_policy(&self, repo: &Repo) -> Result<Option<Policy>, NodeError> {
        let meta = repo.state(&BranchName::meta())?;
        let entry = meta.entry(POLICY.as_bytes())?;
        let content = entry.map(|entry| meta.content(&entry)).transpose()?;
        Ok(match content.flatten() {
            None => None,
            Some(Content::Bytes(bytes)) => Some(Policy::decode(&bytes)?),
            // A large one is in a block, and a file is none.
            Some(Content::File(cid)) => {
                let block = repo.store().get(&cid)?;
                let block = block.ok_or(allod_repo::RepoError::Missing(cid))?;
                Some(Policy::decode(&block.into_bytes())?)
            }
        })
    }

    /// Gives a space a policy, or takes it away; only its owner may. `None` if it is so already.
    pub fn set_trust_policy(
        &self,
        repo: &Repo,
        policy: Option<&Policy>,
    ) -> Result<Option<CommitId>, NodeError> {
        let bytes = policy.map(Policy::encode).transpose()?;
        let is_there = repo
            .state(&BranchName::meta())?
            .get(POLICY.as_bytes())?
            .is_some();
        if bytes.is_none() && !is_there {
            return Ok(None);
        }
        let said = match policy {
            Some(_) => "Say what is taken from whom",
            None => "Take from every member again",
        };
        let author = self.author()?;
        let (made, ()) = repo.transact(
            &BranchName::meta(),
            author,
            said,
            (TRIES, now_ms()),
            |tx| match &bytes {
                Some(bytes) => tx.put(POLICY, bytes.clone()),
                None => tx.delete(POLICY),
            },
        )?;
        self.judge_again()?;
        self.touch();
        Ok(Some(made))
    }

    /// What the policy of its space says of a commit; `None` if nothing is asked.
    pub fn verdict(
        &self,
        repo: &Repo,
        commit: &Verified<Commit>,
        policy: Option<&Policy>,
    ) -> Result<Option<Verdict>, NodeError> {
        let said = commit.payload();
        let reader = self.agent()?;
        if said.author == reader {
            return Ok(None);
        }
        let Some(policy) = policy else {
            return Ok(None);
        };
        let log = repo.agents().key_log(&said.author)?;
        let signer = commit.signer();
        let is_own = said.author.key() == signer || log.key() == Some(signer);
        let device = if is_own {
            Signer::Agent
        } else {
            Signer::Device(DeviceId::from(*signer))
        };
        let subject = Subject {
            author: said.author,
            device,
        };
        let moment = self.moment()?;
        let predicates = Arc::clone(&lock(&self.trusting().predicates));
        let world = World::new(&moment, reader, &predicates);
        Ok(Some(policy.evaluate(&subject, &world)))
    }

    /// What is done with a commit that arrived; notes why.
    pub(crate) fn judge(
        &self,
        repo: &Repo,
        commit: &Verified<Commit>,
    ) -> Result<Judgement, NodeError> {
        let policy = self.trust_policy(repo)?;
        let Some(verdict) = self.verdict(repo, commit, policy.as_ref())? else {
            return Ok(Judgement::Accept);
        };
        let id = CommitId::from_cid(*commit.cid());
        let judgement = match verdict.outcome {
            Outcome::Accept => Judgement::Accept,
            Outcome::Quarantine => Judgement::Quarantine(verdict.words.clone()),
            Outcome::Refuse => Judgement::Refuse,
        };
        // That it stays where it was put is no new decision.
        if judgement != Judgement::Accept && repo.quarantined(id)?.is_some() {
            return Ok(judgement);
        }
        let what = What::new(TAKE)
            .in_space(Link::from(*repo.id().cid()))
            .on(&id.to_string());
        let decision = verdict.decision(now_ms(), commit.payload().author, what);
        let decisions = &self.trusting().decisions;
        // Nor is it that what was refused is refused each time that it is sent.
        match judgement {
            Judgement::Refuse => decisions.note_once(&decision)?,
            _ => decisions.note(&decision)?,
        }
        Ok(judgement)
    }

    /// Judges anew what is in quarantine (RECS-12).
    pub(crate) fn judge_again(&self) -> Result<(), NodeError> {
        for (_, id) in self.spaces()? {
            self.judge_anew(&self.repo(id)?)?;
        }
        Ok(())
    }

    /// The same in one space, unless nothing that a judgement rests on is another than when it was judged last.
    pub(crate) fn judge_anew(&self, repo: &Repo) -> Result<(), NodeError> {
        if repo.quarantine()?.is_empty() {
            return Ok(());
        }
        let basis = Basis {
            learned: self.agents().learned(),
            changes: lock(&self.trusting().known).changes,
            meta: repo.state(&BranchName::meta())?.tree().root(),
        };
        if lock(&self.trusting().known).judged.get(&repo.id()) == Some(&basis) {
            return Ok(());
        }
        // That the policy is gone lets nothing out while its owner's word is in doubt: it may come back.
        let owner = self.agents().key_log(&repo.genesis().payload().owner)?;
        let is_in_doubt =
            owner.equivocation().is_some() || !repo.beside(&BranchName::meta())?.is_empty();
        if is_in_doubt && self.trust_policy(repo).is_ok_and(|policy| policy.is_none()) {
            return Ok(());
        }
        if repo.judge_again()? > 0 {
            self.touch();
        }
        let judged = &mut lock(&self.trusting().known).judged;
        judged.insert(repo.id(), basis);
        Ok(())
    }
}
