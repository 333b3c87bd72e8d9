//! The pages without a browser: forms as they arrive, and what hostile input looks like on a page.

use reqwest::Method;
use reqwest::multipart::{Form, Part};

use crate::harness::{Answer, App, Setup, Visitor, on_both_set_ups, pictures};

async fn a_form_takes_the_good_files_and_names_the_bad_one(setup: Setup) {
    let app = setup.start().await;
    let form = Form::new()
        .part("file", jpeg("one.jpg"))
        .part("file", Part::bytes(&b"no picture"[..]).file_name("notes.jpg"))
        .part("file", jpeg("two.jpg"));
    let answer = send_form(&app, None, form).await.expect(422);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.text().contains("notes.jpg"), "{}", answer.text());
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM photos WHERE status = 'ready'").await, 2);
    assert_eq!(app.blob_files().len(), 8);
}

async fn the_first_form_brings_a_cookie_that_scripts_and_other_sites_do_not_get(setup: Setup) {
    let app = setup.start().await;
    let answer = send_form(&app, None, Form::new().part("file", jpeg("one.jpg"))).await.expect(303);
    assert_eq!(answer.header("location"), "/");
    let attributes = answer.header("set-cookie").to_ascii_lowercase();
    assert!(attributes.contains("httponly") && attributes.contains("samesite="), "{attributes}");
    let cookie = cookie(&answer);
    let gallery = get_page(&app, &cookie, "/").await.expect(200);
    assert!(gallery.text().contains("one.jpg"), "{}", gallery.text());
    let stranger = app.nobody().get("/").await.expect(200);
    assert!(!stranger.text().contains("one.jpg"));
    let again = send_form(&app, Some(&cookie), Form::new().part("file", jpeg("two.jpg"))).await.expect(303);
    assert_eq!(again.header("set-cookie"), "", "a known visitor stays the same");
}

async fn a_hostile_file_name_is_shown_and_never_run(setup: Setup) {
    let app = setup.start().await;
    let name = "<img src=x onerror=alert(1)>&\u{202e}gpj.jpg";
    let answer = send_form(&app, None, Form::new().part("file", jpeg(name))).await.expect(303);
    let gallery = get_page(&app, &cookie(&answer), "/").await.expect(200).text();
    assert!(!gallery.contains("<img src=x"), "{gallery}");
    assert!(gallery.contains("onerror"), "the name is shown, as text: {gallery}");
}

async fn another_site_cannot_use_the_cookie(setup: Setup) {
    let app = setup.start().await;
    let first = send_form(&app, None, Form::new().part("file", jpeg("one.jpg"))).await.expect(303);
    let nobody = app.nobody();
    for (name, value) in [("Sec-Fetch-Site", "cross-site"), ("Origin", "https://evil.example")] {
        let request =
            nobody.request(Method::POST, "/photos").header("Cookie", cookie(&first)).header(name, value);
        let forged = nobody.send(request.multipart(Form::new().part("file", jpeg("forged.jpg")))).await;
        assert_eq!(forged.status, 403, "{name}: {}", forged.text());
    }
    assert_eq!(app.number("SELECT count(*) FROM photos").await, 1);
}

/// 60 uploads a minute: the fourth form of 20 is too many, and its files must not stay without a row.
async fn a_form_that_is_too_much_leaves_no_blob_without_a_row(setup: Setup) {
    let app = setup.with("RATE_LIMIT", "on").start().await;
    let forms = || (0..20).fold(Form::new(), |form, number| form.part("file", tiny(number)));
    let first = send_form(&app, None, forms()).await.expect(303);
    let cookie = cookie(&first);
    let mut refused = 0;
    for _ in 0..3 {
        let answer = send_form(&app, Some(&cookie), forms()).await;
        assert!(matches!(answer.status, 303 | 422 | 429), "{}", answer.text());
        refused += u32::from(answer.status != 303);
    }
    assert!(refused > 0, "80 uploads a minute are too many");
    app.idle().await;
    let originals = app.blob_files().into_iter().filter(|file| file.ends_with("original")).count();
    let photos = app.number("SELECT count(*) FROM photos").await;
    assert_eq!(originals as i64, photos, "every blob has its row");
}

async fn a_mistake_is_answered_by_a_page_where_a_person_asks(setup: Setup) {
    let app = setup.start().await;
    let nobody = app.nobody();
    for path in ["/nothing-here", "/photos/nonsense", "/orders/nonsense"] {
        let page = nobody.get_with(path, "Accept", "text/html").await;
        assert!(matches!(page.status, 401 | 404), "{path}: {}", page.status);
        assert!(page.header("content-type").starts_with("text/html"), "{path}: {:?}", page.headers);
    }
    let empty = send_form(&app, None, Form::new().text("nothing", "here")).await;
    assert_eq!(empty.status, 400, "{}", empty.text());
    let policy = nobody.get("/").await;
    assert!(policy.header("content-security-policy").contains("default-src"), "{:?}", policy.headers);
}

fn jpeg(name: &str) -> Part {
    Part::bytes(pictures::jpeg_of_colour(200, 30, 30))
        .file_name(name.to_owned())
        .mime_str("image/jpeg")
        .unwrap()
}

fn tiny(number: u8) -> Part {
    Part::bytes(pictures::jpeg_of_colour(number, 0, 0)).file_name(format!("{number}.jpg"))
}

async fn send_form(app: &App, cookie: Option<&str>, form: Form) -> Answer {
    let visitor = app.nobody();
    let request = visitor.request(Method::POST, "/photos").multipart(form).header("Accept", "text/html");
    visitor.send(with_cookie(request, cookie)).await
}

async fn get_page(app: &App, cookie: &str, path: &str) -> Answer {
    let visitor: Visitor = app.nobody();
    visitor.send(with_cookie(visitor.request(Method::GET, path), Some(cookie))).await
}

fn with_cookie(request: reqwest::RequestBuilder, cookie: Option<&str>) -> reqwest::RequestBuilder {
    match cookie {
        // Browsers say who made them send the cookie.
        Some(cookie) => request.header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin"),
        None => request,
    }
}

/// Name and value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().unwrap().to_owned()
}

on_both_set_ups!(
    a_form_takes_the_good_files_and_names_the_bad_one,
    the_first_form_brings_a_cookie_that_scripts_and_other_sites_do_not_get,
    a_hostile_file_name_is_shown_and_never_run,
    another_site_cannot_use_the_cookie,
    a_form_that_is_too_much_leaves_no_blob_without_a_row,
    a_mistake_is_answered_by_a_page_where_a_person_asks,
);
