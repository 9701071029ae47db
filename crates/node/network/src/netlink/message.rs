//! The layout of messages (`linux/netlink.h`): a header, a fixed part, and attributes, which may
//! hold attributes. Pure.

/// Bytes before what a message says: length, type, flags, sequence number, port.
pub const HEADER_BYTES: usize = 16;
/// Bytes before the value of an attribute: length and kind.
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Everything starts at a multiple of this.
const ALIGNMENT: usize = 4;

/// Attributes in a row.
#[derive(Debug, Clone, Default)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more, with this value.
    pub fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE_HEADER_BYTES + value.len()).expect("values are short lists and names");
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
        self
    }

    /// A text that ends with NUL.
    pub fn text(self, kind: u16, value: &str) -> Self {
        self.with(kind, &[value.as_bytes(), b"\0"].concat())
    }

    /// A number as the machine writes it.
    pub fn number(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_ne_bytes())
    }

    /// A number as networks write it: netfilter's way.
    pub fn network_number(self, kind: u16, value: u32) -> Self {
        self.with(kind, &value.to_be_bytes())
    }

    /// Attributes within one.
    pub fn nest(self, kind: u16, inner: Attributes) -> Self {
        self.with(kind | libc::NLA_F_NESTED as u16, &inner.0)
    }

    /// A fixed part, then attributes, within one.
    pub fn nest_after(self, kind: u16, fixed: &[u8], inner: Attributes) -> Self {
        self.with(kind, &[fixed, &inner.0].concat())
    }
}

/// A message to the kernel.
#[derive(Debug, Clone)]
pub struct Message(Vec<u8>);

impl Message {
    /// Of a type, with flags beyond "this is a request", the type's fixed part, and attributes.
    pub fn new(kind: u16, flags: i32, fixed: &[u8], attributes: Attributes) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST) as u16;
        let length = HEADER_BYTES + fixed.len() + attributes.0.len();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&u32::try_from(length).expect("messages are short").to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        // The sequence number, given when it is sent, and the port, which is the socket's own.
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(fixed);
        bytes.extend_from_slice(&attributes.0);
        Self(bytes)
    }

    /// Whether the kernel answers it when all went well, too.
    pub fn is_acknowledged(&self) -> bool {
        i32::from(u16::from_ne_bytes([self.0[6], self.0[7]])) & libc::NLM_F_ACK != 0
    }

    /// The same without an answer when all went well.
    pub fn unacknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) & !(libc::NLM_F_ACK as u16);
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// The same with one.
    pub fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.0[6], self.0[7]]) | libc::NLM_F_ACK as u16;
        self.0[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Its bytes, under a sequence number.
    pub fn numbered(mut self, sequence: u32) -> Vec<u8> {
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// What the kernel says: type, sequence number, and all after the header.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Type.
    pub kind: u16,
    /// Number of the message that it answers.
    pub sequence: u32,
    /// The rest.
    pub body: &'a [u8],
}

/// The answers in one datagram. What is cut off or impossible ends them.
pub fn answers(mut datagram: &[u8]) -> Vec<Answer<'_>> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind), Some(sequence)) =
        (u32_at(datagram, 0), u16_at(datagram, 4), u32_at(datagram, 8))
    {
        let length = length as usize;
        let Some(body) = datagram.get(HEADER_BYTES..length) else { break };
        found.push(Answer { kind, sequence, body });
        datagram = datagram.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    found
}

/// The attributes in a row, by kind and value. What is cut off or impossible ends them.
pub fn attributes(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        let Some(value) = bytes.get(ATTRIBUTE_HEADER_BYTES..length) else { break };
        found.push((kind & libc::NLA_TYPE_MASK as u16, value));
        bytes = bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
    }
    found
}

/// The number at an offset.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let inner = Attributes::new().text(1, "veth").number(2, 7);
        let message = Message::new(16, libc::NLM_F_ACK, &[9; 16], Attributes::new().with(3, b"abc").nest(18, inner));
        assert!(message.is_acknowledged());
        let bytes = message.numbered(5);
        let read = answers(&bytes);
        assert_eq!(read.iter().map(|a| (a.kind, a.sequence)).collect::<Vec<_>>(), [(16, 5)]);
        let outer = attributes(&read[0].body[16..]);
        assert_eq!(outer[0], (3, &b"abc"[..]));
        let (kind, nested) = outer[1];
        assert_eq!((kind, attributes(nested)), (18, vec![(1, &b"veth\0"[..]), (2, &7_u32.to_ne_bytes()[..])]));
    }

    proptest! {
        #[test]
        fn no_bytes_are_read_beyond_their_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for answer in answers(&bytes) {
                attributes(answer.body);
            }
            attributes(&bytes);
        }
    }
}
