//! The inputs of an alias's choice between two versions: the call's position among all calls, and
//! its headers. Pure.
//!
//! The position depends only on the request's id, so a retried request is routed the same way, and
//! no state has to be kept or shared between calls.

use std::collections::BTreeMap;

use http::HeaderMap;
use types::RequestId;
use types::alias::WEIGHT_PARTS;

/// The input of an alias's rules for a call without HTTP headers: the API's `RoutingKey`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingKey(BTreeMap<String, String>);

impl RoutingKey {
    /// Creates a key from header names and values; the names are case-insensitive.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
    }

    /// Whether it has no headers: it matches no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a header.
    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(&name.to_ascii_lowercase()).cloned()
    }
}

/// The first value of a header that is text.
pub(crate) fn header(map: &HeaderMap, name: &str) -> Option<String> {
    map.get(name)?.to_str().ok().map(str::to_owned)
}

/// The position of a request in [`WEIGHT_PARTS`], uniformly distributed.
pub(crate) fn draw(request: &RequestId) -> u32 {
    // FNV-1a hashes the text, the finalizer of MurmurHash3 mixes the bits: sequential ids are
    // spread too.
    let gathered = request
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut hash = gathered;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^= hash >> 33;
    let place = (u128::from(hash) * u128::from(WEIGHT_PARTS)) >> 64;
    u32::try_from(place).expect("a part of the whole is smaller than the whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_always_falls_at_the_same_place() {
        let request: RequestId = "3c4ed1bd-9c2e-4b0e-8c0c-0f3e6f0f3a11".parse().expect("valid");
        // The number is guaranteed: all instances of a fleet must agree, also across releases.
        assert_eq!(draw(&request), 889_662);
    }

    #[test]
    fn places_are_even_also_for_ids_that_are_counted_up() {
        const CALLS: u32 = 100_000;
        const TENTHS: usize = 10;
        let mut tenths = [0_i64; TENTHS];
        for n in 0..CALLS {
            let request: RequestId = format!("00000000-0000-4000-8000-{n:012x}").parse().expect("valid");
            let place = draw(&request);
            assert!(place < WEIGHT_PARTS);
            tenths[place as usize * TENTHS / WEIGHT_PARTS as usize] += 1;
        }
        // Five standard deviations of 100,000 draws with a chance of one tenth are 474.
        assert!(tenths.iter().all(|count| (count - 10_000).abs() < 474), "{tenths:?}");
    }

    #[test]
    fn letter_case_of_names_does_not_matter() {
        let key = RoutingKey::new([("X-User".to_owned(), "Ann".to_owned())]);
        assert_eq!((key.get("x-user").as_deref(), key.get("X-User").as_deref()), (Some("Ann"), Some("Ann")));
        let mut map = HeaderMap::new();
        map.append("X-User", "first".parse().expect("valid"));
        map.append("x-user", "second".parse().expect("valid"));
        map.insert("x-bytes", http::HeaderValue::from_bytes(b"\xff").expect("valid"));
        assert_eq!(header(&map, "X-USER").as_deref(), Some("first"));
        assert_eq!(header(&map, "x-bytes"), None);
    }
}
