//! The file of registries: read whole, replaced atomically, secrets sealed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::entry::{Entry, Open};
use super::key::KeyFile;
use super::seal::Sealer;
use crate::Error;

/// Name of the file in the data directory.
const FILE_NAME: &str = "registries.json";
/// Version of the format.
const FORMAT: u32 = 1;
/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// The file and its key.
pub(crate) struct SealedStore {
    path: PathBuf,
    sealer: Sealer,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    registries: BTreeMap<String, Record>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    registry: Open,
    /// The sealed secret of its login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

impl SealedStore {
    /// Reads the file in a data directory, and generates the key on the first start. The key is not
    /// generated if `others`, another file, has secrets sealed with an earlier key.
    pub(crate) fn open(
        data_dir: &Path,
        key: &KeyFile,
        others: Option<&Path>,
    ) -> Result<(Self, BTreeMap<String, Entry>), Error> {
        let path = data_dir.join(FILE_NAME);
        let document = read(&path)?;
        let has_secrets = document.registries.values().any(|record| record.sealed.is_some());
        let sealed = if has_secrets { Some(path.as_path()) } else { others };
        let loaded = key.load(data_dir, sealed.is_none(), sealed.unwrap_or(&path)).map_err(|error| match error {
            Error::MissingKey { key, file } if !has_secrets => Error::MissingKeyOfFunctions { key, file },
            error => error,
        });
        let sealer = Sealer::new(&*loaded?);
        let store = Self { path, sealer };
        let entries = document.registries.into_iter().map(|(host, record)| {
            let entry = store.entry(&host, record).ok_or_else(|| Error::Sealed {
                host: host.clone(),
                file: store.path.clone(),
                key: key.path(data_dir),
            })?;
            Ok((host, entry))
        });
        let entries = entries.collect::<Result<_, Error>>()?;
        Ok((store, entries))
    }

    /// The sealer of its secrets.
    pub(crate) fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    fn entry(&self, host: &str, record: Record) -> Option<Entry> {
        let secret = match &record.sealed {
            Some(sealed) => Some(self.sealer.open(sealed, &record.registry.bound_to(host))?),
            None => None,
        };
        record.registry.join(secret)
    }

    /// Replaces the file; durable when this returns.
    pub(crate) fn write(&self, entries: &BTreeMap<String, Entry>) -> Result<(), Error> {
        let record = |host: &str, entry: &Entry| {
            let (registry, secret) = entry.split();
            let sealed = secret.map(|secret| self.sealer.seal(secret, &registry.bound_to(host)));
            Record { registry, sealed }
        };
        let registries = entries.iter().map(|(host, entry)| (host.clone(), record(host, entry))).collect();
        let document = Document { format: FORMAT, registries };
        let text = serde_json::to_vec_pretty(&document).expect("texts and lists of texts are JSON");
        replace(&self.path, &text).map_err(|source| Error::Io { operation: "write", path: self.path.clone(), source })
    }
}

fn read(path: &Path) -> Result<Document, Error> {
    let bad = |reason: String| Error::BadFile { path: path.to_owned(), reason };
    let io = |source| Error::Io { operation: "read", path: path.to_owned(), source };
    match fs::metadata(path) {
        Ok(metadata) if metadata.len() > FILE_BYTES_MAX => return Err(bad("it is too long".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(Document { format: FORMAT, registries: BTreeMap::new() });
        }
        Err(error) => return Err(io(error)),
    }
    let text = fs::read(path).map_err(io)?;
    // Only the position: the parser's text could quote a secret.
    let place = |error: serde_json::Error| bad(format!("line {}, column {}", error.line(), error.column()));
    let document: Document = serde_json::from_slice(&text).map_err(place)?;
    if document.format == FORMAT {
        return Ok(document);
    }
    Err(bad(format!("its format is {}, this version knows {FORMAT}", document.format)))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let parent = path.parent().expect("the file is in the data directory");
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::entry::{Login, TcrLogin};
    use super::*;
    use crate::Secret;

    fn entries() -> BTreeMap<String, Entry> {
        let secret = |text: &str| Secret::new(text.to_owned());
        let password = Login::Password { username: "reader".into(), password: secret("pass-in-clear") };
        let tcr = Login::Tcr(TcrLogin {
            registry_id: "tcr-1".into(),
            secret_id: "AKID1".into(),
            secret_key: secret("key-in-clear"),
            region: Some("ap-hongkong".into()),
            endpoint: None,
        });
        BTreeMap::from([
            ("r.io".to_owned(), Entry { login: Some(password), plain_http: Some(false), ..Entry::default() }),
            ("t.io".to_owned(), Entry { login: Some(tcr), ..Entry::default() }),
            ("m.io".to_owned(), Entry { mirrors: Some(vec!["https://n.io".into()]), ..Entry::default() }),
        ])
    }

    fn written() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let (store, none) = SealedStore::open(dir.path(), &KeyFile::Made, None).expect("a first start");
        assert!(none.is_empty());
        store.write(&entries()).expect("written");
        let path = dir.path().join(FILE_NAME);
        (dir, path)
    }

    #[test]
    fn written_entries_are_read_again_and_the_file_shows_no_secret() {
        let (dir, path) = written();
        assert_eq!(SealedStore::open(dir.path(), &KeyFile::Made, None).expect("read").1, entries());
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains("reader") && !text.contains("in-clear"), "{text}");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_with_other_associated_data_is_not_decrypted() {
        for (from, to) in
            [("\"r.io\"", "\"evil.io\""), ("\"plain_http\": false", "\"plain_http\": true"), ("reader", "writer")]
        {
            let (dir, path) = written();
            let text = fs::read_to_string(&path).expect("text");
            fs::write(&path, text.replace(from, to)).expect("changed");
            let error = SealedStore::open(dir.path(), &KeyFile::Made, None).map(drop).expect_err("changed").to_string();
            assert!(error.contains(FILE_NAME) && error.contains("restore"), "{error}");
        }
    }

    #[test]
    fn an_error_about_another_key_names_both_files() {
        let (dir, _) = written();
        fs::write(dir.path().join("secrets.key"), "00".repeat(32)).expect("another key");
        let error = SealedStore::open(dir.path(), &KeyFile::Made, None).map(drop).expect_err("another key").to_string();
        assert!(error.contains(FILE_NAME) && error.contains("secrets.key"), "{error}");
        fs::remove_file(dir.path().join("secrets.key")).expect("removed");
        let error = SealedStore::open(dir.path(), &KeyFile::Made, None).map(drop).expect_err("no key");
        assert!(matches!(error, Error::MissingKey { .. }), "{error}");
        let others = tempfile::tempdir().expect("a folder");
        let database = others.path().join("sampan.db");
        let opened = SealedStore::open(others.path(), &KeyFile::Made, Some(&database)).map(drop);
        let error = opened.expect_err("a former key sealed others").to_string();
        assert!(error.contains("sampan.db") && !error.contains("remove"), "{error}");
        assert!(!others.path().join("secrets.key").exists(), "no other key takes its place");
    }

    #[test]
    fn an_error_about_a_malformed_file_quotes_none_of_it() {
        let (dir, path) = written();
        for broken in ["{", "[]", r#"{"format": 2, "registries": {}}"#, r#"{"format": 1, "password": "shown"}"#] {
            fs::write(&path, broken).expect("written");
            let error = SealedStore::open(dir.path(), &KeyFile::Made, None).map(drop).expect_err("broken").to_string();
            assert!(error.contains(FILE_NAME) && !error.contains("shown"), "{error}");
        }
    }
}
