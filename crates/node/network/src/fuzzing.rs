//! Entry points of the fuzz targets, behind the feature `fuzzing`.

use crate::netlink;

/// Reads a datagram of netlink answers and the attributes of each.
pub fn netlink(bytes: &[u8]) {
    for answer in netlink::answers(bytes) {
        for (_, value) in netlink::attributes(answer.body) {
            netlink::attributes(value);
        }
    }
}
