//! The descriptors that an init needs, by number: they are moved to reserved low numbers before it
//! starts.

use std::os::fd::{AsRawFd, RawFd};

use super::spec::InitSpec;
use crate::instance_mounts::InstanceMounts;

/// Descriptors of the spec, by their numbers in the child.
pub(super) struct InheritedFds {
    pub lowers: Vec<RawFd>,
    pub binds: Vec<RawFd>,
    pub cgroup_v1_tasks: Vec<RawFd>,
    pub cgroup_view: RawFd,
    /// Mounts of the cgroup view that are still to be attached.
    pub cgroup_view_left: Vec<RawFd>,
    pub bare: RawFd,
    pub network: RawFd,
    pub user: RawFd,
    pub stage: RawFd,
    pub dev: RawFd,
    pub terminals: RawFd,
    pub shared_memory: RawFd,
    pub tmp: RawFd,
    pub sys: RawFd,
    pub stdout: RawFd,
    pub stderr: RawFd,
    pub init: Option<RawFd>,
}

impl InheritedFds {
    pub(super) fn of(spec: &InitSpec) -> Self {
        let InstanceMounts { stage, dev, terminals, shared_memory, tmp, sys, left: _ } = &spec.rootfs.mounts;
        Self {
            lowers: spec.rootfs.lowers.iter().map(AsRawFd::as_raw_fd).collect(),
            binds: spec.rootfs.binds.iter().map(|bind| bind.tree.as_raw_fd()).collect(),
            cgroup_v1_tasks: spec.cgroup.v1_tasks.iter().map(AsRawFd::as_raw_fd).collect(),
            cgroup_view: spec.cgroup.view.root.as_raw_fd(),
            cgroup_view_left: spec.cgroup.view.left.iter().map(|branch| branch.mount.as_raw_fd()).collect(),
            bare: spec.namespaces.mounts.as_raw_fd(),
            network: spec.namespaces.network.as_raw_fd(),
            user: spec.namespaces.user.as_raw_fd(),
            stage: stage.as_raw_fd(),
            dev: dev.as_raw_fd(),
            terminals: terminals.as_raw_fd(),
            shared_memory: shared_memory.as_raw_fd(),
            tmp: tmp.as_raw_fd(),
            sys: sys.as_raw_fd(),
            stdout: spec.stdio.stdout.as_raw_fd(),
            stderr: spec.stdio.stderr.as_raw_fd(),
            init: spec.process.init.as_ref().map(AsRawFd::as_raw_fd),
        }
    }

    pub(super) fn each(&mut self) -> impl Iterator<Item = &mut RawFd> {
        let Self {
            lowers,
            binds,
            cgroup_v1_tasks,
            cgroup_view,
            cgroup_view_left,
            bare,
            network,
            user,
            stage,
            dev,
            terminals,
            shared_memory,
            tmp,
            sys,
            stdout,
            stderr,
            init,
        } = self;
        let others = [cgroup_view, bare, network, user, stage, dev, terminals, shared_memory, tmp, sys, stdout, stderr];
        lowers.iter_mut().chain(binds).chain(cgroup_v1_tasks).chain(cgroup_view_left).chain(others).chain(init)
    }
}
