//! Extension headers of the entry after them: PAX records (POSIX.1-2017, pax), GNU long names, and
//! the three ways in which GNU tar writes sparse files into PAX records.

use crate::sparse::Segment;

/// The values of all headers before an entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// Names of GNU headers; empty without one.
    pub gnu_path: Vec<u8>,
    pub gnu_link: Vec<u8>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pub size: Option<u64>,
    pub uid: Option<u64>,
    pub gid: Option<u64>,
    /// Seconds and nanoseconds since 1970.
    pub mtime: Option<(i64, u32)>,
    /// Name and value, as in the file system.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub sparse: SparseRecords,
}

/// Records of a sparse file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    /// `GNU.sparse.major`: from 1 on, the map precedes the data.
    pub map_in_data: bool,
    /// Size of the file with its holes.
    pub real_size: Option<u64>,
    /// The map of formats 0.0 and 0.1.
    pub map: Vec<Segment>,
    name: Option<Vec<u8>>,
    offset: Option<u64>,
}

impl Extensions {
    /// Whether no header needs an entry after it.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds the records of one PAX header.
    pub(crate) fn add_pax(&mut self, mut records: &[u8]) -> Result<(), &'static str> {
        while !records.is_empty() {
            // Some writers pad with NUL bytes.
            if records.iter().all(|b| *b == 0) {
                break;
            }
            let (key, value, rest) = split_record(records).ok_or("a PAX record is malformed")?;
            self.add_record(key, value)?;
            records = rest;
        }
        Ok(())
    }

    /// The entry's name, unless the plain header has it. As in Go's archive/tar, which containerd,
    /// docker and podman read layers with, a GNU name outranks a PAX record, in any order; an empty
    /// record deletes only earlier records.
    pub(crate) fn take_path(&mut self) -> Option<Vec<u8>> {
        // Names in the headers of a sparse file are generated.
        let sparse = self.sparse.name.take().filter(|name| !name.is_empty());
        sparse.or_else(|| given(&mut self.gnu_path)).or_else(|| self.path.take())
    }

    /// The target of a link, unless the plain header has it.
    pub(crate) fn take_link(&mut self) -> Option<Vec<u8>> {
        given(&mut self.gnu_link).or_else(|| self.link.take())
    }

    fn add_record(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        const BAD: &str = "a PAX record has no valid number";
        match key {
            // An empty value takes a record away: what the header says counts again.
            b"path" if value.is_empty() => self.path = None,
            b"linkpath" if value.is_empty() => self.link = None,
            b"size" if value.is_empty() => self.size = None,
            b"uid" if value.is_empty() => self.uid = None,
            b"gid" if value.is_empty() => self.gid = None,
            b"mtime" if value.is_empty() => self.mtime = None,
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value).ok_or(BAD)?),
            b"uid" => self.uid = Some(number(value).ok_or(BAD)?),
            b"gid" => self.gid = Some(number(value).ok_or(BAD)?),
            b"mtime" => self.mtime = Some(time(value).ok_or("a PAX record has no valid time")?),
            b"GNU.sparse.major" => self.sparse.map_in_data = number(value).ok_or(BAD)? >= 1,
            b"GNU.sparse.name" => self.sparse.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.sparse.real_size = Some(number(value).ok_or(BAD)?),
            b"GNU.sparse.offset" => self.sparse.offset = Some(number(value).ok_or(BAD)?),
            b"GNU.sparse.numbytes" => {
                let offset = self.sparse.offset.take().ok_or("a sparse map has a length without an offset")?;
                self.sparse.map.push(Segment { offset, len: number(value).ok_or(BAD)? });
            }
            b"GNU.sparse.map" => self.sparse.map = map(value).ok_or("a sparse map is malformed")?,
            key => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

fn given(name: &mut Vec<u8>) -> Option<Vec<u8>> {
    Some(std::mem::take(name)).filter(|name| !name.is_empty())
}

/// `<length of the record> <key>=<value>\n`; a value may hold any byte.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = records.iter().take(20).position(|b| *b == b' ')?;
    let len = usize::try_from(number(&records[..blank])?).ok()?;
    let (record, rest) = records.split_at_checked(len)?;
    let body = record.get(blank + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|b| *b == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

pub(crate) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Decimal seconds, with a sign and a fraction or without. Nanoseconds count upwards also before
/// 1970.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut parts = text.splitn(2, |b| *b == b'.');
    let seconds = i64::try_from(number(parts.next()?)?).ok()?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |sum, i| sum * 10 + u32::from(fraction.get(i).map_or(0, |digit| digit - b'0')));
    match (negative, nanos) {
        (false, _) => Some((seconds, nanos)),
        (true, 0) => Some((-seconds, 0)),
        (true, _) => Some((-seconds - 1, 1_000_000_000 - nanos)),
    }
}

fn map(text: &[u8]) -> Option<Vec<Segment>> {
    let numbers: Vec<u64> = text.split(|b| *b == b',').map(number).collect::<Option<_>>()?;
    let pairs = numbers.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|p| Segment { offset: p[0], len: p[1] }).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
        let body = key.len() + value.len() + 3;
        let mut len = body + 1;
        while len.to_string().len() + body != len {
            len = len.to_string().len() + body;
        }
        [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
    }

    #[test]
    fn times_before_the_epoch_and_with_fractions_are_read() {
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"-3"), Some((-3, 0)));
        assert_eq!(time(b"1.2.3"), None);
        assert_eq!(time(b"x"), None);
    }

    #[test]
    fn an_empty_value_takes_a_record_away() {
        let mut extensions = Extensions::default();
        let keys = ["path", "linkpath", "size", "uid", "gid", "mtime"];
        for (value, is_empty) in [("1", false), ("", true)] {
            for key in keys {
                extensions.add_pax(&record(key.as_bytes(), value.as_bytes())).expect("valid");
                assert!(!extensions.is_empty() || is_empty && key == "mtime", "{key}={value}");
            }
            assert_eq!(extensions.is_empty(), is_empty);
        }
        extensions.add_pax(&record(b"SCHILY.xattr.user.empty", b"")).expect("valid");
        assert_eq!(extensions.xattrs, [(b"user.empty".to_vec(), Vec::new())]);
    }

    #[test]
    fn sparse_maps_of_both_old_formats_are_read() {
        let mut extensions = Extensions::default();
        extensions.add_pax(&record(b"GNU.sparse.map", b"0,5,512,7")).expect("valid");
        let expected = vec![Segment { offset: 0, len: 5 }, Segment { offset: 512, len: 7 }];
        assert_eq!(extensions.sparse.map, expected);
        let mut extensions = Extensions::default();
        let records: Vec<u8> = [("offset", "0"), ("numbytes", "5"), ("offset", "512"), ("numbytes", "7")]
            .iter()
            .flat_map(|(key, value)| record(format!("GNU.sparse.{key}").as_bytes(), value.as_bytes()))
            .collect();
        extensions.add_pax(&records).expect("valid");
        assert_eq!(extensions.sparse.map, expected);
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [&b"3 a"[..], b"99 a=b\n", b"x a=b\n", b"6 a=bc", b"5 ab\n", b"13 size=0x10\n"] {
            assert!(Extensions::default().add_pax(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn attribute_values_keep_every_byte(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut extensions = Extensions::default();
            extensions.add_pax(&record(b"SCHILY.xattr.user.x", &value)).expect("valid");
            prop_assert_eq!(extensions.xattrs, vec![(b"user.x".to_vec(), value)]);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Extensions::default().add_pax(&bytes);
        }
    }
}
