//! Session tokens of this node: issued, taken, given back (ACCESS-30 to ACCESS-33).

use std::collections::BTreeMap;
use std::sync::Mutex;

use allod_access::{Command, TOKEN_MS_MAX, Token, TokenError};
use allod_blocks::{Batch, BatchOutcome, Cid, Expect, Store};

use crate::clock::now_ms;
use crate::error::NodeError;
use crate::home::random;
use crate::hooks::lock;
use crate::node::Node;

/// What the nonces of tokens that were given back are kept under, each with its end.
const GIVEN_BACK: &[u8] = b"node/token/";

/// Tokens that were given back and have not ended, at most: 9 a second for two hours, in a few megabytes of memory.
const KEPT_MAX: usize = 65_536;

/// References of ended tokens that are removed with one that is given back.
const CLEARED_MAX: usize = 64;

/// How long one that ended is kept nevertheless: a clock that is set back by less lets none begin again.
const KEPT_MS: u64 = TOKEN_MS_MAX;

/// The name of a token.
type Nonce = [u8; 16];

/// What a token is issued for.
#[derive(Clone, Debug)]
pub struct TokenFor {
    /// Who is to bear it: a `did:key`, or a handle.
    pub user: String,
    /// Roles besides those that the user has.
    pub roles: Vec<String>,
    /// What it may be used for.
    pub can: Vec<Command>,
    /// In which space; all, if none is said.
    pub space: Option<Cid>,
    /// How long it lasts, 1 to 60.
    pub minutes: u64,
}

/// The tokens that were given back: read when they are first asked for, written before they count.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Option<BTreeMap<Nonce, u64>>>);

impl Node {
    /// Issues a token of this device. Its text is a secret (ACCESS-33).
    ///
    /// # Errors
    /// [`NodeError::Sign`] if it would last longer than it may, or says what no token says.
    pub fn issue_token(&self, wanted: TokenFor) -> Result<String, NodeError> {
        let now = now_ms();
        let (mut roles, mut can) = (wanted.roles, wanted.can);
        roles.sort_unstable();
        roles.dedup();
        can.sort_unstable();
        can.dedup();
        let token = Token {
            aud: self.device()?,
            user: wanted.user,
            roles,
            can,
            space: wanted.space,
            began: now,
            at: now,
            exp: now.saturating_add(wanted.minutes.saturating_mul(60_000)),
            nonce: random()?,
        };
        Ok(token.issue(self.device_key()?)?)
    }

    /// Reads the text of a token that this node takes now (ACCESS-30).
    ///
    /// # Errors
    /// [`NodeError::Token`], and [`NodeError::TokenGivenBack`].
    pub fn take_token(&self, text: &str) -> Result<Token, NodeError> {
        let token = Token::check_text(text, &self.device()?, now_ms())?;
        self.check_token(&token)?;
        Ok(token)
    }

    /// Refuses a token that was taken before, and has ended or was given back since.
    pub fn check_token(&self, token: &Token) -> Result<(), NodeError> {
        if now_ms() >= token.exp {
            return Err(TokenError::Time.into());
        }
        let mut known = lock(&self.tokens().0);
        if self.given_back(&mut known)?.contains_key(&token.nonce) {
            return Err(NodeError::TokenGivenBack);
        }
        Ok(())
    }

    /// Gives a token back: it is taken no more, also after a restart (ACCESS-31).
    pub fn give_back_token(&self, token: &Token) -> Result<(), NodeError> {
        let now = now_ms();
        let mut known = lock(&self.tokens().0);
        let kept = self.given_back(&mut known)?;
        if kept.contains_key(&token.nonce) {
            return Err(NodeError::TokenGivenBack);
        }
        let over = kept
            .iter()
            .filter(|(_, end)| end.saturating_add(KEPT_MS) <= now);
        let over: Vec<Nonce> = over.map(|(nonce, _)| *nonce).take(CLEARED_MAX).collect();
        if kept.len() - over.len() >= KEPT_MAX {
            return Err(NodeError::ManyTokens);
        }
        let mut batch = Batch::new();
        let end = token.exp.to_be_bytes().to_vec();
        batch.set_ref(name(&token.nonce), Expect::Absent, Some(end));
        for nonce in &over {
            batch.set_ref(name(nonce), Expect::Any, None::<Vec<u8>>);
        }
        match self.store().commit(batch)? {
            BatchOutcome::Done { .. } => {}
            BatchOutcome::Moved { .. } => return Err(NodeError::TokenGivenBack),
        }
        kept.insert(token.nonce, token.exp);
        for nonce in &over {
            kept.remove(nonce);
        }
        Ok(())
    }

    /// Another token for the same session; the first is given back (ACCESS-31).
    pub fn refresh_token(&self, token: &Token) -> Result<String, NodeError> {
        let next = token.refreshed(now_ms(), random()?)?;
        let text = next.issue(self.device_key()?)?;
        // Of two who ask with the same one, one is given another.
        self.give_back_token(token)?;
        Ok(text)
    }

    fn given_back<'a>(
        &self,
        known: &'a mut Option<BTreeMap<Nonce, u64>>,
    ) -> Result<&'a mut BTreeMap<Nonce, u64>, NodeError> {
        let kept = match known.take() {
            Some(kept) => kept,
            None => read(self.store().as_ref())?,
        };
        Ok(known.insert(kept))
    }
}

fn name(nonce: &Nonce) -> Vec<u8> {
    [GIVEN_BACK, nonce].concat()
}

fn read(store: &dyn Store) -> Result<BTreeMap<Nonce, u64>, NodeError> {
    let page = store.scan_refs(GIVEN_BACK, None, KEPT_MAX)?;
    let kept = page.iter().filter_map(|(name, end)| {
        let nonce = name.get(GIVEN_BACK.len()..)?.try_into().ok()?;
        // One without an end is not taken again.
        let end = end.as_ref().try_into().map_or(u64::MAX, u64::from_be_bytes);
        Some((nonce, end))
    });
    Ok(kept.collect())
}
