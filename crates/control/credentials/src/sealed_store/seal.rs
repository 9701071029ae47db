//! Encryption of secrets: XChaCha20-Poly1305 with a random nonce in front, in Base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use rand::RngCore;
use types::SecretBytes;

use crate::Secret;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// A cipher with its key. It has no `Debug`.
#[derive(Clone)]
pub struct Sealer(XChaCha20Poly1305);

impl Sealer {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(XChaCha20Poly1305::new(&Key::from(*key)))
    }

    /// Encrypts bytes with `bound_to` as associated data.
    pub fn seal_bytes(&self, bytes: &[u8], bound_to: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        rand::rng().fill_bytes(&mut nonce);
        let payload = Payload { msg: bytes, aad: bound_to };
        let sealed = self.0.encrypt(&XNonce::from(nonce), payload).expect("few bytes are within the cipher's limits");
        [&nonce[..], &sealed].concat()
    }

    /// Decrypts bytes; `None` when the ciphertext, the associated data or the key differ.
    pub fn open_bytes(&self, sealed: &[u8], bound_to: &[u8]) -> Option<SecretBytes> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let bytes = self.0.decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: bound_to }).ok()?;
        Some(SecretBytes::new(bytes))
    }

    /// Encrypts a secret with `bound_to` as associated data.
    pub(super) fn seal(&self, secret: &Secret, bound_to: &[u8]) -> String {
        STANDARD.encode(self.seal_bytes(secret.reveal().as_bytes(), bound_to))
    }

    /// Decrypts a secret; `None` when the ciphertext, the associated data or the key differ.
    pub(super) fn open(&self, sealed: &str, bound_to: &[u8]) -> Option<Secret> {
        let bytes = self.open_bytes(&STANDARD.decode(sealed).ok()?, bound_to)?;
        std::str::from_utf8(bytes.reveal()).ok().map(|text| Secret::new(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn only_unchanged_ciphertext_is_decrypted(text in "\\PC{0,60}", name in "\\PC{0,20}", at in 0usize..200) {
            let (sealer, secret) = (Sealer::new(&[7; KEY_BYTES]), Secret::new(text));
            let sealed = sealer.seal(&secret, name.as_bytes());
            prop_assert_eq!(sealer.open(&sealed, name.as_bytes()), Some(secret.clone()));
            prop_assert_eq!(sealer.open(&sealed, format!("{name}.").as_bytes()), None);
            prop_assert_eq!(Sealer::new(&[8; KEY_BYTES]).open(&sealed, name.as_bytes()), None);
            prop_assert_ne!(sealer.seal(&secret, name.as_bytes()), sealed.clone(), "a nonce is used once");
            let mut bytes = STANDARD.decode(&sealed).expect("Base64");
            let at = at % bytes.len();
            bytes[at] ^= 1;
            prop_assert_eq!(sealer.open(&STANDARD.encode(&bytes), name.as_bytes()), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            prop_assert_eq!(Sealer::new(&[7; KEY_BYTES]).open(&text, b""), None);
        }
    }
}
