//! Who is asking, and whether the request is theirs.
//!
//! - [`customer`], [`operator`], [`machine`]: the three who may ask, each an extractor.
//! - [`caller`]: whoever may look at a job; a customer or a machine.
//! - [`cookie`]: what browsers are known by; [`bearer`]: what programs send.
//! - [`link`]: what a link that was signed opens.
//! - [`origin`]: the guard against requests that another site made a browser send.
//!
//! No two modules here know each other, directly or by a third one; none knows a page.

pub mod bearer;
pub mod caller;
pub mod cookie;
pub mod customer;
pub mod link;
pub mod machine;
pub mod operator;
pub mod origin;
