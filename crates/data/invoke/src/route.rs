//! What decides between the two versions of an alias: the place of a call among all calls, and its
//! headers. Pure.
//!
//! The place comes from the request's id alone, so a request that is tried again falls the same
//! way, and nothing has to be remembered or shared between calls.

use std::collections::BTreeMap;

use http::HeaderMap;
use types::RequestId;
use types::alias::WEIGHT_PARTS;

/// What rules of an alias look at when a call is no web request: the API's `RoutingKey`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RoutingKey(BTreeMap<String, String>);

impl RoutingKey {
    /// Names of headers and their values; letter case of the names does not matter.
    pub fn new(headers: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
    }

    /// Whether it has no headers: no rule is met by it.
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

/// Where a request falls among [`WEIGHT_PARTS`], each place as likely as any other.
pub(crate) fn draw(request: &RequestId) -> u32 {
    // FNV-1a gathers the text, the finalizer of MurmurHash3 spreads it: sequential ids are spread
    // too.
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
        // The number is part of the promise: instances of one fleet must agree, also across
        // releases.
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
