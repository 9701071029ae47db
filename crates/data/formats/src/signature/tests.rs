//! Signatures of each scheme, valid and invalid.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::Sha256;

use super::*;

const OLD: &str = "an old secret of 24 byte";
const NEW: &str = "the new secret of 24 byt";
/// Spaces and `1.0` that no JSON writer would keep (trap 33).
const BODY: &[u8] = b"{\"key\": \"value\",  \"num\": 1.0}\n";
const NOW: i64 = 1_674_087_231;

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

fn headers(list: &[(&'static str, String)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn secrets(scheme: Scheme) -> Secrets {
    let text = |secret: &str| match scheme {
        Scheme::Standard => format!("whsec_{}", STANDARD.encode(secret)),
        _ => secret.replace(' ', "-"),
    };
    Secrets::new(scheme, &[text(NEW), text(OLD)]).unwrap()
}

fn key(scheme: Scheme, secret: &str) -> Vec<u8> {
    if scheme == Scheme::Standard { secret.as_bytes().to_vec() } else { secret.replace(' ', "-").into_bytes() }
}

fn checked(scheme: Scheme, list: &[(&'static str, String)], body: &[u8]) -> Result<Option<String>, String> {
    let verified = verify(&secrets(scheme), &headers(list), body, NOW, WINDOW_S_DEFAULT);
    verified.map(|verified| verified.id).map_err(|rejection| rejection.to_string())
}

fn standard(secret: &str, id: &str, time: &str, body: &[u8]) -> String {
    let key = key(Scheme::Standard, secret);
    format!("v1,{}", STANDARD.encode(mac(&key, &[id.as_bytes(), b".", time.as_bytes(), b".", body])))
}

#[test]
fn standard_webhooks_are_checked_over_the_bytes_as_they_came() {
    let with = |id: &str, time: &str, signature: String| {
        [("webhook-id", id.to_owned()), ("webhook-timestamp", time.to_owned()), ("webhook-signature", signature)]
    };
    let now = NOW.to_string();
    let good = standard(NEW, "msg_1", &now, BODY);
    let scheme = Scheme::Standard;
    let id = || Ok(Some("msg_1".to_owned()));
    assert_eq!(checked(scheme, &with("msg_1", &now, good.clone()), BODY), id());
    // A secret that is being rotated, and several signatures in one header.
    let old = standard(OLD, "msg_1", &now, BODY);
    assert_eq!(checked(scheme, &with("msg_1", &now, old.clone()), BODY), id());
    let several = format!("v1a,c2ln v1,AAAA v1,!! {old}");
    assert_eq!(checked(scheme, &with("msg_1", &now, several), BODY), id());
    // The same JSON in other bytes.
    let mismatch = Err("no signature of the request fits its bytes and a secret of the trigger".to_owned());
    assert_eq!(checked(scheme, &with("msg_1", &now, good.clone()), br#"{"key":"value","num":1.0}"#), mismatch);
    assert_eq!(checked(scheme, &with("msg_2", &now, good.clone()), BODY), mismatch);
    assert_eq!(checked(scheme, &with("msg_1", &(NOW + 1).to_string(), good.clone()), BODY), mismatch);
    assert_eq!(checked(scheme, &with("msg_1", &now, good.replace("v1,", "v2,")), BODY), mismatch);
    assert_eq!(checked(scheme, &with("msg_1", &now, String::new()), BODY), mismatch);
    // Bytes that are not text.
    let binary = b"\x8b\x00\xff";
    assert_eq!(checked(scheme, &with("m", &now, standard(NEW, "m", &now, binary)), binary), Ok(Some("m".to_owned())));
}

#[test]
fn a_missing_or_strange_header_is_refused() {
    let now = NOW.to_string();
    let all = [
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", now.clone()),
        ("webhook-signature", standard(NEW, "msg_1", &now, BODY)),
    ];
    for left_out in 0..all.len() {
        let mut some = all.to_vec();
        let (name, _) = some.remove(left_out);
        let missing = Err(format!("the request has no header {name}"));
        assert_eq!(checked(Scheme::Standard, &some, BODY), missing);
        let mut twice = all.to_vec();
        twice.push(all[left_out].clone());
        let several = Err(format!("the header {name} cannot be read: there are several"));
        assert_eq!(checked(Scheme::Standard, &twice, BODY), several);
    }
    for time in ["", "x", "-1", "+1674087231", "1674087231.0", " 1674087231", "99999999999999999999"] {
        let list = [all[0].clone(), (all[1].0, time.to_owned()), (all[2].0, standard(NEW, "msg_1", time, BODY))];
        assert!(checked(Scheme::Standard, &list, BODY).unwrap_err().contains("no Unix time"), "{time:?}");
    }
    // The signed text could be split at another dot.
    let list = [
        ("webhook-id", format!("x.{now}")),
        all[1].clone(),
        (all[2].0, standard(NEW, &format!("x.{now}"), &now, BODY)),
    ];
    assert!(checked(Scheme::Standard, &list, BODY).unwrap_err().contains("without a dot"));
    for (scheme, name) in [
        (Scheme::Github, "x-hub-signature-256"),
        (Scheme::Stripe, "stripe-signature"),
        (Scheme::Bearer, "authorization"),
    ] {
        assert_eq!(checked(scheme, &[], BODY), Err(format!("the request has no header {name}")));
    }
}

#[test]
fn what_was_signed_long_ago_is_refused() {
    for (age, taken) in [(0, true), (300, true), (301, false), (-300, true), (-301, false), (NOW, false)] {
        let time = (NOW - age).to_string();
        let list = [
            ("webhook-id", "m".to_owned()),
            ("webhook-timestamp", time.clone()),
            ("webhook-signature", standard(NEW, "m", &time, BODY)),
        ];
        assert_eq!(checked(Scheme::Standard, &list, BODY).is_ok(), taken, "{age}");
        let tag = hex::encode(mac(&key(Scheme::Stripe, NEW), &[time.as_bytes(), b".", BODY]));
        let stripe = [("stripe-signature", format!("t={time},v1={tag}"))];
        assert_eq!(checked(Scheme::Stripe, &stripe, BODY).is_ok(), taken, "{age}");
    }
}

#[test]
fn github_signs_the_body_alone() {
    let tag = |secret: &str| format!("sha256={}", hex::encode(mac(&key(Scheme::Github, secret), &[BODY])));
    let signature = |text: String| ("x-hub-signature-256", text);
    let delivery = ("x-github-delivery", "72d3162e".to_owned());
    let id = Ok(Some("72d3162e".to_owned()));
    assert_eq!(checked(Scheme::Github, &[signature(tag(NEW)), delivery.clone()], BODY), id);
    assert_eq!(checked(Scheme::Github, &[signature(tag(OLD)), delivery], BODY), id);
    assert_eq!(checked(Scheme::Github, &[signature(tag(NEW))], BODY), Ok(None));
    for wrong in ["sha256=", "sha256=zz", "sha1=00", "", "sha256=00", &tag(NEW).replace("sha256=", "")] {
        assert!(checked(Scheme::Github, &[signature(wrong.to_owned())], BODY).is_err(), "{wrong}");
    }
}

#[test]
fn stripe_signs_time_and_body() {
    let event = br#"{"id":"evt_1","object":"event"}"#;
    let tag = |secret: &str, body: &[u8]| {
        hex::encode(mac(&key(Scheme::Stripe, secret), &[NOW.to_string().as_bytes(), b".", body]))
    };
    let list = |text: String| [("stripe-signature", text)];
    let both = format!("t={NOW},v1={},v1={},v0=ff", tag("a third secret, unknown", event), tag(OLD, event));
    assert_eq!(checked(Scheme::Stripe, &list(both), event), Ok(Some("evt_1".to_owned())));
    let other = format!("t={NOW}, v1={}", tag(NEW, BODY));
    assert_eq!(checked(Scheme::Stripe, &list(other.clone()), BODY), Ok(None));
    for wrong in [
        other.replace("v1", "v0"),
        other.replace("t=", "u="),
        format!("t={NOW},{other}"),
        format!("t={NOW}"),
        String::new(),
    ] {
        assert!(checked(Scheme::Stripe, &list(wrong.clone()), BODY).is_err(), "{wrong}");
    }
}

#[test]
fn tokens_come_as_bearer_or_as_a_password() {
    let token = OLD.replace(' ', "-");
    let basic = format!("Basic {}", STANDARD.encode(format!("sns:{token}")));
    for text in [format!("Bearer {token}"), format!("bearer  {token}"), basic] {
        assert_eq!(checked(Scheme::Bearer, &[("authorization", text)], BODY), Ok(None));
    }
    for text in [
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Bearer {token}x"),
        format!("Token {token}"),
        "Basic x".to_owned(),
    ] {
        assert!(checked(Scheme::Bearer, &[("authorization", text.clone())], BODY).is_err(), "{text}");
    }
}

#[test]
fn empty_and_short_secrets_are_refused() {
    let refused = |scheme, texts: &[&str]| Secrets::new(scheme, texts).unwrap_err().to_string();
    for scheme in Scheme::ALL {
        assert_eq!(refused(scheme, &[]), "1 to 4 secrets are needed, and there are 0");
        assert!(refused(scheme, &[""]).contains("has 0 bytes; 16 to 512 are allowed"));
    }
    assert_eq!(
        refused(Scheme::Github, &["sixteen bytes---", "fifteen bytes--"]),
        "secret 2 has 15 bytes; 16 to 512 are allowed"
    );
    assert_eq!(
        refused(Scheme::Standard, &["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]),
        "secret 1 of Standard Webhooks must be whsec_ and base64"
    );
    assert!(refused(Scheme::Standard, &["whsec_MfKQ"]).starts_with("secret 1 has 3 bytes"));
    assert!(refused(Scheme::Bearer, &["a token with spaces in it"]).contains("without spaces"));
    assert_eq!(refused(Scheme::Github, &["0123456789abcdef"; 5]), "1 to 4 secrets are needed, and there are 5");
    let shown = format!("{:?}", secrets(Scheme::Github));
    assert!(!shown.contains("secret-of") && shown.contains("Github"), "{shown}");
}

#[test]
fn the_example_of_the_standard_is_taken() {
    let secrets = Secrets::new(Scheme::Standard, &["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
    let list = [
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
        ("webhook-timestamp", "1614265330".to_owned()),
        ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
    ];
    let verified = verify(&secrets, &headers(&list), br#"{"test": 2432232314}"#, 1_614_265_330, 300);
    assert_eq!(verified.unwrap().id.as_deref(), Some("msg_p5jXN8AQM9LWM0D4loKWxJek"));
}
