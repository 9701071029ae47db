//! How an address names a function: by host or by path. Pure.
//!
//! `Host: [<qualifier>--]<function>.<namespace>.<domain>` takes precedence, so that a function
//! reached by its own host owns all paths; then `/fn/<namespace>/<function>[:qualifier]/…`, and the
//! same below `/async/` for asynchronous calls.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use types::limits::{ALIAS_LEN_MAX, FUNCTION_NAME_LEN_MAX, HOST_LABEL_LEN_MAX, NAMESPACE_LEN_MAX};

use crate::host;

/// Path prefix of functions.
const PATH_PREFIX: &str = "/fn/";
/// Path prefix of asynchronous calls.
const ASYNC_PATH_PREFIX: &str = "/async/";
/// Path prefix of triggers.
const HOOKS_PATH_PREFIX: &str = "/hooks/";

/// The domains below which hosts name functions, normalized.
#[derive(Debug)]
pub struct Domains(Vec<Box<str>>);

impl Domains {
    /// Parses domains of a configuration: `fn.example.com`, also with `*.` or a dot in front.
    pub fn new(domains: &[String]) -> Self {
        let bare = |domain: &String| domain.trim_start_matches(['*', '.']).trim_end_matches('.').to_owned();
        Self(domains.iter().map(bare).filter(|d| !d.is_empty()).map(|d| format!(".{d}").into()).collect())
    }

    /// One of the domains, for an error message.
    pub fn example(&self) -> Option<&str> {
        self.0.first().map(|suffix| &suffix[1..])
    }

    /// The part of `name` below one of the domains.
    fn below<'a>(&self, name: &'a str) -> Option<&'a str> {
        self.0.iter().find_map(|suffix| {
            let cut = name.len().checked_sub(suffix.len())?;
            let matches = name.get(cut..)?.eq_ignore_ascii_case(suffix);
            (matches && cut > 0).then(|| &name[..cut])
        })
    }
}

/// The address of a function, which may not exist.
#[derive(Debug, PartialEq, Eq)]
pub enum Address<'a> {
    /// By host, case-insensitive.
    Host {
        /// `<function>` or `<qualifier>--<function>`; only the catalog can distinguish them,
        /// because names may contain `--`.
        label: &'a str,
        /// The namespace.
        namespace: &'a str,
    },
    /// By path.
    Path {
        /// The namespace.
        namespace: Cow<'a, str>,
        /// The function.
        function: Cow<'a, str>,
        /// The text after the colon.
        qualifier: Option<Cow<'a, str>>,
        /// Bytes of the path that are the address and that the function does not receive.
        prefix_len: usize,
    },
}

impl Address<'_> {
    /// Whether it is longer than any function's address.
    fn is_too_long(&self) -> bool {
        match self {
            Self::Host { label, namespace } => label.len() > HOST_LABEL_LEN_MAX || namespace.len() > NAMESPACE_LEN_MAX,
            Self::Path { namespace, function, qualifier, .. } => {
                namespace.len() > NAMESPACE_LEN_MAX
                    || function.len() > FUNCTION_NAME_LEN_MAX
                    || qualifier.as_ref().is_some_and(|qualifier| qualifier.len() > ALIAS_LEN_MAX)
            }
        }
    }
}

/// Why an address names no function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// The host is below a function domain but does not have two labels before it.
    #[error("the host does not name a function")]
    Host,
    /// Neither the host nor the path is a function's.
    #[error("neither the host nor the path names a function")]
    Path,
    /// The names are longer than those of any function, alias and namespace.
    #[error(
        "the address is longer than that of any function: a name has at most {FUNCTION_NAME_LEN_MAX} characters, a \
         namespace {NAMESPACE_LEN_MAX} and an alias {ALIAS_LEN_MAX}"
    )]
    TooLong,
}

/// Parses the address in a request's host and its path with query, both as they were sent. Names
/// that are too long are not looked up.
pub fn route<'a>(host: Option<&'a str>, path_and_query: &'a str, domains: &Domains) -> Result<Address<'a>, NoAddress> {
    let address = match host.and_then(|text| domains.below(host::name(text))) {
        Some(labels) => by_host(labels).ok_or(NoAddress::Host),
        None => by_path(path_and_query).ok_or(NoAddress::Path),
    }?;
    if address.is_too_long() { Err(NoAddress::TooLong) } else { Ok(address) }
}

/// Whether an address parsed from this path is one of asynchronous calls.
pub fn is_asynchronous(address: &Address<'_>, path: &str) -> bool {
    matches!(address, Address::Path { .. }) && path.starts_with(ASYNC_PATH_PREFIX)
}

