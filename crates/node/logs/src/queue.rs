//! The queue to the writer: records in the order sent, bounded in bytes; senders never wait. One
//! lock, held while a pointer is moved in or all of them are taken.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::record::Record;

/// Creates a queue that takes lines up to `bytes_max` and other records up to twice that.
pub(crate) fn queue(bytes_max: usize) -> (Sender, Receiver) {
    let shared = Arc::new(Queue { bytes_max, ..Queue::default() });
    (Sender(shared.clone()), Receiver(shared))
}

#[derive(Default)]
struct Queue {
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    /// Notified when a record comes to an empty queue.
    first: Notify,
    /// Notified when the queue is half full, so that the writer does not wait for its next flush.
    half_full: Notify,
}

#[derive(Default)]
struct Waiting {
    records: Vec<Record>,
    /// Bytes of queued records and of those being written.
    bytes: usize,
    lost: u64,
    writer_sleeps: bool,
    /// The writer has ended.
    closed: bool,
}

/// The senders' end; cheap to clone.
#[derive(Clone)]
pub(crate) struct Sender(Arc<Queue>);

/// The queue was full, or the writer has ended; the record was dropped.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

impl Sender {
    /// Queues a record, or counts it as lost.
    pub(crate) fn send(&self, record: Record) -> Result<(), Refused> {
        let queue = &*self.0;
        let bytes_max = match record {
            Record::Line(_) => queue.bytes_max,
            Record::Begin(_) | Record::End(..) => queue.bytes_max.saturating_mul(2),
        };
        let cost = record.cost();
        let mut waiting = queue.waiting.lock();
        let bytes = waiting.bytes.saturating_add(cost);
        if waiting.closed || bytes > bytes_max {
            waiting.lost += 1;
            return Err(Refused);
        }
        waiting.records.push(record);
        let half = queue.bytes_max / 2;
        let half_full = waiting.bytes < half && bytes >= half;
        waiting.bytes = bytes;
        let first = std::mem::take(&mut waiting.writer_sleeps);
        drop(waiting);
        if first {
            queue.first.notify_one();
        }
        if half_full {
            queue.half_full.notify_one();
        }
        Ok(())
    }
}

/// The writer's end.
pub(crate) struct Receiver(Arc<Queue>);

impl Receiver {
    /// Waits until the queue has a record. Safe to cancel.
    pub(crate) async fn first(&self) {
        loop {
            {
                let mut waiting = self.0.waiting.lock();
                waiting.writer_sleeps = waiting.records.is_empty();
                if !waiting.writer_sleeps {
                    return;
                }
            }
            self.0.first.notified().await;
        }
    }

    /// Waits until the queue has become half full. Safe to cancel.
    pub(crate) async fn half_full(&self) {
        self.0.half_full.notified().await;
    }

    /// Takes all records; their bytes count until [`Receiver::written`].
    pub(crate) fn take(&self) -> Vec<Record> {
        let mut waiting = self.0.waiting.lock();
        // The next batch is likely to be about as large.
        let next = Vec::with_capacity(waiting.records.len());
        std::mem::replace(&mut waiting.records, next)
    }

    /// Releases the bytes of records that were taken.
    pub(crate) fn written(&self, bytes: usize) {
        self.0.waiting.lock().bytes -= bytes;
    }

    /// Records rejected since the last call.
    pub(crate) fn take_lost(&self) -> u64 {
        std::mem::take(&mut self.0.waiting.lock().lost)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting.lock();
        waiting.closed = true;
        waiting.records.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::LineRecord;
    use crate::row::tests::request;

    fn line(bytes: usize) -> Record {
        let begin = request().begin.clone();
        Record::Line(Box::new(LineRecord {
            time_ms: 0,
            function: begin.function,
            version: begin.version,
            request_id: None,
            request: None,
            instance: None,
            stream: crate::Stream::Stdout,
            text: "x".repeat(bytes).into(),
            _share: None,
        }))
    }

    #[test]
    fn a_full_queue_refuses_lines_but_still_takes_ends() {
        let (sender, receiver) = queue(10_000);
        let taken = (0..100).take_while(|_| sender.send(line(840)).is_ok()).count();
        assert_eq!(taken, 10);
        assert_eq!(sender.send(Record::End(Arc::new(request()), 0)), Ok(()));
        let records = receiver.take();
        assert_eq!((records.len(), receiver.take_lost()), (11, 1));
        assert_eq!(sender.send(line(840)), Err(Refused), "what is being written counts");
        receiver.written(records.iter().map(Record::cost).sum());
        assert_eq!(sender.send(line(840)), Ok(()));
    }

    #[tokio::test]
    async fn the_writer_is_woken_when_something_waits_and_when_half_is_full() {
        let (sender, receiver) = queue(10_000);
        let (first, sent) = tokio::join!(receiver.first(), async { sender.send(line(840)) });
        assert_eq!((first, sent), ((), Ok(())));
        for _ in 0..5 {
            sender.send(line(840)).unwrap();
        }
        receiver.half_full().await;
        receiver.first().await;
        assert_eq!(receiver.take().len(), 6);
    }

    #[test]
    fn nothing_is_taken_for_a_writer_that_has_ended() {
        let (sender, receiver) = queue(10_000);
        drop(receiver);
        assert_eq!(sender.send(line(840)), Err(Refused));
    }
}
