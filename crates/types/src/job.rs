//! Input of an instance of a job image: its event and environment variables.

use std::fmt;
use std::str::FromStr;

/// Number of the event's attempt, from 1.
pub const ATTEMPT: &str = "SAMPAN_ATTEMPT";
/// Length of the event chain: runs that led to the event, each by the run before
/// (`X-Scf-Chain-Depth`).
pub const CHAIN_DEPTH: &str = "SAMPAN_CHAIN_DEPTH";
/// Index of the event in its array, from 0, and size of the array.
pub const ARRAY_INDEX: &str = "SAMPAN_ARRAY_INDEX";
/// See [`ARRAY_INDEX`].
pub const ARRAY_SIZE: &str = "SAMPAN_ARRAY_SIZE";

/// Index of an event in its array; written as `3/10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayPlace {
    /// From 0.
    pub index: u32,
    /// Size of the array.
    pub size: u32,
}

/// A text that is not an array index.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place in an array, such as 3/10")]
pub struct NotAPlace(String);

impl fmt::Display for ArrayPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.size)
    }
}

impl FromStr for ArrayPlace {
    type Err = NotAPlace;

    fn from_str(text: &str) -> Result<Self, NotAPlace> {
        let place = text.split_once('/').and_then(|(index, size)| {
            Some(Self { index: index.parse().ok()?, size: size.parse().ok()? }).filter(|place| place.index < place.size)
        });
        place.ok_or_else(|| NotAPlace(text.to_owned()))
    }
}

/// Encodes an event and its variables, which the pool passes on unparsed: the event, then each
/// `NAME=VALUE` after a NUL, as in environ(7). An event is JSON and has no NUL.
pub fn input(event: &[u8], attempt: u32, chain_depth: u32, place: Option<ArrayPlace>) -> Vec<u8> {
    let mut input = event.to_vec();
    let mut add = |name: &str, value: u32| input.extend_from_slice(format!("\0{name}={value}").as_bytes());
    add(ATTEMPT, attempt);
    add(CHAIN_DEPTH, chain_depth);
    if let Some(ArrayPlace { index, size }) = place {
        add(ARRAY_INDEX, index);
        add(ARRAY_SIZE, size);
    }
    input
}

/// Decodes the event and the variables of [`input`].
pub fn read_input(input: &[u8]) -> (&[u8], Vec<(&str, &str)>) {
    let mut parts = input.split(|byte| *byte == 0);
    let event = parts.next().unwrap_or_default();
    let variables = parts.filter_map(|part| std::str::from_utf8(part).ok()?.split_once('=')).collect();
    (event, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_and_its_variables_come_back() {
        let place = Some(ArrayPlace { index: 3, size: 10 });
        let input = input(b"{\"a\": \"\\u0000\"}", 2, 5, place);
        let (event, variables) = read_input(&input);
        assert_eq!(event, b"{\"a\": \"\\u0000\"}");
        assert_eq!(variables, [(ATTEMPT, "2"), (CHAIN_DEPTH, "5"), (ARRAY_INDEX, "3"), (ARRAY_SIZE, "10")]);
        assert_eq!(read_input(b"{}"), (&b"{}"[..], Vec::new()));
    }

    #[test]
    fn a_place_is_within_its_array() {
        assert_eq!("3/10".parse::<ArrayPlace>().unwrap().to_string(), "3/10");
        for bad in ["", "3", "10/10", "-1/3", "a/b", "0/0"] {
            assert!(bad.parse::<ArrayPlace>().is_err(), "{bad}");
        }
    }
}
