//! Entry points of the fuzz targets, behind the feature `fuzzing`.

use http::Request;

use crate::host;
use crate::route::{Address, Domains, route};

/// Routes a request line's target and a Host header, separated by a newline.
///
/// # Panics
/// When a path address is longer than the target.
pub fn routes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (target, name) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(request) = Request::builder().uri(target).header("host", name).body(()) else { return };
    let parts = request.into_parts().0;
    let Ok(found) = host::of_request(&parts) else { return };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let domains = Domains::new(&["fn.localhost".into(), "*.fn.example.com".into()]);
    if let Ok(Address::Path { prefix_len, .. }) = route(found, target, &domains) {
        assert!(target.is_char_boundary(prefix_len), "the prefix of {target:?} ends at {prefix_len}");
    }
}
