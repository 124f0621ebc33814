//! What can be said of the part of a space that is kept.

use clap::Args;

/// Which part of a space is kept.
#[derive(Debug, Args)]
pub(crate) struct PartArgs {
    /// Keep only keys that begin with this; may be said several times
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Vec<String>,
    /// Keep the entries of commits less than this many generations old, and of older ones the statements
    #[arg(long, value_name = "COUNT")]
    pub(crate) depth: Option<u64>,
    /// Keep files of up to this size, and of larger ones that they are there: bytes, or with K, M, G or T; at
    /// least 1M
    #[arg(long, value_name = "SIZE", value_parser = bytes_of)]
    pub(crate) max_value: Option<u64>,
}

/// Bytes as a person says them: `5000000`, `10M`, `1.5GiB`. Units are powers of 1,024.
fn bytes_of(text: &str) -> Result<u64, String> {
    let at = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = text.split_at(at.unwrap_or(text.len()));
    let unit = unit.trim().to_ascii_uppercase();
    let of = |end: &str| unit.strip_suffix(end);
    let unit = of("IB").or_else(|| of("B")).unwrap_or(&unit);
    let shift = match unit {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a number of bytes, or of K, M, G or T".to_owned()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| text.parse::<u64>().map_err(|_error| "no number".to_owned());
    if part.len() > 9 {
        return Err("more digits than bytes".to_owned());
    }
    let tens = 10_u128.pow(part.len() as u32);
    let number = u128::from(digits(whole)?) * tens + u128::from(digits(part)?);
    let bytes = number.checked_mul(1 << shift).map(|bytes| bytes / tens);
    let bytes = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    bytes.ok_or_else(|| "more bytes than there are".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("1048576", 1 << 20),
            ("1M", 1 << 20),
            ("1m", 1 << 20),
            ("1MiB", 1 << 20),
            ("1 MB", 1 << 20),
            ("1.5G", 3 << 29),
            ("200k", 200 << 10),
            ("2T", 2 << 40),
            ("7B", 7),
        ] {
            assert_eq!(bytes_of(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "M",
            "1X",
            "-1M",
            "1e9",
            "1.2.3K",
            "99999999T",
            "inf",
            "1 M M",
        ] {
            assert!(bytes_of(text).is_err(), "{text}");
        }
    }
}
