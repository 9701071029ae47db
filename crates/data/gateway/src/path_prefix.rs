//! Rewrites responses of functions that are called below a path of the gateway: `Location`,
//! `Refresh` and the paths of cookies, which the function wrote as if it owned the whole host, get
//! that path prepended. Pure.

use std::borrow::Cow;

use http::header::{HOST, LOCATION, REFRESH, SET_COOKIE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::forward::{X_FORWARDED_HOST, X_FORWARDED_PREFIX};

/// Prefix of the gateway's own paths to functions: a response with one of them means the gateway.
const GATEWAY_PATH: &str = "/fn/";
/// Cookies with this name prefix must have the path `/` (RFC 6265bis, 4.1.3.2).
const HOST_COOKIE: &str = "__Host-";
const SCHEMES: [(&str, &str); 2] = [("http://", ":80"), ("https://", ":443")];

/// The path below which a client reaches a function, and the hosts by which it does.
#[derive(Debug, Clone)]
pub struct PathPrefix {
    /// Begins with a slash and does not end with one.
    prefix: HeaderValue,
    hosts: [Option<HeaderValue>; 2],
}

impl PathPrefix {
    /// Read from a request as the function receives it; `None` where it was not called below a
    /// path.
    pub fn of(parts: &Parts) -> Option<Self> {
        let prefix = parts.headers.get(X_FORWARDED_PREFIX)?.clone();
        let usable = prefix.to_str().is_ok_and(|prefix| prefix.starts_with('/') && !prefix.ends_with('/'));
        let hosts = [HOST, X_FORWARDED_HOST].map(|name| parts.headers.get(name).cloned());
        usable.then_some(Self { prefix, hosts })
    }

    /// Rewrites the headers of a response.
    pub fn rewrite(&self, headers: &mut HeaderMap) {
        self.rewrite_all(headers, &LOCATION, Self::url);
        self.rewrite_all(headers, &REFRESH, Self::refresh);
        self.rewrite_all(headers, &SET_COOKIE, Self::cookie);
    }

    /// Replaces each value that is rewritten.
    fn rewrite_all(&self, headers: &mut HeaderMap, name: &HeaderName, new: fn(&Self, &str) -> Option<String>) {
        let http::header::Entry::Occupied(mut entry) = headers.entry(name) else { return };
        for value in entry.iter_mut() {
            // Each byte as a character: a value may have bytes of any encoding, and keeps them.
            let text: String = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            let rewritten = new(self, &text).map(|new| new.chars().map(|byte| byte as u8).collect::<Vec<_>>());
            if let Some(rewritten) = rewritten.and_then(|bytes| HeaderValue::from_bytes(&bytes).ok()) {
                *value = rewritten;
            }
        }
    }

    /// A URL of the function's own host, or a path of it, below the prefix. `None` where it is
    /// unchanged: relative to the request's own, of another host, or below the prefix or the
    /// gateway's paths already.
    fn url(&self, url: &str) -> Option<String> {
        let (origin, path) = url.split_at(self.origin_len(url)?);
        let path_len = path.find(['?', '#']).unwrap_or(path.len());
        let (path, rest) = path.split_at(path_len);
        let new = self.path(&without_dots(if path.is_empty() { "/" } else { path }))?;
        Some(format!("{origin}{new}{rest}"))
    }

    /// Bytes of a URL before its path, if it is on the function's own host.
    fn origin_len(&self, url: &str) -> Option<usize> {
        let scheme_len = |scheme: &str| url.get(..scheme.len()).is_some_and(|own| own.eq_ignore_ascii_case(scheme));
        let scheme = SCHEMES.into_iter().find(|(scheme, _)| scheme_len(scheme));
        let authority_at = match scheme {
            Some((scheme, _)) => scheme.len(),
            None if url.starts_with("//") => 2,
            // Browsers read a backslash as a slash: it may be another host's.
            None if url.starts_with("/\\") => return None,
            None if url.starts_with('/') => return Some(0),
            None => return None,
        };
        let rest = &url[authority_at..];
        let authority = &rest[..rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len())];
        let default_port = scheme.map(|(_, port)| port);
        let bare = |host: &str| default_port.map_or_else(|| host.to_owned(), |port| without(host, port).to_owned());
        let is_own =
            |host: &HeaderValue| host.to_str().is_ok_and(|host| bare(host).eq_ignore_ascii_case(&bare(authority)));
        self.hosts.iter().flatten().any(is_own).then_some(authority_at + authority.len())
    }

    /// A path of the function as its client reaches it.
    fn path(&self, path: &str) -> Option<String> {
        let prefix = self.prefix.to_str().unwrap_or_default();
        let stays = !path.starts_with('/') || is_below(path, prefix) || path.starts_with(GATEWAY_PATH);
        (!stays).then(|| format!("{prefix}{path}"))
    }

    /// `5`, `5; url=/login`, `5, URL="/login"`, `5 url=/login`.
    fn refresh(&self, value: &str) -> Option<String> {
        let skip = |at: usize| at + (value[at..].len() - value[at..].trim_start().len());
        let time = skip(0);
        let mut at = skip(time + value[time..].find([';', ',', ' ', '\t'])?);
        if value[at..].starts_with([';', ',']) {
            at = skip(at + 1);
        }
        if value.get(at..at + 3).is_some_and(|word| word.eq_ignore_ascii_case("url")) {
            let equals = skip(at + 3);
            if value[equals..].starts_with('=') {
                at = skip(equals + 1);
            }
        }
        let quote = value[at..].chars().next().filter(|first| matches!(first, '"' | '\''));
        at += usize::from(quote.is_some());
        let end = quote.and_then(|quote| value[at..].find(quote)).map_or(value.len(), |length| at + length);
        let new = self.url(&value[at..end])?;
        Some(format!("{}{new}{}", &value[..at], &value[end..]))
    }

    /// A cookie with a path (RFC 6265, 5.2.4). Without one it has the request's own.
    fn cookie(&self, cookie: &str) -> Option<String> {
        if cookie.trim_start().get(..HOST_COOKIE.len()).is_some_and(|name| name.eq_ignore_ascii_case(HOST_COOKIE)) {
            return None;
        }
        let mut rewritten = false;
        let mut attribute = |(number, text): (usize, &str)| {
            let new = (number > 0).then(|| self.cookie_path(text)).flatten();
            rewritten |= new.is_some();
            new.unwrap_or_else(|| text.to_owned())
        };
        let new = cookie.split(';').enumerate().map(&mut attribute).collect::<Vec<_>>().join(";");
        rewritten.then_some(new)
    }

    fn cookie_path(&self, attribute: &str) -> Option<String> {
        let (name, path) = attribute.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("path") {
            return None;
        }
        let new = self.path(path.trim())?;
        // A path with a slash at its end does not match the prefix itself (RFC 6265, 5.1.4).
        let new = if path.trim() == "/" { new.trim_end_matches('/') } else { &new };
        Some(format!("{name}={new}"))
    }
}

