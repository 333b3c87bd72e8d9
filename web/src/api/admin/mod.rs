//! `/api/admin`: what the operators' pages show and do, as JSON for their programs and for the pages' scripts.
//! One file a noun; a list is `{"items": […], "next": a cursor or null}`.

pub mod audit;
pub mod dead;
pub mod jobs;
pub mod operators;
pub mod overview;
pub mod queues;
pub mod schedule;
