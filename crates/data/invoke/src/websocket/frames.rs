//! Follows the frames in one direction of a WebSocket connection as their bytes pass (RFC 6455,
//! 5.2): where each ends, its length, and the code of a close frame. Pure.
//!
//! Only heads and close frames are parsed; messages are not reassembled, and nothing is changed.

/// Longest payload of a close or other control frame (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// The longest head: two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;
const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_BITS: u8 = 0x7f;
const OPCODE_BITS: u8 = 0x0f;
const CONTROL: u8 = 0x8;
const CLOSE: u8 = 0x8;

/// The contents of some bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// How many of the bytes were followed.
    pub bytes: usize,
    /// Frames that began in them.
    pub frames: u32,
    /// The connection is closed, with this code if there is one.
    pub closed: Option<Option<u16>>,
}

/// A violation of the protocol or of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// A frame exceeds the limit.
    #[error("a frame has {bytes} bytes; the limit is {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A control frame is too long, or fragmented.
    #[error("a control frame is not of one piece of at most {CONTROL_BYTES_MAX} bytes")]
    Control,
}

/// The state of one direction.
#[derive(Debug)]
pub(crate) struct Frames {
    bytes_max: u64,
    head: [u8; HEAD_BYTES_MAX],
    head_len: usize,
    /// Remaining payload of the current frame.
    payload_left: u64,
    closing: Option<Close>,
}

/// A close frame that is passing.
#[derive(Debug, Default)]
struct Close {
    mask: [u8; 4],
    code: [u8; 2],
    len: usize,
}

impl Frames {
    /// The beginning of a connection whose frames have at most `bytes_max` bytes; 0 is no limit.
    pub fn new(bytes_max: u64) -> Self {
        let bytes_max = if bytes_max == 0 { u64::MAX } else { bytes_max };
        Self { bytes_max, head: [0; HEAD_BYTES_MAX], head_len: 0, payload_left: 0, closing: None }
    }

    /// Whether another frame could begin here.
    pub fn at_boundary(&self) -> bool {
        self.head_len == 0 && self.payload_left == 0
    }

    /// Follows some bytes, up to where the frame after `frames_max` begins. Bytes after a close
    /// frame are ignored.
    pub fn follow(&mut self, all: &[u8], frames_max: u32) -> Result<Seen, Violation> {
        let (mut seen, mut bytes) = (Seen::default(), all);
        while !bytes.is_empty() && seen.closed.is_none() && !(self.at_boundary() && seen.frames >= frames_max) {
            if self.payload_left > 0 {
                bytes = self.payload(bytes);
            } else {
                let Some((first, rest)) = bytes.split_first() else { break };
                bytes = rest;
                if !self.head_is_whole_with(*first) {
                    continue;
                }
                seen.frames += 1;
                self.begin()?;
            }
            if self.payload_left == 0
                && self.head_len == 0
                && let Some(close) = self.closing.take()
            {
                seen.closed = Some(close.said());
            }
        }
        // Bytes after a side's close frame pass with it.
        seen.bytes = if seen.closed.is_some() { all.len() } else { all.len() - bytes.len() };
        Ok(seen)
    }

    fn payload<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let take = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
        let (mine, rest) = bytes.split_at(take);
        if let Some(close) = &mut self.closing {
            close.read(mine);
        }
        self.payload_left -= take as u64;
        rest
    }

    fn head_is_whole_with(&mut self, byte: u8) -> bool {
        self.head[self.head_len] = byte;
        self.head_len += 1;
        self.head_len >= 2 && self.head_len == self.head_bytes()
    }

    /// Length of a head whose first two bytes are there.
    fn head_bytes(&self) -> usize {
        let mask = if self.head[1] & MASKED == 0 { 0 } else { 4 };
        let length = match self.head[1] & LENGTH_BITS {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        2 + length + mask
    }

    /// Handles a complete head.
    fn begin(&mut self) -> Result<(), Violation> {
        let length = match self.head[1] & LENGTH_BITS {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        let is_control = self.head[0] & CONTROL != 0;
        if is_control && (length > CONTROL_BYTES_MAX || self.head[0] & FINAL == 0) {
            return Err(Violation::Control);
        }
        if length > self.bytes_max {
            return Err(Violation::TooLong { bytes: length, bytes_max: self.bytes_max });
        }
        if self.head[0] & OPCODE_BITS == CLOSE {
            let mut close = Close::default();
            if self.head[1] & MASKED != 0 {
                close.mask.copy_from_slice(&self.head[self.head_len - 4..self.head_len]);
            }
            self.closing = Some(close);
        }
        self.payload_left = length;
        self.head_len = 0;
        Ok(())
    }
}

impl Close {
    fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.code.get_mut(self.len) {
                *place = byte ^ self.mask[self.len];
            }
            self.len += 1;
        }
    }

    fn said(&self) -> Option<u16> {
        (self.len >= 2).then(|| u16::from_be_bytes(self.code))
    }
}

