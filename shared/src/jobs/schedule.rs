//! What happens at set times: name, cron expression in UTC, kind.

use ::jobs::schedule::Entry;

use super::{AlsoBought, ConsistencyCheck, Retention, SalesReport};

/// The schedule.
pub const SCHEDULE: &[Entry] = &[
    Entry::of::<AlsoBought>("also-bought", "15 2 * * *"),
    Entry::of::<SalesReport>("sales-report", "5 3 * * *"),
    Entry::of::<ConsistencyCheck>("consistency-check", "45 4 * * *"),
    Entry::of::<Retention>("retention", "45 3 * * *"),
];

#[cfg(test)]
mod tests {
    use model::KindInfo;

    use super::*;

    #[test]
    fn every_entry_comes_and_has_a_kind_and_a_name_of_its_own() {
        crate::jobs::register();
        for (index, entry) in SCHEDULE.iter().enumerate() {
            assert!(entry.parse().is_ok(), "{}", entry.name);
            assert!(KindInfo::find(entry.kind).is_some(), "{}", entry.name);
            assert!(SCHEDULE[index + 1..].iter().all(|other| other.name != entry.name), "{}", entry.name);
        }
    }
}
