//! `/tmp` of instances on disk: a file system of a fixed size for each, made ahead for sizes that
//! starts asked for of late, and gone with its instance.
//!
//! ```text
//! <dir>/tmp/template-MB    an empty file system of a size, made once in a run of the platform
//! ```
//! The image of an instance has no name on disk (O_TMPFILE): whatever ends the platform, the kernel
//! frees it with its last mount. Its blocks are reserved, so that what is written is never lost to
//! a full disk, and they read as zeros until they are written: no instance reads what a former one
//! wrote.

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

/// Sizes for which disks are made ahead.
const SIZES_MAX: usize = 4;
/// The most of one function where the settings say nothing.
const ONE_MB_DEFAULT: u64 = 10_240;

/// The most that can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TmpLimits {
    /// By one function, in MB.
    pub one_mb: u64,
    /// The setting that bounds it.
    pub one_setting: &'static str,
    /// By all instances and what is ready for them, in MB.
    pub all_mb: u64,
}

impl Config {
    /// The most that can be had in a directory.
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
    /// The maker waits for it.
    taken: Condvar,
    /// Waits for the maker.
    made: Condvar,
    /// Templates are made one at a time.
    templates: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Of all that are there.
    used_mb: u64,
    ready: Vec<TmpDisk>,
    /// One is being made ahead.
    making: bool,
    /// Sizes that were asked for, the latest first.
    recent: VecDeque<u64>,
    /// Whether there is a thread that makes disks ahead: there is none before one was asked for.
    has_maker: bool,
    stopping: bool,
}

/// A disk that nothing was written to.
#[derive(Debug)]
pub struct TmpDisk {
    /// Its detached mount, root's and open to everyone (mode 1777).
    pub mount: OwnedFd,
    /// Its share of the disk.
    pub lease: TmpLease,
}

/// A share of the disk, given back when dropped: to be kept as long as the disk is mounted.
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
    /// Removes what an earlier run has left in `dir`, and makes none yet.
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

    /// Starts what makes disks ahead; without it each start makes its own.
    fn start_maker(&self) {
        let maker = self.clone();
        let made = thread::Builder::new().name("tmp-disks".to_owned()).spawn(move || maker.make_ahead());
        if let Err(error) = made {
            tracing::warn!(%error, "cannot start the thread that makes disks for /tmp ahead of starts");
        }
    }

    /// A disk of a size: one that is ready, or a new one. Blocks.
    pub(crate) fn take(&self, size_mb: u64) -> Result<TmpDisk, Error> {
        match self.take_ready(size_mb) {
            Some(disk) => Ok(disk),
            None => self.make(self.lease(size_mb, false)?),
        }
    }

    /// One that is ready, and has another one made in its place. Does not block.
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

    /// Gives up what is ready, and makes no more.
    pub(crate) fn close(&self) {
        let ready = {
            let mut state = self.0.state.lock();
            state.stopping = true;
            std::mem::take(&mut state.ready)
        };
        self.0.taken.notify_all();
        drop(ready);
    }

    /// A share of the disk, for which others that are only ready go; `ahead` is the maker's.
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

    /// Makes what is missing whenever one was taken, and gives up sizes that nothing asked for of
    /// late.
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
                tracing::warn!(size_mb, error = error.report(), "cannot make a disk for /tmp ahead of its start");
                // Until another start asks for one.
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
    /// A size of which too few are ready and for which there is room.
    fn missing(&self, ready_max: usize, all_mb: u64) -> Option<u64> {
        let ready = |size: u64| self.ready.iter().filter(|disk| disk.lease.size_mb == size).count();
        let has_room = |size: u64| self.used_mb.saturating_add(size) <= all_mb;
        self.recent.iter().copied().find(|size| ready(*size) < ready_max && has_room(*size))
    }

    /// Those whose size is not among the recent ones.
    fn take_forgotten(&mut self) -> Vec<TmpDisk> {
        let Self { ready, recent, .. } = self;
        ready.extract_if(.., |disk| !recent.contains(&disk.lease.size_mb)).collect()
    }
}
