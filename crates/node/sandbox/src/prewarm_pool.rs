//! The prewarm pool: network namespaces with or without a link to the outside, user namespaces with
//! a range of host ids, and the mounts that depend on these alone, created ahead of the starts that
//! take them.
//!
//! A network namespace serves one instance and is removed with it, and so is its link; the next
//! instance reuses ids and their user namespace. Namespaces with and without a link are kept ready
//! separately, each at the level of recent starts.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use network::{Link, Network};
use parking_lot::{Condvar, Mutex, MutexGuard};
use sys::instance_mounts::{InstanceMounts, Options};
use sys::namespace::{NewNetwork, UserNamespace};
use sys::{MountThread, NetworkSettings, Stack};

use crate::config::Config;
use crate::demand::{Demand, Levels, Next};
use crate::devices::{DEVICES, LINKS};
use crate::disk_ids::{DiskIds, Kept, Recent};
use crate::error::Error;
use crate::etc_files::MachineAddresses;
use crate::id_map::IdMap;
use crate::masks::MASKED_SYS;
use crate::prewarm_metrics;
use crate::rlimits;

/// `/etc/resolv.conf` without a link: no name server can be reached.
const NO_NETWORK: &str = "# This instance has no network beyond its loopback.\noptions timeout:1 attempts:1\n";

/// Files and directories in `/dev`: the few devices, and the sockets that programs add.
const DEV_FILES_MAX: u32 = 1024;
/// The lowest and the highest group id.
const EVERY_GROUP: &str = "0 2147483647";
const PING_GROUPS: &CStr = c"sys/net/ipv4/ping_group_range";
/// The group of terminals, by convention.
const TTY_GROUP: u32 = 5;

/// The namespaces of one instance.
pub struct Namespaces {
    /// Network namespace, its loopback up.
    pub network: Arc<OwnedFd>,
    /// Its cookie (`SO_NETNS_COOKIE`); `None` where the kernel has none.
    pub cookie: Option<u64>,
    /// Its link to the outside. Dropping it frees its address, hence after the namespace.
    pub link: Option<Arc<Link>>,
    /// Its ids, reserved until the instance has ended.
    pub ids: HostIds,
}

/// The items that one start takes.
pub struct Prewarmed {
    /// Kept by the instance.
    pub namespaces: Namespaces,
    /// Attached by its init.
    pub mounts: InstanceMounts,
}

/// A range of host ids and the user namespace that maps it. The namespace is kept for the next
/// instance with these ids: no state in it outlives its processes, and creating one takes a child
/// process.
struct Range {
    first_id: u32,
    namespace: Arc<OwnedFd>,
    /// Namespaces that the mounts of its instances are mapped by.
    mappings: Kept,
}

/// A range in use; freed when dropped.
pub struct HostIds {
    range: Option<Range>,
    pool: Arc<PrewarmPool>,
}

impl HostIds {
    fn range(&self) -> &Range {
        self.range.as_ref().expect("taken on drop only")
    }

    /// First host id, that of the instance's root.
    pub fn first_id(&self) -> u32 {
        self.range().first_id
    }

    /// The namespace that maps mounts between these ids and ids on disk.
    pub fn mapping(&self, ids: DiskIds, first: u32, config: &Config, stack: &mut Stack) -> Result<Arc<OwnedFd>, Error> {
        self.range().mappings.of(ids, first, config, stack)
    }

    /// User namespace.
    pub fn namespace(&self) -> &Arc<OwnedFd> {
        &self.range().namespace
    }
}

impl Drop for HostIds {
    fn drop(&mut self) {
        self.pool.state.lock().free.extend(self.range.take());
        self.pool.wanted.notify_one();
    }
}

struct State {
    /// Freed ranges, the longest free first.
    free: VecDeque<Range>,
    /// Ranges from this one on were never used.
    next: u32,
    /// Namespaces without a link.
    plain: Ready,
    /// Namespaces with one; none without egress.
    linked: Ready,
    stopping: bool,
}

/// The ready items of one kind.
struct Ready {
    kind: &'static str,
    queue: VecDeque<Prewarmed>,
    demand: Demand,
}

impl Ready {
    fn new(kind: &'static str, levels: Levels) -> Self {
        Self { kind, queue: VecDeque::new(), demand: Demand::new(levels, Instant::now()) }
    }

    fn next(&mut self) -> Next {
        let next = self.demand.next(Instant::now(), self.queue.len());
        prewarm_metrics::report(self.kind, self.queue.len(), self.demand.wanted());
        next
    }
}

impl State {
    fn ready(&mut self, linked: bool) -> &mut Ready {
        if linked { &mut self.linked } else { &mut self.plain }
    }
}

