//! The two session cookies: a customer's, which is their token, and an operator's.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration as CookieAge;
use actix_web::cookie::{Cookie, SameSite};
use platform::signing::Token;

/// The name of a customer's cookie.
pub const CUSTOMER: &str = "session";

/// The name of an operator's cookie.
pub const OPERATOR: &str = "operator";

/// How long a browser keeps a customer's, in days: the most that browsers allow is 400.
const CUSTOMER_DAYS: i64 = 365;

/// What a browser sent under a name, known or not.
pub fn sent(request: &HttpRequest, name: &str) -> Option<Token> {
    request.cookie(name)?.value().parse().ok()
}

/// The cookie that holds a customer's token.
pub fn of_customer(token: &Token, secure: bool) -> Cookie<'static> {
    Cookie::build(CUSTOMER, token.as_str().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(secure)
        .max_age(CookieAge::days(CUSTOMER_DAYS))
        .finish()
}

/// The cookie that holds an operator's session. It lasts as long as the browser is open; the session may be over
/// before.
pub fn of_operator(session: &Token, secure: bool) -> Cookie<'static> {
    Cookie::build(OPERATOR, session.as_str().to_owned())
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customers_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let text = of_customer(&Token::generate(), true).to_string();
        for part in ["session=", "HttpOnly", "SameSite=Lax", "Path=/", "Secure"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn an_operators_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let text = of_operator(&Token::generate(), true).to_string();
        for part in ["operator=", "HttpOnly", "SameSite=Strict", "Path=/", "Secure"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
