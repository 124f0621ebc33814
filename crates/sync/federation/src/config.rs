//! What a client asks of a link: the `config` of `hello` (FED-11).

use std::collections::BTreeSet;

use allod_deltas::json::{Members, put_text};
use allod_deltas::{DeltaFilter, Number};
use allod_sync::Backoff;

use crate::message::FrameError;

/// In which direction deltas go, as the client sees it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Mode {
    /// The client sends.
    Push,
    /// The server sends.
    Pull,
    /// Both send.
    #[default]
    Bidirectional,
}

impl Mode {
    /// Whether the client sends deltas.
    #[must_use]
    pub const fn client_sends(self) -> bool {
        matches!(self, Self::Push | Self::Bidirectional)
    }

    /// Whether the server sends deltas.
    #[must_use]
    pub const fn server_sends(self) -> bool {
        matches!(self, Self::Pull | Self::Bidirectional)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
            Self::Bidirectional => "bidirectional",
        }
    }
}

/// What of the past a client asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum InitialSync {
    /// Everything.
    #[default]
    Full,
    /// What says that it is not older.
    FromTimestamp,
    /// Nothing.
    None,
}

/// Authors and systems that the sender of `config` trusts; as always, an empty list trusts nobody.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustLists {
    /// Authors; anyone if `None`.
    pub authors: Option<BTreeSet<String>>,
    /// Systems; any if `None`.
    pub systems: Option<BTreeSet<String>>,
}

/// When a client that lost its server comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reconnect {
    /// Whether it does.
    pub enabled: bool,
    /// How often it tries in a row; 0 for ever.
    pub max_attempts: u32,
    /// The first wait, in milliseconds.
    pub initial_delay_ms: u64,
    /// The longest wait, in milliseconds.
    pub max_delay_ms: u64,
    /// What each wait is multiplied by, in hundredths.
    pub multiplier_percent: u64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            enabled: true,
            max_attempts: 5,
            initial_delay_ms: 1000,
            max_delay_ms: 30_000,
            multiplier_percent: 200,
        }
    }
}

impl Reconnect {
    /// The wait after so many failures in a row, from 1; none if it is not tried again (FED-40). `chance` is
    /// any number.
    #[must_use]
    pub fn wait_ms(&self, failures: u32, chance: u64) -> Option<u64> {
        let backoff = Backoff {
            first_ms: self.initial_delay_ms,
            factor_percent: self.multiplier_percent,
            most_ms: self.max_delay_ms,
            // Of so many tries the first is not one after a failure.
            attempts: match self.max_attempts {
                0 => 0,
                attempts => attempts.saturating_add(1),
            },
        };
        backoff.wait_ms(failures, chance).filter(|_| self.enabled)
    }
}

/// What a client asks of a link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FederationConfig {
    /// In which direction deltas go.
    pub mode: Mode,
    /// What of the past is asked for.
    pub initial_sync: InitialSync,
    /// The time for [`InitialSync::FromTimestamp`].
    pub sync_from_timestamp: Option<Number>,
    /// What the client sends.
    pub push_filter: Option<DeltaFilter>,
    /// What the server sends.
    pub pull_filter: Option<DeltaFilter>,
    /// Whom the client trusts.
    pub trust: TrustLists,
    /// When it comes back.
    pub reconnect: Reconnect,
}

/// What is said of any fault of a `config`.
const BAD: FrameError = FrameError::Field("config");

impl FederationConfig {
    /// Reads the `config` of a `hello`. What is absent has its default.
    pub(crate) fn decode(json: &str) -> Result<Self, FrameError> {
        let mut members = Members::read(json).ok_or(BAD)?;
        let mut text = |name| members.optional::<String>(name).map_err(|_error| BAD);
        let mode = match text("mode")?.as_deref() {
            Some("push") => Mode::Push,
            Some("pull") => Mode::Pull,
            Some("bidirectional") | None => Mode::Bidirectional,
            Some(_) => return Err(BAD),
        };
        let initial_sync = match text("initialSync")?.as_deref() {
            Some("from_timestamp") => InitialSync::FromTimestamp,
            Some("none") => InitialSync::None,
            Some("full") | None => InitialSync::Full,
            Some(_) => return Err(BAD),
        };
        Ok(Self {
            mode,
            initial_sync,
            sync_from_timestamp: number(&mut members, "syncFromTimestamp")?,
            push_filter: filter(&mut members, "pushFilter")?,
            pull_filter: filter(&mut members, "pullFilter")?,
            trust: lists(&mut members)?,
            reconnect: reconnect(&mut members)?,
        })
    }

