//! Every refusal of this crate, with its audience: what the client is told stands here; what went wrong
//! inside goes to the log, once, under the request's id (see [`crate::http::headers`]).

use std::borrow::Cow;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use database::{DbError, MaybeCollision};
use operations::OperationError;
use platform::BlobError;
use shared::intake::IntakeError;

use super::problem::{self, FieldError, Problem};

/// Why a request was not done.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody we know.
    #[error("no valid token")]
    Unauthenticated,
    /// No machine that we know.
    #[error("no valid machine token")]
    UnknownMachine,
    /// No operator that we know, asking by program.
    #[error("no valid operator token")]
    UnknownOperator,
    /// No operator that we know, asking by browser; the path of the login.
    #[error("an operator must log in")]
    LogInFirst(String),
    /// Known, but not allowed; says why.
    #[error("{0}")]
    Forbidden(&'static str),
    /// There is none of that id for this customer: `photo`, `order`, `job`, …
    #[error("no such {0}")]
    NotFound(&'static str),
    /// There was one of that id for this customer, and it is no longer kept.
    #[error("the {0} is no longer kept")]
    Gone(&'static str),
    /// The request can't be read.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The request did not arrive in time.
    #[error("the request arrived too slowly")]
    TooSlow,
    /// Not while things are as they are.
    #[error("{0}")]
    Conflict(&'static str),
    /// The body has more bytes than this.
    #[error("the body is larger than {0} bytes")]
    TooLarge(u64),
    /// Of a type that is not taken.
    #[error("{0}")]
    UnsupportedMediaType(&'static str),
    /// Readable, but wrong; each field says what.
    #[error("{} fields are not valid", .0.len())]
    Invalid(Vec<FieldError>),
    /// The idempotency key belongs to another request.
    #[error("the idempotency key was used for another request")]
    KeyMisused,
    /// Asked too often; may ask again after this time.
    #[error("too many requests")]
    TooManyRequests(Duration),
    /// The customer has many unfinished jobs; may try again after this time.
    #[error("too many unfinished jobs of one customer")]
    TooManyUnfinished(Duration),
    /// There are very many unfinished jobs in all; may try again after this time.
    #[error("too many unfinished jobs in all")]
    Overloaded(Duration),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The blob store.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// Not ready to serve; says why.
    #[error("{0}")]
    NotReady(&'static str),
    /// An operation that was not done.
    #[error("{0}")]
    Operation(OperationError),
    /// A mistake of ours.
    #[error("{0}")]
    Internal(String),
}

/// How long a client should stay away when we are at fault, in seconds.
const RETRY_WHEN_UNAVAILABLE: u64 = 5;

impl ApiError {
    /// Whether it is our fault, not the client's.
    pub fn is_fault(&self) -> bool {
        self.status_code().is_server_error()
    }

    /// What the client is told.
    pub fn problem(&self) -> Problem {
        let mut problem = problem::of_status(self.status_code());
        if let Some((kind, title)) = self.kind() {
            problem.kind = format!("urn:problem:{kind}");
            problem.title = title.into();
        }
        if let Some(detail) = self.detail() {
            problem.detail = detail;
        }
        match self {
            Self::Invalid(errors) => problem.errors.clone_from(errors),
            Self::Operation(OperationError::Invalid { field, problem: wrong }) => {
                problem.errors.push(FieldError::new(*field, wrong.clone()));
            }
            _ => {}
        }
        problem
    }

    /// For refusals that mean more than their status.
    fn kind(&self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Unauthenticated => ("no-token", "A token is needed"),
            Self::UnknownMachine => ("no-machine-token", "A machine token is needed"),
            Self::UnknownOperator => ("no-operator-token", "An operator's token is needed"),
            Self::Operation(OperationError::ReadOnly(_)) => ("read-only", "This operator may only look"),
            Self::Invalid(_) | Self::Operation(OperationError::Invalid { .. }) => {
                ("validation-failed", "The request is not valid")
            }
            Self::KeyMisused => ("idempotency-key-misused", "The idempotency key belongs to another request"),
            Self::TooManyRequests(_) => ("rate-limited", "Too many requests"),
            Self::TooManyUnfinished(_) => ("too-many-unfinished", "You have too many unfinished jobs"),
            Self::Overloaded(_) => ("overloaded", "Too much is unfinished"),
            _ => return None,
        })
    }

    fn detail(&self) -> Option<String> {
        Some(match self {
            Self::Unauthenticated => {
                "Get a token with POST /api/tokens and send it as \"Authorization: Bearer <token>\"; browsers \
                 get a session cookie with POST /session."
                    .into()
            }
            Self::UnknownMachine => {
                "Send a secret of the setting MACHINE_TOKENS as \"Authorization: Bearer <secret>\".".into()
            }
            Self::UnknownOperator => {
                "Send an operator's token as \"Authorization: Bearer <token>\": they are made at \
                 /admin/operators, or by `worker operator token`."
                    .into()
            }
            Self::LogInFirst(_) => return None,
            Self::Operation(error) => match error {
                OperationError::ReadOnly(name) => format!("{name} may look, but change nothing."),
                OperationError::Unknown(noun) => format!("There is no such {noun}."),
                OperationError::Refused(_) | OperationError::Invalid { .. } => error.to_string(),
                OperationError::Db(_) | OperationError::Hash(_) => return None,
            },
            Self::NotFound("address") => return None,
            Self::NotFound(noun) => format!("There is no such {noun}, or it is not yours."),
            Self::Gone(noun) => format!("This {noun} was over long ago, and is no longer kept."),
            Self::Invalid(errors) => {
                let list: Vec<String> =
                    errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
                list.join("; ")
            }
            Self::KeyMisused => {
                "This Idempotency-Key was sent before with another request. Use a new key for a new request."
                    .into()
            }
            Self::TooLarge(limit) => format!("At most {limit} bytes are taken."),
            Self::TooManyRequests(wait) => format!("Try again in {} s.", seconds_up(*wait)),
            Self::TooManyUnfinished(wait) => {
                format!("Much that you sent is still being done. Try again in {} s.", seconds_up(*wait))
            }
            Self::Overloaded(wait) => {
                format!("More was sent than can be done soon. Try again in {} s.", seconds_up(*wait))
            }
            Self::Forbidden(text) | Self::Conflict(text) | Self::UnsupportedMediaType(text) => (*text).into(),
            Self::NotReady(text) => (*text).into(),
            Self::Malformed(text) => text.clone().into_owned(),
            Self::TooSlow => "The request took too long to arrive.".into(),
            Self::Db(_) | Self::Blob(_) | Self::Internal(_) => match self.status_code() {
                StatusCode::SERVICE_UNAVAILABLE => "A part that we need does not answer. Try again soon.".into(),
                _ => return None,
            },
        })
    }
}

/// Whole seconds, rounded up: `Retry-After` must never be too early.
pub fn seconds_up(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Unauthenticated | Self::UnknownMachine | Self::UnknownOperator => StatusCode::UNAUTHORIZED,
            Self::LogInFirst(_) => StatusCode::SEE_OTHER,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Gone(_) => StatusCode::GONE,
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Invalid(_) | Self::KeyMisused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests(_) | Self::TooManyUnfinished(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Operation(error) => match error {
                OperationError::ReadOnly(_) => StatusCode::FORBIDDEN,
                OperationError::Unknown(_) => StatusCode::NOT_FOUND,
                OperationError::Refused(_) => StatusCode::CONFLICT,
                OperationError::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
                OperationError::Db(_) | OperationError::Hash(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            Self::Db(DbError::Unavailable(_) | DbError::Collision(_))
            | Self::Blob(BlobError::Unavailable(_))
            | Self::NotReady(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Db(_) | Self::Blob(_) | Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The problem travels in the response's extensions; [`crate::http::headers`] writes it as the client likes.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::new(self.status_code());
        let headers = response.headers_mut();
        match self {
            Self::LogInFirst(path) => {
                if let Ok(path) = HeaderValue::try_from(path) {
                    headers.insert(header::LOCATION, path);
                }
            }
            Self::Unauthenticated | Self::UnknownMachine | Self::UnknownOperator => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::TooManyRequests(wait) | Self::TooManyUnfinished(wait) | Self::Overloaded(wait) => {
                headers.insert(header::RETRY_AFTER, seconds_up(*wait).into());
            }
            Self::Db(_) | Self::Blob(_) | Self::NotReady(_)
                if self.status_code() == StatusCode::SERVICE_UNAVAILABLE =>
            {
                headers.insert(header::RETRY_AFTER, RETRY_WHEN_UNAVAILABLE.into());
            }
            _ => {}
        }
        response.extensions_mut().insert(self.problem());
        response
    }
}

impl MaybeCollision for ApiError {
    fn is_collision(&self) -> bool {
        matches!(self, Self::Db(error) if error.is_collision())
    }
}

impl From<OperationError> for ApiError {
    fn from(error: OperationError) -> Self {
        match error {
            OperationError::Db(error) => Self::Db(error),
            other => Self::Operation(other),
        }
    }
}

impl From<IntakeError> for ApiError {
    fn from(error: IntakeError) -> Self {
        match error {
            IntakeError::TooLarge(limit) => Self::TooLarge(limit),
            IntakeError::Empty => Self::Malformed("The file is empty.".into()),
            IntakeError::NoPicture => Self::UnsupportedMediaType(
                "The file is no picture that we take: send JPEG, PNG, GIF or WebP.",
            ),
            too_big @ IntakeError::TooManyPixels { .. } => {
                Self::Invalid(vec![FieldError::new("file", too_big.to_string())])
            }
            IntakeError::Blobs(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_status() {
        let table = [
            (ApiError::Unauthenticated, 401),
            (ApiError::UnknownMachine, 401),
            (ApiError::UnknownOperator, 401),
            (ApiError::LogInFirst("/admin/login".into()), 303),
            (OperationError::ReadOnly("ada".into()).into(), 403),
            (OperationError::Unknown("queue").into(), 404),
            (OperationError::Refused("x".into()).into(), 409),
            (OperationError::Invalid { field: "name", problem: "x".into() }.into(), 422),
            (OperationError::Db(DbError::Unavailable("x".into())).into(), 503),
            (ApiError::Forbidden("x"), 403),
            (ApiError::NotFound("photo"), 404),
            (ApiError::Gone("job"), 410),
            (ApiError::Malformed("x".into()), 400),
            (ApiError::TooSlow, 408),
            (ApiError::Conflict("x"), 409),
            (ApiError::TooLarge(1), 413),
            (ApiError::UnsupportedMediaType("x"), 415),
            (ApiError::Invalid(vec![FieldError::new("email", "is missing")]), 422),
            (ApiError::KeyMisused, 422),
            (ApiError::TooManyRequests(Duration::from_millis(1200)), 429),
            (ApiError::TooManyUnfinished(Duration::from_secs(9)), 429),
            (ApiError::Overloaded(Duration::from_secs(9)), 503),
            (DbError::Unavailable("x".into()).into(), 503),
            (DbError::Duplicate("x".into()).into(), 500),
            (BlobError::Setup("x".into()).into(), 500),
            (ApiError::NotReady("x"), 503),
            (ApiError::Internal("x".into()), 500),
        ];
        for (error, status) in table {
            assert_eq!(error.problem().status, status, "{error}");
        }
    }

    #[test]
    fn what_went_wrong_inside_is_not_told() {
        for error in [ApiError::Internal("secret".into()), DbError::Unavailable("secret".into()).into()] {
            assert!(!format!("{:?}", error.problem()).contains("secret"));
        }
    }

    #[test]
    fn a_client_that_is_too_fast_is_told_when_to_come_back() {
        let response = ApiError::TooManyRequests(Duration::from_millis(1200)).error_response();
        assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
    }
}
