//! Rate limit on HTTP/2 frames without content: PING, SETTINGS, PRIORITY, WINDOW_UPDATE,
//! RST_STREAM, empty DATA, CONTINUATION, unknown types. Each costs its sender a few bytes and its
//! reader much more. Pure.
//!
//! hyper bounds header blocks, streams reset before they were seen and small DATA frames, but reads
//! any number of the others. Each peer has a token bucket for them; tokens come with time and with
//! each message of either side, because data is acknowledged by window updates and streams end by
//! resets.

/// The client connection preface (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER_LEN: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// Tokens earned for each message sent to the peer: it may answer with two window updates.
const EARNED: u64 = 2;
/// Parts of a token: in a millisecond a bucket gains less than one.
const PARTS: u64 = 1000;

/// Limits on frames without content from one peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Capacity of the bucket, in frames.
    pub burst_max: u32,
    /// Refill rate, in frames a second.
    pub per_second_max: u32,
}

/// The peer exceeded its rate of frames without content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many HTTP/2 frames without content")]
pub struct TooManyFrames;

/// The role of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// It opens streams: each of its HEADERS frames is a request.
    Client,
    /// It answers streams that we open.
    Server,
}

/// Parses frame headers in both directions of one connection.
#[derive(Debug)]
pub(crate) struct Frames {
    limits: FrameLimits,
    peer: Peer,
    received: Parser,
    sent: Parser,
    tokens: u64,
    filled_ms: u64,
}

impl Frames {
    /// For a connection without any bytes yet. One from a client is parsed only if it begins with
    /// the HTTP/2 preface.
    pub fn new(limits: FrameLimits, peer: Peer) -> Self {
        let begin = Parser::new(Position::Preface(0));
        let (received, sent) = match peer {
            Peer::Client => (begin, Parser::new(Position::header())),
            Peer::Server => (Parser::new(Position::header()), begin),
        };
        Self { limits, peer, received, sent, tokens: u64::from(limits.burst_max) * PARTS, filled_ms: 0 }
    }

    /// Whether the connection may be HTTP/2; once it is known not to be, parsing stops.
    pub fn may_be_http2(&self) -> bool {
        self.received.position != Position::Other && self.sent.position != Position::Other
    }

    /// Counts frames received from the peer; times in milliseconds since the connection was opened.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64) -> Result<(), TooManyFrames> {
        let Counted { messages, others } = self.received.count(bytes, self.peer == Peer::Client);
        self.earn(messages);
        if others == 0 {
            return Ok(());
        }
        self.fill(now_ms);
        self.tokens = self.tokens.checked_sub(others * PARTS).ok_or(TooManyFrames)?;
        Ok(())
    }

    /// Counts frames sent to the peer.
    pub fn send(&mut self, bytes: &[u8]) {
        let counted = self.sent.count(bytes, true);
        self.earn(counted.messages * EARNED);
    }

    fn earn(&mut self, frames: u64) {
        self.tokens = (self.tokens + frames * PARTS).min(u64::from(self.limits.burst_max) * PARTS);
    }

    fn fill(&mut self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.filled_ms);
        self.filled_ms = now_ms;
        let parts = passed_ms.saturating_mul(u64::from(self.limits.per_second_max) * PARTS / 1000);
        self.tokens = self.tokens.saturating_add(parts).min(u64::from(self.limits.burst_max) * PARTS);
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    messages: u64,
    others: u64,
}

/// Parser position in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Bytes of the preface received so far.
    Preface(usize),
    /// Bytes of the current frame header received so far.
    Header([u8; HEADER_LEN], usize),
    /// Bytes of the current payload still to come.
    Payload(usize),
    /// Not HTTP/2.
    Other,
}

impl Position {
    fn header() -> Self {
        Self::Header([0; HEADER_LEN], 0)
    }
}

#[derive(Debug)]
struct Parser {
    position: Position,
}

impl Parser {
    fn new(position: Position) -> Self {
        Self { position }
    }

