//! The store's handle: blobs by digest, uploads, pins and leases.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use oci::digest_of;
use tokio::sync::watch;
use types::Digest;

use crate::blobs::Blobs;
use crate::gc_roots::{GcRoots, Hold, Item, Lease, Pin};
use crate::layout::Layout;
use crate::reachable::{self, Reachable};
use crate::upload::Upload;
use crate::verify::{Verified, Verifier};
use crate::{Config, Error, blocking, durable, pins};

/// The store; clones share it.
#[derive(Clone)]
pub struct ContentStore {
    inner: Arc<Inner>,
}

struct Inner {
    layout: Layout,
    blobs: Blobs,
    gc_roots: GcRoots,
    verifier: Verifier,
    opened: Instant,
    config: Config,
    /// Serializes writes of pins, so that the disk and the GC roots change in the same order.
    pin_writes: tokio::sync::Mutex<()>,
}

impl ContentStore {
    /// Loads the store; blocks while it reads the pins.
    ///
    /// # Errors
    /// `Io`: a pin cannot be read.
    pub fn load(layout: Layout, config: Config) -> Result<Self, Error> {
        let (gc_roots, opened) = (GcRoots::default(), Instant::now());
        let blobs = Blobs::new(layout.clone(), gc_roots.clone(), &config);
        let verifier = Verifier::new(layout.clone(), &config);
        pins::load(&layout, &gc_roots, verifier.quarantine())?;
        let pin_writes = tokio::sync::Mutex::new(());
        Ok(Self { inner: Arc::new(Inner { layout, blobs, gc_roots, verifier, opened, config, pin_writes }) })
    }

    /// Whether the start was so recent that content without a root must still be kept.
    pub fn keeps_all(&self) -> bool {
        self.inner.opened.elapsed() < self.inner.config.start_keep()
    }

    /// A counter of damaged items that notifies of changes.
    pub fn damage(&self) -> watch::Receiver<u64> {
        self.inner.verifier.damage()
    }

    /// The verifier, which also quarantines damaged content.
    pub fn verifier(&self) -> &Verifier {
        &self.inner.verifier
    }

    /// All blobs on disk. Blocks.
    ///
    /// # Errors
    /// `Io`.
    pub fn list(&self) -> Result<Vec<Item>, Error> {
        self.inner.blobs.list()
    }

    /// As [`Self::size`]; blocks.
    ///
    /// # Errors
    /// `Io`.
    pub fn size_now(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        self.inner.blobs.size(digest)
    }

    /// As [`Self::read_small`]; blocks.
    ///
    /// # Errors
    /// `ContentTooLarge`, `Damaged`, `Io`.
    pub fn read_small_now(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        self.inner.blobs.read(digest, bytes_max)
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    pub(crate) fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Length of the content, verified unless this process did so recently; `None` when it does not
    /// exist, or was damaged and is quarantined now.
    ///
    /// # Errors
    /// `Io`.
    pub async fn verified_size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("verifying content", move || store.verified_size_now(&digest)).await
    }

    fn verified_size_now(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let Some(size) = self.inner.blobs.size(digest)? else { return Ok(None) };
        let verified = self.inner.verifier.verify(&Item::Blob(digest.clone()))?;
        Ok(matches!(verified, Verified::Intact).then_some(size))
    }

    /// As [`Self::read_small`]; damaged or unreadable content is quarantined and then absent.
    ///
    /// # Errors
    /// `ContentTooLarge`, `Io`.
    pub async fn read_verified(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        match self.read_small(digest, bytes_max).await {
            Err(error @ (Error::Damaged { .. } | Error::Io { .. })) => {
                let (store, item) = (self.clone(), Item::Blob(digest.clone()));
                let reason = error.to_string();
                blocking::run("setting content aside", move || store.verifier().set_aside(&item, reason)).await?;
                Ok(None)
            }
            read => read,
        }
    }

    /// The paths on disk.
    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// The roots of garbage collection.
    pub fn gc_roots(&self) -> &GcRoots {
        &self.inner.gc_roots
    }

