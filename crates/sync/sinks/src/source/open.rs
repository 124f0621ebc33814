//! From what a definition says to an origin.

use crate::source::definition::From;
use crate::source::file::Lines;
use crate::source::origin::Origin;
use crate::target::Fault;

/// Opens what a source reads.
///
/// # Errors
/// [`Fault::Stopped`] of a kind that this build does not have.
pub fn open_source(from: &From) -> Result<Box<dyn Origin>, Fault> {
    match from {
        From::File { path } => Ok(Box::new(Lines::open(path)?)),
        #[cfg(feature = "nats")]
        From::Nats {
            url,
            stream,
            subject,
            credentials,
        } => {
            let place = (&url[..], &stream[..], subject.as_deref());
            let made =
                crate::driver::nats_origin::Messages::connect(place, credentials.as_deref())?;
            Ok(Box::new(made))
        }
        #[cfg(feature = "kafka")]
        From::Kafka {
            brokers,
            topic,
            properties,
        } => {
            let place = (&brokers[..], &topic[..]);
            let made = crate::driver::kafka_origin::Records::connect(place, properties.as_deref())?;
            Ok(Box::new(made))
        }
        #[cfg(not(all(feature = "nats", feature = "kafka")))]
        _ => Err(Fault::Stopped("this build has no client for it".to_owned())),
    }
}
