//! Every bad input gets its clear answer, and leaves nothing behind.

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::stream;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::harness::{App, Order, Setup, Visitor, on_both_set_ups, pictures};

/// What `MAX_UPLOAD_BYTES` is by default.
const MAX_UPLOAD: usize = 20 * 1024 * 1024;

async fn bad_uploads_are_refused_and_leave_no_blob(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let table: [(&str, Vec<u8>, u16); 5] = [
        ("nothing", Vec::new(), 400),
        ("text that calls itself a JPEG", b"this is no picture, whatever its name says".to_vec(), 415),
        ("a page", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), 415),
        ("30,000 x 30,000 pixels", pictures::png_header(30_000, 30_000), 422),
        ("no pixels", pictures::png_header(0, 100), 422),
    ];
    for (what, file, status) in table {
        let answer = ada.post_photo(file.clone()).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        answer.problem(status);
        let form = Form::new()
            .part("file", Part::bytes(file).file_name("photo.jpg").mime_str("image/jpeg").unwrap());
        let answer = ada.send(ada.request(Method::POST, "/api/photos").multipart(form)).await;
        assert_eq!(answer.status, status, "{what}, as a form: {}", answer.text());
        answer.problem(status);
    }
    assert_eq!(app.blob_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(app.number("SELECT count(*) FROM photos").await, 0);
    assert_eq!(app.number("SELECT count(*) FROM jobs").await, 0);
}

async fn a_file_that_is_too_large_is_refused_with_or_without_its_length(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let mut large = pictures::small_jpeg();
    large.resize(MAX_UPLOAD + 1024 * 1024, 0);
    let large = Bytes::from(large);
    let post = || ada.request(Method::POST, "/api/photos").header("Content-Type", "image/jpeg");
    let known = post().body(large.clone());
    let chunks: Vec<Result<Bytes, std::io::Error>> = (0..large.len())
        .step_by(64 * 1024)
        .map(|at| Ok(large.slice(at..large.len().min(at + 64 * 1024))))
        .collect();
    let streamed = post().body(Body::wrap_stream(stream::iter(chunks)));
    let form = Form::new().part("file", Part::stream(large).file_name("large.jpg"));
    let form = ada.request(Method::POST, "/api/photos").multipart(form);
    for request in [known, streamed, form] {
        ada.send(request).await.problem(413);
    }
    assert_eq!(app.blob_files(), Vec::<std::path::PathBuf>::new());
    assert_eq!(app.number("SELECT count(*) FROM jobs").await, 0);
}

/// Eight uploads of 64 MiB at a time go through web in pieces: what it holds of each is a few of them.
async fn an_upload_passes_through_and_is_not_gathered_in_memory(setup: Setup) {
    const SIZE: usize = 64 * 1024 * 1024;
    let setup = setup.with("MAX_UPLOAD_BYTES", SIZE).with("QUEUES", "mail").leaving_work();
    let app = setup.start().await;
    let ada = app.visitor().await;
    let before = app.web_memory();
    let chunk = Bytes::from(vec![0; 64 * 1024]);
    let uploads = (0..8).map(|number| {
        let picture = Bytes::from(pictures::jpeg_of_colour(number, 0, 0));
        let rest = (SIZE - picture.len()) / chunk.len();
        let pieces = std::iter::once(picture).chain(std::iter::repeat_n(chunk.clone(), rest));
        let body = Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
        ada.send(ada.request(Method::POST, "/api/photos").header("Content-Type", "image/jpeg").body(body))
    });
    for answer in join_all(uploads).await {
        answer.expect(202);
    }
    let grown = app.web_memory() - before;
    assert!(grown < 200, "512 MiB came in, and it needed {grown} MiB for that");
}

async fn a_form_has_exactly_one_file(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let file = || Part::bytes(pictures::small_jpeg()).file_name("ada.jpg");
    let forms = [
        ("no file", Form::new().text("title", "a field that is no file")),
        ("two files", Form::new().part("file", file()).part("file", file())),
    ];
    for (what, form) in forms {
        let answer = ada.send(ada.request(Method::POST, "/api/photos").multipart(form)).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        answer.problem(400);
    }
    assert_eq!(app.blob_files(), Vec::<std::path::PathBuf>::new());
    let form = Form::new().part("file", file());
    ada.send(ada.request(Method::POST, "/api/photos").multipart(form)).await.expect(202);
}

