//! Directories of the host in an instance: the mounts that its init attaches.

use std::os::fd::AsFd;

use sys::Stack;
use sys::init::spec::Bind;

use crate::config::Config;
use crate::disk_ids::{DiskIds, Mapped, Recent};
use crate::error::Error;
use crate::etc_files;
use crate::identity::Identity;
use crate::prewarm_pool::HostIds;
use crate::root::Places;
use crate::spec::Mount;
use crate::users::Users;

/// The mounts of a start, detached, at the places that its root has for them.
pub fn binds(
    mounts: &[Mount],
    places: &Places,
    (users, identity): (&Users, &Identity),
    (ids, recent): (&HostIds, &Recent),
    config: &Config,
    stack: &mut Stack,
) -> Result<Vec<Bind>, Error> {
    let mut binds = Vec::with_capacity(mounts.len());
    for (mount, place) in mounts.iter().zip(places.iter()) {
        let userns = match mount.owner {
            None => None,
            Some((user, group)) => {
                let mapped = |host: u32, disk| Mapped { own: host - users.root, disk };
                let disk_ids = DiskIds {
                    users: mapped(users.users.host_id(identity.uid), user),
                    groups: mapped(users.groups.host_id(identity.gid), group),
                };
                recent.saw(disk_ids);
                Some(ids.mapping(disk_ids, users.root, config, stack)?)
            }
        };
        let tree = sys::mount::bind(mount.source.as_fd(), mount.read_only, userns.as_ref().map(AsFd::as_fd));
        let tree = tree.map_err(|source| Error::Mount { name: mount.name.clone(), source })?;
        let (target, dirs) = etc_files::place(place, (&users.users, &users.groups));
        binds.push(Bind { tree, target, dirs });
    }
    Ok(binds)
}
