//! The code of a pairing: where the host can be reached, and a secret that is good once (PAIR-1 to PAIR-3).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::{PairError, Secret};
use crate::key::DeviceId;
use crate::{canonical, crockford};

const PREFIX: &str = "allod-pair:";

/// The longest long code, in characters (PAIR-2): a QR code that a screen shows.
const LONG_CHARS_MAX: usize = 1024;

/// The most addresses in a long code (PAIR-2).
const ADDRS_MAX: usize = 8;

/// The longest address in a long code, in bytes: an IPv6 address with its port has 47.
const ADDR_BYTES_MAX: usize = 64;

const CHECKSUM_BYTES: usize = 4;

/// Characters of a short code that check the others: 15 bits.
const CHECK_CHARS: usize = 3;

/// Characters of the longest short code.
const SHORT_CHARS_MAX: usize = 48;

const SECRET_BYTES: usize = 9;

/// What the person takes from the host to the guest.
#[derive(Clone, Eq, PartialEq)]
pub struct PairingCode {
    /// Where the host can be reached, the best address first.
    pub addrs: Vec<String>,
    /// The host; a short code does not say.
    pub device: Option<DeviceId>,
    /// The secret.
    pub secret: Secret,
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingCode")
            .field("addrs", &self.addrs)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

/// What a long code has.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    addrs: Vec<String>,
    device: DeviceId,
    #[serde(with = "serde_bytes")]
    secret: [u8; SECRET_BYTES],
}

impl Drop for Content {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl PairingCode {
    /// The code for typing: 28 characters in groups of four, 48 for an IPv6 address. `None` if the first address is no
    /// address of IP with a port.
    #[must_use]
    pub fn short(&self) -> Option<String> {
        let addr: SocketAddr = self.addrs.first()?.parse().ok()?;
        let mut body = Zeroizing::new(Vec::with_capacity(32));
        let form = match addr.ip() {
            IpAddr::V4(ip) => {
                body.extend_from_slice(&ip.octets());
                0
            }
            IpAddr::V6(ip) => {
                body.extend_from_slice(&ip.octets());
                1
            }
        };
        body.extend_from_slice(&addr.port().to_be_bytes());
        body.extend_from_slice(&self.secret.0);
        let mut symbols = vec![form];
        symbols.extend(crockford::from_bytes(&body));
        symbols.extend(check_of(form, &body));
        Some(crockford::text(&symbols))
    }

    /// The code for scanning and copying, in capital letters: a QR code then needs fewer dots. `None` if it does not say
    /// which device the host is.
    #[must_use]
    pub fn long(&self) -> Option<String> {
        let content = Content {
            addrs: self.addrs.iter().take(ADDRS_MAX).cloned().collect(),
            device: self.device?,
            secret: self.secret.0,
        };
        let mut bytes = canonical::encode(&content).ok()?;
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(digest.get(..CHECKSUM_BYTES)?);
        let text = multibase::encode(multibase::Base::Base32Lower, bytes);
        Some(format!("{PREFIX}{text}").to_ascii_uppercase())
    }

    fn from_short(text: &str) -> Option<Self> {
        let symbols = crockford::symbols(text, SHORT_CHARS_MAX)?;
        let (form, rest) = symbols.split_first()?;
        let (body, check) = rest.split_at_checked(rest.len().checked_sub(CHECK_CHARS)?)?;
        let body = Zeroizing::new(crockford::to_bytes(body)?);
        if check_of(*form, &body) != *check {
            return None;
        }
        let (ip, rest): (IpAddr, &[u8]) = match form {
            0 => {
                let (ip, rest) = body.split_first_chunk::<4>()?;
                (IpAddr::from(*ip), rest)
            }
            1 => {
                let (ip, rest) = body.split_first_chunk::<16>()?;
                (IpAddr::from(*ip), rest)
            }
            _ => return None,
        };
        let (port, secret) = rest.split_first_chunk::<2>()?;
        Some(Self {
            addrs: vec![SocketAddr::new(ip, u16::from_be_bytes(*port)).to_string()],
            device: None,
            secret: Secret(secret.try_into().ok()?),
        })
    }

    fn from_long(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let body = text.strip_prefix(PREFIX)?;
        if !body.starts_with('b') {
            return None;
        }
        let (_, bytes) = multibase::decode(body).ok()?;
        let bytes = Zeroizing::new(bytes);
        let (content, checksum) =
            bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if Sha256::digest(content).get(..CHECKSUM_BYTES) != Some(checksum) {
            return None;
        }
        let content: Content = canonical::decode(content, LONG_CHARS_MAX).ok()?;
        let fits = content.addrs.len() <= ADDRS_MAX
            && content
                .addrs
                .iter()
                .all(|addr| addr.len() <= ADDR_BYTES_MAX);
        fits.then(|| Self {
            addrs: content.addrs.clone(),
            device: Some(content.device),
            secret: Secret(content.secret),
        })
    }
}

/// The check characters of a short code.
fn check_of(form: u8, body: &[u8]) -> Vec<u8> {
    let digest = Sha256::new()
        .chain_update(b"allod/pair/code/1\0")
        .chain_update([form])
        .chain_update(body)
        .finalize();
    let mut symbols = crockford::from_bytes(&digest);
    symbols.truncate(CHECK_CHARS);
    symbols
}

impl FromStr for PairingCode {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        let text = text.trim();
        if text.len() > LONG_CHARS_MAX {
            return Err(PairError::Code);
        }
        let is_long = text
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        let code = if is_long {
            Self::from_long(text)
        } else {
            Self::from_short(text)
        };
        code.ok_or(PairError::Code)
    }
}
