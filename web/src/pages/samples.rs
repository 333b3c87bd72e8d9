//! Every page in every state, filled with sample data: for the tests, and for looking at.

use askama::Template;
use shared::domain::order::{OrderStatus, RejectReason};
use shared::domain::photo::PhotoStatus;
use shared::operations::overview::{Overview, QueueHistory};

use super::error::ErrorPage;
use super::mailbox::{MailPage, MailRow, MailboxPage};
use super::order_form::{OrderNewPage, OrderRowInput, ProductChoice};
use super::orders::{CallEntry, OrderCallback, OrderLine, OrderPage, OrderRow, OrdersPage, TimelineEntry};
use super::photos::{Original, PhotoCard, PhotoPage, PhotosPage};
use super::{Picture, Section, Shell};
use crate::admin::audit::{AuditPage, AuditRow};
use crate::admin::error as admin_error;
use crate::admin::login::LoginPage;
use crate::admin::operators::{OperatorRow, OperatorsPage, TokenRow};
use crate::admin::overview::{self as admin_overview, OverviewPage};
use crate::admin::queues::{QueueRow, QueuesPage};
use crate::admin::schedule::{Note, SchedulePage, ScheduleRow};
use crate::admin::shell::{self as admin, AdminShell};
use crate::admin::when::When;
use crate::http::problem::FieldError;

const NOON: &str = "2026-03-05T12:00:00Z";

/// Every page, by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    let mut pages = vec![
        ("photos".to_owned(), html(&photos(text))),
        (
            "photos-empty".to_owned(),
            html(&PhotosPage { photos: Vec::new(), older_url: None, ..photos(text) }),
        ),
        ("photos-older".to_owned(), html(&PhotosPage { first_page: false, ..photos(text) })),
        (
            "photos-problem".to_owned(),
            html(&PhotosPage { upload_problems: vec![text.to_owned(), text.to_owned()], ..photos(text) }),
        ),
        ("orders".to_owned(), html(&orders(text))),
        ("orders-empty".to_owned(), html(&OrdersPage { orders: Vec::new(), ..orders(text) })),
        ("order-read-only".to_owned(), html(&read_only(text))),
        ("order-held".to_owned(), html(&OrderPage { held: true, ..order(text, OrderStatus::Reserved) })),
        ("order-new".to_owned(), html(&order_new_filled(text))),
        ("order-new-errors".to_owned(), html(&order_new_errors(text))),
        ("order-new-empty".to_owned(), html(&OrderNewPage { rows: Vec::new(), ..order_new() })),
        ("mailbox".to_owned(), html(&mailbox(text))),
        ("mailbox-empty".to_owned(), html(&MailboxPage { mails: Vec::new(), ..mailbox(text) })),
        ("mail".to_owned(), html(&mail(text))),
        ("mail-text".to_owned(), html(&MailPage { html: None, ..mail(text) })),
    ];
    for status in [PhotoStatus::Ready, PhotoStatus::Processing, PhotoStatus::Rejected] {
        pages.push((format!("photo-{}", status.name()), html(&photo(text, status))));
    }
    for status in OrderStatus::ALL {
        pages.push((format!("order-{}", status.name()), html(&order(text, status))));
    }
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 429, 500, 503] {
        pages.push((format!("error-{status}"), html(&error(text, status))));
    }
    pages.extend(admin_pages(text));
    pages.extend(crate::admin::dead_samples::all(text, &admin_shell(admin::Section::Dead)));
    pages.extend(crate::admin::jobs_samples::all(text, &admin_shell(admin::Section::Jobs)));
    pages
}

/// The operators' pages; those of each noun in a line or two of their own.
fn admin_pages(text: &str) -> Vec<(String, String)> {
    let login = |refused| LoginPage {
        shell: AdminShell::of_nobody(),
        name: text.to_owned(),
        next: "/admin/jobs?state=failed".to_owned(),
        refused,
    };
    let page = |name: &str, html: String| (format!("admin-{name}"), html);
    vec![
        page("login", html(&login(false))),
        page("login-refused", html(&login(true))),
        page("audit", html(&audit(text))),
        page(
            "audit-empty",
            html(&AuditPage { rows: Vec::new(), older_url: None, newest: true, ..audit(text) }),
        ),
        page("operators", html(&operators(text))),
        page("operators-made", html(&OperatorsPage { made: Some("5mGd2bW0h0".into()), ..operators(text) })),
        page("operators-problem", html(&OperatorsPage { problem: Some(text.to_owned()), ..operators(text) })),
        page("operators-read-only", html(&OperatorsPage { shell: read_only_shell(), ..operators(text) })),
        page("queues", html(&queues(text))),
        page("queues-read-only", html(&QueuesPage { shell: read_only_shell(), ..queues(text) })),
        page("schedule", html(&schedule(text))),
        page("schedule-read-only", html(&SchedulePage { shell: read_only_shell(), ..schedule(text) })),
        page("overview", html(&overview(admin_overview::samples::well(text)))),
        page("overview-broken", html(&overview(admin_overview::samples::broken(text)))),
        page(
            "error",
            admin_error::render(&crate::http::problem::of_status(actix_web::http::StatusCode::CONFLICT)),
        ),
    ]
}