    pub(crate) fn encode(&self) -> String {
        let mut out = format!("{{\"mode\":\"{}\"", self.mode.name());
        let initial = match self.initial_sync {
            InitialSync::Full => "full",
            InitialSync::FromTimestamp => "from_timestamp",
            InitialSync::None => "none",
        };
        out.push_str(&format!(",\"initialSync\":\"{initial}\""));
        if let Some(at) = self.sync_from_timestamp {
            out.push_str(&format!(",\"syncFromTimestamp\":{at}"));
        }
        for (name, filter) in [
            ("pushFilter", &self.push_filter),
            ("pullFilter", &self.pull_filter),
        ] {
            if let Some(filter) = filter {
                out.push_str(&format!(",\"{name}\":{}", filter.encode()));
            }
        }
        put_lists(&mut out, &self.trust);
        let Reconnect {
            enabled,
            max_attempts,
            initial_delay_ms,
            max_delay_ms,
            multiplier_percent,
        } = self.reconnect;
        let (whole, rest) = (multiplier_percent / 100, multiplier_percent % 100);
        out.push_str(&format!(
            ",\"reconnect\":{{\"enabled\":{enabled},\"maxAttempts\":{max_attempts},\
             \"initialDelay\":{initial_delay_ms},\"maxDelay\":{max_delay_ms},\
             \"backoffMultiplier\":{whole}.{rest:02}}}}}"
        ));
        out
    }
}

fn put_lists(out: &mut String, trust: &TrustLists) {
    if *trust == TrustLists::default() {
        return;
    }
    out.push_str(",\"trustPolicy\":{");
    let lists = [
        ("trustedAuthors", &trust.authors),
        ("trustedSystems", &trust.systems),
    ];
    let mut comma = "";
    for (name, list) in lists {
        let Some(list) = list else { continue };
        out.push_str(&format!("{comma}\"{name}\":["));
        for (at, text) in list.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            put_text(out, text);
        }
        out.push(']');
        comma = ",";
    }
    out.push('}');
}

/// A number that may be absent or null.
fn number(members: &mut Members<'_>, name: &str) -> Result<Option<Number>, FrameError> {
    match members.take(name) {
        Some(raw) if raw.get() != "null" => {
            Number::parse(raw.get()).map(Some).map_err(|_error| BAD)
        }
        _ => Ok(None),
    }
}

fn filter(members: &mut Members<'_>, name: &str) -> Result<Option<DeltaFilter>, FrameError> {
    match members.take(name) {
        Some(raw) if raw.get() != "null" => DeltaFilter::decode(raw.get())
            .map(Some)
            .map_err(|_error| BAD),
        _ => Ok(None),
    }
}

fn lists(members: &mut Members<'_>) -> Result<TrustLists, FrameError> {
    let Some(raw) = members
        .take("trustPolicy")
        .filter(|raw| raw.get() != "null")
    else {
        return Ok(TrustLists::default());
    };
    let mut members = Members::read(raw.get()).ok_or(BAD)?;
    let mut list = |name| members.optional(name).map_err(|_error| BAD);
    Ok(TrustLists {
        authors: list("trustedAuthors")?,
        systems: list("trustedSystems")?,
    })
}

fn reconnect(members: &mut Members<'_>) -> Result<Reconnect, FrameError> {
    let default = Reconnect::default();
    let Some(raw) = members.take("reconnect").filter(|raw| raw.get() != "null") else {
        return Ok(default);
    };
    let mut members = Members::read(raw.get()).ok_or(BAD)?;
    let enabled = members.optional("enabled").map_err(|_error| BAD)?;
    // Whatever number somebody wrote, as one that makes sense of it.
    let mut count = |name, factor: f64, default: u64| {
        let number = number(&mut members, name)?;
        Ok(number.map_or(default, |number| whole(number.get() * factor)))
    };
    let max_attempts = count("maxAttempts", 1.0, default.max_attempts.into())?;
    Ok(Reconnect {
        enabled: enabled.unwrap_or(default.enabled),
        max_attempts: u32::try_from(max_attempts).unwrap_or(u32::MAX),
        initial_delay_ms: count("initialDelay", 1.0, default.initial_delay_ms)?,
        max_delay_ms: count("maxDelay", 1.0, default.max_delay_ms)?,
        multiplier_percent: count("backoffMultiplier", 100.0, default.multiplier_percent)?,
    })
}

/// The integer below, from 0 to 2^53.
#[expect(
    clippy::cast_sign_loss,
    reason = "what is negative was made zero before"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number.clamp(0.0, 9_007_199_254_740_992.0) as u64
}
