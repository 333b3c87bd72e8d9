//! How many callbacks are under way to each host: one that is slow gets a part of the slots, not all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// So many at a time to one host, in each process.
pub(super) const MOST_AT_ONE_HOST: usize = 4;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Hosts {
    busy: Arc<Mutex<HashMap<String, usize>>>,
}

/// A place at a host, until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    hosts: Hosts,
    host: String,
}

impl Hosts {
    /// A place, if there is one.
    pub(super) fn visit(&self, host: &str) -> Option<Visit> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(host.to_owned()).or_default();
        if *count >= MOST_AT_ONE_HOST {
            return None;
        }
        *count += 1;
        Some(Visit { hosts: self.clone(), host: host.to_owned() })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut busy = self.hosts.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.host) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_so_many_places_and_others_have_their_own() {
        let hosts = Hosts::default();
        let mut visits: Vec<Visit> = (0..MOST_AT_ONE_HOST).map(|_| hosts.visit("slow").unwrap()).collect();
        assert!(hosts.visit("slow").is_none());
        assert!(hosts.visit("other").is_some());
        visits.pop();
        assert!(hosts.visit("slow").is_some());
        drop(visits);
        assert!(hosts.busy.lock().unwrap().is_empty(), "a host that nobody calls costs nothing");
    }
}
