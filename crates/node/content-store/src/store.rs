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

/// The store; clones are the same one.
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
    /// One pin is written at a time, so that what is on disk and what the gc_roots says change in
    /// one order.
    pin_writes: tokio::sync::Mutex<()>,
}

impl ContentStore {
    /// Blocks while it reads the pins.
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

    /// Whether the start was so lately that nothing may be let go yet which only seems to be needed
    /// no more.
    pub fn keeps_all(&self) -> bool {
        self.inner.opened.elapsed() < self.inner.config.start_keep()
    }

    /// Counts what is found damaged, and changes with it.
    pub fn damage(&self) -> watch::Receiver<u64> {
        self.inner.verifier.damage()
    }

    /// What verifies content, and sets damage aside.
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

    /// Bytes of the content, verified unless this process has done so lately; `None` when it is not
    /// there, or was damaged and is there no more.
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

    /// As [`Self::read_small`]; what is damaged or cannot be read is set aside and is there no
    /// more.
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

    /// Where things are on disk.
    pub fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    /// What is kept from being collected.
    pub fn gc_roots(&self) -> &GcRoots {
        &self.inner.gc_roots
    }

    /// Bytes of the content, `None` when it is not there.
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

    /// The content and its bytes, `None` when it is not there. Once open it stays readable,
    /// whatever is collected.
    ///
    /// # Errors
    /// `Io`.
    pub async fn open(&self, digest: &Digest) -> Result<Option<(tokio::fs::File, u64)>, Error> {
        let opened = self.open_blob(digest).await?;
        Ok(opened.map(|(file, size)| (tokio::fs::File::from_std(file), size)))
    }

    /// Small content as a whole, its digest checked again; `None` when it is not there.
    ///
    /// # Errors
    /// `ContentTooLarge` for more than `bytes_max`, `Damaged`, `Io`.
    pub async fn read_small(&self, digest: &Digest, bytes_max: u64) -> Result<Option<Bytes>, Error> {
        let (store, digest) = (self.clone(), digest.clone());
        blocking::run("reading content", move || store.inner.blobs.read(&digest, bytes_max)).await
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
            store.inner.gc_roots.touch(Item::Blob(digest.clone()));
            durable::write(&store.inner.layout.blob(&digest), &store.inner.layout.draft(), &content)?;
            store.inner.verifier.wrote(&Item::Blob(digest));
            Ok(())
        })
        .await
    }

    /// Begins to take content of any size.
    ///
    /// # Errors
    /// `DiskFull`, `Io`.
    pub async fn begin_upload(&self) -> Result<Upload, Error> {
        Upload::begin(self.inner.layout.clone(), self.inner.gc_roots.clone(), self.inner.verifier.clone()).await
    }

    /// Keeps `digest`, a manifest or an index, and all that it names, for `owner`, in place of what
    /// that owner pinned before. Owners are any texts. The pin survives a crash once this returns.
    ///
    /// # Errors
    /// `UnknownContent` when there is no such content, `DiskFull`, `Io`.
    pub async fn pin(&self, owner: &str, digest: &Digest) -> Result<(), Error> {
        self.pin_as(owner, Pin { digest: digest.clone(), keeps_rootfs: false }).await
    }

    /// As [`Self::pin`], of an image whose root file system may be kept too.
    ///
    /// # Errors
    /// As [`Self::pin`].
    pub async fn pin_as(&self, owner: &str, pin: Pin) -> Result<(), Error> {
        let _turn = self.inner.pin_writes.lock().await;
        let (store, owner) = (self.clone(), owner.to_owned());
        blocking::run("pinning content", move || {
            let _hold = store.hold_content(&pin.digest)?;
            pins::write(&store.inner.layout, &owner, &pin)?;
            // One that cannot be read now can be when it is collected.
            if let Ok(reachable) = Reachable::of(&store.inner.blobs, &pin.digest) {
                reachable.remember(&store.inner.layout, &pin.digest);
            }
            // What the owner pinned before is a root until here, since a crash before would bring
            // it back.
            store.inner.gc_roots.set_pin(&owner, pin);
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
            store.inner.gc_roots.remove_pin(&owner);
            Ok(())
        })
        .await
    }

    /// What `owner` pins.
    pub fn pinned(&self, owner: &str) -> Option<Digest> {
        self.inner.gc_roots.pin(owner).map(|pin| pin.digest)
    }

    /// Owners whose text begins with `prefix`, sorted, and what they pin.
    pub fn pins(&self, prefix: &str) -> Vec<(String, Digest)> {
        self.inner.gc_roots.pins(prefix)
    }

    /// Keeps what is touched from now on from being collected, while the lease lives.
    pub fn lease(&self) -> Lease {
        self.inner.gc_roots.lease()
    }

    /// What a pinned document leads to: as its documents say, and as was remembered where one of
    /// them is gone; `None` when neither is known. What is damaged is set aside. Blocks.
    pub fn reachable(&self, root: &Digest) -> Option<Reachable> {
        let Inner { blobs, layout, verifier, .. } = &*self.inner;
        let read = match Reachable::of(blobs, root) {
            Err(Error::Damaged { digest, .. }) => {
                let reason = "its digest is another one".to_owned();
                // Fetched or pushed again it is whole; what is below it stays as it was remembered.
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
            // Something on the way is missing.
            reachable.blobs.extend(before.blobs);
            reachable.stacks.extend(before.stacks);
        } else {
            reachable.remember(layout, root);
        }
        Some(reachable)
    }

    /// Forgets what is remembered of documents that are not among `roots`. Blocks.
    pub fn forget_unreachable(&self, roots: &HashSet<Digest>) {
        reachable::forget_others(&self.inner.layout, roots);
    }

    /// Owners of pins that lead to an item. Blocks.
    pub(crate) fn owners_of(&self, item: &Item) -> Vec<String> {
        let Inner { gc_roots, layout, blobs, .. } = &*self.inner;
        reachable::owners_of(gc_roots, layout, blobs, item)
    }

    /// Holds a document and touches all that it names, in this order (see `gc_roots`).
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
