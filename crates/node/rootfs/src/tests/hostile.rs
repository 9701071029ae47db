//! Layers beyond the limits, and random ones.

use proptest::prelude::*;

use super::*;

#[test]
fn bombs_end_at_the_limits() {
    let place = Place::new();
    let limit = |layer: &str, compressed: Vec<u8>| {
        let mut job = place.job(compressed);
        job.limits.stream_bytes_max = 1 << 20;
        job.limits.extension_bytes_max = 4096;
        job.limits.text_bytes_max = 300;
        job.budget = Arc::new(Budget::new(1 << 19, 5));
        let budget = job.budget.clone();
        let error = place.run(layer, job).expect_err(layer);
        // All was given back.
        budget.take(1 << 19, 5).expect("unused");
        match error {
            Error::TooLarge { key, .. } => key,
            other => panic!("{layer}: {other}"),
        }
    };
    assert_eq!(limit("zeros", gzip(&vec![0; 4 << 20])), "unpacked_bytes_max");
    let big = header(EntryType::Regular, "big", 0o644, 1 << 40);
    assert_eq!(limit("big", Tar::default().with(&big, b"").end()), "unpacked_bytes_max");
    let entries = (0..9).fold(Tar::default(), |tar, i| tar.file(&i.to_string(), ""));
    assert_eq!(limit("entries", entries.end()), "entries_max");
    let long = Tar::default().entry(EntryType::GNULongName, "l", "", 0, &[b'x'; 5000]).file("x", "");
    assert_eq!(limit("long", long.end()), "entry_header_bytes_max");
    let names = (0..4).fold(Tar::default(), |tar, i| tar.file(&format!("{i}{}", "n".repeat(80)), ""));
    assert_eq!(limit("names", names.end()), "layer_text_bytes_max");
    let size = (1u64 << 60).to_string();
    let sparse = Tar::default().pax(&[("GNU.sparse.map", b"0,0"), ("GNU.sparse.size", size.as_bytes())]).file("s", "");
    assert_eq!(limit("sparse", sparse.end()), "unpacked_bytes_max");
}

#[test]
fn a_layer_that_nobody_wants_any_more_ends() {
    let place = Place::new();
    let mut job = place.job(Tar::default().file("a", "x").end());
    job.cancel = Arc::new(AtomicBool::new(true));
    assert!(matches!(place.run("a", job), Err(Error::Cancelled)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_entries_leaves_the_root(
        entries in proptest::collection::vec((0..5u8, "[a-c./]{1,6}", "[a-c./]{1,6}"), 1..12),
    ) {
        let place = Place::new();
        for canary in ["a", "b", "c"] {
            fs::write(place.path(canary), "untouched").expect("written");
        }
        let tar = entries.iter().fold(Tar::default(), |tar, (kind, name, link)| match kind {
            0 => tar.file(name, "x"),
            1 => tar.dir(name, 0o755),
            2 => tar.symlink(name, link),
            3 => tar.hard_link(name, link),
            _ => tar.file(&format!("{name}/.wh.a"), ""),
        });
        let _ = place.unpack("layer", tar);
        let mut names: Vec<_> =
            fs::read_dir(place.dir.path()).expect("there").map(|e| e.expect("readable").file_name()).collect();
        names.sort();
        names.retain(|name| !name.to_string_lossy().starts_with("layer"));
        prop_assert_eq!(names, ["a", "b", "c"]);
        for canary in ["a", "b", "c"] {
            prop_assert_eq!(read(place.path(canary)), "untouched");
            prop_assert_eq!(fs::metadata(place.path(canary)).expect("there").nlink(), 1);
        }
    }

    #[test]
    fn no_bytes_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2000),
        flips in proptest::collection::vec((0usize..3000, any::<u8>()), 0..4),
    ) {
        let place = Place::new();
        let _ = place.run("noise", place.job(bytes));
        let mut tar = Tar::default().pax(&[("path", b"x/y"), ("GNU.sparse.map", b"0,1")]).file("a", "hello").end();
        for (at, value) in flips {
            let at = at % tar.len();
            tar[at] ^= value;
        }
        let _ = place.run("flipped", place.job(tar));
    }
}
