//! What a payment gateway is asked, and how it can answer.
//!
//! Charges and refunds are keyed by order: asking twice is asking once, whichever worker asks. A refund
//! of an order that was never charged leaves a void, which refuses a charge that comes too late.

pub mod http;
mod sandbox;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use http::HttpGateway;
pub use sandbox::SandboxGateway;

use crate::domain::OrderId;

/// Whoever takes the money.
pub enum Gateway {
    /// The embedded one.
    Sandbox(SandboxGateway),
    /// One that speaks our small HTTP protocol.
    Http(HttpGateway),
}

impl Gateway {
    /// Takes an order's money, once however often it is asked.
    ///
    /// # Errors
    /// See [`PaymentError`]; after [`PaymentError::Unavailable`] the charge may have happened.
    pub async fn charge(&self, charge: &Charge) -> Result<(), PaymentError> {
        match self {
            Self::Sandbox(sandbox) => sandbox.charge(charge).await,
            Self::Http(http) => http.charge(charge).await.map(|_| ()),
        }
    }

    /// Gives an order's money back, or leaves a void that refuses a charge that comes too late.
    ///
    /// # Errors
    /// See [`PaymentError`].
    pub async fn refund(&self, order: OrderId) -> Result<(), PaymentError> {
        match self {
            Self::Sandbox(sandbox) => sandbox.refund(order).await,
            Self::Http(http) => http.refund(order).await,
        }
    }
}

/// The request to take an order's money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// For which order; at most one charge each.
    pub order_id: OrderId,
    /// How much, in cents of the shop's currency.
    pub amount_cents: i64,
    /// By which card.
    pub token: PaymentToken,
}

/// Why a gateway took no money, or gave none back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentError {
    /// The bank says no: a business answer, not a fault.
    #[error("the card was declined")]
    Declined,
    /// The order has been refunded before this charge came.
    #[error("the order was voided before it was charged")]
    Voided,
    /// The gateway does not answer at present: refused, timed out, 408, 429, 5xx. The charge may
    /// have happened; asking again with the same key settles it.
    #[error("the payment gateway is unavailable: {reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// How long it asks us to stay away, if it does.
        retry_after: Option<Duration>,
    },
    /// An answer that we don't understand, or a request that it does not. Worth a retry.
    #[error("the payment gateway answered out of turn: {0}")]
    Other(String),
}

/// What stands for a card: made by the payment provider's own form, meaningless to anybody else.
///
/// One to a hundred letters, digits, `_` and `-`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentToken(String);

/// The text is not a payment token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a payment token")]
pub struct InvalidToken;

impl PaymentToken {
    /// The most characters.
    pub const MAX_LENGTH: usize = 100;

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the sandbox gateway does with it, or `None`: the sandbox knows four tokens only.
    pub fn sandbox(&self) -> Option<SandboxToken> {
        SandboxToken::ALL.into_iter().find(|token| token.name() == self.0)
    }
}

impl FromStr for PaymentToken {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || text.len() > Self::MAX_LENGTH || !text.bytes().all(allowed) {
            return Err(InvalidToken);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PaymentToken {
    type Error = InvalidToken;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PaymentToken> for String {
    fn from(token: PaymentToken) -> Self {
        token.0
    }
}

/// Whoever has the token can charge the card: it stays out of logs.
impl fmt::Debug for PaymentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sandbox() {
            Some(token) => write!(f, "PaymentToken({})", token.name()),
            None => f.write_str("PaymentToken(…)"),
        }
    }
}

/// The four cards of the sandbox gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxToken {
    /// Works.
    Ok,
    /// Is declined.
    Declined,
    /// Finds the gateway unavailable twice, then works.
    Flaky,
    /// Works after five seconds.
    Slow,
}

impl SandboxToken {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Declined, Self::Flaky, Self::Slow];

    /// The token as text.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "tok_ok",
            Self::Declined => "tok_declined",
            Self::Flaky => "tok_flaky",
            Self::Slow => "tok_slow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_knows_four_tokens() {
        for token in SandboxToken::ALL {
            let parsed: PaymentToken = token.name().parse().unwrap();
            assert_eq!(parsed.sandbox(), Some(token));
        }
        let real: PaymentToken = "card-1Nv0F2_x".parse().unwrap();
        assert_eq!(real.sandbox(), None);
        assert_eq!(format!("{real:?}"), "PaymentToken(…)");
    }

    #[test]
    fn a_token_is_short_and_plain() {
        let long = "x".repeat(101);
        for text in ["", "tok ok", "tok\r\nX: y", "tök", "tok/ok", long.as_str()] {
            assert_eq!(text.parse::<PaymentToken>(), Err(InvalidToken), "{text:?}");
            assert!(serde_json::from_value::<PaymentToken>(text.into()).is_err(), "{text:?}");
        }
    }
}
