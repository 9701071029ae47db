//! Pins on disk: one small file per owner, so that a crash can lose one unacknowledged change at
//! most.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use types::Digest;

use crate::Error;
use crate::durable;
use crate::gc_roots::{GcRoots, Pin};
use crate::layout::Layout;
use crate::quarantine::Quarantine;

#[derive(Serialize, Deserialize)]
struct Record {
    owner: String,
    digest: Digest,
    keeps_rootfs: bool,
}

/// Reads all pins into the GC roots. An unreadable one is quarantined: its owner pins again at this
/// start, and nothing is collected before (`start_keep_s`).
pub(crate) fn load(layout: &Layout, gc_roots: &GcRoots, quarantine: &Quarantine) -> Result<(), Error> {
    let dir = layout.pins();
    for entry in fs::read_dir(&dir).map_err(|e| Error::io("list", &dir, e))? {
        let path = entry.map_err(|e| Error::io("list", &dir, e))?.path();
        // An I/O error fails the start.
        let bytes = fs::read(&path).map_err(|e| Error::io("read", &path, e))?;
        match serde_json::from_slice::<Record>(&bytes) {
            // The file name is a hash of the owner.
            Ok(record) if layout.pin(&record.owner) == path => {
                gc_roots.set_pin(&record.owner, Pin { digest: record.digest, keeps_rootfs: record.keeps_rootfs });
            }
            _ => {
                let place = quarantine.take("pin", &path)?;
                tracing::error!(place = %place.display(), "a pin is damaged and was set aside");
            }
        }
    }
    Ok(())
}

/// Writes a pin, durably.
pub(crate) fn write(layout: &Layout, owner: &str, pin: &Pin) -> Result<(), Error> {
    let record = Record { owner: owner.to_owned(), digest: pin.digest.clone(), keeps_rootfs: pin.keeps_rootfs };
    let bytes = serde_json::to_vec(&record).expect("texts and a bool are always JSON");
    durable::write(&layout.pin(owner), &layout.draft(), &bytes)
}

/// Removes a pin, durably.
pub(crate) fn remove(layout: &Layout, owner: &str) -> Result<(), Error> {
    let path = layout.pin(owner);
    match fs::remove_file(&path) {
        Ok(()) => durable::sync_parent(&path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("remove", &path, error)),
    }
}
