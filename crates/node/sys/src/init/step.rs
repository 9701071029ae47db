//! The steps of a start, and the one at which it failed.

use std::{fmt, io};

/// A step of the init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The Display texts say what each is.
pub enum Step {
    Clone,
    EndWithPlatform,
    Files,
    JoinCgroup,
    CgroupNamespace,
    JoinNetwork,
    Mounts,
    Stage,
    Lower,
    Overlay,
    Proc,
    Dev,
    Sys,
    CgroupView,
    Tmpfs,
    Bind,
    File,
    Root,
    Mask,
    Hostname,
    Limits,
    WorkingDir,
    Stdio,
    JoinUser,
    Identity,
    Capabilities,
    NoNewPrivileges,
    Seccomp,
    HideCgroups,
    Bundle,
    Init,
    Execute,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clone => "starting a process",
            Self::EndWithPlatform => "binding its life to the platform's",
            Self::Files => "taking the descriptors it needs",
            Self::JoinCgroup => "joining the cgroup",
            Self::CgroupNamespace => "making a cgroup namespace",
            Self::JoinNetwork => "joining the network namespace",
            Self::Mounts => "making a mount namespace",
            Self::Stage => "attaching the writable layer",
            Self::Lower => "attaching an image layer",
            Self::Overlay => "mounting the overlay",
            Self::Proc => "mounting /proc",
            Self::Dev => "attaching /dev",
            Self::Sys => "attaching /sys",
            Self::CgroupView => "attaching /sys/fs/cgroup",
            Self::Tmpfs => "attaching /tmp",
            Self::Bind => "attaching a volume",
            Self::File => "putting a file in place",
            Self::Root => "changing the root",
            Self::Mask => "masking a kernel path",
            Self::Hostname => "setting the host name",
            Self::Limits => "setting a resource limit",
            Self::WorkingDir => "entering the working directory",
            Self::Stdio => "connecting standard output",
            Self::JoinUser => "joining the user namespace",
            Self::Identity => "changing user and group",
            Self::Capabilities => "dropping capabilities",
            Self::NoNewPrivileges => "renouncing new privileges",
            Self::Seccomp => "installing the system call filter",
            Self::HideCgroups => "hiding cgroups from the runtime",
            Self::Bundle => "writing the runtime's bundle",
            Self::Init => "executing the init",
            Self::Execute => "executing the program",
        })
    }
}

/// A failed start.
#[derive(Debug, thiserror::Error)]
#[error("{step}")]
pub struct Failure {
    /// The failed step.
    pub step: Step,
    /// The kernel's error.
    #[source]
    pub source: io::Error,
}
