//! Sends callbacks.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::Utc;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect};

use crate::callbacks::hosts::Hosts;
use crate::callbacks::{CallbackPolicy, CallbackUrl, InvalidCallbackUrl, may_reach};
use crate::outbound::{retry_after, with_causes};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long a whole delivery may take, name and connection included: receivers answer first and work then.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client for addresses that customers name. Cheap to clone; all clones share the places at each host.
#[derive(Clone)]
pub struct CallbackClient {
    client: Client,
    policy: CallbackPolicy,
    hosts: Hosts,
}

/// No client could be made.
#[derive(Debug, thiserror::Error)]
#[error("callbacks can't be sent: {0}")]
pub struct InvalidClient(#[from] reqwest::Error);

/// A callback, signed.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same however often it is sent: receivers know by it what they have seen.
    pub id: String,
    /// Seconds since 1970; with the signature, it keeps old messages from being sent by others.
    pub timestamp: i64,
    /// One or more, separated by spaces.
    pub signature: String,
    /// JSON.
    pub body: Vec<u8>,
}

/// What a receiver said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// When it wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Other callbacks to this host are under way: come back later. Nothing was sent.
    #[error("too many callbacks to this host are under way")]
    Busy,
    /// It leads to where we don't go. Nothing was sent.
    #[error("its host leads to an address that is not public")]
    Forbidden,
    /// No connection, or no answer in time.
    #[error("{0}")]
    Failed(String),
}

impl CallbackClient {
    /// A client under this policy, which says who it is.
    ///
    /// # Errors
    /// The machine's certificates can't be read.
    pub fn new(policy: CallbackPolicy, user_agent: &str) -> Result<Self, InvalidClient> {
        let client = Client::builder()
            .dns_resolver(Checked { loopback: policy.loopback() })
            // A proxy would resolve the name for itself.
            .no_proxy()
            // Where a redirect leads, nobody checked.
            .redirect(redirect::Policy::none())
            .https_only(policy == CallbackPolicy::Https)
            // Each delivery looks anew where the name leads.
            .pool_max_idle_per_host(0)
            .connect_timeout(CONNECT)
            .timeout(TIMEOUT)
            .user_agent(user_agent)
            .build()?;
        Ok(Self { client, policy, hosts: Hosts::default() })
    }

    /// Reads a stored address again: the policy may have changed since.
    ///
    /// # Errors
    /// It is not allowed any more.
    pub fn read(&self, url: &str) -> Result<CallbackUrl, InvalidCallbackUrl> {
        CallbackUrl::parse(url, self.policy)
    }

    /// Sends a message and reads the head of the answer.
    ///
    /// # Errors
    /// See [`DeliveryError`].
    pub async fn deliver(&self, url: &CallbackUrl, message: Message) -> Result<Answer, DeliveryError> {
        let _visit = self.hosts.visit(url.host()).ok_or(DeliveryError::Busy)?;
        if url.address().is_some_and(|address| !may_reach(address, self.policy.loopback())) {
            return Err(DeliveryError::Forbidden);
        }
        let request = self
            .client
            .post(url.url())
            .header("Content-Type", "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.body);
        match request.send().await {
            Ok(response) => Ok(Answer {
                status: response.status().as_u16(),
                retry_after: retry_after(response.headers(), Utc::now()),
            }),
            Err(error) if is_forbidden(&error) => Err(DeliveryError::Forbidden),
            Err(error) => Err(DeliveryError::Failed(with_causes(&error.without_url()))),
        }
    }
}

/// Resolves names as the machine does, and gives them out only if every address may be reached: a name with a
/// public and a private address is a trick, or a mistake. Whoever asked connects to what was checked.
struct Checked {
    loopback: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("an address that is not public")]
struct NotPublic;

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let loopback = self.loopback;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.iter().any(|address| !may_reach(address.ip(), loopback)) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use wiremock::matchers::any;
    use wiremock::{Mock, MockServer, ResponseTemplate};

    use super::super::hosts::MOST_AT_ONE_HOST;
    use super::*;

    fn client(policy: CallbackPolicy) -> CallbackClient {
        crate::tls::install_provider();
        CallbackClient::new(policy, "tests/1").unwrap()
    }