/// The pool, and the resources that it creates items from.
pub struct PrewarmPool {
    config: Config,
    network: Option<Network>,
    host_network: OwnedFd,
    elsewhere: MountThread,
    /// Where settings of network namespaces are written.
    settings: NetworkSettings,
    /// Recent mappings of ids on disk.
    pub mapped: Recent,
    state: Mutex<State>,
    wanted: Condvar,
}

impl PrewarmPool {
    /// Creates an empty pool; `refill` fills it.
    pub fn new(
        config: Config,
        network: Option<Network>,
        host_network: OwnedFd,
        elsewhere: MountThread,
        settings: NetworkSettings,
    ) -> Arc<Self> {
        let (links, links_max) = network.as_ref().map_or((0, 0), Network::links_ready);
        let state = State {
            free: VecDeque::new(),
            next: 0,
            plain: Ready::new("namespace", config.levels(config.slots_ready, config.slots_ready_max)),
            linked: Ready::new("namespace-with-link", config.levels(links, links_max)),
            stopping: false,
        };
        let (state, wanted) = (Mutex::new(state), Condvar::new());
        Arc::new(Self { config, network, host_network, elsewhere, settings, mapped: Recent::default(), state, wanted })
    }

    /// The instances' egress, if enabled.
    pub fn network(&self) -> Option<&Network> {
        self.network.as_ref()
    }

    /// `/etc/resolv.conf` of an instance in these namespaces.
    pub fn resolv_conf(&self, namespaces: &Namespaces) -> String {
        match (&self.network, &namespaces.link) {
            (Some(network), Some(_)) => network.resolv_conf(),
            _ => NO_NETWORK.to_owned(),
        }
    }

    /// Where an instance in these namespaces reaches this machine.
    pub fn machine(&self, namespaces: &Namespaces) -> Option<MachineAddresses> {
        let network = self.network.as_ref().filter(|_| namespaces.link.is_some());
        network.map(|network| MachineAddresses { host: network.name_server(), gateway: network.gateway() })
    }

    /// Takes ready items, or creates them when the pool is empty; with a link if it is requested
    /// and available.
    pub fn take(self: &Arc<Self>, linked: bool, stack: &mut Stack) -> Result<Prewarmed, Error> {
        let linked = linked && self.network.is_some();
        let ready = {
            let mut state = self.state.lock();
            let ready = state.ready(linked);
            ready.demand.took(Instant::now());
            ready.queue.pop_front()
        };
        self.wanted.notify_one();
        match ready {
            Some(ready) => Ok(ready),
            None => self.make(linked, stack),
        }
    }

    /// Keeps the pool filled until [`Self::stop`]; runs on a thread of its own.
    pub fn refill(self: &Arc<Self>) {
        let mut stack = match Stack::new() {
            Ok(stack) => stack,
            Err(error) => return tracing::error!(%error, "cannot prewarm namespaces: no stack for their threads"),
        };
        while let Some(linked) = self.wait_for_demand() {
            match self.make(linked, &mut stack) {
                Ok(made) => {
                    self.map_ahead(&made.namespaces.ids, &mut stack);
                    self.state.lock().ready(linked).queue.push_back(made);
                }
                Err(error) => {
                    // A start that finds none ready reports the same error to its caller; here the
                    // next attempt only waits.
                    tracing::debug!(%error, "cannot prewarm a namespace");
                    let mut state = self.state.lock();
                    if !state.stopping {
                        // Until an instance ends, or a start takes an item.
                        self.wanted.wait(&mut state);
                    }
                }
            }
        }
    }

    /// Creates the namespaces of recent mappings. A start creates missing ones.
    fn map_ahead(&self, ids: &HostIds, stack: &mut Stack) {
        for mapped in self.mapped.all() {
            if let Err(error) = ids.mapping(mapped, ids.first_id(), &self.config, stack) {
                tracing::debug!(%error, "cannot prewarm a namespace for mounts");
            }
        }
    }

    /// Waits until another item is needed, and drops surplus ones. Returns whether the next one has
    /// a link; `None` when the pool stops.
    fn wait_for_demand(&self) -> Option<bool> {
        let mut state = self.state.lock();
        while !state.stopping {
            match (state.linked.next(), state.plain.next()) {
                (Next::Make, _) => return Some(true),
                (_, Next::Make) => return Some(false),
                (Next::LetGo, _) => Self::let_go(&mut state, true),
                (_, Next::LetGo) => Self::let_go(&mut state, false),
                (Next::Wait(one), Next::Wait(other)) => {
                    self.wanted.wait_for(&mut state, one.min(other));
                }
            }
        }
        None
    }

    fn let_go(state: &mut MutexGuard<'_, State>, linked: bool) {
        let spare = state.ready(linked).queue.pop_back();
        // Dropping it locks the state to free its range.
        MutexGuard::unlocked(state, || drop(spare));
    }

