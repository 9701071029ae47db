//! Names of registries: `host[:port]`, in the form of image references. Pure.

/// Longest name, in bytes: a DNS name and a port.
const HOST_LEN_MAX: usize = 261;

/// Normalises a registry's name: without scheme and trailing slash, and `docker.io` for all names
/// of Docker Hub. `None` unless it is a host with an optional port.
pub(crate) fn normal(text: &str) -> Option<String> {
    let host = text.strip_prefix("https://").or(text.strip_prefix("http://")).unwrap_or(text);
    let host = host.strip_suffix('/').unwrap_or(host);
    let hub = |path: &str| matches!(path, "index.docker.io" | "index.docker.io/v1" | "registry-1.docker.io");
    if hub(host) {
        return Some("docker.io".to_owned());
    }
    is_host(host).then(|| host.to_owned())
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("v6", port.strip_prefix(':')),
            _ => return false,
        },
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    let labels_ok = name.split('.').all(|label| !label.is_empty() && label.bytes().all(plain));
    let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'));
    host.len() <= HOST_LEN_MAX && labels_ok && port_ok
}

/// Whether a text without a slash names a registry rather than an image: its host has a dot, is the
/// local machine, or is known.
pub(crate) fn means_registry(text: &str, is_known: impl Fn(&str) -> bool) -> bool {
    let Some(host) = normal(text) else { return false };
    let name = host.split(':').next().unwrap_or_default();
    !text.trim_end_matches('/').contains('/')
        && (text.ends_with('/')
            || name.contains('.')
            || name == "localhost"
            || host.starts_with('[')
            || is_known(&host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_in_image_references() {
        for (text, host) in [
            ("r.io", "r.io"),
            ("https://r.io/", "r.io"),
            ("http://lab:5000", "lab:5000"),
            ("https://index.docker.io/v1/", "docker.io"),
            ("registry-1.docker.io", "docker.io"),
            ("[::1]:5000", "[::1]:5000"),
            ("127.0.0.1:5000", "127.0.0.1:5000"),
        ] {
            assert_eq!(normal(text).as_deref(), Some(host), "{text}");
        }
        for bad in ["", "r.io/team", "r..io", "r.io:port", "u@r.io", "r.io:", "[::1", "r.io:99999", "a b"] {
            assert_eq!(normal(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_registry_is_distinguished_from_an_image() {
        let known = |host: &str| host == "lab:5000";
        for registry in ["r.io", "r.io:5000", "localhost:5000", "127.0.0.1:1", "lab:5000", "other:5000/", "[::1]:1"] {
            assert!(means_registry(registry, known), "{registry}");
        }
        for image in ["debian", "debian:12", "r.io/app", "localhost:5000/app:v1", "other:5000"] {
            assert!(!means_registry(image, known), "{image}");
        }
    }
}
