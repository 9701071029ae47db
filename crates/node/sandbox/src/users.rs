//! Users and groups of one start: their host ids, the user namespace that its processes are in, and how its layers are mapped.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use sys::Stack;
use sys::namespace::IdRange;
use types::limits::FOLDED_ID;

use crate::error::Error;
use crate::id_map::IdMap;
use crate::identity::Identity;
use crate::runtime::Runtime;
use crate::slots::Slot;

/// What a start is told of users and groups.
pub struct Users {
    /// Host id of the instance's root.
    pub root: u32,
    /// Its users.
    pub users: IdMap,
    /// Its groups.
    pub groups: IdMap,
    /// Its processes' user namespace; another runtime makes its own.
    pub namespace: Arc<OwnedFd>,
    /// The namespace that its layers are mapped by, if they are.
    pub layers: Option<Arc<OwnedFd>>,
}

impl Users {
    /// Of an instance in `slot` whose programs run as `identity`. A namespace that has to be made for that is made on `stack`.
    pub fn new(
        identity: &Identity,
        slot: &Slot,
        runtime: Option<&Runtime>,
        ids_per_instance: u32,
        stack: &mut Stack,
    ) -> Result<Self, Error> {
        let of_slot = slot.ids.namespace();
        if runtime.is_some_and(|runtime| !runtime.kind().maps_ids()) {
            let layers = unfolding(identity, stack)?;
            return Ok(Self {
                root: 0,
                users: IdMap::of_host(),
                groups: IdMap::of_host(),
                namespace: of_slot.clone(),
                layers,
            });
        }
        let root = slot.ids.first_id();
        let map = |used| IdMap::new(root, ids_per_instance, used);
        let (users, groups) = (map(identity.uid), map(identity.large_group));
        let namespace = if runtime.is_none() && !(users.is_plain() && groups.is_plain()) {
            new_namespace(&users.ranges(), &groups.ranges(), stack)?
        } else {
            of_slot.clone()
        };
        // By the slot's own in any case: the owners in prepared images are folded into it.
        Ok(Self { root, users, groups, namespace, layers: Some(of_slot.clone()) })
    }
}

/// A namespace that gives the owners in prepared images back to a user that has an id of the host's.
fn unfolding(identity: &Identity, stack: &mut Stack) -> Result<Option<Arc<OwnedFd>>, Error> {
    let (users, groups) = (IdMap::unfolded(identity.uid), IdMap::unfolded(identity.large_group));
    if users.is_none() && groups.is_none() {
        return Ok(None);
    }
    let same = || vec![IdRange { inside: 0, outside: 0, count: FOLDED_ID + 1 }];
    new_namespace(&users.unwrap_or_else(same), &groups.unwrap_or_else(same), stack).map(Some)
}

fn new_namespace(users: &[IdRange], groups: &[IdRange], stack: &mut Stack) -> Result<Arc<OwnedFd>, Error> {
    let made = sys::namespace::new_user(users, groups, stack);
    made.map(Arc::new).map_err(|source| Error::Namespace { kind: "user", source })
}
