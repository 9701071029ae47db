//! DNS messages (RFC 1035, section 4.1): which ones the relay passes on, and the answers that it
//! makes itself. Pure.

use std::net::Ipv4Addr;

/// Bytes of the header: id, flags, four counts.
pub const HEADER_BYTES: usize = 12;
/// Longest question that is passed on: a name of 255 bytes with EDNS options.
pub const QUESTION_BYTES_MAX: usize = 1024;
/// In the third byte: this is an answer; it is cut off; the operation code.
const ANSWER: u8 = 0x80;
const CUT_OFF: u8 = 0x02;
const OPERATION_MASK: u8 = 0x78;
/// In the fourth byte: who answers asks others.
const RECURSION_AVAILABLE: u8 = 0x80;
/// In the third byte, what an answer repeats of its question: operation code and "recursion
/// desired".
const REPEATED: u8 = OPERATION_MASK | 0x01;
/// Longest label and name (RFC 1035, section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 255;
/// Bytes of a question after its name: type, class. Of an additional record: type, class, time to
/// live, length.
const TYPE_AND_CLASS_BYTES: usize = 4;
const RECORD_BYTES: usize = 10;
/// EDNS's record (RFC 6891), the only one that a question may come with.
const TYPE_OPTIONS: u16 = 41;
/// Transfers, keys, and mail boxes: types from here to 254 ask for more than records of a name; 255
/// is any type.
const TYPE_FIRST_SPECIAL: u16 = 249;
const TYPE_LAST_SPECIAL: u16 = 254;
const CLASS_INTERNET: u16 = 1;
const TYPE_ADDRESS: u16 = 1;
/// How long answers of the relay's own may be kept, in seconds.
const OWN_ANSWER_S: u32 = 5;
/// In a record: its name is that of the question (RFC 1035, 4.1.4).
const NAME_OF_QUESTION: [u8; 2] = [0xc0, 12];

/// Response codes (RFC 1035, section 4.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// The message is malformed: FORMERR.
    FormatError = 1,
    /// No server answered: SERVFAIL.
    ServerFailure = 2,
    /// There is no such name: NXDOMAIN.
    NoSuchName = 3,
    /// Another operation than a query: NOTIMP.
    NotImplemented = 4,
    /// A query that is not passed on: REFUSED.
    Refused = 5,
}

/// How the relay handles a message from an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handling {
    /// Forward it to the resolver of the host.
    Forward,
    /// Respond with this code.
    Refuse(Code),
    /// Drop it: it has no header or is a response, and responses to those would loop.
    Ignore,
}

/// Checks a message: one question of class IN for records of a name, nothing else but EDNS options.
pub fn check(message: &[u8]) -> Handling {
    if message.len() < HEADER_BYTES || message[2] & ANSWER != 0 {
        return Handling::Ignore;
    }
    if message[2] & OPERATION_MASK != 0 {
        return Handling::Refuse(Code::NotImplemented);
    }
    match read_question(message) {
        Some((TYPE_OPTIONS, _)) | None => Handling::Refuse(Code::FormatError),
        Some((TYPE_FIRST_SPECIAL..=TYPE_LAST_SPECIAL, _)) => Handling::Refuse(Code::Refused),
        Some((_, CLASS_INTERNET)) => Handling::Forward,
        Some(_) => Handling::Refuse(Code::Refused),
    }
}

/// Type and class of the only question; `None` when the message has another form.
fn read_question(message: &[u8]) -> Option<(u16, u16)> {
    if message.len() > QUESTION_BYTES_MAX {
        return None;
    }
    let counts = [4, 6, 8, 10].map(|at| number(message, at));
    let [Some(1), Some(0), Some(0), Some(additional @ 0..=1)] = counts else { return None };
    let name_end = HEADER_BYTES + name_bytes(message.get(HEADER_BYTES..)?)?;
    let question = (number(message, name_end)?, number(message, name_end + 2)?);
    let rest = message.get(name_end + TYPE_AND_CLASS_BYTES..)?;
    let is_whole = if additional == 0 { rest.is_empty() } else { is_options(rest) };
    is_whole.then_some(question)
}

/// Length of a name without compression, which a question has nothing to refer to with.
fn name_bytes(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let label = usize::from(*bytes.get(at)?);
        at += 1 + label;
        if label > LABEL_BYTES_MAX || at > NAME_BYTES_MAX {
            return None;
        }
        if label == 0 {
            return Some(at);
        }
    }
}

/// Whether this is one EDNS record of the root and nothing more.
fn is_options(record: &[u8]) -> bool {
    let Some((0, fields)) = record.split_first() else { return false };
    let data_bytes = number(fields, RECORD_BYTES - 2).map(usize::from);
    number(fields, 0) == Some(TYPE_OPTIONS) && data_bytes.is_some_and(|bytes| fields.len() == RECORD_BYTES + bytes)
}

