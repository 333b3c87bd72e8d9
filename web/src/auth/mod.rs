//! Who is asking, and whether the request is theirs.
//!
//! - [`customer`], [`operator`], [`machine`]: the three who may ask, each an extractor.
//! - [`caller`]: whoever may look at a job; a customer or a machine.
//! - [`cookie`]: what browsers are known by; [`bearer`]: what programs send.
//! - [`link`]: what a link that was signed opens.
//! - [`origin`]: the guard against requests that another site made a browser send.
//!
//! Nothing here knows a page, a noun or the API, and there is no circle: extractors use [`bearer`] and [`cookie`],
//! [`machine`] and [`caller`] use [`customer`].

pub mod bearer;
pub mod caller;
pub mod cookie;
pub mod customer;
pub mod link;
pub mod machine;
pub mod operator;
pub mod origin;