    fn message() -> Message {
        Message { id: "1".into(), timestamp: 2, signature: "v1,x".into(), body: b"{}".to_vec() }
    }

    async fn receiver(answer: ResponseTemplate) -> MockServer {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        server
    }

    #[tokio::test]
    async fn a_message_is_sent_with_its_headers_and_the_status_comes_back() {
        let server = receiver(ResponseTemplate::new(202)).await;
        let client = client(CallbackPolicy::Any);
        let url = client.read(&server.uri()).unwrap();
        let answer = client.deliver(&url, message()).await.unwrap();
        assert_eq!(answer, Answer { status: 202, retry_after: None });
        let request = &server.received_requests().await.unwrap()[0];
        let header = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        assert_eq!(request.method.as_str(), "POST");
        assert_eq!(request.body, b"{}");
        let sent = ["webhook-id", "webhook-timestamp", "webhook-signature", "content-type"].map(header);
        assert_eq!(sent, ["1", "2", "v1,x", "application/json"]);
        assert_eq!(header("user-agent"), "tests/1");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_a_way() {
        let inside = receiver(ResponseTemplate::new(200)).await;
        let redirect = ResponseTemplate::new(307).insert_header("Location", inside.uri());
        let server = receiver(redirect).await;
        let client = client(CallbackPolicy::Any);
        let url = client.read(&server.uri()).unwrap();
        assert_eq!(client.deliver(&url, message()).await.unwrap().status, 307);
        assert!(inside.received_requests().await.unwrap().is_empty());
    }

    /// The address could be seen only after the name was resolved.
    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let server = receiver(ResponseTemplate::new(200)).await;
        let port = server.address().port();
        let strict = client(CallbackPolicy::Https);
        let url = strict.read(&format!("https://localhost:{port}/")).unwrap();
        assert_eq!(strict.deliver(&url, message()).await, Err(DeliveryError::Forbidden));
        assert!(server.received_requests().await.unwrap().is_empty());
        let lax = client(CallbackPolicy::Any);
        let url = lax.read(&format!("http://localhost:{port}/")).unwrap();
        assert_eq!(lax.deliver(&url, message()).await.unwrap().status, 200);
    }

    /// It was stored under another policy.
    #[tokio::test]
    async fn an_address_inside_is_not_connected_to() {
        let server = receiver(ResponseTemplate::new(200)).await;
        let url = CallbackUrl::parse(&server.uri(), CallbackPolicy::Any).unwrap();
        let strict = client(CallbackPolicy::Https);
        assert_eq!(strict.deliver(&url, message()).await, Err(DeliveryError::Forbidden));
        assert_eq!(strict.read(&server.uri()), Err(InvalidCallbackUrl::Scheme));
        assert!(server.received_requests().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn who_does_not_listen_and_who_asks_for_patience_are_told_apart() {
        let busy = receiver(ResponseTemplate::new(503).insert_header("Retry-After", "7")).await;
        let client = client(CallbackPolicy::Any);
        let url = client.read(&busy.uri()).unwrap();
        let answer = client.deliver(&url, message()).await.unwrap();
        assert_eq!(answer, Answer { status: 503, retry_after: Some(Duration::from_secs(7)) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let nobody = client.read(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
        drop(listener);
        let error = client.deliver(&nobody, message()).await.unwrap_err();
        assert!(matches!(&error, DeliveryError::Failed(why) if !why.contains("127.0.0.1")), "{error:?}");
    }

    #[tokio::test]
    async fn a_slow_host_takes_its_places_and_no_others() {
        let client = client(CallbackPolicy::Any);
        let slow = client.read("http://127.0.0.1:9000/").unwrap();
        let visits: Vec<_> =
            (0..MOST_AT_ONE_HOST).map(|_| client.hosts.visit(slow.host()).unwrap()).collect();
        assert_eq!(client.deliver(&slow, message()).await, Err(DeliveryError::Busy));
        let server = receiver(ResponseTemplate::new(200)).await;
        let other = client.read(&format!("http://localhost:{}/", server.address().port())).unwrap();
        assert_eq!(client.deliver(&other, message()).await.unwrap().status, 200);
        drop(visits);
    }
}