/// The trigger that a path names after the function, decoded, where an address parsed from this
/// path is one of triggers; empty when it names none.
pub fn trigger<'a>(address: &Address<'_>, path: &'a str) -> Option<Cow<'a, str>> {
    let Address::Path { prefix_len, .. } = address else { return None };
    let rest = path.strip_prefix(HOOKS_PATH_PREFIX).and(path.get(*prefix_len..))?;
    let name = rest.split('?').next().unwrap_or_default();
    let name = name.strip_prefix('/').unwrap_or_default();
    decoded(name.strip_suffix('/').unwrap_or(name))
}

fn by_host(labels: &str) -> Option<Address<'_>> {
    let (label, namespace) = labels.split_once('.')?;
    let two_labels = !label.is_empty() && !namespace.is_empty() && !namespace.contains('.');
    two_labels.then_some(Address::Host { label, namespace })
}

fn by_path(path_and_query: &str) -> Option<Address<'_>> {
    let path = path_and_query.split('?').next().unwrap_or_default();
    let prefix =
        [PATH_PREFIX, ASYNC_PATH_PREFIX, HOOKS_PATH_PREFIX].into_iter().find(|prefix| path.starts_with(prefix))?;
    let (namespace, rest) = path[prefix.len()..].split_once('/')?;
    let name = rest.split('/').next().unwrap_or_default();
    let prefix_len = prefix.len() + namespace.len() + 1 + name.len();
    let namespace = decoded(namespace)?;
    // Decoded before it is split: some clients write the colon and the dollar sign as %3A and %24.
    let (function, qualifier) = match decoded(name)? {
        Cow::Borrowed(text) => match text.split_once(':') {
            Some((function, qualifier)) => (Cow::Borrowed(function), Some(Cow::Borrowed(qualifier))),
            None => (Cow::Borrowed(text), None),
        },
        Cow::Owned(text) => match text.split_once(':') {
            Some((function, qualifier)) => (Cow::Owned(function.to_owned()), Some(Cow::Owned(qualifier.to_owned()))),
            None => (Cow::Owned(text), None),
        },
    };
    let named = !namespace.is_empty() && !function.is_empty();
    named.then_some(Address::Path { namespace, function, qualifier, prefix_len })
}

