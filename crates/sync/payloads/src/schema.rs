//! A schema, and the data that it describes.

use allod_blocks::{Cid, Codec, sha256_cid};
use bytes::Bytes;

use crate::avro::Avro;
use crate::proto::Proto;
use crate::shape::{RecordShape, Value};

/// The largest datum that is read, in bytes (EVENT, "Limits"): what brokers carry by default. It is also what a datum
/// may make its reader hold at a time.
pub const PAYLOAD_BYTES_MAX: usize = 1024 * 1024;

/// What records are written as.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Format {
    /// Avro 1.11.
    Avro,
    /// Protobuf, of the syntax proto3.
    Protobuf,
}

/// Why there is no schema, no datum or no record. Blame: whoever made it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no payload: {0}")]
pub struct PayloadError(pub(crate) String);

impl PayloadError {
    /// The registered error code.
    pub const CODE: &'static str = "E_PAYLOAD";

    pub(crate) fn new(words: impl ToString) -> Self {
        Self(words.to_string())
    }

    /// A record has not the fields of its shape.
    pub(crate) fn shape(name: &str) -> Self {
        Self(format!("{name} is not what its shape says"))
    }
}

/// A shape in the language of a format. Making one takes much longer than using it.
#[derive(Clone, Debug)]
pub struct Schema {
    name: String,
    bytes: Bytes,
    text: String,
    cid: Cid,
    language: Language,
}

#[derive(Clone, Debug)]
enum Language {
    Avro(Box<Avro>),
    Protobuf(Proto),
}

impl Schema {
    /// The schema of a shape.
    ///
    /// # Errors
    /// [`PayloadError`] of a shape whose names are no identifiers, or not different from each other.
    pub fn new(format: Format, shape: &RecordShape) -> Result<Self, PayloadError> {
        let (bytes, text, language) = match format {
            Format::Avro => {
                let avro = Avro::new(shape)?;
                let text = avro.text().to_owned();
                (
                    Bytes::from(text.clone()),
                    text,
                    Language::Avro(Box::new(avro)),
                )
            }
            Format::Protobuf => {
                let proto = Proto::new(shape)?;
                let text = crate::proto_text::text(shape);
                (proto.set().clone(), text, Language::Protobuf(proto))
            }
        };
        Ok(Self {
            name: shape.name.clone(),
            cid: sha256_cid(Codec::Raw, &bytes),
            bytes,
            text,
            language,
        })
    }

    /// What it is of.
    #[must_use]
    pub const fn format(&self) -> Format {
        match self.language {
            Language::Avro(_) => Format::Avro,
            Language::Protobuf(_) => Format::Protobuf,
        }
    }

    /// The name of its record, with the package.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// It as bytes: the text of an Avro schema, or a `FileDescriptorSet` of Protobuf.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// It as a text: JSON of Avro, or a file of the language of Protobuf.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The CID of a raw block of its [`bytes`](Self::bytes).
    #[must_use]
    pub const fn cid(&self) -> &Cid {
        &self.cid
    }

    /// A record as a datum, without any framing.
    ///
    /// # Errors
    /// [`PayloadError`] of one that is not of its shape.
    pub fn encode(&self, record: &Value) -> Result<Bytes, PayloadError> {
        match &self.language {
            Language::Avro(avro) => avro.encode(record),
            Language::Protobuf(proto) => proto.encode(record),
        }
    }

    /// The record of a datum.
    ///
    /// # Errors
    /// [`PayloadError`] of what is none, has something behind it, or is longer than [`PAYLOAD_BYTES_MAX`].
    pub fn decode(&self, datum: &[u8]) -> Result<Value, PayloadError> {
        if datum.len() > PAYLOAD_BYTES_MAX {
            let words = format!("it is longer than {PAYLOAD_BYTES_MAX} bytes");
            return Err(PayloadError(words));
        }
        match &self.language {
            Language::Avro(avro) => avro.decode(datum),
            Language::Protobuf(proto) => proto.decode(datum),
        }
    }

    /// What a reader knows it by before a datum of its own: of Avro its fingerprint.
    pub(crate) fn fingerprint(&self) -> Option<[u8; 8]> {
        match &self.language {
            Language::Avro(avro) => Some(avro.fingerprint()),
            Language::Protobuf(_) => None,
        }
    }
}
