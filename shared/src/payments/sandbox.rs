//! The sandbox gateway: moves no money, but keeps its promises like a real one. One charge an order,
//! refunds recorded, a void that refuses a late charge. Its ledger is a table of its own.

use std::time::Duration;

use super::{Charge, PaymentError, SandboxToken};
use crate::db::payments;
use crate::domain::OrderId;
use database::{Db, DbError};

/// How often `tok_flaky` finds the gateway unavailable before it works.
const FLAKY_FAILURES: i32 = 2;

/// How long `tok_slow` takes.
const SLOW: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Clone)]
pub struct SandboxGateway {
    db: Db,
}

impl SandboxGateway {
    /// A gateway with its ledger in this database.
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Takes the money, as the token says. The caller must hold no connection.
    ///
    /// # Errors
    /// See [`PaymentError`].
    pub async fn charge(&self, charge: &Charge) -> Result<(), PaymentError> {
        let Some(token) = charge.token.sandbox() else {
            return Err(PaymentError::Declined);
        };
        // What the card says at once, and what it says in the end.
        let (at_once, at_last) = match token {
            SandboxToken::Ok => ("charged", "charged"),
            SandboxToken::Declined => ("declined", "declined"),
            SandboxToken::Flaky | SandboxToken::Slow => ("asked", "charged"),
        };
        let asked = payments::ask(&self.db, charge.order_id, charge.amount_cents, at_once);
        let entry = asked.await.map_err(away)?;
        if entry.state != "asked" {
            return answer(&entry.state);
        }
        match token {
            SandboxToken::Flaky if entry.asked <= FLAKY_FAILURES => {
                let reason = "the sandbox's flaky card".to_owned();
                return Err(PaymentError::Unavailable { reason, retry_after: Some(Duration::from_secs(1)) });
            }
            SandboxToken::Slow => tokio::time::sleep(SLOW).await,
            SandboxToken::Ok | SandboxToken::Declined | SandboxToken::Flaky => {}
        }
        let state = payments::answer(&self.db, charge.order_id, at_last).await.map_err(away)?;
        answer(&state)
    }

    /// Gives the money back, or leaves a void.
    ///
    /// # Errors
    /// See [`PaymentError`].
    pub async fn refund(&self, order: OrderId) -> Result<(), PaymentError> {
        payments::refund(&self.db, order).await.map_err(away)
    }
}

fn answer(state: &str) -> Result<(), PaymentError> {
    match state {
        "charged" => Ok(()),
        "declined" => Err(PaymentError::Declined),
        "voided" | "refunded" => Err(PaymentError::Voided),
        other => Err(PaymentError::Other(format!("the ledger says {other}"))),
    }
}

fn away(error: DbError) -> PaymentError {
    match error {
        DbError::Unavailable(reason) => PaymentError::Unavailable { reason, retry_after: None },
        other => PaymentError::Other(other.to_string()),
    }
}
