//! Progress of a preparation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use registry_client::AskedPause;

/// A step of a preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Resolving the reference.
    Resolving,
    /// Transferring layers, which are indexed as they arrive.
    Pulling,
    /// All bytes have arrived, layers are still being indexed.
    Indexing,
    /// Merging the layers into one root file system.
    Merging,
    /// Done.
    Ready,
}

/// A progress report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// Layers that are ready.
    pub layers_done: usize,
    /// Layers of the image.
    pub layers_total: usize,
    /// Compressed bytes of config and layers that are stored.
    pub bytes_done: u64,
    /// Compressed bytes of config and layers; 0 until known.
    pub bytes_total: u64,
    /// Seconds of the current pause, as requested by the registry.
    pub pause_s: Option<u64>,
}

/// Receives progress reports; must return quickly.
pub type ProgressListener = Arc<dyn Fn(Progress) + Send + Sync>;

/// Counts the progress of one preparation.
pub(crate) struct Meter {
    listener: ProgressListener,
    step: Mutex<Step>,
    layers_done: AtomicUsize,
    layers_total: AtomicUsize,
    bytes_total: AtomicU64,
    /// Bytes that were stored before, and one counter for each transfer.
    bytes_here: AtomicU64,
    blobs: Mutex<Vec<Arc<AtomicU64>>>,
    /// The current pause, set by requests to the registry.
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

    /// Adds a blob that need not be transferred.
    pub(crate) fn have(&self, bytes: u64) {
        self.bytes_here.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Adds a transfer whose bytes so far are in `counter`.
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
        // After a restarted transfer some bytes count twice for a moment.
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
