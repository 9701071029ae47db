//! What an answer says of the addresses of a name (RFC 1035, section 4.1): its aliases followed,
//! its addresses read. Pure.

use std::net::IpAddr;

use super::message::{HEADER_BYTES, number};

/// Addresses that are read of one answer.
const ADDRESSES_MAX: usize = 256;
/// Aliases of a name that are followed.
const ALIASES_MAX: usize = 32;
/// Longest name, with the lengths of its labels.
const NAME_BYTES_MAX: usize = 255;
/// In a length: the rest is at another place of the message.
const POINTER: u8 = 0xc0;
/// Bytes between a record's name and its data: type, class, time to live, length.
const RECORD_BYTES: usize = 10;
const TYPE_AND_CLASS_BYTES: usize = 4;
const TYPE_A: u16 = 1;
const TYPE_ALIAS: u16 = 5;
const TYPE_AAAA: u16 = 28;
const CLASS_INTERNET: u16 = 1;

/// A name as it is written, in lower case, without a final dot.
type Name = String;

/// A record of the answer's own section.
struct Record {
    owner: Name,
    data: Data,
}

enum Data {
    Address(IpAddr),
    Alias(Name),
}

/// The name that a message asks for. Nothing when it has none, or one that no host has.
pub fn asked_name(message: &[u8]) -> Option<Name> {
    Some(read_name(message, HEADER_BYTES)?.0)
}

/// The addresses that the answer to a question has for its name, or for what that is an alias of.
/// What is malformed ends them.
pub fn addresses(answer: &[u8], question: &[u8]) -> Vec<IpAddr> {
    let Some((name, records)) = read(answer, question) else { return Vec::new() };
    // Servers may put them in any order.
    let mut names = vec![name];
    let mut followed = 0;
    while followed < names.len() && names.len() <= ALIASES_MAX {
        for record in records.iter().filter(|record| record.owner == names[followed]) {
            if let Data::Alias(target) = &record.data
                && !names.contains(target)
            {
                names.push(target.clone());
                break;
            }
        }
        followed += 1;
    }
    let of_name = records.iter().filter(|record| names.contains(&record.owner));
    let addresses = of_name.filter_map(|record| match record.data {
        Data::Address(address) => Some(address),
        Data::Alias(_) => None,
    });
    addresses.take(ADDRESSES_MAX).collect()
}

/// The asked name and the records, if the answer repeats the question.
fn read(answer: &[u8], question: &[u8]) -> Option<(Name, Vec<Record>)> {
    if number(answer, 4)? != 1 {
        return None;
    }
    let ((name, at), (asked, asked_at)) = (read_name(answer, HEADER_BYTES)?, read_name(question, HEADER_BYTES)?);
    let kind = |message: &[u8], at| Some((number(message, at)?, number(message, at + 2)?));
    if name != asked || kind(answer, at)? != kind(question, asked_at)? {
        return None;
    }
    let (mut at, mut records) = (at + TYPE_AND_CLASS_BYTES, Vec::new());
    for _ in 0..number(answer, 6)? {
        let Some((record, next)) = read_record(answer, at) else { break };
        records.extend(record);
        at = next;
    }
    Some((name, records))
}

/// The record at a place, if it is an address or an alias, and where the next one is.
fn read_record(message: &[u8], at: usize) -> Option<(Option<Record>, usize)> {
    let (owner, at) = skip_name(message, at)?;
    let (kind, class) = (number(message, at)?, number(message, at + 2)?);
    let length = usize::from(number(message, at + RECORD_BYTES - 2)?);
    let data_at = at + RECORD_BYTES;
    let data = message.get(data_at..data_at + length)?;
    let data = match kind {
        TYPE_A => <[u8; 4]>::try_from(data).ok().map(|octets| Data::Address(octets.into())),
        TYPE_AAAA => <[u8; 16]>::try_from(data).ok().map(|octets| Data::Address(octets.into())),
        TYPE_ALIAS => read_name(message, data_at).map(|(name, _)| Data::Alias(name)),
        _ => None,
    };
    let record = data.zip(owner).filter(|_| class == CLASS_INTERNET).map(|(data, owner)| Record { owner, data });
    Some((record, data_at + length))
}

