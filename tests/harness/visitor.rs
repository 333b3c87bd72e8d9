//! A person with a token, or an API client: what they do, as verbs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, redirect};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Answer, EventStream, eventually, pictures};

/// A client of the web program.
#[derive(Clone)]
pub struct Visitor {
    client: Client,
    base: Arc<Mutex<String>>,
    token: Option<String>,
}

/// What came of an upload.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The photo's id.
    pub photo: String,
    /// The id of the job that makes its sizes.
    pub job: String,
}

/// What came of an order.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The order's id.
    pub order: String,
    /// The id of the job that fulfils it.
    pub job: String,
}

/// An order to place: one print on a good card, unless it says otherwise.
#[derive(Debug, Clone)]
pub struct Order {
    lines: Vec<Value>,
    email: String,
    payment_token: String,
    express: bool,
}

impl Order {
    /// Prints of one photo.
    pub fn of(photo: &str, product: &str, quantity: i64) -> Self {
        let (email, payment_token) = ("ada@example.org".into(), "tok_ok".into());
        Self { lines: Vec::new(), email, payment_token, express: false }.and(photo, product, quantity)
    }

    /// And prints of another.
    pub fn and(mut self, photo: &str, product: &str, quantity: i64) -> Self {
        self.lines.push(json!({"photo_id": photo, "product": product, "quantity": quantity}));
        self
    }

    /// Another recipient of the mail.
    pub fn mail_to(mut self, email: &str) -> Self {
        self.email = email.to_owned();
        self
    }

    /// Another card.
    pub fn paid_by(mut self, token: &str) -> Self {
        self.payment_token = token.to_owned();
        self
    }

    /// Ahead of all ordinary ones.
    pub fn express(mut self) -> Self {
        self.express = true;
        self
    }

    /// The body of the request.
    pub fn json(&self) -> Value {
        json!({
            "email": self.email,
            "lines": self.lines,
            "payment_token": self.payment_token,
            "express": self.express,
        })
    }
}

impl Visitor {
    pub(super) fn new(base: Arc<Mutex<String>>) -> Self {
        let client = Client::builder().redirect(redirect::Policy::none()).timeout(Duration::from_secs(60));
        Self { client: client.build().unwrap(), base, token: None }
    }

    /// A client of a program that is not part of an [`super::App`].
    pub fn at(base: &str) -> Self {
        Self::new(Arc::new(Mutex::new(base.to_owned())))
    }

    /// The same client, known by this token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The token that it sends.
    pub fn token(&self) -> &str {
        self.token.as_deref().unwrap()
    }

    /// A request that can still be changed.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.base.lock().unwrap());
        let request = self.client.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let request = request.build().unwrap();
        let name = format!("{} {}", request.method(), request.url().path());
        let response = self.client.execute(request).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        Answer::read(name, response).await
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// `GET`, with one more header field.
    pub async fn get_with(&self, path: &str, name: &str, value: &str) -> Answer {
        self.send(self.request(Method::GET, path).header(name, value)).await
    }

    /// `POST` without a body.
    pub async fn post(&self, path: &str) -> Answer {
        self.send(self.request(Method::POST, path)).await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path)).await
    }

    /// Sends a file as the body of an upload; what it really is, the server finds out.
    pub async fn post_photo(&self, file: Vec<u8>) -> Answer {
        let request = self.request(Method::POST, "/api/photos").header("Content-Type", "image/jpeg");
        self.send(request.body(file)).await
    }

    /// Uploads a picture; it must be accepted.
    pub async fn upload(&self, picture: Vec<u8>) -> Upload {
        let accepted = self.post_photo(picture).await.expect(202);
        let body = accepted.json();
        let (photo, job) = (text(&body["photo"]["id"]), text(&body["job"]["id"]));
        assert_eq!(text(&body["photo"]["job_id"]), job, "{body}");
        assert!(accepted.header("location").ends_with(&format!("/api/jobs/{job}")), "{accepted:?}");
        Upload { photo, job }
    }

    /// Uploads a small picture and waits until its sizes are made. Gives the photo's id.
    pub async fn ready_photo(&self) -> String {
        let upload = self.upload(pictures::small_jpeg()).await;
        let job = self.wait_for(&upload.job).await;
        assert_eq!(job["status"], "succeeded", "{job}");
        upload.photo
    }

    /// Sends an order, under this key if there is one.
    pub async fn post_order(&self, order: &Value, key: Option<&str>) -> Answer {
        let request = self.request(Method::POST, "/api/orders").json(order);
        self.send(match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        })
        .await
    }

    /// Places an order; it must be accepted.
    pub async fn order(&self, order: &Order) -> Placed {
        let key = Uuid::new_v4().to_string();
        let accepted = self.post_order(&order.json(), Some(&key)).await.expect(202);
        let body = accepted.json();
        let (order, job) = (text(&body["order"]["id"]), text(&body["job"]["id"]));
        assert_eq!(text(&body["order"]["job_id"]), job, "{body}");
        assert!(accepted.header("location").ends_with(&format!("/api/jobs/{job}")), "{accepted:?}");
        Placed { order, job }
    }

    /// Places an order and waits for its end. Gives the order as it is then.
    pub async fn order_and_wait(&self, order: &Order) -> Value {
        let placed = self.order(order).await;
        self.wait_for(&placed.job).await;
        self.read_order(&placed.order).await
    }

    /// An order as it is now.
    pub async fn read_order(&self, id: &str) -> Value {
        self.get(&format!("/api/orders/{id}")).await.expect(200).json()
    }

    /// A photo as it is now.
    pub async fn read_photo(&self, id: &str) -> Value {
        self.get(&format!("/api/photos/{id}")).await.expect(200).json()
    }

    /// A job as it is now.
    pub async fn read_job(&self, id: &str) -> Value {
        self.get(&format!("/api/jobs/{id}")).await.expect(200).json()
    }

    /// Waits until a job is over, and gives it as it is then. Programs that are away meanwhile are waited for.
    pub async fn wait_for(&self, job: &str) -> Value {
        eventually(&format!("job {job} to be over"), async || {
            let request = self.request(Method::GET, &format!("/api/jobs/{job}")).header("Prefer", "wait=10");
            let response = request.send().await.ok().filter(|response| response.status().as_u16() < 500)?;
            assert_eq!(response.status().as_u16(), 200, "job {job}");
            let job: Value = response.json().await.ok()?;
            matches!(job["status"].as_str()?, "succeeded" | "failed" | "cancelled").then_some(job)
        })
        .await
    }

    /// Waits until a job or an order at this path has this status.
    pub async fn wait_for_status(&self, path: &str, status: &str) -> Value {
        eventually(&format!("{path} to be {status}"), async || {
            let subject = self.get(path).await.expect(200).json();
            (subject["status"] == status).then_some(subject)
        })
        .await
    }

    /// Follows a job's events, from after `last_id` if there is one.
    pub async fn events(&self, job: &str, last_id: Option<&str>) -> EventStream {
        let request = self.request(Method::GET, &format!("/api/jobs/{job}/events"));
        let request = match last_id {
            Some(id) => request.header("Last-Event-ID", id),
            None => request,
        };
        let response = request.header("Accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let media_type = response.headers()["content-type"].to_str().unwrap();
        assert!(media_type.starts_with("text/event-stream"), "{media_type}");
        EventStream::new(response)
    }
}

/// A member that must be a string.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}")).to_owned()
}
