//! The forms of the `Host` header that official clients sign. Pure.

/// The texts that a client may have signed for a raw `Host`, without repeats: unchanged (Python,
/// Go, tccli), without a scheme, and without a port (Node).
pub(crate) fn variants(raw: &str) -> Vec<&str> {
    let bare = raw.strip_prefix("http://").or_else(|| raw.strip_prefix("https://")).unwrap_or(raw);
    let mut variants = vec![raw];
    for variant in [bare, without_port(bare)] {
        if !variants.contains(&variant) {
            variants.push(variant);
        }
    }
    variants
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // Colons within the brackets of an IPv6 address do not begin a port.
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty() => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_official_clients_form_of_the_host_is_tried() {
        assert_eq!(variants("127.0.0.1:7070"), ["127.0.0.1:7070", "127.0.0.1"]);
        assert_eq!(variants("http://127.0.0.1:7070"), ["http://127.0.0.1:7070", "127.0.0.1:7070", "127.0.0.1"]);
        assert_eq!(variants("https://scf.example"), ["https://scf.example", "scf.example"]);
        assert_eq!(variants("[::1]:7070"), ["[::1]:7070", "[::1]"]);
        assert_eq!(variants("[::1]"), ["[::1]"]);
        assert_eq!(variants("localhost"), ["localhost"]);
        assert_eq!(variants(""), [""]);
    }
}
