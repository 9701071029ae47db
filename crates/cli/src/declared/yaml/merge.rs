//! Overlays: a later file's keys take the place of the earlier file's.

use super::node::{Content, Node};

/// The base with the overlay's keys: maps are merged key by key, everything else is replaced, and a
/// key without a value takes the base's away.
pub fn merged(base: Node, overlay: Node) -> Node {
    let (Content::Map(mut entries), Content::Map(over)) = (base.content, &overlay.content) else { return overlay };
    for (key, node) in over.iter().cloned() {
        let found = entries.iter().position(|(known, _)| known.text == key.text);
        match found {
            Some(at) if node.is_null() => drop(entries.remove(at)),
            Some(at) => {
                let (known, old) = entries.remove(at);
                entries.insert(at, (known, merged(old, node)));
            }
            None => entries.push((key, node)),
        }
    }
    Node { content: Content::Map(entries), place: base.place, tag: base.tag }
}
