//! Merges overlays: a later file's keys replace those of the earlier file.

use std::collections::HashMap;

use super::error::Error;
use super::node::{Content, Key, Node};

/// Top-level keys whose children are named items.
const NAMES: [&str; 2] = ["functions", "domains"];

/// Merges the overlay into the base: maps key by key, everything else is replaced, and a key
/// without a value removes the base's.
pub fn merged(base: Node, overlay: Node) -> Node {
    let Node { place, content, tag } = overlay;
    match (base.content, content) {
        (Content::Map(entries), Content::Map(over)) => {
            Node { content: Content::Map(by_key(entries, over)), place: base.place, tag: base.tag }
        }
        (_, content) => Node { place, content, tag },
    }
}

fn by_key(entries: Vec<(Key, Node)>, over: Vec<(Key, Node)>) -> Vec<(Key, Node)> {
    let known: HashMap<String, usize> =
        entries.iter().enumerate().map(|(at, (key, _))| (key.text.clone(), at)).collect();
    let mut entries: Vec<Option<(Key, Node)>> = entries.into_iter().map(Some).collect();
    for (key, node) in over {
        match known.get(&key.text).copied() {
            Some(at) => {
                let base = entries[at].take();
                entries[at] = base.filter(|_| !node.is_null()).map(|(known, base)| (known, merged(base, node)));
            }
            None => entries.push(Some((key, node))),
        }
    }
    entries.into_iter().flatten().collect()
}

/// Rejects an overlay with `functions` or `domains` without a value, which would remove all of
/// them.
pub fn refuse_empty(overlay: &Node) -> Result<(), Error> {
    let empty = NAMES.into_iter().find_map(|key| Some((key, overlay.get(key).filter(|node| node.is_null())?)));
    let Some((key, node)) = empty else { return Ok(()) };
    let message = format!("`{key}` is empty, which would remove all {key}");
    Err(Error::new(node.place.clone(), message, "Leave the key out, or list the entries to remove, such as `web:`."))
}
