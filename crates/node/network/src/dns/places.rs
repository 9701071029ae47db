//! Slots for work in flight, shared fairly by clients: while all are taken, a client takes one from
//! the client that holds most, if that one still holds more afterwards. Pure.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The slots.
pub struct Places {
    all_max: usize,
    per_client_max: usize,
    /// Parent of the token of every slot.
    stop: CancellationToken,
    taken: Mutex<Taken>,
}

/// Taken slots, the oldest of each client first.
#[derive(Default)]
struct Taken {
    all: usize,
    next_number: u64,
    by_client: HashMap<Ipv4Addr, VecDeque<(u64, CancellationToken)>>,
}

/// A slot; dropping it frees it.
pub struct Place {
    places: Arc<Places>,
    client: Ipv4Addr,
    number: u64,
    /// Cancelled when the slot is revoked in favour of another client, and on shutdown.
    pub revoked: CancellationToken,
}

impl Places {
    /// Free slots; cancelling the token revokes all of them.
    pub fn new(all_max: usize, per_client_max: usize, stop: &CancellationToken) -> Arc<Self> {
        Arc::new(Self { all_max, per_client_max, stop: stop.clone(), taken: Mutex::default() })
    }

    /// A slot for a client, unless it has reached its limit or its fair share.
    pub fn take(self: &Arc<Self>, client: Ipv4Addr) -> Option<Place> {
        let mut taken = self.taken.lock();
        let own = taken.by_client.get(&client).map_or(0, VecDeque::len);
        if own >= self.per_client_max || (taken.all >= self.all_max && !taken.revoke_oldest_of_largest(own + 1)) {
            return None;
        }
        let (number, revoked) = (taken.next_number, self.stop.child_token());
        taken.next_number += 1;
        taken.all += 1;
        taken.by_client.entry(client).or_default().push_back((number, revoked.clone()));
        Some(Place { places: self.clone(), client, number, revoked })
    }
}

impl Taken {
    /// Revokes a slot of the client that holds most, if it holds more than `more_than`.
    fn revoke_oldest_of_largest(&mut self, more_than: usize) -> bool {
        let largest = self.by_client.iter().max_by_key(|(_, places)| places.len());
        let Some((client, number)) = largest
            .filter(|(_, places)| places.len() > more_than)
            .and_then(|(client, places)| Some((*client, places.front()?.0)))
        else {
            return false;
        };
        if let Some(revoked) = self.remove(client, number) {
            revoked.cancel();
        }
        true
    }

    /// Frees a slot, unless it was revoked.
    fn remove(&mut self, client: Ipv4Addr, number: u64) -> Option<CancellationToken> {
        let places = self.by_client.get_mut(&client)?;
        let at = places.iter().position(|(own, _)| *own == number)?;
        let (_, token) = places.remove(at)?;
        if places.is_empty() {
            self.by_client.remove(&client);
        }
        self.all -= 1;
        Some(token)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken.lock().remove(self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 222, 0, last)
    }

    fn places(all_max: usize, per_client_max: usize) -> Arc<Places> {
        Places::new(all_max, per_client_max, &CancellationToken::new())
    }

    #[test]
    fn a_client_has_no_more_than_its_bound_and_gets_back_what_it_frees() {
        let places = places(8, 2);
        let held = [places.take(client(2)), places.take(client(2))];
        assert!(held.iter().all(Option::is_some) && places.take(client(2)).is_none());
        drop(held);
        assert!(places.take(client(2)).is_some());
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_client.len()), (0, 0));
    }

    #[test]
    fn while_all_are_taken_the_largest_holder_gives_its_oldest() {
        let places = places(6, 4);
        let first: Vec<Place> = (0..4).filter_map(|_| places.take(client(2))).collect();
        let second: Vec<Place> = (0..2).filter_map(|_| places.take(client(3))).collect();
        let third = places.take(client(4)).expect("the first has four");
        assert_eq!(
            first.iter().map(|place| place.revoked.is_cancelled()).collect::<Vec<_>>(),
            [true, false, false, false]
        );
        let fourth = places.take(client(4)).expect("the first has three");
        assert!(first[1].revoked.is_cancelled());
        // Two each: nobody has more than another would have after it.
        assert!(places.take(client(4)).is_none() && places.take(client(2)).is_none());
        let fifth = places.take(client(5)).expect("one is a smaller share than two");
        assert!(![&third, &fourth, &fifth].iter().all(|place| place.revoked.is_cancelled()));
        assert_eq!(places.taken.lock().all, 6);
        drop((first, second, third, fourth, fifth));
        let taken = places.taken.lock();
        assert_eq!((taken.all, taken.by_client.len()), (0, 0));
    }

    #[test]
    fn every_client_gets_a_place_however_many_flood() {
        let places = places(64, 64);
        let flood: Vec<Place> =
            (0..16).flat_map(|n| (0..64).filter_map(|_| places.take(client(n))).collect::<Vec<_>>()).collect();
        assert_eq!(places.taken.lock().all, 64);
        for quiet in 100..140 {
            // Held while the others come.
            std::mem::forget(places.take(client(quiet)).expect("a share"));
        }
        drop(flood);
    }
}
