//! What must be known of a DNS message (RFC 1035, section 4.1.1) to pass it on. Pure.

/// Bytes of the header: id, flags, four counts.
pub const HEADER_BYTES: usize = 12;
/// In the third byte: this is an answer; it is cut off.
const ANSWER: u8 = 0x80;
const CUT_OFF: u8 = 0x02;
/// In the fourth byte: the server failed.
const SERVER_FAILURE: u8 = 2;
const CODE_MASK: u8 = 0x0f;

/// Whether it is a question.
pub fn is_question(message: &[u8]) -> bool {
    message.len() > HEADER_BYTES && message[2] & ANSWER == 0
}

/// Whether it is an answer to this question.
pub fn answers(answer: &[u8], question: &[u8]) -> bool {
    answer.len() >= HEADER_BYTES && answer[..2] == question[..2] && answer[2] & ANSWER != 0
}

/// The answer that no server could be asked.
pub fn failure(question: &[u8]) -> Vec<u8> {
    empty_answer(question, 0, SERVER_FAILURE)
}

/// The answer that the real one is too long, which makes who asked ask again by TCP.
pub fn too_long(question: &[u8]) -> Vec<u8> {
    empty_answer(question, CUT_OFF, 0)
}

fn empty_answer(question: &[u8], flags: u8, code: u8) -> Vec<u8> {
    let mut answer = question[..HEADER_BYTES].to_vec();
    answer[2] |= ANSWER | flags;
    answer[3] = (answer[3] & !CODE_MASK) | code;
    // Not even the question is repeated.
    answer[4..].fill(0);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x07example\0\0\x01\0\x01";

    #[test]
    fn an_answer_is_known_by_its_id_and_its_flag() {
        assert!(is_question(QUESTION));
        let answer = failure(QUESTION);
        assert_eq!(answer, b"\x12\x34\x81\x02\0\0\0\0\0\0\0\0");
        assert!(!is_question(&answer) && answers(&answer, QUESTION));
        assert!(!answers(QUESTION, QUESTION) && !answers(&answer[..11], QUESTION));
        assert!(!answers(b"\x12\x35\x81\x02\0\0\0\0\0\0\0\0", QUESTION));
        assert_eq!(too_long(QUESTION)[2] & CUT_OFF, CUT_OFF);
    }
}
