//! What any program needs of the outside world, whatever it does: nothing here knows of jobs.
//!
//! - [`mail`]: sending mail. [`callbacks`]: calling addresses that strangers gave. [`outbound`]: other HTTP services.
//! - [`signing`]: secret keys, and what they vouch for: links, tokens and callbacks.
//! - [`problem`]: a refusal as programs read it. [`telemetry`]: logs and metrics. [`tls`]: the one provider.
//! - [`backoff`], [`outage`]: how something that fails is tried again, and how that is logged.

pub mod backoff;
pub mod blob_error;
pub mod callbacks;
pub mod email;
pub mod mail;
pub mod outage;
pub mod outbound;
pub mod problem;
pub mod signing;
pub mod telemetry;
pub mod tls;

pub use blob_error::BlobError;
pub use email::EmailAddress;
