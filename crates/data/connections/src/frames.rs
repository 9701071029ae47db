//! How many frames of HTTP/2 a peer may send that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty
//! DATA, CONTINUATION, unknown ones. Each costs its sender some bytes and its reader much more. Pure.
//!
//! The library bounds header blocks, streams reset before they were seen and small DATA frames; it reads any number of the
//! others. A peer has an allowance of them that grows with time and with each message that either side sends: data is
//! acknowledged by window updates, and streams end by resets.

/// What a client of HTTP/2 sends first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// Frames of the peer that a message of ours may be answered with, beside messages: two window updates.
const EARNED: u64 = 2;
/// Parts of an allowance for one frame: it grows by less than one in a millisecond.
const PARTS: u64 = 1000;

/// How many frames without content a peer may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// At once.
    pub burst_max: u32,
    /// In each second, on and on.
    pub per_second_max: u32,
}

/// A peer sends frames without content, and more of them than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many HTTP/2 frames without content")]
pub struct TooManyFrames;

/// Which side the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It begins streams: each of its HEADERS is a request.
    Client,
    /// It answers ours.
    Server,
}

/// Follows both directions of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    limits: FrameLimits,
    peer: Peer,
    received: Walk,
    sent: Walk,
    allowance: u64,
    filled_ms: u64,
}

impl Frames {
    /// Of a connection on which nothing was sent yet. A client's is followed only if it speaks HTTP/2.
    pub fn new(limits: FrameLimits, peer: Peer) -> Self {
        let begin = Walk::new(Place::Preface(0));
        let (received, sent) = match peer {
            Peer::Client => (begin, Walk::new(Place::header())),
            Peer::Server => (Walk::new(Place::header()), begin),
        };
        Self { limits, peer, received, sent, allowance: u64::from(limits.burst_max) * PARTS, filled_ms: 0 }
    }

    /// Whether the connection is one of HTTP/2, as far as is known.
    pub fn are_followed(&self) -> bool {
        self.received.place != Place::Other && self.sent.place != Place::Other
    }

    /// Counts what the peer sent; times in milliseconds since the connection was opened.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), TooManyFrames> {
        let Counted { messages, others } = self.received.count(bytes, self.peer == Peer::Client);
        self.earn(messages);
        if others == 0 {
            return Ok(());
        }
        self.fill(now_ms);
        self.allowance = self.allowance.checked_sub(others * PARTS).ok_or(TooManyFrames)?;
        Ok(())
    }

    /// Counts what was sent to the peer.
    pub fn send(&mut self, bytes: &[u8]) {
        let counted = self.sent.count(bytes, true);
        self.earn(counted.messages * EARNED);
    }

    fn earn(&mut self, frames: u64) {
        self.allowance = (self.allowance + frames * PARTS).min(u64::from(self.limits.burst_max) * PARTS);
    }

    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let parts = passed_ms.saturating_mul(u64::from(self.limits.per_second_max) * PARTS / 1000);
        self.allowance = self.allowance.saturating_add(parts).min(u64::from(self.limits.burst_max) * PARTS);
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    messages: u64,
    others: u64,
}

/// Where a direction is between two pieces of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// So many bytes of the preface came.
    Preface(usize),
    /// So many bytes of a frame's header came.
    Header([u8; HEADER_LEN], usize),
    /// So many bytes of a frame are left.
    Payload(usize),
    /// It is no HTTP/2.
    Other,
}

impl Place {
    fn header() -> Self {
        Self::Header([0; HEADER_LEN], 0)
    }
}

#[derive(Debug)]
struct Walk {
    place: Place,
}

impl Walk {
    fn new(place: Place) -> Self {
        Self { place }
    }

