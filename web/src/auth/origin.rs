//! The guard against requests that another site made a browser send.

use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpResponse};
use url::Url;

use super::cookie;
use crate::App;
use crate::http::error::ApiError;

/// The middleware that refuses what another site made a browser send.
///
/// # Errors
/// Those of the services behind it.
pub async fn refuse_cross_site<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B, BoxBody>>, Error> {
    let base = request.app_data::<Data<App>>().and_then(|app| app.config.base_url.clone());
    let has_cookie =
        [cookie::CUSTOMER, cookie::OPERATOR].into_iter().any(|name| request.cookie(name).is_some());
    if may_change(request.method(), request.headers(), has_cookie, base.as_ref()) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let refusal = ApiError::Forbidden(
        "A browser's session works only from this site's own pages. Programs send a Bearer token instead.",
    );
    Ok(request.into_response(HttpResponse::from_error(refusal)).map_into_right_body())
}

/// Whether a request may change something.
///
/// A browser adds a session cookie, a customer's or an operator's, to whatever it sends us, so a cookie
/// alone proves nothing. The browser also says who made it send: by `Sec-Fetch-Site` (Fetch Metadata), older ones by `Origin`.
/// A Bearer token is never added by a browser on its own. A request without any of these comes from
/// a program without a session, which has nothing that another site could abuse.
pub fn may_change(method: &Method, headers: &HeaderMap, has_cookie: bool, base: Option<&Url>) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if method.is_safe() || headers.contains_key(header::AUTHORIZATION) {
        return true;
    }
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    match text(header::ORIGIN) {
        Some(origin) => {
            let ours = base.is_some_and(|base| base.origin().ascii_serialization() == origin);
            let host = origin.split_once("://").map(|(_, host)| host);
            ours || (host.is_some() && host == text(header::HOST))
        }
        None => !has_cookie,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_cookie_works_only_from_our_own_pages() {
        let host = ("host", "shop.example:8080");
        let base = Url::parse("https://prints.example").unwrap();
        let table = [
            (vec![("sec-fetch-site", "same-origin")], true, true),
            (vec![("sec-fetch-site", "none")], true, true),
            (vec![("sec-fetch-site", "cross-site")], true, false),
            (vec![("sec-fetch-site", "same-site")], true, false),
            (vec![("sec-fetch-site", "cross-site"), ("origin", "http://shop.example:8080")], true, false),
            (vec![("sec-fetch-site", "cross-site")], false, false),
            (vec![("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")], true, true),
            (vec![("origin", "http://shop.example:8080")], true, true),
            (vec![("origin", "https://prints.example")], true, true),
            (vec![("origin", "http://shop.example")], true, false),
            (vec![("origin", "http://evil.example")], true, false),
            (vec![("origin", "null")], true, false),
            (vec![], true, false),
            (vec![], false, true),
        ];
        for (mut list, has_cookie, expected) in table {
            list.push(host);
            let answer = may_change(&Method::POST, &headers(&list), has_cookie, Some(&base));
            assert_eq!(answer, expected, "{list:?}, cookie: {has_cookie}");
            assert!(may_change(&Method::GET, &headers(&list), has_cookie, None));
        }
    }
}
