//! Matches images against a plugin's patterns and the keys of its answer, as the kubelet does
//! (`URLsMatch` of its package `credentialprovider`): label by label with `*`, `?` and `[…]`, equal
//! ports, paths by prefix. Pure.

use super::protocol::{Auth, Auths};

/// Whether a pattern (`host[:port][/path]` with globs in the host) matches an image
/// (`host[:port]/repository`).
pub(super) fn matches(pattern: &str, image: &str) -> bool {
    let (pattern, image) = (Place::of(pattern), Place::of(image));
    pattern.port == image.port
        && image.path.starts_with(pattern.path)
        && pattern.host.split('.').count() == image.host.split('.').count()
        && pattern.host.split('.').zip(image.host.split('.')).all(|(pattern, part)| glob(pattern, part))
}

/// Whether a text is a valid pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    let place = Place::of(text);
    !place.host.is_empty() && !text.contains("://") && !text.contains(char::is_whitespace)
}

/// The login for an image. The kubelet tries keys in reverse order of their texts, so that
/// `r.io/team` comes before `r.io`.
pub(super) fn choose<'a>(auths: &'a Auths, image: &str) -> Option<&'a Auth> {
    let mut keys: Vec<(String, &Auth)> = auths.iter().map(|(key, auth)| (normal(key), auth)).collect();
    keys.sort_by(|(a, _), (b, _)| b.cmp(a));
    let fitting = keys.iter().find(|(key, _)| matches(key, image));
    // Docker's own key of Docker Hub is not a prefix of any image.
    let hub = || keys.iter().find(|(key, _)| key == "index.docker.io" && image.starts_with("docker.io/"));
    fitting.or_else(hub).map(|(_, auth)| *auth)
}

/// A key without its scheme, and without the path that old versions of docker appended.
fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or(key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = key.split_at(key.find('/').unwrap_or(key.len()));
    let path = if path.starts_with("/v1/") || path.starts_with("/v2/") { &path[3..] } else { path };
    if path == "/" { host.to_owned() } else { format!("{host}{path}") }
}

struct Place<'a> {
    host: &'a str,
    port: &'a str,
    /// With its leading slash, or empty.
    path: &'a str,
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Self {
        let (authority, path) = text.split_at(text.find('/').unwrap_or(text.len()));
        let (host, port) = match authority.rsplit_once(':') {
            // Colons within the brackets of an IPv6 address do not begin a port.
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (authority, ""),
        };
        Self { host, port, path }
    }
}

/// Go's `filepath.Match` on one label of a host.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Backtracking point of the last `*`: behind the star, and one more character consumed.
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        if pattern.get(p) == Some(&'*') {
            (star, p) = (Some((p + 1, t)), p + 1);
            continue;
        }
        match one(&pattern[p..], text[t]) {
            Some(len) => (p, t) = (p + len, t + 1),
            None => match star {
                Some((behind, from)) => (star, p, t) = (Some((behind, from + 1)), behind, from + 1),
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The length of a pattern's first element if it matches `c`.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '\\' => (pattern.get(1) == Some(&c)).then_some(2),
        '[' => class(pattern, c),
        first => (*first == c).then_some(1),
    }
}

/// `[abc]`, `[a-z]`, `[^…]`.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let negated = pattern.get(1) == Some(&'^');
    let begin = if negated { 2 } else { 1 };
    let len = pattern[begin..].iter().position(|c| *c == ']').filter(|len| *len > 0)?;
    let members = &pattern[begin..begin + len];
    let mut found = false;
    let mut at = 0;
    while at < members.len() {
        let range = members.get(at + 1) == Some(&'-') && at + 2 < members.len();
        let (low, high) = (members[at], if range { members[at + 2] } else { members[at] });
        found |= (low..=high).contains(&c);
        at += if range { 3 } else { 1 };
    }
    (found != negated).then_some(begin + len + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Secret;

    #[test]
    fn hosts_ports_and_paths_match_as_the_kubelet_matches_them() {
        for (pattern, image, expected) in [
            ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.us-west-2.amazonaws.com/app", true),
            ("*.dkr.ecr.*.amazonaws.com", "123.dkr.ecr.us-west-2.amazonaws.com.cn/app", false),
            ("*.io", "k8s.io/app", true),
            ("*.io", "a.k8s.io/app", false),
            ("*.*.io", "a.k8s.io/app", true),
            ("k8s.*", "k8s.io/app", true),
            ("app*.k8s.io", "app1.k8s.io/x", true),
            ("gcr.io", "gcr.io/team/app", true),
            ("gcr.io/team", "gcr.io/team/app", true),
            ("gcr.io/team", "gcr.io/other/app", false),
            ("gcr.io/*", "gcr.io/team/app", false),
            ("r.io:5000", "r.io:5000/app", true),
            ("r.io", "r.io:5000/app", false),
            ("r.io:5000", "r.io/app", false),
            ("127.0.0.1:5000", "127.0.0.1:5000/app", true),
            ("[ab].io", "b.io/app", true),
            ("[^ab].io", "b.io/app", false),
            ("[a-c]?.io", "bz.io/app", true),
            ("*", "localhost/app", true),
        ] {
            assert_eq!(matches(pattern, image), expected, "{pattern} {image}");
        }
    }

    #[test]
    fn the_most_specific_key_of_a_response_is_chosen() {
        let auth = |name: &str| Auth { username: name.into(), password: Secret::new("p".into()) };
        let keys = ["r.io", "https://r.io/team/", "*.io", "https://index.docker.io/v1/", "s.io/v2/"];
        let auths: Auths = keys.iter().map(|key| ((*key).to_owned(), auth(key))).collect();
        let chosen = |image: &str| choose(&auths, image).map(|auth| auth.username.as_str());
        assert_eq!(chosen("r.io/team/app"), Some("https://r.io/team/"));
        assert_eq!(chosen("r.io/app"), Some("r.io"));
        assert_eq!(chosen("s.io/app"), Some("s.io/v2/"));
        assert_eq!(chosen("q.io/app"), Some("*.io"));
        assert_eq!(chosen("docker.io/library/debian"), Some("*.io"));
        assert_eq!(chosen("r.com/app"), None);
    }

    #[test]
    fn dockers_own_key_matches_docker_hub() {
        let auth = Auth { username: "u".into(), password: Secret::new("p".into()) };
        let auths = Auths::from([("https://index.docker.io/v1/".to_owned(), auth)]);
        assert!(choose(&auths, "docker.io/library/debian").is_some());
        assert!(choose(&auths, "r.io/library/debian").is_none());
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "[a-c*?\\[\\]^\\\\-]{0,12}", text in "[a-c]{0,8}") {
            let _ = glob(&pattern, &text);
        }

        #[test]
        fn a_text_is_its_own_pattern(text in "[a-z0-9-]{1,20}") {
            let begun = format!("{text}*");
            prop_assert!(glob(&text, &text) && glob("*", &text) && glob(&begun, &text));
        }
    }
}