    /// Parses the next chunk and counts the frames that begin in it. `headers_are_messages` says
    /// whether HEADERS count as messages.
    fn count(&mut self, mut bytes: &[u8], headers_are_messages: bool) -> Counted {
        let mut counted = Counted::default();
        while !bytes.is_empty() {
            let taken = match &mut self.position {
                Position::Other => return counted,
                Position::Preface(have) => {
                    let taken = bytes.len().min(PREFACE.len() - *have);
                    let (from, to) = (*have, *have + taken);
                    self.position = match PREFACE[from..to] == bytes[..taken] {
                        false => Position::Other,
                        true if to == PREFACE.len() => Position::header(),
                        true => Position::Preface(to),
                    };
                    taken
                }
                Position::Payload(left) => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    if *left == 0 {
                        self.position = Position::header();
                    }
                    taken
                }
                Position::Header(header, have) => {
                    let taken = bytes.len().min(HEADER_LEN - *have);
                    header[*have..*have + taken].copy_from_slice(&bytes[..taken]);
                    *have += taken;
                    if *have == HEADER_LEN {
                        let len = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
                        match header[3] {
                            DATA if len > 0 => counted.messages += 1,
                            HEADERS if headers_are_messages => counted.messages += 1,
                            _ => counted.others += 1,
                        }
                        self.position = if len == 0 { Position::header() } else { Position::Payload(len) };
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
        frames.receive(PREFACE, 0).expect("the preface is not a frame");
        frames
    }

    /// The number of equal frames accepted at one time.
    fn taken(frames: &mut Frames, frame: &[u8], now_ms: u64) -> usize {
        (0..100).take_while(|_| frames.receive(frame, now_ms).is_ok()).count()
    }

    #[test]
    fn frames_without_content_are_limited_by_burst_and_rate() {
        for (kind, len) in [(2, 5), (3, 4), (4, 0), (6, 8), (8, 4), (9, 1), (77, 3), (DATA, 0)] {
            let (mut frames, frame) = (client(), frame(kind, len));
            assert_eq!(taken(&mut frames, &frame, 0), 10, "{kind}");
            assert_eq!(taken(&mut frames, &frame, 1_500), 3, "{kind}");
            assert_eq!(taken(&mut frames, &frame, 1_000_000), 10, "{kind}");
        }
    }

    #[test]
    fn messages_of_either_side_earn_tokens() {
        let mut frames = client();
        let (ping, data) = (frame(6, 8), frame(DATA, 5));
        assert_eq!(taken(&mut frames, &ping, 0), 10);
        assert_eq!(taken(&mut frames, &data, 0), 100);
        assert_eq!(taken(&mut frames, &ping, 0), 10);
        frames.send(&[frame(HEADERS, 3), data].concat());
        assert_eq!(taken(&mut frames, &ping, 0), 4);
        // Frames that only answer the peer's earn no tokens.
        frames.send(&[frame(6, 8), frame(4, 0)].concat());
        assert_eq!(taken(&mut frames, &ping, 0), 0);
    }

    #[test]
    fn headers_of_a_server_count_against_its_bucket() {
        let mut frames = Frames::new(LIMITS, Peer::Server);
        frames.send(PREFACE);
        assert_eq!(taken(&mut frames, &frame(HEADERS, 3), 0), 10);
        frames.send(&frame(HEADERS, 3));
        assert_eq!(taken(&mut frames, &frame(HEADERS, 3), 0), 2);
        assert_eq!(taken(&mut client(), &frame(HEADERS, 3), 0), 100, "a client's are requests");
    }

    #[test]
    fn chunks_of_any_length_parse_to_the_same_frames() {
        let stream = [PREFACE.to_vec(), frame(6, 8), frame(HEADERS, 20), frame(DATA, 0), frame(DATA, 7)].concat();
        for len in 1..stream.len() {
            let mut parser = Parser::new(Position::Preface(0));
            let (mut messages, mut others) = (0, 0);
            for piece in stream.chunks(len) {
                let counted = parser.count(piece, true);
                (messages, others) = (messages + counted.messages, others + counted.others);
            }
            assert_eq!((messages, others, parser.position), (2, 2, Position::header()), "{len}");
        }
    }

    #[test]
    fn a_connection_without_the_preface_is_not_parsed() {
        for beginning in ["GET / HTTP/1.1\r\n", "PRI * HTTP/1.1\r\n"] {
            let mut frames = Frames::new(LIMITS, Peer::Client);
            assert!(frames.may_be_http2());
            frames.receive(beginning.as_bytes(), 0).expect("no frames");
            assert!(!frames.may_be_http2());
        }
    }
}
