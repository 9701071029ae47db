//! The content store: bytes by their digest, shared by pulled images and the own registry. Owns blobs, uploads, pins
//! and leases. Must not know what the bytes are, except that manifests name other content.

pub(crate) mod durable;
pub(crate) mod layout;
pub(crate) mod ledger;
mod pins;
pub(crate) mod quarantine;
pub(crate) mod reach;
mod upload;

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use oci::{References, digest_of};
use tokio::sync::watch;
use types::Digest;

use self::layout::Layout;
use self::ledger::{Hold, Item, Ledger, Pin};
use self::reach::Reach;
use crate::sound::{Soundness, Verified};
use crate::{Config, Error, blocking};

pub use self::ledger::Lease;
pub use self::upload::Upload;

/// Indexes may name indexes; deeper nesting than this is not followed.
pub(crate) const INDEX_DEPTH_MAX: usize = 4;

/// The store; clones are the same one.
#[derive(Clone)]
pub struct ContentStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    ledger: Ledger,
    soundness: Soundness,
    opened: Instant,
    config: Config,
    /// One pin is written at a time, so that what is on disk and what the ledger says change in one order.
    pin_writes: tokio::sync::Mutex<()>,
}

impl ContentStore {
    /// Blocks while it reads the pins.
    pub(crate) fn load(layout: Layout, config: Config) -> Result<Self, Error> {
        let (ledger, opened) = (Ledger::default(), Instant::now());
        let soundness = Soundness::new(layout.clone(), &config);
        pins::load(&layout, &ledger, soundness.quarantine())?;
        let pin_writes = tokio::sync::Mutex::new(());
        Ok(Self { inner: Arc::new(Inner { layout, ledger, soundness, opened, config, pin_writes }) })
    }

    /// Whether the start was so lately that nothing may be let go yet which only seems to be needed no more.
    pub fn keeps_all(&self) -> bool {
        self.inner.opened.elapsed() < self.inner.config.start_keep()
    }

    /// Counts what is found damaged, and changes with it.
    pub fn damage(&self) -> watch::Receiver<u64> {
        self.inner.soundness.damage()
    }

    pub(crate) fn soundness(&self) -> &Soundness {
        &self.inner.soundness
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// All blobs on disk.
    pub(crate) fn list(&self) -> Result<Vec<Item>, Error> {
        let dir = self.inner.layout.blobs();
        let failed = |e| Error::io("list", &dir, e);
        let mut blobs = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let digest = name.to_str().and_then(|name| format!("sha256:{name}").parse().ok());
            blobs.extend(digest.map(Item::Blob));
        }
        Ok(blobs)
    }