fn decoded(segment: &str) -> Option<Cow<'_, str>> {
    if !segment.as_bytes().contains(&b'%') {
        return Some(Cow::Borrowed(segment));
    }
    percent_decode_str(segment).decode_utf8().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn domains() -> Domains {
        Domains::new(&["fn.localhost".to_owned(), "*.f.example.com".to_owned(), String::new()])
    }

    /// `label@namespace` of a host, `namespace/function[:qualifier]+rest` of a path, or the error.
    fn routed(host: &str, path: &str) -> String {
        let host = Some(host).filter(|h| !h.is_empty());
        match route(host, path, &domains()) {
            Ok(Address::Host { label, namespace }) => format!("{label}@{namespace}"),
            Ok(Address::Path { namespace, function, qualifier, prefix_len }) => {
                let qualifier = qualifier.map(|q| format!(":{q}")).unwrap_or_default();
                format!("{namespace}/{function}{qualifier}+{}", &path[prefix_len..])
            }
            Err(error) => format!("! {error:?}"),
        }
    }

    #[test]
    fn hosts_below_a_function_domain_name_a_function() {
        for (host, expected) in [
            ("hello.default.fn.localhost", "hello@default"),
            ("hello.default.fn.localhost:7080", "hello@default"),
            ("Hello.Default.FN.LocalHost.", "Hello@Default"),
            ("v2--hello.default.fn.localhost", "v2--hello@default"),
            ("hello.default.f.example.com", "hello@default"),
            ("hello.fn.localhost", "! Host"),
            ("a.b.c.fn.localhost", "! Host"),
            (".default.fn.localhost", "! Host"),
            ("fn.localhost", "! Path"),
            (".fn.localhost", "! Path"),
            ("hello.default.xfn.localhost", "! Path"),
            ("hello.default.fn.localhost.evil.com", "! Path"),
        ] {
            assert_eq!(routed(host, "/"), expected, "{host}");
        }
    }

    #[test]
    fn a_host_outranks_a_path() {
        assert_eq!(routed("hello.default.fn.localhost", "/fn/other/thing/"), "hello@default");
    }

    #[test]
    fn paths_name_a_function_and_leave_the_rest_as_it_was_sent() {
        for (path, expected) in [
            ("/fn/default/hello/", "default/hello+/"),
            ("/fn/default/hello", "default/hello+"),
            ("/fn/default/hello?a=/b", "default/hello+?a=/b"),
            ("/fn/default/hello//x/%2F..?q=%20", "default/hello+//x/%2F..?q=%20"),
            ("/fn/default/hello:$LATEST/x", "default/hello:$LATEST+/x"),
            ("/fn/default/hello%3A%24LATEST/x", "default/hello:$LATEST+/x"),
            ("/fn/default/hello:/x", "default/hello:+/x"),
            ("/async/default/hello:$LATEST/x?y", "default/hello:$LATEST+/x?y"),
            ("/async/default/hello", "default/hello+"),
            ("/async/default", "! Path"),
            ("/asynchronous/default/hello/", "! Path"),
            ("/hooks/default/hello:2/films?x", "default/hello:2+/films?x"),
            ("/hooks/default", "! Path"),
            ("/fn/default/", "! Path"),
            ("/fn/default", "! Path"),
            ("/fn//hello/", "! Path"),
            ("/fn?/default/hello/", "! Path"),
            ("/FN/default/hello/", "! Path"),
            ("/fn/default/%ff/", "! Path"),
            ("*", "! Path"),
            ("/", "! Path"),
            ("", "! Path"),
        ] {
            assert_eq!(routed("127.0.0.1:7080", path), expected, "{path}");
            assert_eq!(routed("", path), expected, "{path} without a host");
        }
    }

    #[test]
    fn paths_of_triggers_name_one_behind_the_function() {
        for (path, expected) in [
            ("/hooks/default/hello/films", Some("films")),
            ("/hooks/default/hello:2/films/?a=/b", Some("films")),
            ("/hooks/default/hello/a%20b", Some("a b")),
            ("/hooks/default/hello/a/b", Some("a/b")),
            ("/hooks/default/hello", Some("")),
            ("/fn/default/hello/films", None),
            ("/async/default/hello/films", None),
        ] {
            let address = route(None, path, &domains()).expect("an address");
            assert_eq!(trigger(&address, path).as_deref(), expected, "{path}");
        }
        let host = Some("hello.default.fn.localhost");
        let address = route(host, "/hooks/default/other/films", &domains()).expect("an address");
        assert_eq!(trigger(&address, "/hooks/default/other/films"), None);
    }

    #[test]
    fn what_is_longer_than_any_name_is_no_address() {
        let a = |len: usize| "a".repeat(len);
        for (label, namespace, too_long) in [(126, 60, false), (127, 60, true), (126, 61, true), (2, 2, false)] {
            let routed = routed(&format!("{}.{}.fn.localhost", a(label), a(namespace)), "/");
            assert_eq!(routed == "! TooLong", too_long, "{label} {namespace}: {routed}");
        }
        for (namespace, function, qualifier, too_long) in
            [(60, 60, 64, false), (61, 60, 64, true), (60, 61, 64, true), (60, 60, 65, true), (60, 60_000, 1, true)]
        {
            let path = format!("/fn/{}/{}:{}/", a(namespace), a(function), a(qualifier));
            let routed = routed("", &path);
            assert_eq!(routed == "! TooLong", too_long, "{namespace} {function} {qualifier}: {routed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(host in "\\PC{0,60}", path in "\\PC{0,80}") {
            let _ = route(Some(&host), &path, &domains());
        }

        #[test]
        fn what_a_path_names_comes_back_and_the_rest_is_untouched(
            namespace in "[a-z0-9][A-Za-z0-9_-]{0,20}",
            function in "[A-Za-z][A-Za-z0-9_-]{0,20}",
            qualifier in proptest::option::of("[A-Za-z$][A-Za-z0-9_-]{0,20}"),
            rest in "(/[ -~&&[^?#]]{0,30})?([?][ -~]{0,30})?",
        ) {
            let qualifier_text = qualifier.clone().map(|q| format!(":{q}")).unwrap_or_default();
            let path = format!("/fn/{namespace}/{function}{qualifier_text}{rest}");
            let Ok(Address::Path { namespace: n, function: f, qualifier: q, prefix_len }) =
                route(None, &path, &domains())
            else {
                return Err(TestCaseError::fail("no path address"));
            };
            prop_assert_eq!((n.as_ref(), f.as_ref()), (namespace.as_str(), function.as_str()));
            prop_assert_eq!(q.as_deref(), qualifier.as_deref());
            prop_assert_eq!(&path[prefix_len..], rest);
        }

        #[test]
        fn what_a_host_names_comes_back(label in "[A-Za-z][A-Za-z0-9_-]{0,30}", namespace in "[a-z0-9][a-z0-9-]{0,20}") {
            let host = format!("{label}.{namespace}.fn.localhost:80");
            prop_assert_eq!(
                route(Some(&host), "/fn/a/b/", &domains()),
                Ok(Address::Host { label: &label, namespace: &namespace })
            );
        }
    }
}
