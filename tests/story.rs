//! The main job from end to end, as a customer lives it.

use chrono::{TimeDelta, Utc};
use platform::signing::SecretKeys;
use serde_json::Value;

use crate::harness::{App, Order, Setup, on_both_set_ups, on_production, pictures};

async fn a_photo_becomes_three_sizes_and_an_order_becomes_a_mail(setup: Setup) {
    tell(&setup.start().await).await;
}

async fn the_story_is_the_same_over_tls(setup: Setup) {
    tell(&setup.over_tls().start().await).await;
}

async fn the_story_is_the_same_with_blobs_in_s3(setup: Setup) {
    tell(&setup.blobs_in_s3().start().await).await;
}

on_both_set_ups!(a_photo_becomes_three_sizes_and_an_order_becomes_a_mail);

mod elsewhere {
    use super::*;
    on_production!(the_story_is_the_same_over_tls, the_story_is_the_same_with_blobs_in_s3);
}

async fn tell(app: &App) {
    let ada = app.visitor().await;
    let original = pictures::jpeg(4000, 3000);
    let upload = ada.upload(original.clone()).await;
    let job = ada.wait_for(&upload.job).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["kind"], "make_thumbnails");
    assert_eq!(job["links"]["self"], format!("/api/jobs/{}", upload.job));

    let photo = ada.read_photo(&upload.photo).await;
    assert_eq!(photo["status"], "ready", "{photo}");
    let variants = photo["variants"].as_array().unwrap();
    for (name, width, height) in [("thumb", 160, 120), ("medium", 480, 360), ("large", 1200, 900)] {
        let variant = variants.iter().find(|variant| variant["name"] == name).unwrap();
        assert_eq!(
            (&variant["width"], &variant["height"]),
            (&Value::from(width), &Value::from(height)),
            "{variant}"
        );
        let answer = ada.get(variant["url"].as_str().unwrap()).await.expect(200);
        assert_eq!(answer.header("content-type"), "image/jpeg");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("cache-control").contains("immutable"), "{}", answer.header("cache-control"));
        assert_eq!(variant["bytes"], answer.body.len());
        assert_eq!(pictures::dimensions(&answer.body), (width, height));
    }
    let kept = ada.get(&format!("/photos/{}/original", upload.photo)).await.expect(200);
    assert!(kept.header("content-disposition").starts_with("attachment"), "{:?}", kept.headers);
    assert!(kept.body == original, "the original is what was uploaded");

    let placed = ada.order(&Order::of(&upload.photo, "print-20x30", 2).mail_to("ada@example.org")).await;
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["result"]["order_status"], "confirmed", "{job}");
    let order = ada.read_order(&placed.order).await;
    assert_eq!(order["status"], "confirmed");
    assert_eq!(order["total_cents"], 780);
    let events: Vec<&str> =
        order["timeline"].as_array().unwrap().iter().filter_map(|entry| entry["event"].as_str()).collect();
    assert_eq!((events.first(), events.last()), (Some(&"received"), Some(&"confirmed")), "{events:?}");

    let mail = app.mail_to("ada@example.org").await;
    assert!(mail.html.contains("cid:"), "the HTML shows the thumbnail: {}", mail.html);
    let (_, media_type, thumb) = mail.inline.first().expect("a thumbnail in the mail");
    assert_eq!(media_type, "image/jpeg");
    assert_eq!(pictures::dimensions(thumb), (160, 120));
    the_link_opens_without_a_token(app, &mail.order_link(), &placed.order).await;
}

