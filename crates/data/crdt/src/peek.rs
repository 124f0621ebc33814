//! What an encoded state tells without being read as a whole.

/// Whether an encoded state has a value: whether its body is not empty (CRDT-5).
#[must_use]
pub fn has_value(state: &[u8]) -> bool {
    // An array of the epoch and, of an empty body, null.
    let Some([0x82, epoch @ ..]) = state.strip_suffix(&[0xf6]) else {
        return true;
    };
    match epoch {
        [0xf6] => false,
        [0x82, head, rest @ ..] => {
            let width = match head {
                0x18 => 1,
                0x19 => 2,
                0x1a => 4,
                0x1b => 8,
                _ => 0,
            };
            // The stamp, and a writer of 8 bytes.
            rest.len() != width + 9 || rest.get(width) != Some(&0x48)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Kind, Op, State, Writer};

    #[test]
    fn only_an_empty_body_has_no_value() {
        let writer = Writer([0xf6; 8]);
        for kind in Kind::ALL {
            let mut states = vec![State::empty(kind)];
            for stamp in [0, 23, 24, 0xf6, 300, 70_000, 1 << 40, u64::MAX] {
                states.push(states[0].cleared(Epoch { stamp, writer }).unwrap());
            }
            for state in states {
                assert!(!has_value(&state.encode().unwrap()), "{state:?}");
            }
        }
        let mut map = State::empty(Kind::LwwMap);
        map.apply(&Op::Put("a".into(), vec![1]), writer, 1).unwrap();
        map.apply(&Op::Delete("a".into()), writer, 2).unwrap();
        let mut counter = State::empty(Kind::GCounter);
        counter.apply(&Op::Increment(1), writer, 1).unwrap();
        for state in [map, counter] {
            assert!(has_value(&state.encode().unwrap()), "{state:?}");
        }
    }
}