/// A path without `.` and `..` (RFC 3986, 5.2.4), which a client resolves, in any spelling (URL
/// Standard, 4.4): behind a prefix they would lead out of it.
fn without_dots(path: &str) -> Cow<'_, str> {
    let dots = |name: &str| match name.to_ascii_lowercase().replace("%2e", ".").as_str() {
        "." => Some(1),
        ".." => Some(2),
        _ => None,
    };
    let Some(names) = path.strip_prefix('/').filter(|names| names.split('/').any(|name| dots(name).is_some())) else {
        return path.into();
    };
    let mut left = Vec::new();
    for name in names.split('/') {
        match dots(name) {
            None => left.push(name),
            Some(1) => {}
            Some(_) => drop(left.pop()),
        }
    }
    // A directory stays a directory.
    if names.rsplit('/').next().is_some_and(|last| dots(last).is_some()) {
        left.push("");
    }
    format!("/{}", left.join("/")).into()
}

/// Whether a path is a prefix, or below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn without<'a>(host: &'a str, port: &str) -> &'a str {
    host.strip_suffix(port).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn prefix() -> PathPrefix {
        let request = Request::builder()
            .header("host", "Gateway.example.com:8080")
            .header("x-forwarded-host", "example.com")
            .header("x-forwarded-prefix", "/fn/default/app");
        PathPrefix::of(&request.body(()).expect("a request").into_parts().0).expect("it is below a path")
    }

    /// The values of a header after the response was rewritten, and rewritten again.
    fn rewritten(name: &'static str, values: &[&str]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().expect("a value"));
        }
        prefix().rewrite(&mut headers);
        let once = headers.clone();
        prefix().rewrite(&mut headers);
        assert_eq!(headers, once, "doing it twice changes nothing");
        headers.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn urls_of_the_functions_own_host_get_the_prefix_and_no_others() {
        for (url, expected) in [
            ("/", "/fn/default/app/"),
            ("/login?next=/a#b", "/fn/default/app/login?next=/a#b"),
            ("/?q=/x", "/fn/default/app/?q=/x"),
            ("http://gateway.example.com:8080/login", "http://gateway.example.com:8080/fn/default/app/login"),
            ("HTTPS://Example.com/login", "HTTPS://Example.com/fn/default/app/login"),
            ("https://example.com:443/login", "https://example.com:443/fn/default/app/login"),
            ("http://example.com", "http://example.com/fn/default/app/"),
            ("http://example.com?q", "http://example.com/fn/default/app/?q"),
            ("//example.com/login", "//example.com/fn/default/app/login"),
            // Of other hosts, or other ports of this one.
            ("https://login.example.org/x", "https://login.example.org/x"),
            ("http://example.com:81/x", "http://example.com:81/x"),
            ("http://example.com.evil/x", "http://example.com.evil/x"),
            ("http://user@example.com/x", "http://user@example.com/x"),
            ("//cdn.example.org/x", "//cdn.example.org/x"),
            ("/\\evil.example.org/x", "/\\evil.example.org/x"),
            ("mailto:a@example.com", "mailto:a@example.com"),
            // Relative to the request.
            ("login", "login"),
            ("../x", "../x"),
            ("?a=b", "?a=b"),
            ("", ""),
            // With the prefix already, as functions that use X-Forwarded-Prefix write them.
            ("/fn/default/app", "/fn/default/app"),
            ("/fn/default/app/login", "/fn/default/app/login"),
            ("http://example.com/fn/default/app/x", "http://example.com/fn/default/app/x"),
            ("/fn/default/other/", "/fn/default/other/"),
            ("/fnord", "/fn/default/app/fnord"),
            // As the client would resolve it, below the prefix.
            ("/../other/x", "/fn/default/app/other/x"),
            ("/a/./b/../c?x=/../y", "/fn/default/app/a/c?x=/../y"),
            ("/%2E%2e/x/..", "/fn/default/app/"),
            ("/.", "/fn/default/app/"),
            ("/a/../fn/default/other/", "/a/../fn/default/other/"),
            ("/..a/b..", "/fn/default/app/..a/b.."),
        ] {
            assert_eq!(rewritten("location", &[url]), [expected], "{url}");
        }
    }

    #[test]
    fn urls_of_refreshes_are_rewritten_where_they_stand() {
        for (value, expected) in [
            ("5", "5"),
            ("5; url=/login", "5; url=/fn/default/app/login"),
            ("0;URL = '/a b'; x", "0;URL = '/fn/default/app/a b'; x"),
            ("0,/x", "0,/fn/default/app/x"),
            ("3; url=\"http://example.com/x\"", "3; url=\"http://example.com/fn/default/app/x\""),
            ("3; url=https://example.org/x", "3; url=https://example.org/x"),
            ("3; url=next", "3; url=next"),
            ("0 url=/x", "0 url=/fn/default/app/x"),
            (" 0 ; /x", " 0 ; /fn/default/app/x"),
            ("3 ", "3 "),
            ("3;", "3;"),
            ("3; url", "3; url"),
        ] {
            assert_eq!(rewritten("refresh", &[value]), [expected], "{value}");
        }
    }

    #[test]
    fn paths_of_cookies_get_the_prefix_and_several_cookies_stay_several() {
        for (cookie, expected) in [
            ("s=1", "s=1"),
            ("s=1; Path=/", "s=1; Path=/fn/default/app"),
            ("s=1; Path=/app; HttpOnly", "s=1; Path=/fn/default/app/app; HttpOnly"),
            ("s=1;path=/app/", "s=1;path=/fn/default/app/app/"),
            ("s=1; PATH = /a ; Secure", "s=1; PATH =/fn/default/app/a; Secure"),
            ("s=1; Path=", "s=1; Path="),
            ("s=1; Path", "s=1; Path"),
            ("s=1; Path=x", "s=1; Path=x"),
            ("s=1; Path=/fn/default/app", "s=1; Path=/fn/default/app"),
            ("s=1; Path=/fn/default/app/a", "s=1; Path=/fn/default/app/a"),
            // A cookie of that name and value has no path.
            ("path=/app", "path=/app"),
            ("__Host-s=1; Secure; Path=/", "__Host-s=1; Secure; Path=/"),
        ] {
            assert_eq!(rewritten("set-cookie", &[cookie]), [expected], "{cookie}");
        }
        let several =
            rewritten("set-cookie", &["a=1; Path=/", "b=2", "c=3; Path=/c; Expires=Wed, 01 Jan 2031 00:00:00 GMT"]);
        let expected =
            ["a=1; Path=/fn/default/app", "b=2", "c=3; Path=/fn/default/app/c; Expires=Wed, 01 Jan 2031 00:00:00 GMT"];
        assert_eq!(several, expected);
    }

    #[test]
    fn bytes_that_are_not_ascii_stay_and_keep_nothing_from_being_rewritten() {
        for (name, value, expected) in [
            ("location", "/über?q=é", "/fn/default/app/über?q=é"),
            ("refresh", "0; url='/é'", "0; url='/fn/default/app/é'"),
            ("set-cookie", "név=ő; Path=/", "név=ő; Path=/fn/default/app"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
            prefix().rewrite(&mut headers);
            assert_eq!(headers[name].as_bytes(), expected.as_bytes(), "{value}");
        }
        let mut headers = HeaderMap::new();
        headers.append("location", HeaderValue::from_bytes(b"/\xff\xfe").expect("a value"));
        prefix().rewrite(&mut headers);
        assert_eq!(headers["location"].as_bytes(), b"/fn/default/app/\xff\xfe");
    }

    #[test]
    fn no_other_header_changes_and_by_host_nothing_does() {
        assert_eq!(rewritten("content-location", &["/x"]), ["/x"]);
        assert_eq!(rewritten("link", &["</x>; rel=next"]), ["</x>; rel=next"]);
        let by_host = Request::builder().header("host", "app.default.fn.localhost").body(()).expect("a request");
        assert!(PathPrefix::of(&by_host.into_parts().0).is_none());
    }
}
