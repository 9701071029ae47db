//! Merge keys (`<<: *defaults`, YAML 1.1), which copy keys from other maps.

use std::collections::HashSet;

use super::error::Error;
use super::node::{Content, Key, Node, Scalar, Style};

/// The merge key, which must be unquoted.
const KEY: &str = "<<";

/// Whether a key is a merge key.
pub fn is(key: &Scalar) -> bool {
    key.style == Style::Plain && key.text == KEY
}

/// Adds the merged node's keys that the map does not have. The map's own keys take precedence, then
/// those of earlier maps in a list.
pub fn take_over(entries: &mut Vec<(Key, Node)>, merged: Option<Node>) -> Result<(), Error> {
    let Some(merged) = merged else { return Ok(()) };
    let maps = match merged.content {
        Content::List(maps) => maps,
        _ => vec![merged],
    };
    let mut known: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for map in maps {
        let Content::Map(others) = map.content else {
            let hint = "Write `<<: *NAME`, or `<<: [*NAME, *OTHER]`, where `&NAME` stands before keys.";
            return Err(Error::new(map.place, "`<<` must refer to keys", hint));
        };
        entries.extend(others.into_iter().filter(|(key, _)| known.insert(key.text.clone())));
    }
    Ok(())
}