async fn a_truncated_picture_is_taken_and_then_rejected_with_the_reason(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::truncated_png()).await;
    let job = ada.wait_for(&upload.job).await;
    assert_eq!((&job["status"], &job["failure"]), (&json!("failed"), &json!("discarded")), "{job}");
    assert!(job["error"]["detail"].as_str().is_some_and(|reason| !reason.is_empty()), "{job}");
    let photo = ada.read_photo(&upload.photo).await;
    assert_eq!(photo["status"], "rejected", "{photo}");
    assert!(photo["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{photo}");
    assert_eq!(photo["variants"], json!([]));
}

async fn bad_orders_are_refused_with_the_names_of_the_fields(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let bobs = app.visitor().await.ready_photo().await;
    let good = Order::of(&photo, "print-10x15", 1).json();
    let with = |pointer: &str, value: Value| {
        let mut order = good.clone();
        *order.pointer_mut(pointer).unwrap() = value;
        order
    };
    let and = |member: &str, value: Value| {
        let mut order = good.clone();
        order[member] = value;
        order
    };
    let mut unknown_in_line = good.clone();
    unknown_in_line["lines"][0]["colour"] = json!("red");
    let second_is_bad = Order::of(&photo, "print-10x15", 1).and(&photo, "print-1x1", 1).json();
    let table = [
        (with("/lines/0/product", json!("print-1x1")), "lines[0].product"),
        (second_is_bad, "lines[1].product"),
        (with("/lines/0/quantity", json!(0)), "lines[0].quantity"),
        (with("/lines/0/quantity", json!(-1)), "lines[0].quantity"),
        (with("/lines/0/quantity", json!(101)), "lines[0].quantity"),
        (with("/lines/0/quantity", json!(1_000_000_000)), "lines[0].quantity"),
        (with("/lines/0/photo_id", json!(bobs)), "lines[0].photo_id"),
        (with("/lines/0/photo_id", json!("nonsense")), "lines[0].photo_id"),
        (with("/lines", json!([])), "lines"),
        (with("/email", json!("ada@example.org\r\nBcc: all@example.org")), "email"),
        (with("/email", json!("ada")), "email"),
        (with("/payment_token", json!("tok_unknown")), "payment_token"),
        (and("colour", json!("red")), "colour"),
        (unknown_in_line, "lines[0].colour"),
        (and("express", json!("yes")), "express"),
        (and("callback_url", json!("http://example.org/hook")), "callback_url"),
    ];
    for (number, (order, field)) in table.into_iter().enumerate() {
        let answer = ada.post_order(&order, Some(&format!("bad-{number}"))).await;
        assert_eq!(answer.status, 422, "{order}: {}", answer.text());
        assert_eq!(answer.wrong_fields(), [field], "{order}");
    }
    let mut all_wrong = with("/lines/0/quantity", json!(0));
    all_wrong["email"] = json!("ada");
    let fields = ada.post_order(&all_wrong, Some("all")).await.wrong_fields();
    assert_eq!(fields, ["email", "lines[0].quantity"], "all at once, not one after the other");
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 0);
}

async fn bad_requests_are_answered_as_problems_too(setup: Setup) {
    let app = setup.start().await;
    let (ada, nobody) = (app.visitor().await, app.nobody());
    let order = || ada.request(Method::POST, "/api/orders").header("Idempotency-Key", "k");
    ada.send(order().header("Content-Type", "application/json").body("{\"email\": ")).await.problem(400);
    ada.send(order().header("Content-Type", "text/plain").body("{}")).await.problem(415);
    ada.send(order().header("Content-Type", "application/json").body("[]")).await.problem(422);
    ada.send(ada.request(Method::POST, "/api/orders").json(&json!({}))).await.problem(400);
    ada.post_order(&json!({}), Some(&"k".repeat(256))).await.problem(400);

    for (visitor, path) in
        [(&ada, "/api/nothing-here"), (&ada, "/nothing-here"), (&nobody, "/api/nothing-here")]
    {
        visitor.get_with(path, "Accept", "application/json").await.problem(404);
    }
    for kind in ["photos", "orders", "jobs"] {
        for id in ["nonsense", "0", "00000000-0000-0000-0000-000000000000", "%00", "..%2f..%2fetc"] {
            ada.get(&format!("/api/{kind}/{id}")).await.problem(404);
        }
    }
    let wrong_method = ada.send(ada.request(Method::PUT, "/api/photos")).await;
    assert!(wrong_method.header("allow").contains("POST"), "{:?}", wrong_method.headers);
    assert!(wrong_method.header("allow").contains("GET"), "{:?}", wrong_method.headers);
    wrong_method.problem(405);
    no_token_is_told_how_to_get_one(&app, &nobody).await;
}

