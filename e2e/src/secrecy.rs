//! Searches for secrets in the files of a data directory and in a platform's log.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::Platform;

/// Size limit of the searched files; larger ones are layers.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Fails when a secret occurs anywhere, in clear text or in Base64.
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

/// A text, and its Base64 within longer texts at each of three possible alignments.
fn forms(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.to_owned()];
    for offset in 0..3 {
        let padded = format!("{}{secret}", "\0".repeat(offset));
        let whole = padded.len() / 3 * 3;
        let encoded = base64(&padded.as_bytes()[..whole]);
        // The first group also encodes preceding bytes.
        forms.push(encoded[if offset == 0 { 0 } else { 4 }..].to_owned());
    }
    forms
}

/// Base64 of complete groups of three bytes.
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
    fn a_secret_is_found_at_any_base64_alignment() {
        // "reader:s3cr3t-word" and so on, as in an `Authorization` header.
        for login in ["cmVhZGVyOnMzY3IzdC13b3Jk", "YTpzM2NyM3Qtd29yZA==", "YWI6czNjcjN0LXdvcmQ="] {
            assert!(forms("s3cr3t-word").iter().any(|form| login.contains(form)), "{login}");
        }
        assert!(!forms("s3cr3t-word").iter().any(|form| "YWI6b3RoZXItd29yZHMh".contains(form)));
    }
}