/// The mailed link opens the order's page and its thumbnails, and nothing else, until it expires.
async fn the_link_opens_without_a_token(app: &App, link: &str, order: &str) {
    let nobody = app.nobody();
    let page = nobody.get(link).await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    let html = page.text().replace("&amp;", "&").replace("&#38;", "&");
    let thumb = html.split('"').find(|part| part.starts_with("/photos/") && part.contains("/thumb?"));
    let thumb = thumb.unwrap_or_else(|| panic!("no signed thumbnail on {html}"));
    nobody.get(thumb).await.expect(200);

    let (path, query) = link.split_once('?').unwrap();
    let refused = [
        path.to_owned(),
        format!("{path}?{}", query.replacen("signature=", "signature=A", 1)),
        format!("{path}?{}", query.replacen("expires=1", "expires=2", 1)),
        format!("{path}?{}", query.replacen("expires=1", "expires=0", 1)),
        format!("/api/orders/{order}?{query}"),
        thumb.replacen("/thumb?", "/original?", 1),
        thumb.split('?').next().unwrap().to_owned(),
    ];
    for path in refused {
        let status = nobody.get(&path).await.status;
        assert!(matches!(status, 401 | 403 | 404 | 410), "{path}: {status}");
    }
    let cancel = nobody.post(&format!("/orders/{order}/cancel?{query}")).await.status;
    assert!(matches!(cancel, 400..=499), "a link only reads: {cancel}");
}

/// The first secret signs, all of them verify: an old one is taken away once its links have expired.
async fn a_link_outlives_a_new_secret_and_not_the_loss_of_its_own(setup: Setup) {
    let (old, new) = ("an-old-secret-of-more-than-thirty-two", "a-new-secret-of-more-than-thirty-two");
    let mut app = setup.with("SECRET_KEYS", old).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    let link = app.mail_to("ada@example.org").await.order_link();
    let keys: SecretKeys = old.parse().unwrap();
    let path = format!("/orders/{}", order["id"].as_str().unwrap());
    let expired = keys.sign_path(&path, Utc::now() - TimeDelta::seconds(1));
    assert!(matches!(app.nobody().get(&expired).await.status, 403 | 404 | 410), "it has expired");
    for (secrets, opens) in [(format!("{new},{old}"), true), (new.to_owned(), false)] {
        app.stop_gracefully().await;
        app.set("SECRET_KEYS", &secrets);
        app.start_again().await;
        let status = app.nobody().get(&link).await.status;
        assert_eq!(status == 200, opens, "{status}");
        assert_eq!(
            ada.read_order(order["id"].as_str().unwrap()).await["status"],
            "confirmed",
            "tokens need no secret"
        );
    }
}

async fn a_picture_is_never_upscaled_and_keeps_its_transparency(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::transparent_png(300, 200)).await;
    ada.wait_for(&upload.job).await;
    let photo = ada.read_photo(&upload.photo).await;
    for variant in photo["variants"].as_array().unwrap() {
        let answer = ada.get(variant["url"].as_str().unwrap()).await.expect(200);
        let picture = image::load_from_memory(&answer.body).unwrap();
        let width = if variant["name"] == "thumb" { 160 } else { 300 };
        assert_eq!(picture.width(), width, "{variant}");
        assert_eq!(picture.to_rgba8().get_pixel(1, 1)[3], 0, "{variant}");
    }
}

async fn photos_and_orders_are_listed_page_by_page(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let mut uploaded = Vec::new();
    for shade in 0..5 {
        uploaded.push(ada.upload(pictures::jpeg_of_colour(shade * 40, 100, 100)).await.photo);
    }
    let mut listed = Vec::new();
    let mut path = "/api/photos?limit=2".to_owned();
    loop {
        let page = ada.get(&path).await.expect(200).json();
        let photos = page["photos"].as_array().unwrap();
        assert!(photos.len() <= 2, "{page}");
        listed.extend(photos.iter().map(|photo| photo["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = next.to_owned();
    }
    uploaded.reverse();
    assert_eq!(listed, uploaded, "newest first, each once");
}

mod more {
    use super::*;
    on_both_set_ups!(
        a_link_outlives_a_new_secret_and_not_the_loss_of_its_own,
        a_picture_is_never_upscaled_and_keeps_its_transparency,
        photos_and_orders_are_listed_page_by_page
    );
}
