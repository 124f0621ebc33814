//! The other way: events of others into a space (SRC).

mod definition;
mod file;
mod incoming;
mod open;
mod origin;
mod position;
mod register;
mod run;
mod template;

pub use self::definition::{BadSource, From, SourceDefinition};
pub use self::incoming::{Incoming, incoming};
pub use self::open::open_source;
#[cfg(any(feature = "kafka", feature = "nats"))]
pub(crate) use self::origin::{BYTES_MAX, RECORD_BYTES_MAX, RECORDS_MAX, check_of, gone};
pub use self::origin::{Batch, Origin, Record, Seek};
pub use self::position::{Mark, NoPosition, POSITION_BYTES_MAX, Position};
pub use self::register::{
    ListedSource, SOURCES_MAX, SourceDead, SourceError, SourceRegister, SourceState,
};
pub use self::run::{SourceHost, position_key, run_source};
pub use self::template::Template;
