//! Keys, and what is made with them: signed links for those without a session, tokens for customers.
//!
//! - [`SecretKeys`]: the `SECRET_KEYS` setting, or the file that stands in for it.
//! - [`SecretKeys::sign_path`], [`SecretKeys::verify_path`]: links that open one page until they expire.
//! - [`SecretKeys::webhook_secret`], [`SecretKeys::sign_webhook`]: signatures of callbacks.
//! - [`Token`], [`TokenHash`]: a customer's secret, and the form in which the database knows it.
//! - [`MachineTokens`]: the `MACHINE_TOKENS` setting, the secrets of programs that may start tasks.
//! - [`Password`], [`passwords::verify`]: what operators log in with.

mod keys;
mod links;
mod machines;
pub mod passwords;
mod tokens;
mod webhooks;

pub use keys::{SecretKeys, SecretKeysError};
pub use links::LinkError;
pub use machines::{InvalidMachineTokens, MachineTokens};
pub use passwords::Password;
pub use tokens::{InvalidToken, Token, TokenHash};
pub use webhooks::WebhookSecret;
