//! One span a request, with the ids by which its traces are found again: `request_id` in our own log and
//! in problems, `trace_id` across all services (W3C Trace Context), the jobs that it caused included.

use std::fmt;
use std::str::FromStr;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};
use std::future::{Ready, ready};
use tracing::Span;
use tracing::field::Empty;
use tracing_actix_web::{RequestId, RootSpanBuilder};
use uuid::Uuid;

/// Where a request belongs in a trace: <https://www.w3.org/TR/trace-context/>.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: u128,
    parent_id: u64,
    flags: u8,
}

/// Not a `traceparent` of a version that we can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidTraceparent;

impl TraceContext {
    /// The beginning of a trace.
    pub fn new() -> Self {
        Self { trace_id: Uuid::new_v4().as_u128(), parent_id: span_id(), flags: 1 }
    }

    /// The same trace, with a span of our own as the parent of what follows.
    fn child(self) -> Self {
        Self { parent_id: span_id(), ..self }
    }

    /// The trace's id, in hexadecimal.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }
}

impl Default for TraceContext {
    fn default() -> Self {
        Self::new()
    }
}

/// Any number but 0.
fn span_id() -> u64 {
    Uuid::new_v4().as_u64_pair().1
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace_id, self.parent_id, self.flags)
    }
}

impl FromStr for TraceContext {
    type Err = InvalidTraceparent;

    /// Later versions may append fields, which are ignored; version `ff` is forbidden.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split('-');
        let version = hex(fields.next(), 2)?;
        let trace_id = hex(fields.next(), 32)?;
        let parent_id = u64::try_from(hex(fields.next(), 16)?).map_err(|_| InvalidTraceparent)?;
        let flags = u8::try_from(hex(fields.next(), 2)?).map_err(|_| InvalidTraceparent)?;
        let surplus = version == 0 && fields.next().is_some();
        if version == 0xff || trace_id == 0 || parent_id == 0 || surplus {
            return Err(InvalidTraceparent);
        }
        Ok(Self { trace_id, parent_id, flags })
    }
}

/// A field of exactly that many lower-case hexadecimal digits.
fn hex(field: Option<&str>, digits: usize) -> Result<u128, InvalidTraceparent> {
    let field = field.filter(|field| field.len() == digits).ok_or(InvalidTraceparent)?;
    if !field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidTraceparent);
    }
    u128::from_str_radix(field, 16).map_err(|_| InvalidTraceparent)
}

impl FromRequest for TraceContext {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().copied().unwrap_or_default()))
    }
}

/// When a request began.
#[derive(Debug, Clone, Copy)]
struct Began(Instant);

/// Makes the span of each request, and measures it.
pub struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let given = request.headers().get("traceparent").and_then(|value| value.to_str().ok()?.parse().ok());
        let context = given.map_or_else(TraceContext::new, TraceContext::child);
        request.extensions_mut().insert(context);
        request.extensions_mut().insert(Began(Instant::now()));
        let request_id = request.extensions().get::<RequestId>().map(ToString::to_string);
        tracing::info_span!(
            "request",
            method = %request.method(),
            path = request.path(),
            request_id,
            trace_id = context.trace_id(),
            status = Empty,
        )
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, Error>) {
        let Ok(response) = outcome else { return };
        let status = response.status().as_u16();
        span.record("status", status);
        let request = response.request();
        // The pattern, not the path: ids would make a metric each.
        let route = request.match_pattern().unwrap_or_else(|| "none".into());
        let Some(Began(began)) = request.extensions().get::<Began>().copied() else { return };
        let method = known_method(request.method().as_str());
        metrics::histogram!(
            "http_request_seconds",
            "method" => method, "route" => route, "status" => status.to_string(),
        )
        .record(began.elapsed().as_secs_f64());
    }
}

/// A client can make up methods; each would be a metric of its own.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_in_its_children() {
        let given: TraceContext = GIVEN.parse().unwrap();
        assert_eq!(given.to_string(), GIVEN);
        let child = given.child();
        assert_eq!(child.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_ne!(child.parent_id, given.parent_id);
        assert!(TraceContext::new().to_string().parse::<TraceContext>().is_ok());
    }

    #[test]
    fn a_later_version_is_read_and_garbage_is_not() {
        assert!(format!("01{}-more", &GIVEN[2..]).parse::<TraceContext>().is_ok());
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let upper = GIVEN.to_uppercase();
        let surplus = format!("{GIVEN}-more");
        let forbidden = format!("ff{}", &GIVEN[2..]);
        for bad in [
            "",
            "00",
            zero_trace,
            &upper,
            &surplus,
            &forbidden,
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(bad.parse::<TraceContext>(), Err(InvalidTraceparent), "{bad}");
        }
    }
}
