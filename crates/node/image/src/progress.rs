//! How far a preparation is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use registry_client::AskedPause;

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Finding out which content the reference means.
    Resolving,
    /// Transferring layers, which are indexed as they come.
    Pulling,
    /// All bytes are here, layers are still being indexed.
    Indexing,
    /// Making one root file system of the layers.
    Merging,
    /// Done.
    Ready,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Layers that are ready.
    pub layers_done: usize,
    /// Layers of the image.
    pub layers_total: usize,
    /// Compressed bytes that are here, of config and layers.
    pub bytes_done: u64,
    /// Compressed bytes of config and layers; 0 until known.
    pub bytes_total: u64,
    /// Seconds of the current pause, requested by the registry (`Retry-After`).
    pub pause_s: Option<u64>,
}

/// Called with reports of progress; must return quickly.
pub type ProgressListener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Counts one preparation.
pub(crate) struct Meter {
    listener: ProgressListener,
    step: Mutex<Step>,
    layers_done: AtomicUsize,
    layers_total: AtomicUsize,
    bytes_total: AtomicU64,
    /// Bytes that were there before, and one counter for each blob on its way.
    bytes_here: AtomicU64,
    blobs: Mutex<Vec<Arc<AtomicU64>>>,
    /// Set by the registry client.
    pub asked_pause: AskedPause,
}

impl Meter {
    pub(crate) fn new(listener: ProgressListener) -> Self {
        Self {
            listener,
            step: Mutex::new(Step::Resolving),
            layers_done: AtomicUsize::default(),
            layers_total: AtomicUsize::default(),
            bytes_total: AtomicU64::default(),
            bytes_here: AtomicU64::default(),
            blobs: Mutex::default(),
            asked_pause: AskedPause::default(),
        }
    }

    pub(crate) fn begin(&self, layers: usize, bytes: u64) {
        self.layers_total.store(layers, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
        self.enter(Step::Pulling);
    }

    pub(crate) fn enter(&self, step: Step) {
        *self.step.lock() = step;
        self.report();
    }

    /// Counts a blob that is already here.
    pub(crate) fn have(&self, bytes: u64) {
        self.bytes_here.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds a blob in transfer, whose bytes so far are in `counter`.
    pub(crate) fn watch(&self, counter: Arc<AtomicU64>) {
        self.blobs.lock().push(counter);
    }

    pub(crate) fn layer_done(&self) {
        self.layers_done.fetch_add(1, Ordering::Relaxed);
        let all_here = self.bytes_done() >= self.bytes_total.load(Ordering::Relaxed);
        let mut step = self.step.lock();
        if all_here && *step == Step::Pulling {
            *step = Step::Indexing;
        }
        drop(step);
        self.report();
    }

    fn bytes_done(&self) -> u64 {
        let coming: u64 = self.blobs.lock().iter().map(|blob| blob.load(Ordering::Relaxed)).sum();
        // A retry from the start counts some bytes twice for a moment.
        (self.bytes_here.load(Ordering::Relaxed) + coming).min(self.bytes_total.load(Ordering::Relaxed))
    }

    pub(crate) fn report(&self) {
        (self.listener)(Progress {
            step: *self.step.lock(),
            layers_done: self.layers_done.load(Ordering::Relaxed),
            layers_total: self.layers_total.load(Ordering::Relaxed),
            bytes_done: self.bytes_done(),
            bytes_total: self.bytes_total.load(Ordering::Relaxed),
            pause_s: self.asked_pause.seconds(),
        });
    }
}
