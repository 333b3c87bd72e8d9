//! The SQL of who operates, and of what they did.

pub mod audit;
pub mod operators;
#[expect(missing_docs, reason = "the columns are described where their rows are")]
pub mod schema;
