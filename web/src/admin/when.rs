//! A point in time as the operators' pages show it: short, to the second, in UTC.

use model::Timestamp;

/// A point in time, for a `time` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// For machines: RFC 3339.
    pub iso: String,
    /// For people: `2026-03-05 14:03:22`.
    pub text: String,
}

impl From<Timestamp> for When {
    fn from(time: Timestamp) -> Self {
        Self { iso: time.rfc3339(), text: time.0.format("%Y-%m-%d %H:%M:%S").to_string() }
    }
}
