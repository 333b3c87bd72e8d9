//! A gateway that speaks HTTP and JSON.
//!
//! | request | answers |
//! | --- | --- |
//! | `POST {base}/charges` `{"order_id","amount_cents","token"}`, `Idempotency-Key: charge-<order id>` | 200, 201 `{"charge_id"}`; 402 declined; 409 with a problem of type `voided` |
//! | `POST {base}/refunds` `{"order_id"}`, `Idempotency-Key: refund-<order id>` | 200, 201, also when nothing was charged: then the order is voided |

use std::fmt;
use std::time::Duration;

use chrono::Utc;
use reqwest::{Client, Response, StatusCode, redirect};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{Charge, PaymentError};
use crate::domain::OrderId;
use platform::outbound::{retry_after, with_causes};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a whole request may take, answer included: a bank may be asked meanwhile.
const REQUEST: Duration = Duration::from_secs(15);

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// A client of one gateway. Cheap to clone.
#[derive(Clone)]
pub struct HttpGateway {
    client: Client,
    base: Url,
}

/// The `PAYMENT_URL` can't be used. Never repeats the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum InvalidGateway {
    /// Not a base of other URLs.
    #[error("must begin with https:// or http:// and have no query")]
    Url,
    /// No client.
    #[error("can't be asked: {0}")]
    Client(#[source] reqwest::Error),
}

#[derive(Serialize)]
struct ChargeRequest<'a> {
    order_id: OrderId,
    amount_cents: i64,
    token: &'a str,
}

#[derive(Deserialize)]
struct ChargeAnswer {
    charge_id: String,
}

#[derive(Serialize)]
struct RefundRequest {
    order_id: OrderId,
}

/// As much of a problem (RFC 9457) as tells a void from another conflict.
#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
}

impl HttpGateway {
    /// A client of the gateway at `base`; a user and a password in it are sent as basic credentials.
    ///
    /// # Errors
    /// The URL is none to build on, or the machine's certificates can't be read.
    pub fn new(base: Url) -> Result<Self, InvalidGateway> {
        if !matches!(base.scheme(), "http" | "https") || base.query().is_some() || base.fragment().is_some() {
            return Err(InvalidGateway::Url);
        }
        let client = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(REQUEST)
            // A redirected POST would be asked again elsewhere, or become a GET.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("print-shop/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(InvalidGateway::Client)?;
        Ok(Self { client, base })
    }

    /// Charges an order, once however often it is asked. Gives the gateway's id of the charge.
    ///
    /// # Errors
    /// See [`PaymentError`].
    pub async fn charge(&self, charge: &Charge) -> Result<String, PaymentError> {
        let request = ChargeRequest {
            order_id: charge.order_id,
            amount_cents: charge.amount_cents,
            token: charge.token.as_str(),
        };
        let answer = self.post("charges", &format!("charge-{}", charge.order_id), &request).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => {
                let read: Result<ChargeAnswer, _> = serde_json::from_slice(&answer.body);
                Ok(read
                    .map_err(|error| PaymentError::Other(format!("a charge without an id: {error}")))?
                    .charge_id)
            }
            StatusCode::PAYMENT_REQUIRED => Err(PaymentError::Declined),
            StatusCode::CONFLICT if answer.is_void() => Err(PaymentError::Voided),
            _ => Err(answer.fault()),
        }
    }

    /// Gives an order's money back, once however often it is asked; where none was taken, sees to it
    /// that none will be.
    ///
    /// # Errors
    /// See [`PaymentError`]; never `Declined` or `Voided`.
    pub async fn refund(&self, order_id: OrderId) -> Result<(), PaymentError> {
        let answer = self.post("refunds", &format!("refund-{order_id}"), &RefundRequest { order_id }).await?;
        match answer.status {
            StatusCode::OK | StatusCode::CREATED => Ok(()),
            _ => Err(answer.fault()),
        }
    }

    /// Asks whether anybody answers there, without charging anybody: a `GET` of the base. As there is no such
    /// resource, any answer will do but that of a proxy which finds nobody behind it.
    ///
    /// # Errors
    /// [`PaymentError::Unavailable`].
    pub async fn probe(&self) -> Result<u16, PaymentError> {
        let response = self.client.get(self.base.clone()).send().await.map_err(transport_fault)?;
        match response.status() {
            status @ (StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT) => {
                Err(PaymentError::Unavailable { reason: status.to_string(), retry_after: None })
            }
            status => Ok(status.as_u16()),
        }
    }

    async fn post(&self, resource: &str, key: &str, body: &impl Serialize) -> Result<Answer, PaymentError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(resource);
        }
        let request = self.client.post(url).header("Idempotency-Key", key).json(body);
        let response = request.send().await.map_err(transport_fault)?;
        Answer::read(response).await
    }
}

/// Without the URL's credentials.
impl fmt::Debug for HttpGateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpGateway").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// A response, read to its end.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Answer {
    async fn read(mut response: Response) -> Result<Self, PaymentError> {
        let status = response.status();
        let retry_after = retry_after(response.headers(), Utc::now());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(transport_fault)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(PaymentError::Other(format!("{status} with more than {MAX_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self { status, retry_after, body })
    }

    /// Whether the problem's type is `voided`, as a name or as the end of a URI.
    fn is_void(&self) -> bool {
        let problem: Result<Problem, _> = serde_json::from_slice(&self.body);
        problem.is_ok_and(|problem| problem.kind.rsplit(['/', '#', ':']).next() == Some("voided"))
    }

    /// What every answer comes to that a request has no meaning of its own for: the gateway is ill (5xx), wants to be
    /// left alone (408, 429), or does not like this request.
    fn fault(self) -> PaymentError {
        match self.status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => self.unavailable(),
            status if status.is_server_error() => self.unavailable(),
            status => PaymentError::Other(status.to_string()),
        }
    }

    fn unavailable(self) -> PaymentError {
        PaymentError::Unavailable { reason: self.status.to_string(), retry_after: self.retry_after }
    }
}

/// Refused, reset, timed out, cut off: the gateway may or may not have heard us.
fn transport_fault(error: reqwest::Error) -> PaymentError {
    let reason = with_causes(&error.without_url());
    PaymentError::Unavailable { reason, retry_after: None }
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
