//! The demo's mailbox: what the shop sent, as files, readable without a mail server.

pub mod pages;
#[cfg(test)]
pub mod samples;