fn overview((overview, history): (Overview, Vec<QueueHistory>)) -> OverviewPage {
    OverviewPage::of(admin_shell(admin::Section::Overview), &overview, &history)
}

/// An operator who may change things.
fn admin_shell(section: admin::Section) -> AdminShell {
    AdminShell { operator: Some("ada".to_owned()), read_only: false, section }
}

/// One who may look and not touch.
fn read_only_shell() -> AdminShell {
    AdminShell { read_only: true, ..admin_shell(admin::Section::Elsewhere) }
}

fn when() -> When {
    When { iso: NOON.to_owned(), text: "2026-03-05 12:00:00".to_owned() }
}

fn audit(text: &str) -> AuditPage {
    let row = |action: &str, subject: &str, outcome: &str| AuditRow {
        at: when(),
        operator: text.to_owned(),
        via: "page",
        action: action.to_owned(),
        subject: subject.to_owned(),
        outcome: outcome.to_owned(),
    };
    AuditPage {
        shell: admin_shell(admin::Section::Audit),
        rows: vec![
            row("queue.pause", "queue: images", "1 done"),
            row("dead.redrive", text, "120 done, 3 refused"),
            row("operator.token.create", "operator: ada, token: nightly-report", "not finished"),
        ],
        newest: false,
        older_url: Some("/admin/audit?before=0195a1b2".to_owned()),
    }
}

fn operators(text: &str) -> OperatorsPage {
    let operator =
        |name: &str, read_only, seen| OperatorRow { name: name.to_owned(), read_only, since: when(), seen };
    let token =
        |number, name: &str, used| TokenRow { id: id(number), name: name.to_owned(), since: when(), used };
    OperatorsPage {
        shell: admin_shell(admin::Section::Operators),
        operators: vec![operator("ada", false, Some(when())), operator(text, true, None)],
        tokens: vec![token(500, "nightly-report", Some(when())), token(501, text, None)],
        made: None,
        name: text.to_owned(),
        problem: None,
    }
}

fn queues(text: &str) -> QueuesPage {
    let row = |name: &str, paused: Option<When>, pending| QueueRow {
        name: name.to_owned(),
        paused,
        pending,
        queued: 12,
        running: 2,
        waiting: 0,
    };
    QueuesPage {
        shell: admin_shell(admin::Section::Queues),
        rows: vec![row("images", None, 0), row("orders", Some(when()), 48_211), row(text, None, 1)],
    }
}

fn schedule(text: &str) -> SchedulePage {
    let row = |name: &str, overdue, last: Option<When>, last_state: Option<&str>| ScheduleRow {
        name: name.to_owned(),
        cron: "45 3 * * *".to_owned(),
        words: "At 03:45.".to_owned(),
        kind: "retention".to_owned(),
        next: Some(when()),
        overdue,
        last_job: last.as_ref().map(|_| id(600)),
        last,
        last_state: last_state.map(str::to_owned),
        missed: 3,
    };
    SchedulePage {
        shell: admin_shell(admin::Section::Schedule),
        rows: vec![
            row("also-bought", false, Some(when()), Some("succeeded")),
            row("sales-report", true, Some(when()), None),
            ScheduleRow { next: None, ..row(text, false, None, None) },
        ],
        note: Some(Note { job: id(600), started: false }),
    }
}

fn html(page: &impl Template) -> String {
    page.render().unwrap()
}

fn shell(section: Section) -> Shell {
    Shell { session: true, mailbox: true, section }
}

fn id(number: usize) -> String {
    format!("0195a1b2-c3d4-7e5f-8a9b-{number:012x}")
}

