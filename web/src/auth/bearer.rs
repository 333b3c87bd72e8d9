//! The `Authorization: Bearer` header.

use actix_web::HttpRequest;
use actix_web::http::header;

/// What a program sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bearer<'a> {
    /// No `Authorization` header: a cookie may tell who asks.
    Absent,
    /// A header that says nothing that we can read: it is refused, and no cookie counts.
    Unreadable,
    /// A token, known or not.
    Token(&'a str),
}

impl<'a> Bearer<'a> {
    /// Of a request.
    pub fn of(request: &'a HttpRequest) -> Self {
        match request.headers().get(header::AUTHORIZATION) {
            None => Self::Absent,
            Some(value) => value.to_str().ok().and_then(token).map_or(Self::Unreadable, Self::Token),
        }
    }

    /// The token, if there is one.
    pub fn token(self) -> Option<&'a str> {
        match self {
            Self::Token(token) => Some(token),
            Self::Absent | Self::Unreadable => None,
        }
    }
}

/// The scheme's case does not matter (RFC 9110 §11.1).
fn token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_found_whatever_the_case() {
        assert_eq!(token("Bearer abc"), Some("abc"));
        assert_eq!(token("bearer  abc "), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("Bearer"), None);
    }
}
