//! The HTTP front end of the print shop: it answers at once and never does heavy work.
//!
//! - [`pages`]: what people see: view structs and their templates;
//! - [`assets`]: style sheets, scripts and pictures of the pages, embedded in the program.

pub mod assets;
pub mod pages;
