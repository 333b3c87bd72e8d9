//! Receives callbacks on this machine and prints those that are from the shop.
//!
//! Start the shop with callbacks to this machine allowed, get a token, and start the receiver with the secret
//! that came with it:
//!
//! ```sh
//! CALLBACKS=any cargo run
//! curl -X POST http://127.0.0.1:8080/api/tokens
//! cargo run --example verify_webhook -- whsec_…
//! ```
//!
//! Then place an order with `"callback_url": "http://127.0.0.1:9090/"` and `"callback_on": "every_change"`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it talks to whoever started it")]

mod verify;

use std::process::ExitCode;

use actix_web::web::{Bytes, Data, post};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

#[actix_web::main]
async fn main() -> ExitCode {
    let Some(secret) = std::env::args().nth(1) else {
        eprintln!("usage: verify_webhook WEBHOOK_SECRET");
        return ExitCode::FAILURE;
    };
    let secret = Data::new(secret);
    let server =
        HttpServer::new(move || App::new().app_data(secret.clone()).default_service(post().to(receive)));
    let served = match server.bind("127.0.0.1:9090") {
        Ok(server) => server.run().await,
        Err(error) => Err(error),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("127.0.0.1:9090: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers first; a receiver that has much to do keeps the message and does it afterwards. One that has seen the
/// id before answers 2xx all the same.
async fn receive(secret: Data<String>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let id = header("webhook-id");
    let (timestamp, signatures) = (header("webhook-timestamp"), header("webhook-signature"));
    let now = chrono::Utc::now().timestamp();
    if !verify::is_from_the_shop(&secret, id, timestamp, signatures, &body, now) {
        eprintln!("a message that is not from the shop");
        return HttpResponse::Unauthorized().finish();
    }
    println!("{id} {}", String::from_utf8_lossy(&body));
    HttpResponse::NoContent().finish()
}