/// The number at an offset.
pub fn number(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// Whether it is an answer to this question.
pub fn answers(answer: &[u8], question: &[u8]) -> bool {
    answer.len() >= HEADER_BYTES && answer[..2] == question[..2] && answer[2] & ANSWER != 0
}

/// The answer with a code and nothing else. The message must have a header.
pub fn refusal(message: &[u8], code: Code) -> Vec<u8> {
    empty_answer(message, 0, code as u8)
}

/// The answer that there is no such name, which repeats the question: clients take it at once,
/// where they go on waiting after a refusal or ask again.
pub fn no_such_name(question: &[u8]) -> Vec<u8> {
    repeating(question, Code::NoSuchName as u8)
}

/// The answer that a name has one address and nothing else. The message must be one to forward.
pub fn address_of_name(question: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let mut answer = repeating(question, 0);
    if read_question(question).is_some_and(|(kind, _)| kind == TYPE_ADDRESS) {
        answer[7] = 1;
        answer.extend(NAME_OF_QUESTION);
        answer.extend([TYPE_ADDRESS, CLASS_INTERNET].map(u16::to_be_bytes).concat());
        answer.extend(OWN_ANSWER_S.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    answer
}

/// An answer without records that repeats the question.
fn repeating(question: &[u8], code: u8) -> Vec<u8> {
    let mut answer = empty_answer(question, 0, code);
    answer[3] |= RECURSION_AVAILABLE;
    if let Some(name) = question.get(HEADER_BYTES..).and_then(name_bytes)
        && let Some(repeated) = question.get(HEADER_BYTES..HEADER_BYTES + name + TYPE_AND_CLASS_BYTES)
    {
        answer[5] = 1;
        answer.extend_from_slice(repeated);
    }
    answer
}

/// The answer that the real one is too long, which makes who asked ask again by TCP.
pub fn too_long(question: &[u8]) -> Vec<u8> {
    empty_answer(question, CUT_OFF, 0)
}

fn empty_answer(question: &[u8], flags: u8, code: u8) -> Vec<u8> {
    // Not even the question is repeated.
    let mut answer = vec![0; HEADER_BYTES];
    answer[..2].copy_from_slice(&question[..2]);
    answer[2] = question[2] & REPEATED | ANSWER | flags;
    answer[3] = code;
    answer
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";
    const OPTIONS: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x0c\0\x0a\0\x08cookie!!";

    /// The question with other bytes at a place.
    fn with(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut message = QUESTION.to_vec();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    }

    fn with_options(record: &[u8]) -> Vec<u8> {
        [&with(11, &[1]), record].concat()
    }

    #[test]
    fn one_question_of_class_in_is_passed_on_and_nothing_else() {
        const TYPE: usize = HEADER_BYTES + 9;
        const CLASS: usize = TYPE + 2;
        let refused = Handling::Refuse;
        let long_label = [&QUESTION[..HEADER_BYTES], &[64], &[b'a'; 64], &QUESTION[QUESTION.len() - 5..]].concat();
        let long_name = [&QUESTION[..HEADER_BYTES], &b"\x07example".repeat(32)[..], b"\0\0\x01\0\x01"].concat();
        let cases: Vec<(Vec<u8>, Handling)> = vec![
            (QUESTION.to_vec(), Handling::Forward),
            (with_options(OPTIONS), Handling::Forward),
            (with(TYPE, &[0, 255]), Handling::Forward),
            (QUESTION[..11].to_vec(), Handling::Ignore),
            (with(2, &[0x81]), Handling::Ignore),
            // IQUERY, STATUS, NOTIFY, UPDATE, and one that nobody has defined.
            (with(2, &[0x08]), refused(Code::NotImplemented)),
            (with(2, &[0x10]), refused(Code::NotImplemented)),
            (with(2, &[0x20]), refused(Code::NotImplemented)),
            (with(2, &[0x29]), refused(Code::NotImplemented)),
            (with(2, &[0x78]), refused(Code::NotImplemented)),
            (with(5, &[0]), refused(Code::FormatError)),
            (with(4, &[0, 2]), refused(Code::FormatError)),
            (with(4, &[1, 1]), refused(Code::FormatError)),
            (with(7, &[1]), refused(Code::FormatError)),
            (with(9, &[1]), refused(Code::FormatError)),
            (with(11, &[1]), refused(Code::FormatError)),
            (with_options(&[OPTIONS, b"x"].concat()), refused(Code::FormatError)),
            (with_options(&OPTIONS[..15]), refused(Code::FormatError)),
            (with_options(b"\0\0\x01\0\x01\0\0\0\0\0\0"), refused(Code::FormatError)),
            (with(12, &[0xc0]), refused(Code::FormatError)),
            ([QUESTION, b"x"].concat(), refused(Code::FormatError)),
            (QUESTION[..QUESTION.len() - 1].to_vec(), refused(Code::FormatError)),
            (QUESTION[..HEADER_BYTES].to_vec(), refused(Code::FormatError)),
            (long_label, refused(Code::FormatError)),
            (long_name, refused(Code::FormatError)),
            (with(TYPE, &[0, 41]), refused(Code::FormatError)),
            // Transfers of zones, a key.
            (with(TYPE, &[0, 252]), refused(Code::Refused)),
            (with(TYPE, &[0, 251]), refused(Code::Refused)),
            (with(TYPE, &[0, 249]), refused(Code::Refused)),
            (with(CLASS, &[0, 3]), refused(Code::Refused)),
        ];
        for (message, handling) in cases {
            assert_eq!(check(&message), handling, "{message:?}");
        }
    }

    #[test]
    fn an_answer_is_known_by_its_id_and_its_flag() {
        let answer = refusal(QUESTION, Code::ServerFailure);
        assert_eq!(answer, b"\x12\x34\x81\x02\0\0\0\0\0\0\0\0");
        assert!(answers(&answer, QUESTION));
        assert!(!answers(QUESTION, QUESTION) && !answers(&answer[..11], QUESTION));
        assert!(!answers(b"\x12\x35\x81\x02\0\0\0\0\0\0\0\0", QUESTION));
        assert_eq!(too_long(QUESTION)[2] & CUT_OFF, CUT_OFF);
        let none = no_such_name(&with_options(OPTIONS));
        assert_eq!(none, b"\x12\x34\x81\x83\0\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01");
    }

    proptest! {
        #[test]
        fn no_message_is_read_beyond_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            check(&bytes);
            check(&[&QUESTION[..HEADER_BYTES], &bytes].concat());
        }
    }
}
