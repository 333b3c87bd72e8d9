//! Does the heavy work: thumbnails, orders, e-mail.
//!
//! - [`mail`]: what the shop's mails say.

pub mod mail;