    /// Bytes of the content, verified unless this process has done so lately; `None` when it is not there, or was damaged
    /// and is there no more.
    ///
    /// # Errors
    /// `Io`.
    pub async fn sound_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("verifying content", move || store.sound_size_now(&digest)).await
    }

    pub(crate) fn sound_size_now(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let Some(size) = self.size_now(digest)? else { return Ok(None) };
        let verified = self.inner.soundness.verify(&Item::Blob(digest.clone()))?;
        Ok(matches!(verified, Verified::Sound).then_some(size))
    }

    /// As [`Self::read_small`]; what is damaged or cannot be read is set aside and is there no more.
    ///
    /// # Errors
    /// `ContentTooLarge`, `Io`.
    pub async fn read_sound(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        match self.read_small(digest, bytes_max).await {
            Err(error @ (Error::Damaged { .. } | Error::Io { .. })) => {
                let (store, item) = (self.clone(), Item::Blob(digest.clone()));
                let reason = error.to_string();
                blocking::run("setting content aside", move || store.soundness().set_aside(&item, reason)).await?;
                Ok(None)
            }
            read => read,
        }
    }

    /// A document of the store, its digest checked.
    pub(crate) fn read_document(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        self.read_small_now(digest, self.inner.config.manifest_bytes_max)
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Bytes of the content, `None` when it is not there.
    ///
    /// # Errors
    /// `Io`.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("looking for content", move || store.size_now(&digest)).await
    }

    pub(crate) fn size_now(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let item = Item::Blob(digest.clone());
        let touch = self.inner.ledger.touch(item.clone());
        let path = self.inner.layout.blob(digest);
        match fs::metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.inner.ledger.untouch(&item, &touch);
                Ok(None)
            }
            Err(error) => Err(Error::io("look at", &path, error)),
        }
    }

    /// As [`Self::open`], for reading on a thread.
    pub(crate) async fn open_blob(&self, digest: &Digest) -> Result<Option<(fs::File, u64)>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("opening content", move || store.open_now(&digest)).await
    }

    /// The content and its bytes, `None` when it is not there. Once open it stays readable, whatever is collected.
    ///
    /// # Errors
    /// `Io`.
    pub async fn open(&self, digest: &Digest) -> Result<Option<(tokio::fs::File, u64)>, Error> {
        let opened = self.open_blob(digest).await?;
        Ok(opened.map(|(file, size)| (tokio::fs::File::from_std(file), size)))
    }

    fn open_now(&self, digest: &Digest) -> Result<Option<(fs::File, u64)>, Error> {
        let item = Item::Blob(digest.clone());
        let touch = self.inner.ledger.touch(item.clone());
        let path = self.inner.layout.blob(digest);
        let opened = fs::File::open(&path).and_then(|file| {
            let size = file.metadata()?.len();
            Ok((file, size))
        });
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.inner.ledger.untouch(&item, &touch);
                Ok(None)
            }
            Err(error) => Err(Error::io("open", &path, error)),
        }
    }

    /// Small content as a whole, its digest checked again; `None` when it is not there.
    ///
    /// # Errors
    /// `ContentTooLarge` for more than `bytes_max`, `Damaged`, `Io`.
    pub async fn read_small(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("reading content", move || store.read_small_now(&digest, bytes_max)).await
    }

    pub(crate) fn read_small_now(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let Some((mut file, size)) = self.open_now(digest)? else { return Ok(None) };
        if size > bytes_max {
            return Err(Error::ContentTooLarge { digest: digest.clone(), size, limit: bytes_max });
        }
        let path = self.inner.layout.blob(digest);
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        io::Read::read_to_end(&mut file, &mut bytes).map_err(|e| Error::io("read", &path, e))?;
        if digest_of(&bytes) != *digest {
            return Err(Error::Damaged { digest: digest.clone(), path });
        }
        Ok(Some(bytes.into()))
    }

    /// Keeps small content; it is durable on return.
    ///
    /// # Errors
    /// `DigestMismatch`, `DiskFull`, `Io`.
    pub async fn put(&self, digest: &Digest, content: Bytes) -> Result<(), Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("keeping content", move || {
            let actual = digest_of(&content);
            if actual != digest {
                return Err(Error::DigestMismatch { expected: digest, actual });
            }
            store.inner.ledger.touch(Item::Blob(digest.clone()));
            durable::write(&store.inner.layout.blob(&digest), &store.inner.layout.draft(), &content)?;
            store.inner.soundness.wrote(&Item::Blob(digest));
            Ok(())
        })
        .await
    }

    /// Begins to take content of any size.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn begin_upload(&self) -> Result<Upload, Error> {
        Upload::begin(self.inner.layout.clone(), self.inner.ledger.clone(), self.inner.soundness.clone()).await
    }

    /// Keeps `digest`, a manifest or an index, and all that it names, for `owner`, in place of what that owner pinned
    /// before. Owners are any texts. The pin survives a crash once this returns.
    ///
    /// # Errors
    /// `UnknownContent` when there is no such content, `DiskFull`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        self.pin_as(owner, Pin { digest: digest.clone(), keeps_rootfs: false }).await
    }

    pub(crate) async fn pin_as(&self, owner: &str, pin: Pin) -> Result<(), Error> {
        let _turn = self.inner.pin_writes.lock().await;
        let (store, owner) = (self.clone(), owner.to_owned());
        blocking::run("pinning content", move || {
            let _hold = store.hold_content(&pin.digest)?;
            pins::write(&store.inner.layout, &owner, &pin)?;
            // One that cannot be read now can be when it is collected.
            if let Ok(reach) = Reach::of(&store, &pin.digest) {
                reach.remember(&store, &pin.digest);
            }
            // What the owner pinned before is a root until here, since a crash before would bring it back.
            store.inner.ledger.set_pin(&owner, pin);
            Ok(())
        })
        .await
    }

    /// Ends what `owner` keeps; nothing happens when it keeps nothing.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        let _turn = self.inner.pin_writes.lock().await;
        let (store, owner) = (self.clone(), owner.to_owned());
        blocking::run("unpinning content", move || {
            pins::remove(&store.inner.layout, &owner)?;
            store.inner.ledger.remove_pin(&owner);
            Ok(())
        })
        .await
    }

    /// What `owner` pins.
    pub fn pinned(&self, owner: &str) -> Option<Digest> {
        self.inner.ledger.pin(owner).map(|pin| pin.digest)
    }

    /// Owners whose text begins with `prefix`, sorted, and what they pin.
    pub fn pins(&self, prefix: &str) -> Vec<(String, Digest)> {
        self.inner.ledger.pins(prefix)
    }

    /// Keeps what is touched from now on from being collected, while the lease lives.
    pub fn lease(&self) -> Lease {
        self.inner.ledger.lease()
    }

    /// Holds a document and touches all that it names, in this order (see `ledger`).
    pub(crate) fn hold_content(&self, digest: &Digest) -> Result<Hold, Error> {
        let hold = self.inner.ledger.hold(digest);
        if self.size_now(digest)?.is_none() {
            return Err(Error::UnknownContent { digest: digest.clone() });
        }
        let mut touch = |item| {
            self.inner.ledger.touch(item);
        };
        self.walk(digest, &mut touch, &mut |_| ())?;
        Ok(hold)
    }

    /// Walks the reference graph from `root`: each digest in it goes to `item`, what each document names to
    /// `document`. Blocks. What is not there, or is no document, ends its branch.
    pub(crate) fn walk(
        &self,
        root: &Digest,
        item: &mut dyn FnMut(Item),
        document: &mut dyn FnMut(References),
    ) -> Result<(), Error> {
        let mut documents = vec![(root.clone(), 0)];
        while let Some((digest, depth)) = documents.pop() {
            item(Item::Blob(digest.clone()));
            let bytes = match self.read_document(&digest) {
                Ok(Some(bytes)) => bytes,
                // An index names platforms that were never pulled; what is too large is no manifest.
                Ok(None) | Err(Error::ContentTooLarge { .. }) => continue,
                Err(error) => return Err(error),
            };
            let references = oci::references(&bytes);
            references.config.iter().chain(&references.blobs).for_each(|d| item(Item::Blob(d.clone())));
            if depth < INDEX_DEPTH_MAX {
                documents.extend(references.manifests.iter().map(|d| (d.clone(), depth + 1)));
            }
            document(references);
        }
        Ok(())
    }
}
