//! Depth of the open calls of instances that were called by another instance, by address. Calls
//! from outside have depth 0 and are not recorded.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;
use types::InstanceId;

/// Longest wait of a caller for starts in flight, which usually take 2 ms.
const STARTS_WAIT_MAX: Duration = Duration::from_secs(1);

/// The open calls of all instances that have calls from others.
#[derive(Debug, Default)]
pub(crate) struct CallChains {
    callees: Mutex<HashMap<IpAddr, Callee>>,
    /// Addresses of instances that have had a request, and how many such instances there are.
    known: Mutex<HashMap<IpAddr, u32>>,
    starts: Mutex<Starts>,
    start_ended: Notify,
}

/// An instance whose start has ended, at an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct KnownInstance {
    chains: Arc<CallChains>,
    address: IpAddr,
}

/// Starts of job images: their program may call the gateway before the start returns its address.
#[derive(Debug, Default)]
struct Starts {
    next: u64,
    in_flight: BTreeSet<u64>,
}

/// A start in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct Starting {
    chains: Arc<CallChains>,
    number: u64,
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

    /// The deepest open call of the instance at an address. If the start of that instance has not
    /// returned, waits until the starts in flight have entered their calls.
    pub async fn deepest_after_starts(&self, address: IpAddr) -> Option<u32> {
        let deepest = self.deepest(address);
        if deepest.is_some() || self.known.lock().contains_key(&address) {
            return deepest;
        }
        let last = self.starts.lock().in_flight.last().copied()?;
        let ended = async {
            loop {
                let next_end = self.start_ended.notified();
                if self.starts.lock().in_flight.first().is_none_or(|first| *first > last) {
                    return;
                }
                next_end.await;
            }
        };
        // A call that waited in vain counts as one outside of any run.
        timeout(STARTS_WAIT_MAX, ended).await.ok();
        self.deepest(address)
    }

    /// Records that the start of the instance at an address has returned.
    pub fn know(self: &Arc<Self>, address: IpAddr) -> KnownInstance {
        *self.known.lock().entry(address).or_default() += 1;
        KnownInstance { chains: Arc::clone(self), address }
    }

    /// Records a start, which enters its call before the result is dropped.
    pub fn begin_start(self: &Arc<Self>) -> Starting {
        let mut starts = self.starts.lock();
        let number = starts.next;
        starts.next += 1;
        starts.in_flight.insert(number);
        Starting { chains: Arc::clone(self), number }
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

impl Drop for KnownInstance {
    fn drop(&mut self) {
        let mut known = self.chains.known.lock();
        let Some(count) = known.get_mut(&self.address) else { return };
        *count -= 1;
        if *count == 0 {
            known.remove(&self.address);
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.chains.starts.lock().in_flight.remove(&self.number);
        self.chains.start_ended.notify_waiters();
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

    #[tokio::test(start_paused = true)]
    async fn an_unknown_caller_waits_for_the_starts_before_its_call() {
        let (chains, id) = (Arc::<CallChains>::default(), InstanceId::random());
        let (a, b) = (IpAddr::from([10, 222, 0, 3]), IpAddr::from([10, 222, 0, 4]));
        assert_eq!(chains.deepest_after_starts(a).await, None, "nothing starts");
        let starting = chains.begin_start();
        let known = chains.know(b);
        assert_eq!(chains.deepest_after_starts(b).await, None, "it has started");
        let asking = Arc::clone(&chains);
        let asked = tokio::spawn(async move { asking.deepest_after_starts(a).await });
        tokio::task::yield_now().await;
        assert!(!asked.is_finished());
        // One that begins later is not waited for.
        let later = chains.begin_start();
        let call = chains.enter(a, &id, 9);
        assert_eq!(chains.deepest_after_starts(a).await, Some(9), "known at once");
        drop(starting);
        assert_eq!(asked.await.expect("it ends"), Some(9));
        drop(known);
        assert!(chains.known.lock().is_empty());
        assert_eq!(chains.deepest_after_starts(b).await, None, "after a second");
        drop((later, call));
        assert!(chains.starts.lock().in_flight.is_empty());
    }

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
