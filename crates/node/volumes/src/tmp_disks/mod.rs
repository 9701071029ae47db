//! `/tmp` of instances on disk: a file system of a fixed size for each, prewarmed for recently
//! requested sizes, and removed with its instance.
//!
//! ```text
//! <dir>/tmp/template-MB    an empty file system of a size, made once in a run of the platform
//! ```
//! The image of an instance has no name on disk (O_TMPFILE): however the platform ends, the kernel
//! frees it with its last mount. Its blocks are reserved, so that written data is never lost to a
//! full disk, and they read as zeros until they are written: an instance never reads data of an
//! earlier one.

mod disk;

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, thread};

use parking_lot::{Condvar, Mutex};
use rustix::fs::statvfs;

use crate::config::Config;
use crate::error::Error;

/// Maximum number of sizes with prewarmed disks.
const SIZES_MAX: usize = 4;
/// Default maximum of one function.
const ONE_MB_DEFAULT: u64 = 10_240;

/// Limits of disks for `/tmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TmpLimits {
    /// Of one function, in MB.
    pub one_mb: u64,
    /// The setting with that limit.
    pub one_setting: &'static str,
    /// Of all instances and prewarmed disks, in MB.
    pub all_mb: u64,
}

impl Config {
    /// The limits in a directory.
    pub fn tmp_limits(&self, dir: &Path) -> TmpLimits {
        let free_mb = || statvfs(dir).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize) >> 20);
        let all_mb = if self.tmp_all_mb_max == 0 { free_mb() / 2 } else { self.tmp_all_mb_max };
        let one_mb = if self.tmp_mb_max == 0 { ONE_MB_DEFAULT } else { self.tmp_mb_max };
        if all_mb < one_mb {
            return TmpLimits { one_mb: all_mb, one_setting: "[volumes] tmp_all_mb_max", all_mb };
        }
        TmpLimits { one_mb, one_setting: "[volumes] tmp_mb_max", all_mb }
    }
}

/// Disks for `/tmp`; cheap to clone.
#[derive(Clone)]
pub(crate) struct TmpDisks(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    all_mb: u64,
    ready_max: usize,
    state: Mutex<State>,
    /// Wakes the maker.
    taken: Condvar,
    /// Wakes starts that wait for the maker.
    made: Condvar,
    /// Serializes the creation of templates.
    templates: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Size of all disks.
    used_mb: u64,
    ready: Vec<TmpDisk>,
    /// Whether the maker is creating a disk.
    making: bool,
    /// Requested sizes, the latest first.
    recent: VecDeque<u64>,
    /// Whether the maker thread runs: it starts with the first request.
    has_maker: bool,
    stopping: bool,
}

/// An unused disk.
#[derive(Debug)]
pub struct TmpDisk {
    /// Its detached mount, root's and open to everyone (mode 1777).
    pub mount: OwnedFd,
    /// Its share of the disk.
    pub lease: TmpLease,
}

/// A share of the disk space, returned when dropped: keep it as long as the disk is mounted.
pub struct TmpLease {
    size_mb: u64,
    of: Arc<Inner>,
}

impl std::fmt::Debug for TmpLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TmpLease").field("size_mb", &self.size_mb).finish_non_exhaustive()
    }
}

impl Drop for TmpLease {
    fn drop(&mut self) {
        self.of.state.lock().used_mb -= self.size_mb;
    }
}

