//! Delivering records, and finding those that the brokers do not take (SINK-44, SINK-47).

use std::collections::BTreeSet;
use std::time::Instant;

use crate::driver::kafka::{PAGE_TIME, Topic, producing};
use crate::target::{Fault, Has, Outgoing, Part, Target as _};

impl Topic {
    /// Delivers events; whether the brokers took them, or refused some for what one of them is.
    pub(super) fn deliver_together(&mut self, events: &[Outgoing]) -> Result<bool, Fault> {
        let until = Instant::now() + PAGE_TIME;
        let (mut fault, mut end) = (None, events.len());
        // Where those are that were sent: what the topic has already is not.
        let mut sent = Vec::with_capacity(events.len());
        for (at, event) in events.iter().enumerate() {
            if self.is_kept_already(event) {
                continue;
            }
            match self.send(sent.len(), event, until) {
                Ok(()) => sent.push(at),
                Err(failed) => {
                    fault = Some(match failed {
                        Fault::Refused { words, .. } => Fault::Refused { at, words },
                        failed => failed,
                    });
                    end = at;
                    break;
                }
            }
        }
        let (taken, settled) = self.settled(sent.len(), until);
        let behind = |taken: usize| sent.get(taken).copied().unwrap_or(end);
        match (settled, fault) {
            (Err(Fault::Refused { .. }), _) => Ok(false),
            (
                Err(Fault::Away {
                    taken,
                    words,
                    after,
                }),
                _,
            ) => Err(Fault::Away {
                taken: behind(taken),
                words,
                after,
            }),
            (Err(stopped), _) => Err(stopped),
            (Ok(()), Some(Fault::Away { words, after, .. })) => Err(Fault::Away {
                taken: behind(taken),
                words,
                after,
            }),
            (Ok(()), Some(fault)) => Err(fault),
            (Ok(()), None) => Ok(true),
        }
    }

    /// Delivers events one by one, after the brokers refused several for one of them. Which of them the topic has it says
    /// itself: what was under way then nobody reports any more.
    pub(super) fn deliver_singly(&mut self, events: &[Outgoing]) -> Result<(), Fault> {
        self.begin_anew()?;
        let before = self.ends.clone();
        let Has::Parts(parts) = self.has()? else {
            return Ok(());
        };
        let has_lost = before
            .iter()
            .zip(&parts)
            .any(|(before, part)| part.end < *before);
        if has_lost {
            // What it had is not forgotten: by that the next start goes back to what it lost (SINK-43).
            self.ends = before;
            return Err(Fault::away("the topic has lost records"));
        }
        self.kept_already = self.kept_of(events, &parts);
        let until = Instant::now() + PAGE_TIME;
        for (at, event) in events.iter().enumerate() {
            if self.is_kept_already(event) {
                continue;
            }
            // Each takes a way to the brokers and back: a sink that is to rest, or to end, is looked at between pages.
            if (self.stopping)() || Instant::now() >= until {
                return Err(Fault::Away {
                    taken: at,
                    words: "records are sent one by one, and the time of a page is over".to_owned(),
                    after: None,
                });
            }
            let sent = self.send(0, event, until);
            let kept = sent.and_then(|()| self.settled(1, until).1);
            match kept {
                Ok(()) => {
                    self.kept_already.insert(event.cursor.to_string());
                }
                Err(Fault::Refused { words, .. }) => {
                    // The producer writes nothing any more after a record that failed.
                    self.begin_anew()?;
                    return Err(Fault::Refused { at, words });
                }
                Err(Fault::Away { words, after, .. }) => {
                    let taken = at;
                    return Err(Fault::Away {
                        taken,
                        words,
                        after,
                    });
                }
                Err(stopped) => return Err(stopped),
            }
        }
        Ok(())
    }

    /// Whether the topic has an event that comes after one which it refused.
    pub(super) fn is_kept_already(&self, event: &Outgoing) -> bool {
        !self.kept_already.is_empty() && self.kept_already.contains(&event.cursor.to_string())
    }

    fn begin_anew(&mut self) -> Result<(), Fault> {
        if !self.quiet() {
            return Err(Fault::away("the brokers did not answer in time"));
        }
        (self.producer, self.reports) = producing(&self.config)?;
        Ok(())
    }

    /// Those of some events that are in their partitions: all up to the last record of each.
    fn kept_of(&self, events: &[Outgoing], parts: &[Part]) -> BTreeSet<String> {
        let mut kept = BTreeSet::new();
        for (number, part) in parts.iter().enumerate() {
            let of_part = events.iter().filter(|event| self.part_of(event) == number);
            let cursors: Vec<String> = of_part.map(|event| event.cursor.to_string()).collect();
            let last = part.last.as_ref().map(|last| &last.cursor);
            let count = cursors.iter().position(|cursor| Some(cursor) == last);
            kept.extend(cursors.into_iter().take(count.map_or(0, |at| at + 1)));
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;
    use std::time::Duration;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _};

    use crate::definition::Mode;
    use crate::driver::kafka::Topic;
    use crate::open::Stopping;
    use crate::target::{Fault, Target as _};

    type Cluster = MockCluster<'static, DefaultProducerContext>;

    fn topic() -> (Cluster, Topic) {
        let cluster: Cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let said = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/kafka.properties");
        let place = (&cluster.bootstrap_servers()[..], "t", None);
        let more = (Some(&*said), Arc::new(|| false) as Stopping);
        let topic = Topic::connect(place, Mode::Structured, more).unwrap();
        (cluster, topic)
    }

    /// SINK-43, SINK-47: what a topic had is not forgotten where it is found after a refusal that it has less.
    #[test]
    fn a_lost_tail_is_not_forgotten_after_a_refusal() {
        let (_cluster, mut topic) = topic();
        topic.ends = vec![3];
        let delivered = topic.deliver_singly(&[]);
        assert!(
            matches!(delivered, Err(Fault::Away { .. })),
            "{delivered:?}"
        );
        assert_eq!(topic.ends(), [3]);
    }

    /// SINK-46: what is under way when a producer is given up is answered before that is over.
    #[test]
    fn what_is_under_way_is_answered_before_a_producer_is_given_up() {
        let (cluster, topic) = topic();
        let send = |at: usize| {
            let record = BaseRecord::with_opaque_to("t", Box::new(at));
            let record = record.partition(0).key("k").payload("v");
            topic.producer.send(record).unwrap();
        };
        send(0);
        topic.producer.flush(Duration::from_secs(20)).unwrap();
        // Longer than the client waits by itself for what is under way when it ends.
        let answers_after = Duration::from_secs(2);
        cluster.broker_round_trip_time(1, answers_after).unwrap();
        send(1);
        let flushed = topic.producer.flush(Duration::from_millis(200));
        assert!(flushed.is_err(), "it is under way");
        assert!(topic.quiet());
        let reports: Vec<(usize, bool)> = topic
            .reports
            .try_iter()
            .map(|report| (report.at, report.kept.is_ok()))
            .collect();
        assert_eq!(reports, [(0, true), (1, true)]);
    }
}