    /// Goes on through a piece and counts the frames that begin in it. HEADERS are messages where they `ask`.
    fn count(&mut self, mut bytes: &[u8], ask: bool) -> Counted {
        let mut counted = Counted::default();
        while !bytes.is_empty() {
            let taken = match &mut self.place {
                Place::Other => return counted,
                Place::Preface(have) => {
                    let taken = bytes.len().min(PREFACE.len() - *have);
                    let (from, to) = (*have, *have + taken);
                    self.place = match PREFACE[from..to] == bytes[..taken] {
                        false => Place::Other,
                        true if to == PREFACE.len() => Place::header(),
                        true => Place::Preface(to),
                    };
                    taken
                }
                Place::Payload(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::header();
                    }
                    taken
                }
                Place::Header(header, have) => {
                    let taken = bytes.len().min(HEADER_LEN - *have);
                    header[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    if *have == HEADER_LEN {
                        let len = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
                        match header[3] {
                            DATA if len > 0 => counted.messages += 1,
                            HEADERS if ask => counted.messages += 1,
                            _ => counted.others += 1,
                        }
                        self.place = if len == 0 { Place::header() } else { Place::Payload(len) };
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
        counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FrameLimits = FrameLimits { burst_max: 10, per_second_max: 2 };

    fn frame(kind: u8, len: usize) -> Vec<u8> {
        let mut frame = vec![0, 0, u8::try_from(len).expect("short"), kind, 0, 0, 0, 0, 1];
        frame.resize(HEADER_LEN + len, 0);
        frame
    }

    fn client() -> Frames {
        let mut frames = Frames::new(LIMITS, Peer::Client);
        frames.receive(PREFACE, 0).expect("the preface is no frame");
        frames
    }

    /// How many of a frame are taken at one time.
    fn taken(frames: &mut Frames, frame: &[u8], now_ms: u64) -> usize {
        (0..100).take_while(|_| frames.receive(frame, now_ms).is_ok()).count()
    }

    #[test]
    fn frames_without_content_are_as_many_as_the_limits_say() {
        for (kind, len) in [(2, 5), (3, 4), (4, 0), (6, 8), (8, 4), (9, 1), (77, 3), (DATA, 0)] {
            let (mut frames, frame) = (client(), frame(kind, len));
            assert_eq!(taken(&mut frames, &frame, 0), 10, "{kind}");
            assert_eq!(taken(&mut frames, &frame, 1_500), 3, "{kind}");
            assert_eq!(taken(&mut frames, &frame, 1_000_000), 10, "{kind}");
        }
    }

    #[test]
    fn messages_of_either_side_earn_more() {
        let mut frames = client();
        let (ping, data) = (frame(6, 8), frame(DATA, 5));
        assert_eq!(taken(&mut frames, &ping, 0), 10);
        assert_eq!(taken(&mut frames, &data, 0), 100);
        assert_eq!(taken(&mut frames, &ping, 0), 10);
        frames.send(&[frame(HEADERS, 3), data].concat());
        assert_eq!(taken(&mut frames, &ping, 0), 4);
        // What we answer to them earns nothing.
        frames.send(&[frame(6, 8), frame(4, 0)].concat());
        assert_eq!(taken(&mut frames, &ping, 0), 0);
    }

    #[test]
    fn headers_of_a_server_are_answers_and_interim_ones_are_counted() {
        let mut frames = Frames::new(LIMITS, Peer::Server);
        frames.send(PREFACE);
        assert_eq!(taken(&mut frames, &frame(HEADERS, 3), 0), 10);
        frames.send(&frame(HEADERS, 3));
        assert_eq!(taken(&mut frames, &frame(HEADERS, 3), 0), 2);
        assert_eq!(taken(&mut client(), &frame(HEADERS, 3), 0), 100, "a client's are requests");
    }

    #[test]
    fn pieces_of_any_length_are_the_same_frames() {
        let stream = [PREFACE.to_vec(), frame(6, 8), frame(HEADERS, 20), frame(DATA, 0), frame(DATA, 7)].concat();
        for len in 1..stream.len() {
            let mut walk = Walk::new(Place::Preface(0));
            let (mut messages, mut others) = (0, 0);
            for piece in stream.chunks(len) {
                let counted = walk.count(piece, true);
                (messages, others) = (messages + counted.messages, others + counted.others);
            }
            assert_eq!((messages, others, walk.place), (2, 2, Place::header()), "{len}");
        }
    }

    #[test]
    fn what_is_no_http2_is_not_followed() {
        for beginning in ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n"] {
            let mut frames = Frames::new(LIMITS, Peer::Client);
            assert!(frames.are_followed());
            frames.receive(beginning.as_bytes(), 0).expect("no frames");
            assert!(!frames.are_followed());
        }
    }
}
