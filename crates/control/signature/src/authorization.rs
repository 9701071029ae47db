//! Parser of the `Authorization` header of TC3-HMAC-SHA256. Pure; no input panics.

use crate::{Rejection, quoted};

/// Name of the scheme, the first word of the header.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// Last part of every credential scope.
pub const TERMINATOR: &str = "tc3_request";
/// Headers that every request signs.
const ALWAYS_SIGNED: [&str; 2] = ["content-type", "host"];
/// Most headers that a request may sign.
const SIGNED_HEADERS_MAX: usize = 64;

/// The parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// Id of the key pair that signed.
    pub secret_id: &'a str,
    /// UTC date of the signature, `YYYY-MM-DD`.
    pub date: &'a str,
    /// Service of the scope. Official clients disagree on it, so it is verified only as a part of
    /// the signed text.
    pub service: &'a str,
    /// Names of the signed headers, joined as they were sent: a part of the signed text.
    pub signed_headers: &'a str,
    /// The signature.
    pub signature: [u8; 32],
}

impl<'a> Authorization<'a> {
    /// Parses the header's text.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] with the part that is missing or wrong.
    pub fn parse(text: &'a str) -> Result<Self, Rejection> {
        let rest = match text.trim().split_once(char::is_whitespace) {
            Some((ALGORITHM, rest)) => rest,
            _ => return Err(malformed(format!("Authorization does not begin with {ALGORITHM} and a blank"))),
        };
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').unwrap_or((part.trim(), ""));
            let field = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed_headers,
                "Signature" => &mut signature,
                _ => return Err(malformed(format!("Authorization has an unknown part {:?}", quoted(name)))),
            };
            if field.replace(value).is_some() {
                return Err(malformed(format!("Authorization has {name} more than once")));
            }
        }
        let missing = |name: &str| malformed(format!("Authorization lacks {name}="));
        let (secret_id, date, service) = scope(credential.ok_or_else(|| missing("Credential"))?)?;
        Ok(Self {
            secret_id,
            date,
            service,
            signed_headers: names(signed_headers.ok_or_else(|| missing("SignedHeaders"))?)?,
            signature: hash(signature.ok_or_else(|| missing("Signature"))?)?,
        })
    }

    /// The scope in its signed form.
    pub fn scope(&self) -> String {
        format!("{}/{}/{TERMINATOR}", self.date, self.service)
    }
}

fn malformed(message: String) -> Rejection {
    Rejection::Malformed(message)
}

fn scope(credential: &str) -> Result<(&str, &str, &str), Rejection> {
    let parts: Vec<&str> = credential.split('/').collect();
    match parts[..] {
        [id, date, service, TERMINATOR] if !id.is_empty() && !date.is_empty() && !service.is_empty() => {
            Ok((id, date, service))
        }
        _ => Err(malformed(format!(
            "Credential {:?} is not <SecretId>/<UTC date>/<service>/{TERMINATOR}",
            quoted(credential)
        ))),
    }
}

fn names(joined: &str) -> Result<&str, Rejection> {
    let names: Vec<&str> = joined.split(';').collect();
    let is_name = |name: &&str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    };
    if names.len() > SIGNED_HEADERS_MAX || !names.iter().all(is_name) {
        let joined = quoted(joined);
        return Err(malformed(format!("SignedHeaders {joined:?} are not lower-case header names joined by ';'")));
    }
    match ALWAYS_SIGNED.iter().find(|name| !names.contains(name)) {
        Some(name) => Err(malformed(format!("SignedHeaders lacks {name}; content-type and host are always signed"))),
        None => Ok(joined),
    }
}

fn hash(text: &str) -> Result<[u8; 32], Rejection> {
    let mut hash = [0; 32];
    // Clients write lower case; accepting upper case would give a signature two forms.
    let lower = !text.bytes().any(|b| b.is_ascii_uppercase());
    match hex::decode_to_slice(text, &mut hash) {
        Ok(()) if lower => Ok(hash),
        _ => Err(malformed("Signature is not 64 lower-case hexadecimal digits".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "TC3-HMAC-SHA256 Credential=AKID/2019-02-25/scf/tc3_request, \
                        SignedHeaders=content-type;host, \
                        Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168";

    #[test]
    fn a_header_is_split_into_its_parts() {
        let parsed = Authorization::parse(GOOD).expect("well-formed");
        assert_eq!((parsed.secret_id, parsed.date, parsed.service), ("AKID", "2019-02-25", "scf"));
        assert_eq!(parsed.signed_headers, "content-type;host");
        assert_eq!(parsed.signature[..2], [0x72, 0xe4]);
        assert_eq!(parsed.scope(), "2019-02-25/scf/tc3_request");
    }

    #[test]
    fn blanks_after_commas_are_optional() {
        let tight = GOOD.replace(", ", ",");
        assert_eq!(Authorization::parse(&tight), Authorization::parse(GOOD));
    }

    #[test]
    fn the_node_clients_scope_is_accepted() {
        let node = GOOD.replace("/scf/", "/localhost:8080/");
        assert_eq!(Authorization::parse(&node).expect("well-formed").service, "localhost:8080");
    }

    #[test]
    fn a_malformed_part_is_named_in_the_error() {
        let table = [
            ("".to_owned(), "begin with"),
            ("Bearer x".to_owned(), "begin with"),
            ("SKIP".to_owned(), "begin with"),
            (GOOD.replace("Credential=", "Credentials="), "unknown part"),
            (GOOD.replace("/scf/", "/"), "Credential"),
            (GOOD.replace("tc3_request", "aws4_request"), "Credential"),
            (GOOD.replace("AKID", ""), "Credential"),
            (GOOD.replace(";host", ""), "lacks host"),
            (GOOD.replace("content-type;", ""), "lacks content-type"),
            (GOOD.replace("content-type;", "Content-Type;"), "lower-case"),
            (GOOD.replace("content-type;", "content-type;;"), "lower-case"),
            (GOOD.replace("72e4", "72E4"), "64 lower-case"),
            (GOOD.replace("72e4", "72e"), "64 lower-case"),
            (GOOD.replace("SignedHeaders=content-type;host, ", ""), "lacks SignedHeaders"),
            (format!("{GOOD}, Signature=1"), "more than once"),
        ];
        for (text, fault) in table {
            let rejection = Authorization::parse(&text).expect_err(&text);
            assert!(rejection.to_string().contains(fault), "{text}: {rejection}");
            assert_eq!(rejection.code().name, "AuthFailure.InvalidAuthorization");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,300}") {
            let _ = Authorization::parse(&text);
        }

        #[test]
        fn nothing_near_a_header_panics(cut in 0..GOOD.len(), insert in "\\PC{0,8}") {
            let text = format!("{}{insert}{}", &GOOD[..cut], &GOOD[cut..]);
            let _ = Authorization::parse(&text);
        }
    }
}
