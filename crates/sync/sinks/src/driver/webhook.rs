//! A server that takes POSTs (SINK-20 to SINK-22).

use std::borrow::Cow;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use allod_events::{BATCH, Headers, STRUCTURED, batch_to_json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use multibase::Base;
use sha2::Sha256;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::http::{agent, read_line};
use crate::definition::Mode;
use crate::open::Stopping;
use crate::target::{Fault, Has, Outgoing, Target};

/// Events of a batch at most (SINK-20).
const BATCH_MAX: usize = 100;

/// What is kept of an answer, in bytes: words for a person.
const ANSWER_BYTES_MAX: u64 = 1024;

/// How often it is looked whether all has to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long an answer is waited for once all has to end (SINK-9): most are there by then.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// What secrets begin with where Standard Webhooks shows them.
const SECRET_PREFIX: &str = "whsec_";

/// A server that takes POSTs.
pub(crate) struct Webhook {
    agent: Agent,
    url: String,
    mode: Mode,
    secret: Option<Vec<u8>>,
    token: Option<String>,
    now_ms: fn() -> u64,
    stopping: Stopping,
    /// Until when it waits, since all has to end.
    waits_until: Option<Instant>,
}

/// One POST.
struct Post {
    id: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// What a server answered.
struct Answer {
    status: u16,
    /// When it wants to be asked again, in seconds.
    after: Option<u64>,
    /// The words of one that did not take the events.
    said: String,
}

impl Answer {
    fn of(mut answer: Response<Body>) -> Self {
        let status = answer.status().as_u16();
        let after = answer.headers().get("retry-after");
        let after = after.and_then(|after| after.to_str().ok()?.parse().ok());
        let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX);
        let said = if is_taken(status) {
            String::new()
        } else {
            body.read_to_string().unwrap_or_default()
        };
        Self {
            status,
            after,
            said,
        }
    }
}

/// Whether a status says that the server has taken what it was sent (SINK-21).
fn is_taken(status: u16) -> bool {
    (200..300).contains(&status)
}

impl Webhook {
    pub(crate) fn new(
        (url, mode): (&str, Mode),
        (secret, token): (Option<&Path>, Option<&Path>),
        (now_ms, stopping): (fn() -> u64, Stopping),
    ) -> Result<Self, Fault> {
        let secret = secret.map(read_secret).transpose()?;
        let token = token.map(read_line).transpose()?;
        Ok(Self {
            agent: agent(),
            url: url.to_owned(),
            mode,
            secret,
            token,
            now_ms,
            stopping,
            waits_until: None,
        })
    }

    /// Sends one POST. Its events are taken, or why not.
    fn post(&mut self, post: Post) -> Result<(), Fault> {
        // What is not under way by then is not sent any more.
        if (self.stopping)() {
            return Err(Fault::away("all has to end"));
        }
        let mut request = self.agent.post(&self.url);
        for (name, value) in &post.headers {
            request = request.header(name, value);
        }
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(secret) = &self.secret {
            let seconds = ((self.now_ms)() / 1000).to_string();
            let signature = sign(secret, &post.id, &seconds, &post.body)?;
            request = request
                .header("webhook-id", &post.id)
                .header("webhook-timestamp", &seconds)
                .header("webhook-signature", format!("v1,{signature}"));
        }
        let answer = self.answer(move || request.send(&post.body[..]).map(Answer::of))?;
        let Answer {
            status,
            after,
            said,
        } = answer;
        if is_taken(status) {
            return Ok(());
        }
        let said = said.lines().next().unwrap_or_default();
        let words = format!("the server answered {status} {said}")
            .trim_end()
            .to_owned();
        Err(match status {
            400 | 413 | 415 | 422 => Fault::Refused { at: 0, words },
            410 => Fault::Stopped(words),
            _ => Fault::Away {
                taken: 0,
                words,
                after: after.map(Duration::from_secs),
            },
        })
    }

    /// What a request comes to, words included, in a thread of its own: that of a server which takes its time is left behind
    /// when all has to end.
    fn answer(
        &mut self,
        request: impl FnOnce() -> Result<Answer, ureq::Error> + Send + 'static,
    ) -> Result<Answer, Fault> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new().name("allod-post".to_owned());
        // Nobody listens any more to what was left behind.
        let posting = thread.spawn(move || drop(sender.send(request())));
        posting.map_err(Fault::away)?;
        loop {
            match receiver.recv_timeout(LOOK_EVERY) {
                Ok(answer) => return answer.map_err(Fault::away),
                Err(RecvTimeoutError::Disconnected) => return Err(Fault::away("the client fell")),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if (self.stopping)() {
                let last = || Instant::now() + LAST_WAIT;
                if Instant::now() >= *self.waits_until.get_or_insert_with(last) {
                    return Err(Fault::away("the server did not answer before the end"));
                }
            }
        }
    }

    fn single(&self, event: &Outgoing) -> Result<Post, Fault> {
        let cloud = event.cloud().map_err(refused)?;
        let id = cloud.id.clone();
        if self.mode == Mode::Binary {
            let body = cloud.data_bytes().unwrap_or_default().to_vec();
            return Ok(Post {
                id,
                headers: cloud.to_headers(Headers::Http),
                body,
            });
        }
        let text = cloud.to_json().map_err(refused)?;
        Ok(Post {
            id,
            headers: vec![("content-type".to_owned(), STRUCTURED.to_owned())],
            body: text.into_bytes(),
        })
    }

    fn batch(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        let Some(last) = events.last() else {
            return Ok(());
        };
        let clouds = events
            .iter()
            .map(|event| event.cloud().map(Cow::into_owned));
        let clouds = clouds.collect::<Result<Vec<_>, _>>().map_err(refused)?;
        self.post(Post {
            id: last.cloud().map_err(refused)?.id.clone(),
            headers: vec![("content-type".to_owned(), BATCH.to_owned())],
            body: batch_to_json(&clouds).map_err(refused)?.into_bytes(),
        })
    }

    /// A batch that is refused as a whole: each event for itself, from a place on.
    fn one_by_one(&mut self, events: &[Outgoing], first: usize) -> Result<(), Fault> {
        for (place, event) in events.iter().enumerate() {
            let sent = match self.mode {
                Mode::Batch => self.batch(std::slice::from_ref(event)),
                Mode::Structured | Mode::Binary => {
                    self.single(event).and_then(|post| self.post(post))
                }
            };
            sent.map_err(|fault| behind(fault, first + place))?;
        }
        Ok(())
    }
}

impl Target for Webhook {
    fn has(&mut self) -> Result<Has, Fault> {
        Ok(Has::Unknown)
    }

    fn events_max(&self) -> usize {
        match self.mode {
            Mode::Batch => BATCH_MAX,
            // So that a sink whose server is slow can be stopped between two.
            Mode::Structured | Mode::Binary => 1,
        }
    }

    fn deliver(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        if self.mode != Mode::Batch {
            return self.one_by_one(events, 0);
        }
        for (number, chunk) in events.chunks(BATCH_MAX).enumerate() {
            match self.batch(chunk) {
                Err(Fault::Refused { .. }) => self.one_by_one(chunk, number * BATCH_MAX)?,
                sent => sent.map_err(|fault| behind(fault, number * BATCH_MAX))?,
            }
        }
        Ok(())
    }
}

/// A fault of a POST whose events come after so many.
fn behind(fault: Fault, events: usize) -> Fault {
    match fault {
        Fault::Refused { at, words } => Fault::Refused {
            at: at + events,
            words,
        },
        Fault::Away {
            taken,
            words,
            after,
        } => Fault::Away {
            taken: taken + events,
            words,
            after,
        },
        Fault::Stopped(words) => Fault::Stopped(words),
    }
}

fn refused(error: impl ToString) -> Fault {
    Fault::Refused {
        at: 0,
        words: error.to_string(),
    }
}

/// As Standard Webhooks writes secrets: base64, after `whsec_`; any other text is taken as it is.
fn read_secret(path: &Path) -> Result<Vec<u8>, Fault> {
    let text = read_line(path)?;
    Ok(match text.strip_prefix(SECRET_PREFIX) {
        Some(encoded) => Base::Base64Pad.decode(encoded).map_err(|_error| {
            Fault::Stopped(format!(
                "{} has no base64 after {SECRET_PREFIX}",
                path.display()
            ))
        })?,
        None => text.into_bytes(),
    })
}

fn sign(secret: &[u8], id: &str, seconds: &str, body: &[u8]) -> Result<String, Fault> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(Fault::away)?;
    mac.update(format!("{id}.{seconds}.").as_bytes());
    mac.update(body);
    Ok(Base::Base64Pad.encode(mac.finalize().into_bytes()))
}