fn pictures(photo: usize, query: &str) -> Vec<Picture> {
    // Landscape, portrait, panorama, square, tiny.
    let shapes = [(3, 2), (2, 3), (5, 2), (1, 1)];
    let (across, down) = shapes[photo % shapes.len()];
    let sizes = [("thumb", 160), ("medium", 480), ("large", 1200)];
    sizes
        .map(|(name, width)| Picture {
            name: name.to_owned(),
            url: format!("/photos/{}/{name}{query}", id(photo)),
            width,
            height: width * down / across,
            bytes: u64::from(width) * 130,
        })
        .to_vec()
}

fn card(number: usize, name: &str, status: PhotoStatus, reason: &str) -> PhotoCard {
    PhotoCard {
        id: id(number),
        job_id: id(100 + number),
        name: name.to_owned(),
        status,
        reason: (status == PhotoStatus::Rejected).then(|| reason.to_owned()),
        pictures: if status == PhotoStatus::Ready { pictures(number, "") } else { Vec::new() },
        uploaded_at: NOON.to_owned(),
    }
}

fn photos(text: &str) -> PhotosPage {
    let names = [text, "IMG_2041.jpg", "grandma at the lake.png", text, "cat.webp", "  "];
    let mut photos = vec![
        card(20, "still-wet.jpg", PhotoStatus::Processing, ""),
        card(21, text, PhotoStatus::Processing, ""),
        card(22, "holiday.jpg", PhotoStatus::Rejected, text),
    ];
    photos.extend(names.iter().enumerate().map(|(number, name)| card(number, name, PhotoStatus::Ready, "")));
    PhotosPage {
        shell: shell(Section::Photos),
        photos,
        first_page: true,
        older_url: Some("/?before=0195a1b2&limit=24".to_owned()),
        upload_problems: Vec::new(),
        max_upload_bytes: 20 * 1024 * 1024,
        max_pixels: 40_000_000,
    }
}

fn photo(text: &str, status: PhotoStatus) -> PhotoPage {
    PhotoPage {
        shell: shell(Section::Photos),
        photo: card(4, text, status, text),
        original: Original {
            url: format!("/photos/{}/original", id(4)),
            content_type: "image/jpeg".to_owned(),
            width: 6000,
            height: 4000,
            bytes: 8_412_345,
        },
        problem: (status == PhotoStatus::Ready).then(|| text.to_owned()),
    }
}

fn orders(text: &str) -> OrdersPage {
    let row = |(number, status): (usize, OrderStatus)| OrderRow {
        id: id(200 + number),
        status,
        placed_at: if number == 0 { text.to_owned() } else { NOON.to_owned() },
        total_cents: 1_250 * i64::try_from(number * number * number + 1).unwrap(),
        prints: u64::try_from(number).unwrap() + 1,
        thumbs: (0..number.min(3)).map(|photo| pictures(photo, "").remove(0)).collect(),
    };
    OrdersPage {
        shell: shell(Section::Orders),
        orders: OrderStatus::ALL.into_iter().enumerate().map(row).collect(),
        older_url: Some("/orders?before=0195a1b2".to_owned()),
    }
}

fn order(text: &str, status: OrderStatus) -> OrderPage {
    let entry = |event: &str, detail: &str| TimelineEntry {
        at: "2026-03-05T12:00:01.123Z".to_owned(),
        event: event.to_owned(),
        detail: detail.to_owned(),
    };
    let line = |number: usize, name: &str, quantity, price_cents| OrderLine {
        photo_name: name.to_owned(),
        photo_url: Some(format!("/photos/{}", id(number))),
        thumb: (number != 3).then(|| pictures(number, "").remove(0)),
        product: if number == 1 { text.to_owned() } else { "Matte 10 × 15 cm".to_owned() },
        quantity,
        price_cents,
    };
    OrderPage {
        shell: shell(Section::Orders),
        id: id(200),
        job_id: id(300),
        status,
        reason: (status == OrderStatus::Rejected).then_some(RejectReason::Declined),
        held: false,
        email: text.to_owned(),
        placed_at: NOON.to_owned(),
        lines: vec![line(0, "IMG_2041.jpg", 2, 29), line(1, text, 100, 12_345), line(3, "", 1, 500)],
        total_cents: 1_235_058,
        callback: Some(OrderCallback {
            url: format!("https://shop.example/{text}"),
            stopped: true,
            calls: vec![CallEntry {
                at: NOON.to_owned(),
                told: "succeeded".to_owned(),
                answer: text.to_owned(),
                duration_ms: 12,
            }],
        }),
        timeline: vec![
            entry("received", ""),
            entry("reserved", text),
            entry(text, "103 sheets"),
            entry(status.name(), ""),
        ],
        progress: (!status.is_final()).then(|| (64, text.to_owned())),
        can_cancel: !status.is_final(),
        cancel_asked: status == OrderStatus::Paid,
        read_only: false,
        problem: (status == OrderStatus::Confirmed).then(|| text.to_owned()),
    }
}

