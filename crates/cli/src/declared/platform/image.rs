//! Image references; files omit the host of Sampan's own registry.

use crate::image_name::resolve;

/// Removes the own registry's host.
pub fn short(uri: &str, own_registry: &str) -> String {
    uri.strip_prefix(own_registry).and_then(|rest| rest.strip_prefix('/')).unwrap_or(uri).to_owned()
}

/// Adds the default host and tag.
pub fn full(name: &str, own_registry: &str) -> anyhow::Result<String> {
    Ok(resolve(name, Some(own_registry))?.to_string())
}

/// Normal form for comparison: without the own host, with an explicit tag.
pub fn normal(name: &str, own_registry: &str) -> anyhow::Result<String> {
    Ok(short(&full(name, own_registry)?, own_registry))
}

/// Removes the digest.
pub fn without_digest(uri: &str) -> &str {
    uri.split_once('@').map_or(uri, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_registry_is_left_out() {
        let own = "127.0.0.1:7070";
        for (name, wanted) in [
            ("hello", "hello:latest"),
            ("team/hello:v1", "team/hello:v1"),
            ("127.0.0.1:7070/hello:v1", "hello:v1"),
            ("r.io/a:v1", "r.io/a:v1"),
        ] {
            assert_eq!(normal(name, own).expect("valid"), wanted);
        }
        assert!(normal("UPPER", own).is_err());
        assert_eq!(without_digest("a:v1@sha256:00"), "a:v1");
    }
}
