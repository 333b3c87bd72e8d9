//! The operators' JSON; that of customers and machines is with its nouns.

pub mod admin;
