//! What happened, as one number: FNV-1a over every event; and in words, if somebody listens.

use crate::plan::Event;

/// A run so far.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) const fn new() -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: None,
        }
    }

    /// Whether words are kept.
    pub(crate) fn hear(&mut self, hear: bool) {
        self.lines = hear.then(Vec::new);
    }

    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().flatten().map(String::as_str)
    }

    /// Takes note of an event, planned or not.
    pub(crate) fn event(&mut self, now_ms: u64, planned: Option<usize>, event: &Event) {
        self.number(now_ms);
        match event {
            Event::Frame(wire, side, frame) => {
                self.number(*wire);
                self.number(*side as u64);
                self.bytes(frame);
            }
            other => self.bytes(format!("{other:?}").as_bytes()),
        }
        if matches!(event, Event::Frame(..) | Event::Tick(..)) {
            return;
        }
        self.say(now_ms, || match planned {
            Some(number) => format!("{event:?} (planned as {number})"),
            None => format!("{event:?}"),
        });
    }

    /// Keeps a line for whoever listens.
    pub(crate) fn say(&mut self, now_ms: u64, what: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let (seconds, millis) = (now_ms / 1000, now_ms % 1000);
            lines.push(format!("{seconds:>5}.{millis:03} s  {}", what()));
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    pub(crate) const fn value(&self) -> u64 {
        self.hash
    }
}
