//! Whoever may look at a job: the customer it belongs to, or the machine that started it.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use platform::signing::Token;

use super::customer::{self, Customer};
use super::machine::Machine;
use crate::http::error::ApiError;
use crate::http::extract::Extracting;

/// Who asks for a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// By token or cookie.
    Customer(Customer),
    /// By a machine token.
    Machine(Machine),
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            if let Some(machine) = Machine::of(&request) {
                return Ok(Self::Machine(machine));
            }
            customer::identify(&request).await?.map(Self::Customer).ok_or(ApiError::Unauthenticated)
        })
    }
}

/// What a request says of who asks, not looked up yet.
#[derive(Debug, Clone)]
pub struct Unproven {
    token: Option<Token>,
    request: HttpRequest,
}

impl Unproven {
    /// The hash of a customer's token; `None` where there is nothing that could be one, or a machine asks.
    pub fn token_hash(&self) -> Option<String> {
        if Machine::of(&self.request).is_some() {
            return None;
        }
        self.token.as_ref().map(|token| token.hash().to_string())
    }

    /// Looks up who it is.
    ///
    /// # Errors
    /// [`ApiError::Unauthenticated`].
    pub async fn prove(self) -> Result<Caller, ApiError> {
        Caller::from_request(&self.request, &mut Payload::None).await
    }
}

impl FromRequest for Unproven {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self { token: customer::token(request), request: request.clone() }))
    }
}
