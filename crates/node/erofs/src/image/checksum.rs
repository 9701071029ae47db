//! CRC-32C as EROFS uses it: without the inversion at the end.

/// Reversed polynomial of Castagnoli.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of a few hundred bytes, bit by bit: a table would cost more than it saves.
pub(super) fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_polynomial_comes_out() {
        // RFC 3720, B.4 and the usual check string.
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(!crc32c(&[0; 32]), 0x8a91_36aa);
    }
}