/// The name at a place, where no host has another, and what is behind it.
fn skip_name(message: &[u8], at: usize) -> Option<(Option<Name>, usize)> {
    if let Some((name, next)) = read_name(message, at) {
        return Some((Some(name), next));
    }
    // Its labels have to be passed by all the same.
    let mut at = at;
    loop {
        match *message.get(at)? {
            0 => return Some((None, at + 1)),
            length if length & POINTER == POINTER => return Some((None, at + 2)),
            length if length & POINTER == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The name at a place, and where it ends there. Pointers lead back only, so that they end.
fn read_name(message: &[u8], at: usize) -> Option<(Name, usize)> {
    let (mut name, mut at, mut from, mut end) = (String::new(), at, at, None);
    loop {
        let length = *message.get(at)?;
        match length & POINTER {
            POINTER => {
                let to = usize::from(number(message, at)? & 0x3fff);
                end = end.or(Some(at + 2));
                if to >= from {
                    return None;
                }
                (at, from) = (to, to);
            }
            0 if length == 0 => return Some((name, end.unwrap_or(at + 1))),
            0 => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
                if name.len() + 2 > NAME_BYTES_MAX {
                    return None;
                }
                at += 1 + usize::from(length);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for label in text.split('.').filter(|label| !label.is_empty()) {
            bytes.push(label.len() as u8);
            bytes.extend(label.bytes());
        }
        bytes.push(0);
        bytes
    }

    fn question(text: &str, kind: u16) -> Vec<u8> {
        let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        message.extend(name(text));
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
        let mut record = owner.to_vec();
        record.extend(kind.to_be_bytes());
        record.extend([0, 1, 0, 0, 0, 60]);
        record.extend((data.len() as u16).to_be_bytes());
        record.extend(data);
        record
    }

    fn answer(question: &[u8], records: &[Vec<u8>]) -> Vec<u8> {
        let mut answer = question.to_vec();
        answer[2..4].copy_from_slice(&[0x81, 0x80]);
        answer[7] = records.len() as u8;
        answer.extend(records.concat());
        answer
    }

    fn shown(answer: &[u8], question: &[u8]) -> Vec<String> {
        addresses(answer, question).iter().map(IpAddr::to_string).collect()
    }

    #[test]
    fn addresses_of_the_name_and_of_its_aliases_count_and_no_others() {
        let asked = question("WWW.example.com", TYPE_A);
        let records = [
            // In the wrong order, one by a pointer to the question.
            record(&name("edge.cdn.example"), TYPE_A, &[192, 0, 2, 1]),
            record(&name("b.example"), TYPE_ALIAS, &name("edge.cdn.EXAMPLE")),
            record(&[0xc0, 12], TYPE_ALIAS, &name("b.example")),
            record(&name("edge.cdn.example"), TYPE_AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
            // Of nobody who was asked for.
            record(&name("evil.example"), TYPE_A, &[192, 0, 2, 66]),
            // A signature, and a name that no host has.
            record(&name("edge.cdn.example"), 46, &[1; 40]),
            record(&[2, b'a', b' ', 0], TYPE_A, &[192, 0, 2, 67]),
            record(&name("edge.cdn.example"), TYPE_A, &[192, 0, 2, 2]),
        ];
        let full = answer(&asked, &records);
        assert_eq!(shown(&full, &asked), ["192.0.2.1", "2001:db8::7", "192.0.2.2"]);
        assert_eq!(asked_name(&asked).as_deref(), Some("www.example.com"));
        // What is cut off ends them.
        assert_eq!(shown(&full[..full.len() - 1], &asked), ["192.0.2.1", "2001:db8::7"]);
    }

    #[test]
    fn an_answer_to_another_question_has_none() {
        let (asked, other) = (question("a.example", TYPE_A), question("b.example", TYPE_A));
        let records = [record(&name("a.example"), TYPE_A, &[192, 0, 2, 1])];
        assert_eq!(shown(&answer(&asked, &records), &asked), ["192.0.2.1"]);
        assert!(addresses(&answer(&other, &records), &asked).is_empty());
        assert!(addresses(&answer(&question("a.example", TYPE_AAAA), &records), &asked).is_empty());
        let mut none = answer(&asked, &records);
        none[5] = 0;
        assert!(addresses(&none, &asked).is_empty());
    }

    #[test]
    fn pointers_and_aliases_in_circles_end() {
        let asked = question("a.example", TYPE_A);
        let here = asked.len() as u16 | 0xc000;
        let records = [record(&here.to_be_bytes(), TYPE_A, &[192, 0, 2, 1])];
        assert!(addresses(&answer(&asked, &records), &asked).is_empty());
        let circle = [
            record(&name("a.example"), TYPE_ALIAS, &name("b.example")),
            record(&name("b.example"), TYPE_ALIAS, &name("a.example")),
            record(&name("b.example"), TYPE_A, &[192, 0, 2, 1]),
        ];
        assert_eq!(shown(&answer(&asked, &circle), &asked), ["192.0.2.1"]);
    }

    #[test]
    fn a_name_that_is_no_hosts_is_none() {
        for labels in [&b"\x03a.b\0"[..], b"\x01\xff\0", b"\x02a \0", b"\x40aaa\0", b"\x05ab"] {
            let mut message = vec![0; HEADER_BYTES];
            message.extend(labels);
            assert_eq!(asked_name(&message), None, "{labels:?}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_is_read_beyond_its_end(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let asked = question("a.example", TYPE_A);
            addresses(&[&asked, &bytes[..]].concat(), &asked);
            addresses(&bytes, &bytes);
        }
    }
}
