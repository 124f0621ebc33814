//! Session tokens: what a client of a node bears instead of a key (ACCESS-30 to ACCESS-33).

use std::fmt;

use allod_identity::text::is_name;
use allod_identity::{
    AgentId, CheckError, DeviceId, Payload, PublicKey, SecretKey, SignError, Signed, TIME_MS_MAX,
    Verified,
};
use cid::Cid;
use multibase::Base;
use serde::{Deserialize, Serialize};

use crate::op::Command;
use crate::rule::are_names;

/// The largest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2048;

/// How long a token lasts at most, and a session of several, in milliseconds (ACCESS-31).
pub const TOKEN_MS_MAX: u64 = 60 * 60 * 1000;
/// See [`TOKEN_MS_MAX`].
pub const SESSION_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// How far ahead of the clock a token may have been issued: as a stamp may be.
const AHEAD_MS: u64 = 5 * 60 * 1000;

/// What a token may be used for, commands at most: twice the operations there are, nearly.
const COMMANDS_MAX: usize = 16;

/// What the text of a token begins with.
const PREFIX: &str = "at1.";

/// A session token: the payload of domain `token`. It is not shown, nor is the statement that has it (ACCESS-33).
#[derive(Clone, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The device that is to take it, which issues it.
    pub aud: DeviceId,
    /// Who bears it: a `did:key`, or a handle.
    pub user: String,
    /// Roles besides those that the user has, ascending.
    pub roles: Vec<String>,
    /// What it may be used for, ascending.
    pub can: Vec<Command>,
    /// In which space; all, if none is said.
    pub space: Option<Cid>,
    /// When the session began, in milliseconds since 1970.
    pub began: u64,
    /// When it was issued.
    pub at: u64,
    /// When it ends.
    pub exp: u64,
    /// Its name.
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 16],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A token is not taken. Blame: who bears it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Not the text of a token.
    #[error("not a token")]
    Text,
    /// Its signature does not hold, or its fields are out of range.
    #[error("the token does not verify")]
    Signature,
    /// It is for another device.
    #[error("the token is for another node")]
    Audience,
    /// It has ended, or has not begun.
    #[error("the token has ended")]
    Time,
    /// The session has lasted as long as one may.
    #[error("the session has ended; log in again")]
    Session,
}

impl TokenError {
    /// The registered error code.
    #[expect(
        clippy::unused_self,
        reason = "all errors tell their code in the same way"
    )]
    #[must_use]
    pub const fn code(self) -> &'static str {
        "E_TOKEN"
    }
}

impl Payload for Token {
    const DOMAIN: &'static str = "token";
    const BYTES_MAX: usize = TOKEN_BYTES_MAX;

    fn check(&self, signer: &PublicKey) -> Result<(), CheckError> {
        let fault = |text| Err(CheckError::new("E_TOKEN", text));
        if *self.aud.key() != *signer {
            return fault("it is for another device than its signer");
        }
        if self.user.parse::<AgentId>().is_err() && !is_name(&self.user) {
            return fault("its user is neither an agent nor a handle");
        }
        let ascends = self.can.windows(2).all(|pair| pair[0] < pair[1]);
        if !are_names(&self.roles) || !ascends || self.can.len() > COMMANDS_MAX {
            return fault("its lists do not ascend, or are too long");
        }
        let in_order = self.began <= self.at && self.at < self.exp && self.exp <= TIME_MS_MAX;
        if !in_order || self.exp - self.at > TOKEN_MS_MAX || self.exp - self.began > SESSION_MS_MAX
        {
            return fault("it lasts longer than it may");
        }
        Ok(())
    }
}

impl Token {
    /// Signs the token, and gives its text.
    ///
    /// # Errors
    /// [`SignError`] if a field is out of its range, or the key is not that of the audience.
    pub fn issue(&self, device: &SecretKey) -> Result<String, SignError> {
        let statement = Verified::sign(device, self.clone())?;
        Ok(format!(
            "{PREFIX}{}",
            Base::Base64Url.encode(statement.bytes())
        ))
    }

    /// Reads the text of a token that a device takes at a time. Whether it was given back, the caller knows.
    pub fn check_text(text: &str, device: &DeviceId, now_ms: u64) -> Result<Self, TokenError> {
        let text = text.strip_prefix(PREFIX).ok_or(TokenError::Text)?;
        if text.len() > TOKEN_BYTES_MAX.div_ceil(3) * 4 {
            return Err(TokenError::Text);
        }
        let bytes = Base::Base64Url
            .decode(text)
            .map_err(|_error| TokenError::Text)?;
        let signed = Signed::<Self>::decode(bytes).map_err(|_error| TokenError::Text)?;
        let token = signed.verify().map_err(|_error| TokenError::Signature)?;
        let token = token.payload().clone();
        if token.aud != *device {
            return Err(TokenError::Audience);
        }
        if now_ms >= token.exp || token.at > now_ms.saturating_add(AHEAD_MS) {
            return Err(TokenError::Time);
        }
        Ok(token)
    }

    /// Another token for the same session, which lasts as long as this one did, if the session may.
    ///
    /// # Errors
    /// [`TokenError::Session`] if the session has lasted as long as one may.
    pub fn refreshed(&self, now_ms: u64, nonce: [u8; 16]) -> Result<Self, TokenError> {
        let at = now_ms.max(self.began);
        let lasts = self.exp.saturating_sub(self.at);
        let exp = at
            .saturating_add(lasts)
            .min(self.began.saturating_add(SESSION_MS_MAX));
        if exp <= at {
            return Err(TokenError::Session);
        }
        Ok(Self {
            at,
            exp,
            nonce,
            ..self.clone()
        })
    }
}
