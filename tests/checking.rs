//! `worker check`, and the same of the all-in-one: a line about each thing, and what is broken is named alone.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties};
use wiremock::{MockServer, ResponseTemplate};

use crate::harness::{App, Setup, on_both_set_ups, on_production, run_to_end};

/// What it said, and whether it ended well.
struct Said {
    lines: Vec<String>,
    well: bool,
}

impl Said {
    fn failed(&self) -> Vec<&str> {
        self.lines.iter().filter(|line| line.starts_with("FAILED ")).map(String::as_str).collect()
    }

    /// Exactly this failed, for this reason, and of the rest there was a word as well.
    fn assert_failed(&self, part: &str, why: &str) {
        let failed = self.failed();
        let of_part = format!("FAILED {part}: ");
        assert!(
            matches!(failed[..], [line] if line.starts_with(&of_part) && line.contains(why)),
            "{part}, {why}: {:?}",
            self.lines
        );
        assert!(!self.well);
        assert_eq!(self.lines.len(), 7, "{:?}", self.lines);
        assert!(!self.lines.iter().any(|line| line.contains("hunter2")), "a secret: {:?}", self.lines);
    }
}

/// Runs it with the app's settings, but for these.
async fn check(app: &App, others: &[(&str, &str)]) -> Said {
    let mut settings = app.settings().to_vec();
    settings.retain(|(name, _)| others.iter().all(|(other, _)| other != name));
    settings.extend(others.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let program = if app.is_production() { "worker" } else { "all-in-one" };
    let output = run_to_end(program, &["check"], &settings).await;
    let said = String::from_utf8(output.stdout).unwrap();
    Said { lines: said.lines().map(str::to_owned).collect(), well: output.status.success() }
}

async fn a_shop_that_runs_is_well(setup: Setup) {
    let gateway = MockServer::start().await;
    let app = setup.with("PAYMENT_URL", gateway.uri()).start().await;
    let blobs = app.blob_files();
    let said = check(&app, &[]).await;
    assert!(said.well, "{:?}", said.lines);
    let parts: Vec<&str> = said.lines.iter().map(|line| line.split([' ', ':']).nth(1).unwrap()).collect();
    assert_eq!(parts, ["settings", "database", "migrations", "broker", "blobs", "mail", "payments"]);
    assert!(said.lines.iter().all(|line| line.starts_with("ok ")), "{:?}", said.lines);
    assert!(said.lines[1..].iter().all(|line| line.ends_with(" ms)")), "{:?}", said.lines);
    assert_eq!(app.blob_files(), blobs, "the probe is taken away again");
    assert!(app.mails().is_empty());
    let asked = gateway.received_requests().await.unwrap();
    assert!(asked.iter().all(|request| request.method == "GET"), "nobody is charged");
}

async fn each_part_that_is_broken_has_its_line(setup: Setup) {
    let app = setup.start().await;
    let nobody = MockServer::start().await;
    wiremock::Mock::given(wiremock::matchers::any())
        .respond_with(ResponseTemplate::new(503))
        .mount(&nobody)
        .await;
    let payments = nobody.uri().replace("http://", "http://ada:hunter2@");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("no-folder");
    std::fs::write(&file, "").unwrap();
    let blobs = format!("file://{}/blobs", file.display());
    for (setting, value, part, why) in [
        ("BLOB_URL", &*blobs, "blobs", "no-folder"),
        ("SMTP_URL", "smtp://ada:hunter2@127.0.0.1:1", "mail", "refused"),
        ("PAYMENT_URL", "http://ada:hunter2@127.0.0.1:1", "payments", "refused"),
        ("PAYMENT_URL", &*payments, "payments", "503"),
        ("AMQP_URL", "amqp://ada:hunter2@127.0.0.1:1", "broker", "refused"),
        ("AMQP_URL", "http://ada:hunter2@127.0.0.1:1", "broker", "amqp"),
        ("DATABASE_URL", "postgres://ada:hunter2@127.0.0.1:1/shop", "database", "refused"),
        ("DATABASE_URL", "mysql://ada:hunter2@127.0.0.1:1/shop", "settings", "DATABASE_URL"),
        ("MAIL_FROM", "nobody", "settings", "MAIL_FROM"),
        ("SECRET_KEYS", "hunter2", "settings", "SECRET_KEYS"),
    ] {
        check(&app, &[(setting, value)]).await.assert_failed(part, why);
    }
    assert!(check(&app, &[]).await.well);
}

async fn a_server_that_says_nothing_hides_no_other(setup: Setup) {
    let app = setup.start().await;
    // It takes connections, as far as the kernel does that for it, and never says a word.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let smtp = format!("smtp://{address}");
    let amqp = format!("amqp://{address}");
    let begun = std::time::Instant::now();
    let said = check(&app, &[("SMTP_URL", &smtp), ("AMQP_URL", &amqp)]).await;
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    let failed = said.failed();
    assert!(
        matches!(failed[..], [broker, mail] if broker.starts_with("FAILED broker: ") && mail.starts_with("FAILED mail: ")),
        "{:?}",
        said.lines
    );
    assert_eq!(said.lines.iter().filter(|line| line.starts_with("ok ")).count(), 5, "{:?}", said.lines);
}

async fn a_schema_that_is_behind_is_told(setup: Setup) {
    let app = setup.start().await;
    let empty = app.production().another_database().await;
    check(&app, &[("DATABASE_URL", &empty)]).await.assert_failed("migrations", "worker migrate");
}

async fn a_queue_with_other_arguments_is_named(setup: Setup) {
    let app = setup.start().await;
    let production = app.production();
    // Under a prefix of its own: the programs are not to be disturbed.
    let prefix = format!("{}other.", production.prefix);
    let queue = format!("{prefix}mail");
    let broker = Connection::connect(&production.amqp_url, ConnectionProperties::default()).await.unwrap();
    let channel = broker.create_channel().await.unwrap();
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    let said = check(&app, &[("QUEUE_PREFIX", &prefix)]).await;
    channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    said.assert_failed("broker", &queue);
    let there = check(&app, &[("QUEUE_PREFIX", &prefix)]).await;
    assert!(
        there.well && there.lines[3].contains("0 queues as they should be"),
        "it made none: {:?}",
        there.lines
    );
    broker.close(200, "bye".into()).await.unwrap();
}

/// What is made at the first start, a check must not make.
#[tokio::test]
async fn a_check_before_the_first_start_is_well_and_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let settings = [("DATA_DIR".to_owned(), data.display().to_string())];
    let output = run_to_end("all-in-one", &["check"], &settings).await;
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("ok database: ") && said.contains("made at the first start"), "{said}");
    assert!(!data.join("print-shop.db").exists());
}

on_both_set_ups!(
    a_shop_that_runs_is_well,
    each_part_that_is_broken_has_its_line,
    a_server_that_says_nothing_hides_no_other,
);

mod separate {
    use super::*;
    on_production!(a_schema_that_is_behind_is_told, a_queue_with_other_arguments_is_named);
}
