//! Records in the ring buffer of the eBPF program, in memory that the kernel writes concurrently.
//! No system calls.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// Size of the ring in bytes: a power of two, whole pages. It holds 2,730 unread records.
pub const RING_BYTES: usize = 64 * 1024;
const WORD_BYTES: usize = size_of::<u32>();
/// Words of the data, which is mapped twice.
pub const DATA_WORDS: usize = 2 * RING_BYTES / WORD_BYTES;
/// Bytes before each record: its length with two flags, and an offset for the kernel's own use.
const HEADER_BYTES: u64 = 8;
/// `BPF_RINGBUF_BUSY_BIT`, `BPF_RINGBUF_DISCARD_BIT` (linux/bpf.h).
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;

/// A socket that has begun to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Listen {
    /// Cookie of its network namespace; see `network_cookie`.
    pub network: u64,
    port: u64,
}

impl Listen {
    /// Its port.
    pub fn port(&self) -> u16 {
        // The program stores the kernel's 16-bit number in 64 bits.
        u16::try_from(self.port).unwrap_or_default()
    }
}

/// The content of the ring.
///
/// Only relaxed loads are defined for memory that the kernel maps read-only (`std::sync::atomic`,
/// "atomic accesses to read-only memory"); fences order them.
pub struct Records<'a> {
    /// The reader's position, which the kernel reads.
    pub read: &'a AtomicU64,
    /// The kernel's position, including records that are still being written.
    pub written: &'a AtomicU64,
    /// The data, mapped twice.
    pub data: &'a [AtomicU32],
}

impl Records<'_> {
    /// The next record: `None` when there is none, `Some(None)` for one that is discarded or of
    /// another length.
    pub fn next(&self) -> Option<Option<Listen>> {
        let position = self.read.load(Ordering::Relaxed);
        if position >= self.written.load(Ordering::Relaxed) {
            return None;
        }
        // Pairs with the kernel's update of the position: makes the record's header visible.
        fence(Ordering::Acquire);
        let offset = usize::try_from(position).ok()? % RING_BYTES / WORD_BYTES;
        let length = self.data[offset].load(Ordering::Relaxed);
        if length & BUSY != 0 {
            // The kernel is still writing it, and sends a wake-up afterwards.
            return None;
        }
        // Pairs with the clearing of the busy flag: makes the record visible.
        fence(Ordering::Acquire);
        let bytes = u64::from(length & !DISCARDED);
        let ours = length & DISCARDED == 0 && bytes == size_of::<Listen>() as u64;
        let record = ours.then(|| self.listen(offset + HEADER_BYTES as usize / WORD_BYTES));
        self.read.store(position + (HEADER_BYTES + bytes).next_multiple_of(8), Ordering::Release);
        // Orders it before the next load of `written`: the kernel sends a wake-up only for a record
        // that it writes after all earlier ones were read, and has a fence between the two as well.
        fence(Ordering::SeqCst);
        Some(record)
    }

    fn listen(&self, at: usize) -> Listen {
        let word = |number: usize| u64::from(self.data[at + number].load(Ordering::Relaxed));
        Listen { network: word(0) | word(1) << 32, port: word(2) | word(3) << 32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Memory in the kernel's layout.
    struct Memory {
        read: AtomicU64,
        written: AtomicU64,
        data: Vec<AtomicU32>,
    }

    impl Memory {
        fn new() -> Self {
            let data = (0..DATA_WORDS).map(|_| AtomicU32::new(0)).collect();
            Self { read: AtomicU64::new(0), written: AtomicU64::new(0), data }
        }

        fn records(&self) -> Records<'_> {
            Records { read: &self.read, written: &self.written, data: &self.data }
        }

        fn set(&self, position: u64, value: u32) {
            let word = position as usize % RING_BYTES / WORD_BYTES;
            self.data[word].store(value, Ordering::Relaxed);
            self.data[word + DATA_WORDS / 2].store(value, Ordering::Relaxed);
        }

        /// Writes as the kernel does (kernel/bpf/ringbuf.c): the busy header, the position, the
        /// content, and the final header.
        fn write(&self, flags: u32, words: &[u32]) {
            let at = self.written.load(Ordering::Relaxed);
            let length = (words.len() * WORD_BYTES) as u32;
            let end = at + (HEADER_BYTES + u64::from(length)).next_multiple_of(8);
            while end - self.read.load(Ordering::Acquire) > RING_BYTES as u64 {
                std::thread::yield_now();
            }
            self.set(at, length | BUSY);
            self.written.store(end, Ordering::Release);
            for (word, number) in words.iter().zip(0..) {
                self.set(at + HEADER_BYTES + number * WORD_BYTES as u64, *word);
            }
            fence(Ordering::Release);
            self.set(at, length | flags);
        }
    }

    #[test]
    fn records_are_read_in_order_and_whole_while_others_are_written() {
        // Several times around the ring, with lengths that end anywhere in it.
        const RECORDS: u32 = 20_000;
        let memory = Memory::new();
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..RECORDS {
                    match number % 5 {
                        0 => memory.write(DISCARDED, &[0; 4]),
                        1 => memory.write(0, &[7; 3]),
                        _ => memory.write(0, &[number, !number, number & 0xffff, 0]),
                    }
                }
            });
            let mut seen = Vec::new();
            while seen.len() < RECORDS as usize {
                match memory.records().next() {
                    Some(record) => seen.push(record),
                    None => std::thread::yield_now(),
                }
            }
            seen
        });
        for (number, record) in (0..RECORDS).zip(seen) {
            let ours =
                Listen { network: u64::from(number) | u64::from(!number) << 32, port: u64::from(number & 0xffff) };
            assert_eq!(record, (number % 5 > 1).then_some(ours), "record {number}");
        }
        assert!(memory.records().next().is_none());
    }

    #[test]
    fn a_record_that_is_being_written_is_left_for_later() {
        let memory = Memory::new();
        memory.write(BUSY, &[1, 0, 80, 0]);
        assert!(memory.records().next().is_none());
        memory.set(0, 16);
        assert_eq!(memory.records().next(), Some(Some(Listen { network: 1, port: 80 })));
    }
}