/// A close frame of the platform. Frames to a server are masked, here with zeros, because the
/// content need not be hidden.
pub(super) fn close(code: u16, reason: &str, masked: bool) -> Vec<u8> {
    let room = usize::try_from(CONTROL_BYTES_MAX).unwrap_or_default() - 2;
    let reason = &reason.as_bytes()[..reason.floor_char_boundary(room)];
    let length = u8::try_from(2 + reason.len()).unwrap_or_default();
    let mut frame = vec![FINAL | CLOSE, length | if masked { MASKED } else { 0 }];
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(code.to_be_bytes());
    frame.extend(reason);
    frame
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame as a client sends it.
    fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 0xff, 9];
        let mut frame = vec![FINAL | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(MASKED | u8::try_from(length).expect("short")),
            length @ 126..0x1_0000 => {
                frame.push(MASKED | 126);
                frame.extend(u16::try_from(length).expect("two bytes").to_be_bytes());
            }
            length => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[test]
    fn the_code_of_a_close_frame_is_told() {
        let seen = Frames::new(0).follow(&close(1011, "why", false), u32::MAX);
        assert_eq!(seen, Ok(Seen { bytes: 7, frames: 1, closed: Some(Some(1011)) }));
        assert_eq!(
            Frames::new(0).follow(&close(1001, "", true), u32::MAX).map(|seen| seen.closed),
            Ok(Some(Some(1001)))
        );
        assert_eq!(
            Frames::new(0).follow(&masked(CLOSE, &[3, 0xe8, b'x']), u32::MAX).map(|s| s.closed),
            Ok(Some(Some(1000)))
        );
        assert_eq!(Frames::new(0).follow(&[FINAL | CLOSE, 0], u32::MAX).map(|seen| seen.closed), Ok(Some(None)));
    }

    #[test]
    fn long_reasons_are_cut_at_a_character() {
        let frame = close(1001, &"é".repeat(100), false);
        assert_eq!((frame.len(), frame[1]), (2 + 124, 124));
    }

    #[test]
    fn frames_over_the_limit_and_long_control_frames_are_violations() {
        let mut frames = Frames::new(10);
        assert!(frames.follow(&masked(1, &[0; 10]), 1).is_ok());
        assert_eq!(frames.follow(&masked(2, &[0; 11]), 1), Err(Violation::TooLong { bytes: 11, bytes_max: 10 }));
        assert_eq!(Frames::new(0).follow(&masked(9, &[0; 126]), 1), Err(Violation::Control));
        assert_eq!(Frames::new(0).follow(&[0x9, 0], 1), Err(Violation::Control), "in pieces");
    }

    #[test]
    fn only_so_many_frames_are_followed_at_once() {
        let two = [masked(1, b"one"), masked(1, b"two")].concat();
        let mut frames = Frames::new(0);
        let seen = frames.follow(&two, 1).expect("no violation");
        assert_eq!((seen.bytes, seen.frames, frames.at_boundary()), (two.len() / 2, 1, true));
        assert_eq!(frames.follow(&two[seen.bytes..], 1).map(|seen| seen.bytes), Ok(two.len() / 2));
    }

    proptest! {
        #[test]
        fn frames_are_counted_however_their_bytes_come(
            lengths in prop::collection::vec(prop_oneof![0_usize..300, 65_530..65_540_usize], 1..6),
            cuts in prop::collection::vec(1_usize..70_000, 1..20),
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|length| masked(2, &vec![0x88; *length])).collect();
            let (mut frames, mut counted, mut at) = (Frames::new(0), 0, 0_usize);
            for cut in cuts.iter().chain([&usize::MAX]) {
                let end = at.saturating_add(*cut).min(bytes.len());
                let seen = frames.follow(&bytes[at..end], u32::MAX).expect("no limit");
                prop_assert_eq!(seen.closed, None);
                counted += seen.frames as usize;
                at = end;
            }
            prop_assert_eq!(counted, lengths.len());
            prop_assert!(frames.at_boundary());
        }
    }
}
