//! Request headers that ask for less, or for later: `If-None-Match`, `Prefer: wait`, `Last-Event-ID`.

use std::time::Duration;

use actix_web::http::header::{self, HeaderMap};

/// The longest that a client may wait for a change.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// Whether the client has this entity already (RFC 9110 §13.1.2). `etag` is with its quotes, and `W/` if
/// weak; the comparison is weak.
pub fn has_it(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let lists = headers.get_all(header::IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(','));
    tags.any(|tag| tag.trim() == "*" || opaque(tag) == opaque(etag))
}

/// The `wait` of a `Prefer` header (RFC 7240 §4.3), at most [`MAX_WAIT`]. The first one counts; one that
/// is no number is ignored, as all preferences may be.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let lists = headers.get_all("prefer").filter_map(|value| value.to_str().ok());
    let wait = lists.flat_map(|list| list.split(',')).find_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let seconds: u64 = wait.parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_WAIT))
}

/// The last version that a reconnecting event stream has seen (HTML §9.2.4).
pub fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    headers.get("last-event-id")?.to_str().ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderName;

    use super::*;

    fn with(name: &'static str, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name.parse::<HeaderName>().unwrap(), value.parse().unwrap())])
    }

    #[test]
    fn etags_are_compared_weakly() {
        let table = [
            ("\"a\"", "\"a\"", true),
            ("W/\"a\"", "\"a\"", true),
            ("\"b\", W/\"a\"", "W/\"a\"", true),
            ("*", "\"a\"", true),
            ("\"b\"", "\"a\"", false),
            ("a", "\"a\"", false),
            ("", "\"a\"", false),
        ];
        for (sent, ours, expected) in table {
            assert_eq!(has_it(&with("if-none-match", sent), ours), expected, "{sent} against {ours}");
        }
        assert!(!has_it(&HeaderMap::new(), "\"a\""));
    }

    #[test]
    fn a_preferred_wait_is_read_and_bounded() {
        let table = [
            ("wait=10", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("Wait = \"5\" ; x=y", Some(5)),
            ("wait=0", Some(0)),
            ("wait=3600", Some(30)),
            ("wait=18446744073709551616", None),
            ("wait=-1", None),
            ("wait=soon", None),
            ("wait", None),
            ("respond-async", None),
        ];
        for (header, seconds) in table {
            let expected = seconds.map(Duration::from_secs);
            assert_eq!(preferred_wait(&with("prefer", header)), expected, "{header}");
        }
    }

    #[test]
    fn a_last_event_id_that_is_no_version_is_none() {
        assert_eq!(last_event_id(&with("last-event-id", "7")), Some(7));
        assert_eq!(last_event_id(&with("last-event-id", "seven")), None);
    }
}
