//! The SQL of the shop's tables. That of the jobs is the engine's: the crate `jobs`.

pub mod accepting;
pub mod also_bought;
pub mod consistency;
#[cfg(test)]
mod contract;
pub mod customers;
pub mod fulfilling;
pub mod idempotency;
pub mod ingested_files;
pub mod mails;
pub mod migrations;
pub mod orders;
pub mod payments;
pub mod photos;
pub mod placing;
pub mod products;
pub mod retention;
pub mod sales;
mod schema;
pub mod sql_types;
pub mod stock;
