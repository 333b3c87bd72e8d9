//! A person with a browser uploads a photo and orders a print of it, with scripts and without.

use fantoccini::Locator;

use crate::harness::{App, Browser, Setup, pictures};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn a_person_uploads_a_photo_and_orders_a_print() {
    let app = Setup::embedded().start().await;
    let browser = Browser::start(true).await;
    let photo = choose_a_photo();
    browser.page.goto(&app.base()).await.unwrap();
    // Choosing is enough: the script sends the file and shows the thumbnail when it is made.
    browser.fill("#file", photo.path().to_str().unwrap()).await;
    let frame = browser.see("li.frame[data-status=ready] img").await;
    let thumb = frame.attr("src").await.unwrap().unwrap();
    assert!(thumb.ends_with("/thumb"), "{thumb}");
    order_a_print(&browser).await;
    confirmed(&app, &browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn a_person_without_scripts_does_the_same() {
    let app = Setup::embedded().start().await;
    let browser = Browser::start(false).await;
    let photo = choose_a_photo();
    browser.page.goto(&app.base()).await.unwrap();
    browser.fill("#file", photo.path().to_str().unwrap()).await;
    browser.click("#upload button[type=submit]").await;
    browser.see("li.frame[data-status=ready] img").await;
    order_a_print(&browser).await;
    confirmed(&app, &browser).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn a_form_with_mistakes_comes_back_with_what_was_typed() {
    let app = Setup::embedded().start().await;
    let browser = Browser::start(true).await;
    let photo = choose_a_photo();
    browser.page.goto(&app.base()).await.unwrap();
    browser.fill("#file", photo.path().to_str().unwrap()).await;
    browser.see("li.frame[data-status=ready] img").await;
    browser.click(".choose").await;
    browser.click("#order-chosen").await;
    browser.fill("#email", "ada at example").await;
    browser.click("#order-form button[type=submit]").await;
    browser.see("#email[aria-invalid=true]").await;
    let typed = browser.see("#email").await.prop("value").await.unwrap();
    assert_eq!(typed.as_deref(), Some("ada at example"));
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 0);
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn the_page_of_the_api_lists_every_operation_and_sends_one() {
    let app = Setup::embedded().start().await;
    let description = app.visitor().await.get("/openapi.json").await.json();
    let paths = description["paths"].as_object().unwrap().values();
    let operations: usize = paths.map(|methods| methods.as_object().unwrap().len()).sum();
    let browser = Browser::start(true).await;
    browser.page.goto(&format!("{}/docs", app.base())).await.unwrap();
    browser.see(".opblock").await;
    let listed = browser.page.find_all(Locator::Css(".opblock")).await.unwrap().len();
    assert_eq!(listed, operations);
    // A customer by cookie, as the page's hint says, and a call as that customer.
    for operation in ["customers-open_session", "photos-list_photos"] {
        browser.click(&format!("#operations-{operation} .opblock-summary-control")).await;
        browser.click(&format!("#operations-{operation} button.execute")).await;
        let status = browser
            .see(&format!("#operations-{operation} .live-responses-table tbody .response-col_status"))
            .await;
        assert!(status.text().await.unwrap().starts_with("20"), "{operation}");
    }
    browser.close().await;
}

/// A file to choose; it goes when this is dropped.
fn choose_a_photo() -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().prefix("holiday").suffix(".jpg").tempfile().unwrap();
    std::fs::write(file.path(), pictures::small_jpeg()).unwrap();
    file
}

/// From the gallery to the order's page.
async fn order_a_print(browser: &Browser) {
    browser.click(".choose").await;
    browser.click("#order-chosen").await;
    browser.fill("#email", "ada@example.org").await;
    browser.click("#order-form button[type=submit]").await;
}

/// The order's page shows the end by itself, and the mail is there.
async fn confirmed(app: &App, browser: &Browser) {
    browser.see("#live[data-final=true] .badge").await;
    assert_eq!(app.number("SELECT count(*) FROM orders WHERE status = 'confirmed'").await, 1);
    let mail = app.mail_to("ada@example.org").await;
    browser.page.goto(&format!("{}/mailbox", app.base())).await.unwrap();
    let mailbox = browser.page.source().await.unwrap();
    assert!(mailbox.contains(&mail.subject), "{mailbox}");
}
