//! Progress texts of running preparations. They are only in memory: a restart begins a preparation
//! again.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use types::{FunctionId, VersionKey, VersionName};

/// Texts of pending versions, at most one per version.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    texts: Mutex<HashMap<(FunctionId, VersionName), Step>>,
}

#[derive(Debug)]
struct Step {
    generation: u64,
    text: Option<Arc<str>>,
}

/// Effect of a committed write on the texts.
#[derive(Debug)]
pub(crate) enum Note {
    /// This version is pending at this generation.
    Pending(VersionKey),
    /// This version is no longer pending.
    Settled(FunctionId, VersionName),
    /// No version of this function is pending any longer.
    Deleting(FunctionId),
}

impl Progress {
    /// Applies a note of a committed write.
    pub(crate) fn note(&self, note: &Note) {
        match note {
            Note::Pending(key) => self.expect(key),
            Note::Settled(id, version) => drop(self.texts.lock().remove(&(id.clone(), *version))),
            Note::Deleting(id) => self.texts.lock().retain(|(function, _), _| function != id),
        }
    }

    /// Accepts texts for this version from now on, and only those of this generation.
    pub(crate) fn expect(&self, key: &VersionKey) {
        let step = Step { generation: key.generation, text: None };
        self.texts.lock().insert((key.function_id.clone(), key.version), step);
    }

    /// Stores at most `bytes_max` bytes of a text; drops texts of obsolete generations.
    pub(crate) fn set(&self, key: &VersionKey, text: &str, bytes_max: usize) {
        let text = &text[..text.floor_char_boundary(bytes_max)];
        if let Some(step) = self.texts.lock().get_mut(&(key.function_id.clone(), key.version))
            && step.generation == key.generation
        {
            step.text = Some(text.into());
        }
    }

    pub(crate) fn get(&self, id: &FunctionId, version: VersionName) -> Option<Arc<str>> {
        self.texts.lock().get(&(id.clone(), version)).and_then(|step| step.text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(generation: u64) -> VersionKey {
        VersionKey { function_id: "lam-aaaaaaaa".parse().unwrap(), version: VersionName::Latest, generation }
    }

    #[test]
    fn only_texts_of_the_awaited_preparation_are_kept() {
        let progress = Progress::default();
        let get = || progress.get(&key(1).function_id, VersionName::Latest);
        progress.set(&key(1), "early", 100);
        assert_eq!(get(), None);
        progress.expect(&key(2));
        progress.set(&key(1), "old", 100);
        assert_eq!(get(), None);
        progress.set(&key(2), "grün", 3);
        assert_eq!(get().as_deref(), Some("gr"));
        progress.note(&Note::Settled(key(2).function_id, VersionName::Latest));
        progress.set(&key(2), "late", 100);
        assert_eq!(get(), None);
    }
}
