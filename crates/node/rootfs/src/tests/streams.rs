//! Streams of layers: compressions, and damaged streams.

use std::io::Read;

use super::*;

#[test]
fn every_compression_is_read_also_in_several_parts() {
    let place = Place::new();
    let tar = Tar::default().file("a", "hello").end();
    let (front, back) = tar.split_at(700);
    let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).expect("memory takes all");
    let skippable = |kind: u8, len: usize| {
        let header = [&[0x50 | kind, 0x2a, 0x4d, 0x18][..], &u32::try_from(len).expect("small").to_le_bytes()].concat();
        [header, vec![b'x'; len]].concat()
    };
    // As written by pzstd: the length of each frame is in a skippable one before it.
    let parallel = [skippable(0, 4), zstd(front), skippable(0, 4), zstd(back)].concat();
    let forms = [
        tar.clone(),
        gzip(&tar),
        [gzip(front), gzip(b""), gzip(back)].concat(),
        zstd(&tar),
        [zstd(front), zstd(back)].concat(),
        parallel,
        [skippable(15, 0), skippable(3, 300 << 10), zstd(front), zstd(back), skippable(7, 9)].concat(),
    ];
    for (i, form) in forms.into_iter().enumerate() {
        let name = format!("l{i}");
        let indexed = place.run(&name, place.job(form.clone())).expect("valid");
        assert_eq!((indexed.diff_id, indexed.tar_bytes), (digest(&tar), tar.len() as u64));
        assert_eq!(fs::read(place.path(&format!("{name}.tar"))).expect("a tar"), tar, "the tar is kept as it is");
        // A download may arrive in chunks that are shorter than a magic number.
        let path = |kind: &str| place.path(&format!("{name}-bytes.{kind}"));
        let files = Files { tar: &path("tar"), sparse: &path("sparse"), list: &path("list") };
        let Job { limits, budget, cancel, .. } = place.job(Vec::new());
        let job = Job { compressed: ByteByByte(&form), limits, budget, cancel };
        assert_eq!(index(job, &files).expect("valid").diff_id, digest(&tar), "form {i}");
    }
}

/// Returns one byte per read.
struct ByteByByte<'a>(&'a [u8]);

impl Read for ByteByByte<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let len = buffer.len().min(1);
        self.0.read(&mut buffer[..len])
    }
}

#[test]
fn a_window_that_is_too_large_is_named_with_the_limit() {
    let place = Place::new();
    let tar = Tar::default().file("a", &"hello".repeat(1 << 20)).end();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("memory");
    encoder.window_log(22).expect("valid");
    std::io::Write::write_all(&mut encoder, &tar).expect("memory takes all");
    let packed = encoder.finish().expect("memory takes all");
    for (bits, fits) in [(22, true), (20, false)] {
        let mut job = place.job(packed.clone());
        job.limits.zstd_window_bits = bits;
        let said = place.run(&format!("of-{bits}"), job).map_err(|error| match error {
            Error::Read { source } => source.to_string(),
            other => panic!("{other}"),
        });
        assert_eq!(said.is_ok(), fits, "{said:?}");
        assert!(fits || said.is_err_and(|why| why.contains("larger than 1 MiB") && why.contains("--long=20")));
    }
}

#[test]
fn a_compression_that_no_layer_may_have_is_named() {
    let place = Place::new();
    for (name, start) in [("bzip2", &b"BZh91AY&SY"[..]), ("xz", b"\xfd7zXZ\0\0\x04")] {
        let Error::Read { source } = place.run(name, place.job(start.to_vec())).expect_err(name) else {
            panic!("{name}");
        };
        assert!(source.to_string().contains(name), "{source}");
    }
}

#[test]
fn bytes_after_a_gzip_stream_are_refused_as_such() {
    let place = Place::new();
    let tar = Tar::default().file("a", "hello").end();
    let packed = gzip(&tar);
    let (front, back) = tar.split_at(700);
    let next = gzip(back);
    // Padding with zeros, shorter and longer than a header; text; the beginning of a next member.
    let tails = [vec![0], vec![0; 9], vec![0; 512], vec![0; 300 << 10], b"0123456789abcdef".to_vec()];
    let mut forms: Vec<Vec<u8>> = tails.iter().map(|tail| [&packed[..], tail].concat()).collect();
    forms.push([gzip(front), next[..6].to_vec()].concat());
    for (i, form) in forms.into_iter().enumerate() {
        let error = place.run(&format!("tail-{i}"), place.job(form)).expect_err("bytes after it");
        assert_eq!(error.hint(), "Build and push the image again.");
        let Error::Read { source } = error else { panic!("{error}") };
        let said = source.to_string();
        assert!(said.contains("follow its gzip stream") && said.contains("compress the layer again"), "{i}: {said}");
    }
    // Damage elsewhere is not taken for it.
    let mut wrong_method = packed.clone();
    wrong_method[2] = 7;
    let mut wrong_sum = packed.clone();
    let sum = wrong_sum.len() - 5;
    wrong_sum[sum] ^= 1;
    let second_cut = [gzip(front), next[..next.len() - 3].to_vec()].concat();
    for (i, form) in [wrong_method, wrong_sum, second_cut, packed[..5].to_vec()].into_iter().enumerate() {
        let error = place.run(&format!("damage-{i}"), place.job(form)).expect_err("damaged");
        let Error::Read { source } = error else { panic!("{error}") };
        assert!(!source.to_string().contains("follow its gzip stream"), "{i}: {source}");
    }
}

#[test]
fn an_archive_may_end_with_the_last_byte_of_its_last_file() {
    let place = Place::new();
    let tar = Tar::default().file("a", "hello").end();
    // The header and the data; part of their padding; all of it without the end of the archive.
    for len in [512 + 5, 512 + 100, 1024] {
        let name = format!("cut-{len}");
        let indexed = place.run(&name, place.job(tar[..len].to_vec())).expect("whole files");
        let padded = &tar[..1024];
        let tar_digest = (len < padded.len()).then(|| digest(padded));
        assert_eq!((indexed.diff_id, indexed.entries), (digest(&tar[..len]), 1), "{len}");
        assert_eq!((indexed.tar_bytes, indexed.tar_digest), (1024, tar_digest), "{len}");
        assert_eq!(fs::read(place.path(&format!("{name}.tar"))).expect("a tar"), padded, "whole blocks");
    }
}

#[test]
fn damaged_streams_are_refused() {
    let place = Place::new();
    let tar = Tar::default().file("a", &"hello".repeat(1000)).end();
    let refused = |name: &str, bytes: Vec<u8>| {
        let error = place.run(name, place.job(bytes)).expect_err("damaged");
        assert!(!error.to_string().is_empty());
        error
    };
    let packed = gzip(&tar);
    assert!(matches!(refused("cut", packed[..packed.len() / 2].to_vec()), Error::Read { .. }));
    for len in [100, 3000, 512 + 4999] {
        assert!(matches!(refused(&format!("tail-{len}"), tar[..len].to_vec()), Error::Archive { .. }));
    }
    let mut wrong = tar.clone();
    wrong[3] ^= 1;
    assert!(matches!(refused("sum", wrong), Error::Archive { .. }));
}