    /// Length of the content, `None` when it does not exist.
    ///
    /// # Errors
    /// `Io`.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("looking for content", move || store.inner.blobs.size(&digest)).await
    }

    /// As [`Self::open`], for reading on a thread.
    ///
    /// # Errors
    /// `Io`.
    pub async fn open_blob(&self, digest: &Digest) -> Result<Option<(fs::File, u64)>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("opening content", move || store.inner.blobs.open(&digest)).await
    }

    /// Opens the content and returns its length, `None` when it does not exist. It stays readable
    /// while open, even if it is collected.
    ///
    /// # Errors
    /// `Io`.
    pub async fn open(&self, digest: &Digest) -> Result<Option<(tokio::fs::File, u64)>, Error> {
        let opened = self.open_blob(digest).await?;
        Ok(opened.map(|(file, size)| (tokio::fs::File::from_std(file), size)))
    }

    /// Reads small content as a whole, and checks its digest again; `None` when it does not exist.
    ///
    /// # Errors
    /// `ContentTooLarge` for more than `bytes_max`, `Damaged`, `Io`.
    pub async fn read_small(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("reading content", move || store.inner.blobs.read(&digest, bytes_max)).await
    }

    /// Stores small content; it is durable on return.
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
            store.inner.gc_roots.touch(Item::Blob(digest.clone()));
            durable::write(&store.inner.layout.blob(&digest), &store.inner.layout.draft(), &content)?;
            store.inner.verifier.wrote(&Item::Blob(digest));
            Ok(())
        })
        .await
    }

    /// Begins an upload of any size.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn begin_upload(&self) -> Result<Upload, Error> {
        Upload::begin(self.inner.layout.clone(), self.inner.gc_roots.clone(), self.inner.verifier.clone()).await
    }

    /// Pins `digest`, a manifest or an index, and everything that it references, for `owner`,
    /// replacing that owner's earlier pin. Owners are any texts. The pin is durable on return.
    ///
    /// # Errors
    /// `UnknownContent` when there is no such content, `DiskFull`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        self.pin_as(owner, Pin { digest: digest.clone(), keeps_rootfs: false }).await
    }

    /// As [`Self::pin`], for an image whose root file system may be kept too.
    ///
    /// # Errors
    /// As [`Self::pin`].
    pub async fn pin_as(&self, owner: &str, pin: Pin) -> Result<(), Error> {
        let _turn = self.inner.pin_writes.lock().await;
        let (store, owner) = (self.clone(), owner.to_owned());
        blocking::run("pinning content", move || {
            let _hold = store.hold_content(&pin.digest)?;
            pins::write(&store.inner.layout, &owner, &pin)?;
            // One that is unreadable now may be readable at the collection.
            if let Ok(reachable) = Reachable::of(&store.inner.blobs, &pin.digest) {
                reachable.remember(&store.inner.layout, &pin.digest);
            }
            // The owner's earlier pin stays a root until here, because a crash before would restore
            // it.
            store.inner.gc_roots.set_pin(&owner, pin);
            Ok(())
        })
        .await
    }

    /// Removes the pin of `owner`, if any.
    ///
    /// # Errors
    /// `Io`.
    pub async fn unpin(&self, owner: &str) -> Result<(), Error> {
        let _turn = self.inner.pin_writes.lock().await;
        let (store, owner) = (self.clone(), owner.to_owned());
        blocking::run("unpinning content", move || {
            pins::remove(&store.inner.layout, &owner)?;
            store.inner.gc_roots.remove_pin(&owner);
            Ok(())
        })
        .await
    }

    /// The digest that `owner` pins.
    pub fn pinned(&self, owner: &str) -> Option<Digest> {
        self.inner.gc_roots.pin(owner).map(|pin| pin.digest)
    }

    /// Owners whose text begins with `prefix`, sorted, and their pinned digests.
    pub fn pins(&self, prefix: &str) -> Vec<(String, Digest)> {
        self.inner.gc_roots.pins(prefix)
    }

    /// Protects content touched from now on from collection, until the lease is dropped.
    pub fn lease(&self) -> Lease {
        self.inner.gc_roots.lease()
    }

    /// Content that a pinned document reaches: from its documents, and from the stored record if
    /// one of them is gone; `None` when neither is known. Damaged documents are quarantined.
    /// Blocks.
    pub fn reachable(&self, root: &Digest) -> Option<Reachable> {
        let Inner { blobs, layout, verifier, .. } = &*self.inner;
        let read = match Reachable::of(blobs, root) {
            Err(Error::Damaged { digest, .. }) => {
                let reason = "its digest is another one".to_owned();
                // Fetched or pushed again it is complete; the stored record covers its references
                // until then.
                verifier.set_aside(&Item::Blob(digest), reason).and_then(|_| Reachable::of(blobs, root))
            }
            read => read,
        };
        let remembered = Reachable::remembered(layout, root);
        let mut reachable = match read {
            Ok(reachable) => reachable,
            Err(error) => {
                verifier.log_once(root, &error);
                return remembered;
            }
        };
        let is_whole = |there: &Reachable| there.blobs.iter().all(|blob| reachable.blobs.contains(blob));
        if let Some(before) = remembered.filter(|before| !is_whole(before)) {
            // A document of the graph is missing.
            reachable.blobs.extend(before.blobs);
            reachable.stacks.extend(before.stacks);
        } else {
            reachable.remember(layout, root);
        }
        Some(reachable)
    }

    /// Removes records of documents that are not among `roots`. Blocks.
    pub fn forget_unreachable(&self, roots: &HashSet<Digest>) {
        reachable::forget_others(&self.inner.layout, roots);
    }

    /// Owners of pins that reach an item. Blocks.
    pub(crate) fn owners_of(&self, item: &Item) -> Vec<String> {
        let Inner { gc_roots, layout, blobs, .. } = &*self.inner;
        reachable::owners_of(gc_roots, layout, blobs, item)
    }

    /// Holds a document and then touches everything that it references (see `gc_roots`).
    pub(crate) fn hold_content(&self, digest: &Digest) -> Result<Hold, Error> {
        let hold = self.inner.gc_roots.hold(digest);
        if self.inner.blobs.size(digest)?.is_none() {
            return Err(Error::UnknownContent { digest: digest.clone() });
        }
        let mut touch = |item| {
            self.inner.gc_roots.touch(item);
        };
        reachable::walk(&self.inner.blobs, digest, &mut touch, &mut |_| ())?;
        Ok(hold)
    }
}
