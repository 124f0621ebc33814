//! What stands before a datum (EVENT-23, EVENT-32).

use bytes::Bytes;
use prost::Message as _;
use prost_types::Any;

use crate::schema::{Format, PAYLOAD_BYTES_MAX, PayloadError, Schema};

/// What single objects of Avro begin with.
const SINGLE: [u8; 2] = [0xc3, 0x01];

/// What begins the framing of schema registries.
const REGISTERED: u8 = 0;

/// Before the name of a message, in an `Any`.
const TYPE_URL: &str = "type.googleapis.com/";

/// How a reader finds the schema of a datum.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "these are all that the specification has"
)]
pub enum Framing {
    /// It knows by other means: the datum is all.
    Bare,
    /// Avro's single object: by the fingerprint of the schema. Of Protobuf the same as bare.
    Single,
    /// By the number that a schema registry gave it.
    Registered(u32),
    /// Protobuf with its own descriptor before it. Of Avro the same as single.
    Described,
}

/// A message and what it is of.
#[derive(Clone, PartialEq, prost::Message)]
struct SelfDescribing {
    #[prost(bytes = "bytes", tag = "1")]
    descriptor_set: Bytes,
    #[prost(message, optional, tag = "2")]
    message: Option<Any>,
}

/// A datum with what stands before it.
#[must_use]
pub fn frame(schema: &Schema, framing: Framing, datum: &Bytes) -> Bytes {
    match (framing, schema.fingerprint()) {
        (Framing::Bare, _) | (Framing::Single, None) => datum.clone(),
        (Framing::Single | Framing::Described, Some(fingerprint)) => {
            [&SINGLE[..], &fingerprint, datum].concat().into()
        }
        (Framing::Registered(id), _) => {
            let index = message_index(schema);
            [&[REGISTERED][..], &id.to_be_bytes(), index, datum]
                .concat()
                .into()
        }
        (Framing::Described, None) => {
            let message = Any {
                type_url: format!("{TYPE_URL}{}", schema.name()),
                value: datum.to_vec(),
            };
            let described = SelfDescribing {
                descriptor_set: schema.bytes().clone(),
                message: Some(message),
            };
            described.encode_to_vec().into()
        }
    }
}

/// Which message of the file it is: the first, which is spelled 0. Avro has none.
const fn message_index(schema: &Schema) -> &'static [u8] {
    match schema.format() {
        Format::Avro => &[],
        Format::Protobuf => &[0],
    }
}

/// The datum of what was framed so, of this schema.
///
/// # Errors
/// [`PayloadError`] of another framing, or another schema.
pub fn unframe<'a>(
    schema: &Schema,
    framing: Framing,
    bytes: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, PayloadError> {
    let other = || PayloadError::new("it is framed otherwise, or has another schema");
    if bytes.len() > 2 * PAYLOAD_BYTES_MAX {
        return Err(PayloadError::new("it is too long"));
    }
    let before = match (framing, schema.fingerprint()) {
        (Framing::Bare, _) | (Framing::Single, None) => Vec::new(),
        (Framing::Single | Framing::Described, Some(fingerprint)) => {
            [&SINGLE[..], &fingerprint].concat()
        }
        (Framing::Registered(id), _) => {
            [&[REGISTERED][..], &id.to_be_bytes(), message_index(schema)].concat()
        }
        (Framing::Described, None) => {
            let read = SelfDescribing::decode(bytes).map_err(PayloadError::new)?;
            let message = read.message.ok_or_else(other)?;
            let name = message.type_url.strip_prefix(TYPE_URL);
            if read.descriptor_set != *schema.bytes() || name != Some(schema.name()) {
                return Err(other());
            }
            return Ok(message.value.into());
        }
    };
    let datum = bytes.strip_prefix(&before[..]).ok_or_else(other)?;
    Ok(datum.into())
}
