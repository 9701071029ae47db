//! Bearer tokens: short-lived JWTs (HS256) with their scopes, and the signing key.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::scope::Scope;
use super::{Credentials, jwt};
use crate::error::Error;
use crate::repository::files;

/// File in the registry's directory with the random part of the signing key.
const KEY_FILE: &str = "token.key";
/// Length of the file, and of the signing key.
const KEY_BYTES: usize = 32;
/// Issuer and audience of every token, and the `service` of the challenge.
pub(super) const SERVICE: &str = "sampan-registry";

/// Claims of a token.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    jti: String,
    iat: u64,
    nbf: u64,
    exp: u64,
    access: Vec<Scope>,
}

/// A token to be sent.
pub(super) struct Minted {
    pub(super) token: String,
    pub(super) issued_at: jiff::Timestamp,
    pub(super) ttl_s: u64,
}

/// Signs and verifies tokens.
pub(super) struct Tokens {
    key: [u8; KEY_BYTES],
    ttl_s: u64,
}

impl Tokens {
    /// Derives the signing key from the key pair and the file in `dir`, which is generated at the
    /// first start: a changed key pair invalidates earlier tokens.
    pub(super) fn open(dir: &Path, credentials: &Credentials, ttl_s: u64) -> Result<Self, Error> {
        let random = read_or_make_key(dir)?;
        let mut hash = Sha256::new();
        hash.update(b"sampan registry token 1");
        hash.update(random);
        // The length separates (ab, c) from (a, bc).
        hash.update((credentials.secret_id.len() as u64).to_be_bytes());
        hash.update(credentials.secret_id.as_bytes());
        hash.update(credentials.secret_key.as_bytes());
        Ok(Self { key: hash.finalize().into(), ttl_s })
    }

    /// A token for `subject` with `access`, valid from `now` for the configured time.
    pub(super) fn mint(&self, subject: &str, access: Vec<Scope>, now: jiff::Timestamp) -> Minted {
        let issued_s = u64::try_from(now.as_second()).unwrap_or(0);
        let claims = Claims {
            iss: SERVICE.to_owned(),
            aud: SERVICE.to_owned(),
            sub: subject.to_owned(),
            jti: uuid::Uuid::new_v4().to_string(),
            iat: issued_s,
            nbf: issued_s,
            exp: issued_s.saturating_add(self.ttl_s),
            access,
        };
        let token = jwt::encode(&claims, &self.key);
        Minted { token, issued_at: now, ttl_s: self.ttl_s }
    }

    /// The scopes of a token; `None` when it is invalid or expired.
    pub(super) fn read(&self, token: &str) -> Option<Vec<Scope>> {
        let claims: Claims = jwt::decode(token, &self.key)?;
        // One clock issues and verifies.
        let now_s = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
        let is_ours = claims.iss == SERVICE && claims.aud == SERVICE;
        (is_ours && claims.exp >= now_s).then_some(claims.access)
    }
}

fn read_or_make_key(dir: &Path) -> Result<[u8; KEY_BYTES], Error> {
    let path = dir.join(KEY_FILE);
    let metadata = |operation| {
        let path = path.clone();
        move |source| Error::Metadata { operation, path, source }
    };
    match OpenOptions::new().read(true).open(&path) {
        Ok(mut file) => {
            let mut key = [0; KEY_BYTES];
            file.read_exact(&mut key).map_err(metadata("read"))?;
            Ok(key)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key: [u8; KEY_BYTES] = rand::random();
            let temporary = dir.join(format!("{KEY_FILE}.new"));
            // A draft left by a crash may have other permissions; `create_new` below sets ours.
            files::remove_if_there(&temporary)?;
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&temporary)
                .map_err(metadata("create"))?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(metadata("write"))?;
            files::rename(&temporary, &path)?;
            Ok(key)
        }
        Err(error) => Err(metadata("open")(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::scope::Actions;
    use super::*;

    fn pair(key: &str) -> Credentials {
        Credentials { secret_id: "id".into(), secret_key: key.into() }
    }

    #[test]
    fn a_token_is_valid_for_its_directory_and_key_pair_only() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let access = vec![Scope::repository("a", Actions::PULL)];
        let token =
            Tokens::open(dir.path(), &pair("k"), 300).unwrap().mint("id", access.clone(), jiff::Timestamp::now());
        assert_eq!(Tokens::open(dir.path(), &pair("k"), 300).unwrap().read(&token.token), Some(access));
        assert_eq!(Tokens::open(dir.path(), &pair("other"), 300).unwrap().read(&token.token), None);
        assert_eq!(Tokens::open(other.path(), &pair("k"), 300).unwrap().read(&token.token), None);
    }

    #[test]
    fn an_expired_or_altered_token_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(dir.path(), &pair("k"), 300).unwrap();
        let now = jiff::Timestamp::now();
        let old = tokens.mint("id", vec![], now - jiff::SignedDuration::from_secs(301)).token;
        assert_eq!(tokens.read(&old), None);
        let altered = tokens.mint("id", vec![], now).token.replace('.', "A.");
        assert_eq!(tokens.read(&altered), None);
        // {"alg":"none","typ":"JWT"} without a signature.
        assert_eq!(tokens.read("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30."), None);
    }

    #[test]
    fn the_key_is_readable_by_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        Tokens::open(dir.path(), &pair("k"), 300).unwrap();
        let mode = std::fs::metadata(dir.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
