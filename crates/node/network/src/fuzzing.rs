//! Entry points of the fuzz targets, behind the feature `fuzzing`.

use crate::{dns, netlink};

/// Reads a datagram of netlink answers and the attributes of each.
pub fn netlink(bytes: &[u8]) {
    for answer in netlink::answers(bytes) {
        for (_, value) in netlink::attributes(answer.body) {
            netlink::attributes(value);
        }
    }
}

/// Reads a DNS message as a question, and as an answer to the question that its first bytes are.
pub fn dns(bytes: &[u8]) {
    dns::fuzz(bytes);
}
