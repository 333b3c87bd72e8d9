//! The JSON API: one file a noun, each handler in four paragraphs: parse → decide → commit → respond.

pub mod admin;
mod attachment;
pub mod deliveries;
pub mod events;
pub mod images;
pub mod jobs;
pub mod orders;
pub mod photos;
pub mod products;
pub mod tasks;