async fn no_token_is_told_how_to_get_one(app: &App, nobody: &Visitor) {
    let strangers = [nobody.clone(), nobody.with_token("no-such-token")];
    for stranger in strangers {
        for path in ["/api/photos", "/api/orders", "/api/jobs/00000000-0000-0000-0000-000000000000"] {
            let problem = stranger.get(path).await.problem(401);
            assert!(problem["detail"].as_str().unwrap().contains("/api/tokens"), "{problem}");
        }
        stranger.post_photo(pictures::small_jpeg()).await.problem(401);
        stranger.post_order(&json!({}), Some("k")).await.problem(401);
    }
    assert_eq!(app.number("SELECT count(*) FROM jobs").await, 0);
}

async fn the_same_key_gets_the_same_answer_and_another_body_is_refused(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = Order::of(&photo, "print-10x15", 1).json();
    let (first, again) =
        tokio::join!(ada.post_order(&order, Some("once")), ada.post_order(&order, Some("once")));
    let (first, again) = (first.expect(202), again.expect(202));
    let later = ada.post_order(&order, Some("once")).await.expect(202);
    for repeated in [again, later] {
        assert_eq!(repeated.json()["order"]["id"], first.json()["order"]["id"]);
        assert_eq!(repeated.header("location"), first.header("location"));
    }
    ada.post_order(&Order::of(&photo, "print-10x15", 2).json(), Some("once")).await.problem(422);
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 1);

    let bob = app.visitor().await;
    let bobs = bob.ready_photo().await;
    bob.post_order(&Order::of(&bobs, "print-10x15", 1).json(), Some("once")).await.expect(202);
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 2, "another customer's key is another key");

    let upload = || {
        ada.request(Method::POST, "/api/photos")
            .header("Idempotency-Key", "photo")
            .header("Content-Type", "image/jpeg")
            .body(pictures::jpeg_of_colour(1, 2, 3))
    };
    let first = ada.send(upload()).await.expect(202).json();
    let again = ada.send(upload()).await.expect(202).json();
    assert_eq!(first["photo"]["id"], again["photo"]["id"]);
}

async fn a_refused_order_does_not_use_up_its_key(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    ada.post_order(&Order::of(&photo, "print-10x15", 0).json(), Some("mine")).await.problem(422);
    ada.post_order(&Order::of(&photo, "print-10x15", 1).json(), Some("mine")).await.expect(202);
}

async fn an_eager_client_is_told_when_to_come_back(setup: Setup) {
    let app = setup.with("RATE_LIMIT", "on").start().await;
    let nobody = app.nobody();
    let mut answers = Vec::new();
    for _ in 0..25 {
        answers.push(nobody.post("/api/tokens").await);
    }
    let refused: Vec<_> = answers.into_iter().filter(|answer| answer.status != 201).collect();
    assert!((4..=6).contains(&refused.len()), "20 tokens a minute, not {}", 25 - refused.len());
    for answer in refused {
        let seconds: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&seconds), "{seconds}");
        answer.problem(429);
    }
}

on_both_set_ups!(
    bad_uploads_are_refused_and_leave_no_blob,
    a_file_that_is_too_large_is_refused_with_or_without_its_length,
    an_upload_passes_through_and_is_not_gathered_in_memory,
    a_form_has_exactly_one_file,
    a_truncated_picture_is_taken_and_then_rejected_with_the_reason,
    bad_orders_are_refused_with_the_names_of_the_fields,
    bad_requests_are_answered_as_problems_too,
    the_same_key_gets_the_same_answer_and_another_body_is_refused,
    a_refused_order_does_not_use_up_its_key,
    an_eager_client_is_told_when_to_come_back,
);