impl TmpDisks {
    /// Removes leftovers of an earlier run in `dir`, and creates no disk yet.
    pub(crate) fn open(dir: PathBuf, config: &Config) -> Result<Self, Error> {
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Error::io("empty", dir)(error)),
            _ => fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?,
        }
        let all_mb = config.tmp_limits(&dir).all_mb;
        let inner = Inner {
            dir,
            all_mb,
            ready_max: config.tmp_ready_max,
            state: Mutex::default(),
            taken: Condvar::new(),
            made: Condvar::new(),
            templates: Mutex::default(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Starts the maker thread; without it each start creates its own disk.
    fn start_maker(&self) {
        let maker = self.clone();
        let made = thread::Builder::new().name("tmp-disks".to_owned()).spawn(move || maker.make_ahead());
        if let Err(error) = made {
            tracing::warn!(%error, "cannot start the thread that prepares disks for /tmp");
        }
    }

    /// A ready disk of a size, or a new one. Blocks.
    pub(crate) fn take(&self, size_mb: u64) -> Result<TmpDisk, Error> {
        match self.take_ready(size_mb) {
            Some(disk) => Ok(disk),
            None => self.make(self.lease(size_mb, false)?),
        }
    }

    /// A ready disk; the maker then replaces it. Does not block.
    pub(crate) fn take_ready(&self, size_mb: u64) -> Option<TmpDisk> {
        let (found, has_maker) = {
            let mut state = self.0.state.lock();
            state.recent.retain(|recent| *recent != size_mb);
            state.recent.push_front(size_mb);
            state.recent.truncate(SIZES_MAX);
            let place = state.ready.iter().position(|disk| disk.lease.size_mb == size_mb);
            let found = place.map(|place| state.ready.swap_remove(place));
            (found, std::mem::replace(&mut state.has_maker, true))
        };
        if !has_maker {
            self.start_maker();
        }
        self.0.taken.notify_one();
        found
    }

    /// Drops ready disks, and stops creating them.
    pub(crate) fn close(&self) {
        let ready = {
            let mut state = self.0.state.lock();
            state.stopping = true;
            std::mem::take(&mut state.ready)
        };
        self.0.taken.notify_all();
        drop(ready);
    }

    /// Takes a share of the disk space, dropping ready disks of others if needed; `ahead` is set by
    /// the maker.
    fn lease(&self, size_mb: u64, ahead: bool) -> Result<TmpLease, Error> {
        loop {
            let mut state = self.0.state.lock();
            if state.used_mb.saturating_add(size_mb) <= self.0.all_mb {
                state.used_mb += size_mb;
                state.making |= ahead;
                return Ok(TmpLease { size_mb, of: self.0.clone() });
            }
            let Some(gone) = state.ready.pop() else {
                if state.making {
                    self.0.made.wait(&mut state);
                    continue;
                }
                let (used_mb, all_mb) = (state.used_mb, self.0.all_mb);
                return Err(Error::TmpFull { size_mb, used_mb, all_mb });
            };
            drop(state);
            drop(gone);
        }
    }

    fn make(&self, lease: TmpLease) -> Result<TmpDisk, Error> {
        let size_mb = lease.size_mb;
        let template = {
            let _one = self.0.templates.lock();
            disk::template(&self.0.dir, size_mb)?
        };
        Ok(TmpDisk { mount: disk::make(&self.0.dir, &template, size_mb)?, lease })
    }

    /// Replaces taken disks, and drops ready ones of sizes that were not requested recently.
    fn make_ahead(&self) {
        loop {
            let (missing, gone) = {
                let mut state = self.0.state.lock();
                loop {
                    if state.stopping {
                        return;
                    }
                    let gone = state.take_forgotten();
                    let missing = state.missing(self.0.ready_max, self.0.all_mb);
                    if missing.is_some() || !gone.is_empty() {
                        break (missing, gone);
                    }
                    self.0.taken.wait(&mut state);
                }
            };
            drop(gone);
            let Some(size_mb) = missing else { continue };
            if let Err(error) = self.make_one_ahead(size_mb) {
                tracing::warn!(size_mb, error = error.report(), "cannot prepare a disk for /tmp");
                // Until another start requests one.
                let mut state = self.0.state.lock();
                if !state.stopping {
                    self.0.taken.wait(&mut state);
                }
            }
        }
    }

    fn make_one_ahead(&self, size_mb: u64) -> Result<(), Error> {
        let lease = self.lease(size_mb, true)?;
        let made = self.make(lease);
        let mut state = self.0.state.lock();
        state.making = false;
        self.0.made.notify_all();
        let made = made?;
        if !state.stopping {
            state.ready.push(made);
            return Ok(());
        }
        drop(state);
        drop(made);
        Ok(())
    }
}

impl State {
    /// A size with too few ready disks and with space for another.
    fn missing(&self, ready_max: usize, all_mb: u64) -> Option<u64> {
        let ready = |size: u64| self.ready.iter().filter(|disk| disk.lease.size_mb == size).count();
        let has_room = |size: u64| self.used_mb.saturating_add(size) <= all_mb;
        self.recent.iter().copied().find(|size| ready(*size) < ready_max && has_room(*size))
    }

    /// Ready disks whose size is not among the recent ones.
    fn take_forgotten(&mut self) -> Vec<TmpDisk> {
        let Self { ready, recent, .. } = self;
        ready.extract_if(.., |disk| !recent.contains(&disk.lease.size_mb)).collect()
    }
}
