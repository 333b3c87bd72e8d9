//! The client against a gateway that answers what the test says.

use serde_json::json;
use wiremock::matchers::{body_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::payments::PaymentToken;

fn charge_of(order_id: OrderId) -> Charge {
    let token: PaymentToken = "tok_ok".parse().unwrap();
    Charge { order_id, amount_cents: 1290, token }
}

/// A gateway that gives every request this answer.
async fn answering(answer: ResponseTemplate) -> (MockServer, HttpGateway) {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(answer).mount(&server).await;
    let gateway = HttpGateway::new(server.uri().parse().unwrap()).unwrap();
    (server, gateway)
}

async fn charge_answered(answer: ResponseTemplate) -> Result<String, PaymentError> {
    let (_server, gateway) = answering(answer).await;
    gateway.charge(&charge_of(OrderId::new())).await
}

#[tokio::test]
async fn a_charge_and_a_refund_are_asked_as_the_contract_says() {
    let server = MockServer::start().await;
    let order_id = OrderId::new();
    Mock::given(method("POST"))
        .and(path("/v1/charges"))
        .and(header("Idempotency-Key", format!("charge-{order_id}").as_str()))
        .and(body_json(json!({"order_id": order_id, "amount_cents": 1290, "token": "tok_ok"})))
        .respond_with(ResponseTemplate::new(201).set_body_json(json!({"charge_id": "ch_1", "more": true})))
        .expect(1)
        .mount(&server)
        .await;
    Mock::given(method("POST"))
        .and(path("/v1/refunds"))
        .and(header("Idempotency-Key", format!("refund-{order_id}").as_str()))
        .and(body_json(json!({"order_id": order_id})))
        .respond_with(ResponseTemplate::new(200))
        .expect(1)
        .mount(&server)
        .await;
    for base in ["/v1", "/v1/"] {
        let gateway = HttpGateway::new(format!("{}{base}", server.uri()).parse().unwrap()).unwrap();
        match base {
            "/v1" => assert_eq!(gateway.charge(&charge_of(order_id)).await, Ok("ch_1".to_owned())),
            _ => assert_eq!(gateway.refund(order_id).await, Ok(())),
        }
    }
}

#[tokio::test]
async fn business_answers_are_told_from_faults() {
    assert_eq!(charge_answered(ResponseTemplate::new(402)).await, Err(PaymentError::Declined));
    for kind in ["voided", "https://gateway.example/problems/voided", "urn:problem:voided"] {
        let answer = ResponseTemplate::new(409).set_body_json(json!({"type": kind, "status": 409}));
        assert_eq!(charge_answered(answer).await, Err(PaymentError::Voided), "{kind}");
    }
    let busy = ResponseTemplate::new(409).set_body_json(json!({"type": "in-progress"}));
    assert!(matches!(charge_answered(busy).await, Err(PaymentError::Other(_))));
}

#[tokio::test]
async fn a_gateway_that_is_ill_or_overloaded_is_unavailable_for_as_long_as_it_says() {
    for status in [408, 429, 500, 502, 503, 504] {
        let answer = ResponseTemplate::new(status).insert_header("Retry-After", "7");
        let Err(PaymentError::Unavailable { retry_after, .. }) = charge_answered(answer).await else {
            panic!("{status} is an outage")
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)), "{status}");
    }
}

#[tokio::test]
async fn answers_out_of_turn_are_worth_a_retry_and_nothing_more() {
    let table = [
        ResponseTemplate::new(200),
        ResponseTemplate::new(200).set_body_string("<html>hello</html>"),
        ResponseTemplate::new(200).set_body_json(json!({"charge_id": 7})),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; MAX_ANSWER + 1]),
        ResponseTemplate::new(204),
        ResponseTemplate::new(307).insert_header("Location", "/elsewhere"),
        ResponseTemplate::new(401),
        ResponseTemplate::new(422),
    ];
    for (number, answer) in table.into_iter().enumerate() {
        let error = charge_answered(answer).await.unwrap_err();
        assert!(matches!(error, PaymentError::Other(_)), "{number}: {error}");
    }
}

#[tokio::test]
async fn a_refund_has_no_business_refusals() {
    for status in [402, 404, 409] {
        let (_server, gateway) = answering(ResponseTemplate::new(status)).await;
        let error = gateway.refund(OrderId::new()).await.unwrap_err();
        assert!(matches!(error, PaymentError::Other(_)), "{status}: {error}");
    }
}

#[tokio::test]
async fn silence_and_a_closed_port_are_an_outage_and_name_no_credentials() {
    let (server, mut gateway) =
        answering(ResponseTemplate::new(200).set_delay(Duration::from_secs(60))).await;
    gateway.client = Client::builder().timeout(Duration::from_millis(100)).build().unwrap();
    let silent = gateway.charge(&charge_of(OrderId::new())).await.unwrap_err();
    assert!(matches!(silent, PaymentError::Unavailable { retry_after: None, .. }), "{silent}");

    let mut base: Url = server.uri().parse().unwrap();
    base.set_username("shop").unwrap();
    base.set_password(Some("secret")).unwrap();
    drop(server);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    base.set_port(Some(closed)).unwrap();
    let gateway = HttpGateway::new(base).unwrap();
    let refused = gateway.charge(&charge_of(OrderId::new())).await.unwrap_err();
    assert!(matches!(refused, PaymentError::Unavailable { .. }), "{refused}");
    assert!(!format!("{refused:?} {gateway:?}").contains("secret"));
}

#[test]
fn a_base_must_be_an_http_url() {
    for base in ["ftp://gateway.example", "mailto:ada@example.org", "https://gateway.example/?x=1"] {
        assert!(matches!(HttpGateway::new(base.parse().unwrap()), Err(InvalidGateway::Url)), "{base}");
    }
}