fn read_only(text: &str) -> OrderPage {
    let mut page = order(text, OrderStatus::Rendering);
    page.read_only = true;
    page.shell = Shell { session: false, mailbox: false, section: Section::Elsewhere };
    for (number, line) in page.lines.iter_mut().enumerate() {
        line.photo_url = None;
        line.thumb = Some(pictures(number, "?expires=1780000000&sig=c2lnbmVk").remove(0));
    }
    page
}

/// An untouched order form.
pub fn order_new() -> OrderNewPage {
    let product = |id: &str, name: &str, price_cents, stock| ProductChoice {
        id: id.to_owned(),
        name: name.to_owned(),
        price_cents,
        stock,
        also_bought: vec!["Gloss 20 × 30 cm".to_owned()],
    };
    let row = |number: usize| OrderRowInput {
        photo_id: id(number),
        photo_name: format!("IMG_20{number}.jpg"),
        pictures: if number == 2 { Vec::new() } else { pictures(number, "") },
        chosen: number < 2,
        product: "matte-10x15".to_owned(),
        quantity: "1".to_owned(),
    };
    OrderNewPage {
        shell: shell(Section::Orders),
        idempotency_key: "0195a1b2-c3d4-7e5f-8a9b-00000000abcd".to_owned(),
        rows: (0..4).map(row).collect(),
        products: vec![
            product("matte-10x15", "Matte 10 × 15 cm", 29, 1_200),
            product("gloss-20x30", "Gloss 20 × 30 cm", 249, 8),
            product("canvas-40x60", "Canvas 40 × 60 cm", 3_900, 0),
        ],
        email: String::new(),
        express: false,
        payment_token: "tok_ok".to_owned(),
        errors: Vec::new(),
    }
}

fn order_new_filled(text: &str) -> OrderNewPage {
    let mut page = order_new();
    page.email = text.to_owned();
    for row in page.rows.iter_mut().skip(1) {
        row.photo_name = text.to_owned();
    }
    page.products[1].name = text.to_owned();
    page.products[1].also_bought = vec![text.to_owned()];
    page
}

fn order_new_errors(text: &str) -> OrderNewPage {
    let mut page = order_new_filled(text);
    page.rows[0].quantity = text.to_owned();
    page.payment_token = text.to_owned();
    let fields =
        ["email", "payment_token", "lines[0].quantity", "lines[1].product", "lines[1].photo_id", "lines"];
    for field in fields {
        page.show_error(field, text);
    }
    page
}

fn mailbox(text: &str) -> MailboxPage {
    let mail = |number: usize, subject: &str, to: &str| MailRow {
        id: id(300 + number),
        to: to.to_owned(),
        subject: subject.to_owned(),
        sent_at: NOON.to_owned(),
    };
    MailboxPage {
        shell: shell(Section::Mailbox),
        mails: vec![mail(0, "Your prints are on their way", "ada@example.org"), mail(1, text, text)],
    }
}

fn mail(text: &str) -> MailPage {
    MailPage {
        shell: shell(Section::Mailbox),
        from: "Halftone <prints@example.org>".to_owned(),
        to: text.to_owned(),
        subject: text.to_owned(),
        sent_at: NOON.to_owned(),
        text: format!("Hello,\n\n{text}\n\nLook at your order: http://localhost:8080/orders/1?sig=x&y=2.\n"),
        html: Some(format!(
            "<h1>Thank you</h1><p>{text}</p><p><a href=\"http://localhost:8080/orders/1\">Look at your order</a></p>"
        )),
    }
}

fn error(text: &str, status: u16) -> ErrorPage {
    ErrorPage {
        shell: shell(Section::Elsewhere),
        status,
        title: text.to_owned(),
        detail: text.to_owned(),
        errors: vec![FieldError::new("lines[0].quantity", text)],
        request_id: (status != 404).then(|| id(400)),
    }
}
