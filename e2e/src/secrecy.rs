//! Looks for secrets where none may be: in every file of a data directory, and in what a platform said. Must not know
//! what the secrets are for.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::Platform;

/// Bytes of a file that is looked into; larger ones are layers of images.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Fails when any of the texts stands somewhere, as it is or in Base64.
pub fn ensure_hidden(platform: &Platform, secrets: &[&str]) -> anyhow::Result<()> {
    let log = platform.platform_log();
    let mut files = Vec::new();
    collect(&platform.data_dir(), &mut files);
    ensure!(files.len() > 3, "the data directory has hardly a file: {files:?}");
    for secret in secrets {
        let forms = forms(secret);
        ensure!(!forms.iter().any(|form| log.contains(form)), "the platform's log shows {secret:?}");
        for file in &files {
            let bytes = fs::read(file).unwrap_or_default();
            let found = forms.iter().any(|form| bytes.windows(form.len()).any(|window| window == form.as_bytes()));
            ensure!(!found, "{} shows {secret:?}", file.display());
        }
    }
    Ok(())
}

/// A text as it is, and how it stands within longer texts in Base64, at each of the three offsets that it can have.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for offset in 0..3 {
        let padded = format!("{}{secret}", "\0".repeat(offset));
        let whole = padded.len() / 3 * 3;
        let encoded = base64(&padded.as_bytes()[..whole]);
        // The first group also has bytes of what stands before.
        forms.push(encoded[if offset == 0 { 0 } else { 4 }..].to_owned());
    }
    forms
}

/// Groups of three bytes, without a rest.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    };
    bytes.chunks_exact(3).flat_map(group).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        if metadata.is_dir() {
            collect(&entry.path(), files);
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            files.push(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_at_any_place_of_a_login_in_base64() {
        // "reader:s3cr3t-word" and so on, as a header carries them.
        for login in ["cmVhZGVyOnMzY3IzdC13b3Jk", "YTpzM2NyM3Qtd29yZA==", "YWI6czNjcjN0LXdvcmQ="] {
            assert!(forms("s3cr3t-word").iter().any(|form| login.contains(form)), "{login}");
        }
        assert!(!forms("s3cr3t-word").iter().any(|form| "YWI6b3RoZXItd29yZHMh".contains(form)));
    }
}
