//! The way from everyone to the writer: bounded in bytes, never waiting. Must not know what the records mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use crate::record::Record;

/// Makes the two ends of a queue that takes lines up to `bytes_max` and other records up to twice that.
pub(crate) fn queue(bytes_max: usize) -> (Sender, Receiver) {
    let (tx, rx) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared { bytes_max, ..Shared::default() });
    (Sender { tx, shared: shared.clone() }, Receiver { rx, shared, held: None })
}

#[derive(Default)]
struct Shared {
    bytes_max: usize,
    waiting_bytes: AtomicUsize,
    lost: AtomicU64,
    /// Rung when the queue is half full, so that the writer does not wait for its next turn.
    half_full: Notify,
}

/// The senders' end; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender {
    tx: mpsc::UnboundedSender<Record>,
    shared: Arc<Shared>,
}

/// The queue was full or nobody writes any more; the record is gone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Sender {
    /// Queues a record, or counts it as lost. The channel itself is unbounded; the bytes counted here bound it.
    pub(crate) fn send(&self, record: Record) -> Result<(), Refused> {
        let bytes_max = match record {
            Record::Line(_) => self.shared.bytes_max,
            Record::Begin(..) | Record::End(..) => self.shared.bytes_max.saturating_mul(2),
        };
        let cost = record.cost();
        let before = self.shared.waiting_bytes.fetch_add(cost, Ordering::Relaxed);
        if before.saturating_add(cost) > bytes_max || self.tx.send(record).is_err() {
            self.shared.waiting_bytes.fetch_sub(cost, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return Err(Refused);
        }
        let half = self.shared.bytes_max / 2;
        if before < half && before + cost >= half {
            self.shared.half_full.notify_one();
        }
        Ok(())
    }
}

/// The writer's end.
pub(crate) struct Receiver {
    rx: mpsc::UnboundedReceiver<Record>,
    shared: Arc<Shared>,
    /// The record that `first` has seen.
    held: Option<Record>,
}

impl Receiver {
    /// Waits for a record; it comes with the next [`Receiver::drain`]. False when all senders are gone and nothing is
    /// left. Safe to cancel.
    pub(crate) async fn first(&mut self) -> bool {
        if self.held.is_none() {
            self.held = self.rx.recv().await;
        }
        self.held.is_some()
    }

    /// Waits until the queue has become half full. Safe to cancel.
    pub(crate) async fn half_full(&self) {
        self.shared.half_full.notified().await;
    }

    /// What waits now, in bytes.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.shared.waiting_bytes.load(Ordering::Relaxed)
    }

    /// Takes what waits now, up to about `bytes_max` bytes.
    pub(crate) fn drain(&mut self, bytes_max: usize) -> Vec<Record> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(record) = self.held.take().or_else(|| self.rx.try_recv().ok())
        {
            bytes += record.cost();
            records.push(record);
        }
        self.shared.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        records
    }

    /// Records refused since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        self.shared.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{End, LineRecord};
    use crate::row::tests::request;

    fn line(bytes: usize) -> Record {
        let begin = request().begin.clone();
        Record::Line(LineRecord {
            time_ms: 0,
            function: begin.function,
            version: begin.version,
            request_id: None,
            request: None,
            instance: None,
            stream: crate::Stream::Stdout,
            text: "x".repeat(bytes).into(),
            _share: None,
        })
    }

    #[test]
    fn a_full_queue_refuses_lines_but_still_takes_ends() {
        let (sender, mut receiver) = queue(10_000);
        let taken = (0..100).take_while(|_| sender.send(line(840)).is_ok()).count();
        assert_eq!(taken, 10);
        let end = End {
            status: types::RunStatus::Success,
            ret_msg: String::new(),
            duration_us: 1,
            bill_duration_ms: 1,
            memory_bytes: 1,
            closing: Vec::new(),
        };
        assert_eq!(sender.send(Record::End(Arc::new(request()), end)), Ok(()));
        assert_eq!(receiver.drain(usize::MAX).len(), 11);
        assert_eq!(receiver.take_lost(), 1);
        assert_eq!(sender.send(line(840)), Ok(()));
    }

    #[tokio::test]
    async fn the_writer_is_woken_when_half_is_full() {
        let (sender, mut receiver) = queue(10_000);
        for _ in 0..6 {
            sender.send(line(840)).unwrap();
        }
        receiver.half_full().await;
        assert!(receiver.first().await);
        assert_eq!(receiver.drain(1).len(), 1);
        assert_eq!(receiver.drain(usize::MAX).len(), 5);
        drop(sender);
        assert!(!receiver.first().await);
    }
}
