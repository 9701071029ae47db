//! Computes digests.

use sha2::{Digest as _, Sha256};
use types::Digest;

/// The SHA-256 digest of bytes.
pub fn digest_of(bytes: &[u8]) -> Digest {
    Digest::from_sha256(&Sha256::digest(bytes).into())
}

/// The chain id of the topmost layer, lowest diff id first (OCI image specification, config.md,
/// "Layer ChainID"); without layers it is the digest of the empty string.
pub fn chain_id(diff_ids: &[Digest]) -> Digest {
    let chain = |below: Option<Digest>, diff_id: &Digest| match below {
        None => diff_id.clone(),
        Some(below) => digest_of(format!("{below} {diff_id}").as_bytes()),
    };
    diff_ids.iter().fold(None, |below, diff_id| Some(chain(below, diff_id))).unwrap_or_else(|| digest_of(b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_is_of_all_layers_below_too() {
        let (a, b) = (Digest::from_sha256(&[1; 32]), Digest::from_sha256(&[2; 32]));
        assert_eq!(chain_id(std::slice::from_ref(&a)), a);
        assert_eq!(chain_id(&[a.clone(), b.clone()]), digest_of(format!("{a} {b}").as_bytes()));
        assert_eq!(chain_id(&[]), digest_of(b""));
    }
}