    /// Stops the refilling and drops the ready items.
    pub fn stop(&self) {
        let ready = {
            let mut state = self.state.lock();
            state.stopping = true;
            (std::mem::take(&mut state.linked.queue), std::mem::take(&mut state.plain.queue))
        };
        // Dropping them locks the state to free their ranges, hence outside its lock.
        drop(ready);
        self.wanted.notify_all();
    }

    fn make(self: &Arc<Self>, linked: bool, stack: &mut Stack) -> Result<Prewarmed, Error> {
        let ids = self.ids(stack)?;
        let options = self.mount_options(ids.first_id());
        let (mut link, mut cookie, mut mounts) = (None, None, None);
        let namespace = sys::namespace::make_network(self.host_network.as_fd(), |inside| {
            // The namespace belongs to the host's user namespace, so that root inside cannot change
            // it; instead, ports below 1024 are open to every user in it, and so is ICMP echo
            // without raw sockets (icmp(7)).
            self.settings.write(&[(c"sys/net/ipv4/ip_unprivileged_port_start", "0"), (PING_GROUPS, EVERY_GROUP)])?;
            if let Some(network) = self.network.as_ref().filter(|_| linked) {
                link = Some(network.link(inside));
            }
            cookie = netns_cookie(inside);
            mounts = Some(InstanceMounts::make(ids.first_id(), ids.namespace().as_fd(), &options, &self.elsewhere));
            Ok(())
        });
        let network = Arc::new(namespace.map_err(|source| Error::Namespace { kind: "network", source })?);
        let link = link.transpose().and_then(|link| {
            link.iter().try_for_each(|link| link.complete())?;
            Ok(link.map(Arc::new))
        });
        let link = link.map_err(|source| Error::Network { source })?;
        let mounts = mounts.expect("made in the namespace").map_err(|source| Error::Mounts { source })?;
        Ok(Prewarmed { namespaces: Namespaces { network, cookie, link, ids }, mounts })
    }

    fn mount_options(&self, owner: u32) -> Options {
        let text = |options: String| CString::new(options).expect("numbers and constants have no NUL");
        let Config { shm_bytes_max, tmp_bytes_max, writable_bytes_max, writable_files_max, .. } = self.config;
        let Config { ids_per_instance, assemble_mounts, terminals_max, .. } = self.config;
        let tty_group = owner + TTY_GROUP.min(ids_per_instance - 1);
        let everyones =
            // Their mode is 1777 by itself.
            |size: u64| text(format!("size={size},nr_inodes={writable_files_max},uid={owner},gid={owner}"));
        Options {
            stage: text(format!("mode=755,size={},nr_inodes={writable_files_max}", writable_bytes_max)),
            dev: text(format!("mode=755,size=64k,nr_inodes={DEV_FILES_MAX}")),
            devices: DEVICES,
            dev_links: LINKS,
            terminals: text(format!("ptmxmode=0666,mode=0620,gid={tty_group},max={terminals_max}")),
            shared_memory: everyones(shm_bytes_max),
            tmp: everyones(tmp_bytes_max),
            masked_sys: MASKED_SYS.iter().map(|name| text((*name).to_owned())).collect(),
            assemble: assemble_mounts,
        }
    }

    fn ids(self: &Arc<Self>, stack: &mut Stack) -> Result<HostIds, Error> {
        let index = {
            let mut state = self.state.lock();
            if let Some(range) = state.free.pop_front() {
                return Ok(HostIds { range: Some(range), pool: self.clone() });
            }
            if state.next == self.config.instances_max {
                return Err(Error::InstancesExhausted { instances_max: self.config.instances_max });
            }
            state.next += 1;
            state.next - 1
        };
        let (base, count) = (self.config.id_base, self.config.ids_per_instance);
        let first_id = base + index * count;
        let plain = IdMap::new(first_id, count, 0).ranges();
        let limits = &rlimits::of_users(&self.config);
        match (UserNamespace { owner: first_id, users: &plain, groups: &plain, limits }).make(stack) {
            Ok(namespace) => {
                let range = Range { first_id, namespace: Arc::new(namespace), mappings: Kept::default() };
                Ok(HostIds { range: Some(range), pool: self.clone() })
            }
            Err(source) => {
                let mut state = self.state.lock();
                // No later range was taken meanwhile: this one is the next again. Otherwise it
                // stays unused until a restart.
                if state.next == index + 1 {
                    state.next = index;
                }
                Err(Error::Namespace { kind: "user", source })
            }
        }
    }
}

/// The cookie of a network namespace.
fn netns_cookie(inside: &NewNetwork) -> Option<u64> {
    match sys::bpf::network_cookie(&inside.socket()) {
        Ok(cookie) => Some(cookie),
        Err(error) => {
            tracing::warn!(%error, "cannot read a netns cookie; polling for the server in that network");
            None
        }
    }
}
