//! Validates entries for the file system and the format.

use crate::BLOCK_BYTES;
use crate::entry::{Extent, Kind, Meta};
use crate::error::{Error, shown};
use crate::xattr;

/// The longest that Linux follows (`PATH_MAX` less the NUL).
const TARGET_BYTES_MAX: usize = 4095;
const MODE_BITS: u16 = 0o7777;
const MAJOR_MAX: u32 = 0xfff;
const MINOR_MAX: u32 = 0xf_ffff;
const NOBODY: u32 = u32::MAX;
const SECOND_NS: u32 = 1_000_000_000;

/// The kind, with the number of the image's device instead of the layer's.
pub(crate) fn kind(path: &[u8], kind: Kind, devices: &[u16]) -> Result<Kind, Error> {
    match &kind {
        Kind::File { size, data } => Ok(Kind::File { size: *size, data: extent(path, *size, *data, devices)? }),
        Kind::Symlink { target } => target_is_sound(target).map(|()| kind).map_err(|reason| Error::entry(path, reason)),
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }
            if *major > MAJOR_MAX || *minor > MINOR_MAX =>
        {
            Err(Error::DeviceNumber { path: shown(path), major: *major, minor: *minor })
        }
        _ => Ok(kind),
    }
}

fn extent(path: &[u8], size: u64, data: Option<Extent>, devices: &[u16]) -> Result<Option<Extent>, Error> {
    if size == 0 {
        return Ok(None);
    }
    if i64::try_from(size).is_err() {
        return Err(Error::entry(path, "is larger than a file can be"));
    }
    let Some(Extent { device, offset }) = data else {
        return Err(Error::entry(path, "is a file with a size but without data"));
    };
    if !offset.is_multiple_of(BLOCK_BYTES) {
        return Err(Error::entry(path, "is a file whose data do not start at a multiple of 512 bytes"));
    }
    match devices.get(usize::from(device)) {
        Some(device) => Ok(Some(Extent { device: *device, offset })),
        None => Err(Error::UnknownDevice { path: shown(path), device, devices: devices.len() }),
    }
}

fn target_is_sound(target: &[u8]) -> Result<(), &'static str> {
    match target {
        [] => Err("is a symbolic link to nothing"),
        _ if target.contains(&0) => Err("is a symbolic link with a NUL byte in it"),
        _ if target.len() > TARGET_BYTES_MAX => Err("is a symbolic link of more than 4095 bytes"),
        _ => Ok(()),
    }
}

/// The metadata, without attributes that cannot be kept.
pub(crate) fn meta(path: &[u8], kind: &Kind, mut meta: Meta) -> Result<Meta, Error> {
    if meta.mtime_ns >= SECOND_NS {
        return Err(Error::entry(path, "has a time with a billion nanoseconds or more"));
    }
    if meta.uid == NOBODY || meta.gid == NOBODY {
        return Err(Error::entry(path, "belongs to user or group 4294967295, which Linux keeps for none"));
    }
    meta.mode &= MODE_BITS;
    xattr::accept(path, kind, &mut meta)?;
    Ok(meta)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(size: u64, device: u16, offset: u64) -> Kind {
        Kind::File { size, data: Some(Extent { device, offset }) }
    }

    #[test]
    fn a_file_is_given_the_device_of_the_image() {
        assert_eq!(kind(b"f", file(1, 1, 512), &[7, 9]), Ok(file(1, 9, 512)));
        assert_eq!(kind(b"f", file(0, 5, 1), &[]), Ok(Kind::File { size: 0, data: None }));
    }

    #[test]
    fn files_that_cannot_be_are_refused() {
        for bad in [file(1, 2, 0), file(1, 0, 100), file(u64::MAX, 0, 0), Kind::File { size: 1, data: None }] {
            assert!(kind(b"f", bad.clone(), &[0, 1]).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn links_and_devices_that_cannot_be_are_refused() {
        let link = |target: &[u8]| Kind::Symlink { target: target.to_vec() };
        assert!(kind(b"l", link(&[b'x'; 4095]), &[]).is_ok());
        for bad in [link(b""), link(b"a\0"), link(&[b'x'; 4096])] {
            assert!(kind(b"l", bad, &[]).is_err());
        }
        assert!(kind(b"d", Kind::BlockDevice { major: 4095, minor: 0xf_ffff }, &[]).is_ok());
        assert!(kind(b"d", Kind::BlockDevice { major: 4096, minor: 0 }, &[]).is_err());
        assert!(kind(b"d", Kind::CharDevice { major: 0, minor: 0x10_0000 }, &[]).is_err());
    }

    #[test]
    fn modes_are_cut_to_twelve_bits_and_times_and_owners_are_checked() {
        let given = Meta { mode: 0o104755, mtime_ns: SECOND_NS - 1, ..Meta::default() };
        assert_eq!(meta(b"f", &Kind::Fifo, given.clone()).map(|m| m.mode), Ok(0o4755));
        assert!(meta(b"f", &Kind::Fifo, Meta { mtime_ns: SECOND_NS, ..given.clone() }).is_err());
        assert!(meta(b"f", &Kind::Fifo, Meta { gid: u32::MAX, ..given.clone() }).is_err());
        assert!(meta(b"f", &Kind::Fifo, Meta { uid: u32::MAX - 1, ..given }).is_ok());
    }
}
