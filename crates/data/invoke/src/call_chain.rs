//! Depth of the open calls of instances that were called by another instance, by address. Calls
//! from outside have depth 0 and are not recorded.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use types::InstanceId;

/// The open calls of all instances that have calls from others.
#[derive(Debug, Default)]
pub(crate) struct CallChains {
    callees: Mutex<HashMap<IpAddr, Callee>>,
}

#[derive(Debug)]
struct Callee {
    instance: InstanceId,
    /// Depth of each open call.
    depths: Vec<u32>,
    /// Whether a refusal was reported since the first of them.
    reported: bool,
}

/// An open call, which counts until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenCall {
    chains: Arc<CallChains>,
    address: IpAddr,
    depth: u32,
}

impl CallChains {
    /// The depth of a new call by the instance at an address.
    pub fn depth_from(&self, address: IpAddr) -> u32 {
        self.deepest(address).map_or(1, |own| own.saturating_add(1))
    }

    /// The deepest open call of the instance at an address, if it has any.
    pub fn deepest(&self, address: IpAddr) -> Option<u32> {
        self.callees.lock().get(&address).and_then(|callee| callee.depths.iter().max()).copied()
    }

    /// Records a call of this depth to an instance.
    pub fn enter(self: &Arc<Self>, address: IpAddr, instance: &InstanceId, depth: u32) -> OpenCall {
        let mut callees = self.callees.lock();
        let new = || Callee { instance: instance.clone(), depths: Vec::new(), reported: false };
        let callee = callees.entry(address).or_insert_with(new);
        if callee.instance != *instance {
            // The address belonged to another instance, whose last calls have not ended.
            callee.instance = instance.clone();
        }
        callee.depths.push(depth);
        OpenCall { chains: Arc::clone(self), address, depth }
    }

    /// The instance at an address, the first time that one of its calls is refused while it has
    /// calls from others.
    pub fn first_refused(&self, address: IpAddr) -> Option<InstanceId> {
        let mut callees = self.callees.lock();
        let callee = callees.get_mut(&address)?;
        let is_first = !std::mem::replace(&mut callee.reported, true);
        is_first.then(|| callee.instance.clone())
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut callees = self.chains.callees.lock();
        let Some(callee) = callees.get_mut(&self.address) else { return };
        if let Some(at) = callee.depths.iter().position(|depth| *depth == self.depth) {
            callee.depths.swap_remove(at);
        }
        if callee.depths.is_empty() {
            callees.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_deeper_than_the_deepest_open_call_of_its_caller() {
        let (chains, id) = (Arc::<CallChains>::default(), InstanceId::random());
        let (a, b) = (IpAddr::from([10, 222, 0, 3]), IpAddr::from([10, 222, 0, 4]));
        assert_eq!(chains.depth_from(a), 1, "called from outside alone");
        let (first, second) = (chains.enter(b, &id, 1), chains.enter(b, &id, 3));
        let third = chains.enter(b, &id, 3);
        assert_eq!((chains.depth_from(b), chains.depth_from(a)), (4, 1));
        drop(second);
        assert_eq!(chains.depth_from(b), 4, "one of this depth is left");
        assert_eq!(chains.first_refused(b), Some(id.clone()));
        assert_eq!(chains.first_refused(b), None, "said once");
        drop(third);
        assert_eq!(chains.depth_from(b), 2);
        drop(first);
        assert_eq!((chains.depth_from(b), chains.callees.lock().len()), (1, 0));
        assert_eq!(chains.first_refused(b), None);
    }
}
