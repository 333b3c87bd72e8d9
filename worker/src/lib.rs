//! The heavy work of the shop, done outside of any request.
//!
//! [`imaging`] turns an uploaded file into the pictures that the shop shows.

pub mod imaging;
