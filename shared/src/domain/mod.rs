//! The print shop's vocabulary: pure types and state machines.
//!
//! Nothing here does IO, is async, or knows a database or a protocol.

pub mod email;
pub mod file_name;
pub mod ids;
pub mod job;
pub mod money;
pub mod operator;
pub mod order;
pub mod photo;
pub mod print;
pub mod process;
pub mod sales;
pub mod stored_text;
pub mod time;

pub use email::EmailAddress;
pub use ids::{
    AuditId, CustomerId, JobId, OperatorId, OperatorTokenId, OrderId, PhotoId, ProcessId, WorkerId,
};
pub use stored_text::StoredText;
pub use time::Timestamp;
