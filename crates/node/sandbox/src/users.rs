//! Users and groups of a start: their host ids, the user namespace of its processes, and the
//! mapping of its layers.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use sys::Stack;
use sys::namespace::{IdRange, UserNamespace};
use types::limits::FOLDED_ID;

use crate::config::Config;
use crate::error::Error;
use crate::id_map::IdMap;
use crate::identity::Identity;
use crate::prewarm_pool::Namespaces;
use crate::rlimits;
use crate::runtime::Runtime;

/// Users and groups of a start.
pub struct Users {
    /// Host id of the instance's root.
    pub root: u32,
    /// Its users.
    pub users: IdMap,
    /// Its groups.
    pub groups: IdMap,
    /// User namespace of its processes.
    pub namespace: Arc<OwnedFd>,
    /// The namespace that its layers are mapped by, if any.
    pub layers: Option<Arc<OwnedFd>>,
}

impl Users {
    /// Users of an instance in `namespaces` whose programs run as `identity`. A namespace that has
    /// to be created is created on `stack`.
    pub fn new(
        identity: &Identity,
        namespaces: &Namespaces,
        runtime: Option<&Runtime>,
        config: &Config,
        stack: &mut Stack,
    ) -> Result<Self, Error> {
        let prewarmed = namespaces.ids.namespace();
        if runtime.is_some_and(|runtime| !runtime.kind().maps_ids()) {
            let layers = unfolding(identity, config, stack)?;
            return Ok(Self {
                root: 0,
                users: IdMap::of_host(),
                groups: IdMap::of_host(),
                namespace: prewarmed.clone(),
                layers,
            });
        }
        let root = namespaces.ids.first_id();
        let map = |used| IdMap::new(root, config.ids_per_instance, used);
        let (users, groups) = (map(identity.uid), map(identity.large_group));
        let namespace = if users.is_plain() && groups.is_plain() {
            prewarmed.clone()
        } else {
            new_namespace(root, (&users.ranges(), &groups.ranges()), config, stack)?
        };
        // Always mapped by the prewarmed namespace: the owners in prepared images are folded into
        // it.
        Ok(Self { root, users, groups, namespace, layers: Some(prewarmed.clone()) })
    }
}

/// A namespace that gives folded owners in prepared images back to a user whose id is one of the
/// host's.
fn unfolding(identity: &Identity, config: &Config, stack: &mut Stack) -> Result<Option<Arc<OwnedFd>>, Error> {
    let (users, groups) = (IdMap::unfolded(identity.uid), IdMap::unfolded(identity.large_group));
    if users.is_none() && groups.is_none() {
        return Ok(None);
    }
    let same = || vec![IdRange { inside: 0, outside: 0, count: FOLDED_ID + 1 }];
    let (users, groups) = (users.unwrap_or_else(same), groups.unwrap_or_else(same));
    new_namespace(0, (&users, &groups), config, stack).map(Some)
}

fn new_namespace(
    owner: u32,
    (users, groups): (&[IdRange], &[IdRange]),
    config: &Config,
    stack: &mut Stack,
) -> Result<Arc<OwnedFd>, Error> {
    let made = UserNamespace { owner, users, groups, limits: &rlimits::of_users(config) }.make(stack);
    made.map(Arc::new).map_err(|source| Error::Namespace { kind: "user", source })
}
