//! The session key of a request: in a header, a cookie or a query parameter. Pure.

use http::header::COOKIE;
use http::{HeaderMap, Uri};
use pool::SessionKey;
use types::{CatalogVersion, SessionSource, SessionSpec};

use crate::failure::Failure;

/// The session key of a request to this version; `None` where it has none or the version has no
/// sessions.
pub(crate) fn key(version: &CatalogVersion, head: &HeaderMap, uri: &Uri) -> Result<Option<SessionKey>, Failure> {
    let Some(spec) = version.spec.session(version.function.kind) else { return Ok(None) };
    let Some(text) = find(spec, head, uri).filter(|text| !text.is_empty()) else { return Ok(None) };
    SessionKey::new(text).map(Some).map_err(|problem| Failure::session_key(&problem))
}

/// The first value, unchanged: two spellings of one value are two sessions.
fn find<'a>(spec: &SessionSpec, head: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = |pair: &'a str| pair.trim().split_once('=').filter(|(name, _)| *name == spec.name);
    match spec.source {
        SessionSource::Header => head.get(&spec.name)?.to_str().ok(),
        SessionSource::Cookie => {
            let cookies = head.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
            let value = cookies.flat_map(|line| line.split(';')).find_map(named)?.1;
            Some(value.trim_matches('"'))
        }
        SessionSource::Query => Some(uri.query()?.split('&').find_map(named)?.1),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn found(source: SessionSource, headers: &[(&'static str, &'static str)], uri: &str) -> Option<String> {
        let (ttl_s_max, idle_s_max, idle_pauses) = (60, 60, false);
        let spec = SessionSpec {
            source,
            name: "session_id".to_owned(),
            per_instance_max: 1,
            ttl_s_max,
            idle_s_max,
            idle_pauses,
        };
        let mut head = HeaderMap::new();
        for (name, value) in headers {
            head.append(*name, HeaderValue::from_static(value));
        }
        find(&spec, &head, &uri.parse().expect("a URI")).map(str::to_owned)
    }

    #[test]
    fn a_header_is_the_key_whatever_its_letter_case() {
        let source = SessionSource::Header;
        assert_eq!(found(source, &[("session_id", "a b")], "/").as_deref(), Some("a b"));
        assert_eq!(found(source, &[("Session_Id", "a")], "/").as_deref(), Some("a"));
        assert_eq!(found(source, &[("cookie", "session_id=a")], "/?session_id=b"), None);
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let source = SessionSource::Cookie;
        assert_eq!(found(source, &[("cookie", "a=1; session_id=\"x=y\"; b=2")], "/").as_deref(), Some("x=y"));
        assert_eq!(found(source, &[("cookie", "a=1"), ("cookie", "session_id=z")], "/").as_deref(), Some("z"));
        assert_eq!(found(source, &[("cookie", "xsession_id=1; session_id")], "/"), None);
    }

    #[test]
    fn a_parameter_of_the_query_is_taken_as_it_was_sent() {
        let source = SessionSource::Query;
        assert_eq!(found(source, &[], "/a?b=1&session_id=x%20y&session_id=z").as_deref(), Some("x%20y"));
        assert_eq!(found(source, &[], "/a?my_session_id=1"), None);
        assert_eq!(found(source, &[], "/session_id=1"), None);
    }
}
