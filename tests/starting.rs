//! Starting: what a program asks for, what it refuses, what it prints.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::harness::{App, Program, Setup, on_both_set_ups, on_production, pictures, run_to_end};

/// Settings with which `web` and `worker` would get as far as to look for their servers, which are not there.
fn complete(folder: &Path) -> Vec<(String, String)> {
    let settings = [
        ("DATABASE_URL", "postgres://app:pw@127.0.0.1:1/shop"),
        ("AMQP_URL", "amqp://app:pw@127.0.0.1:1"),
        ("BLOB_URL", &format!("file://{}", folder.join("blobs").display())),
        ("SECRET_KEYS", "a-secret-of-the-tests-that-is-long-enough"),
        ("BASE_URL", "http://127.0.0.1"),
        ("SMTP_URL", "smtp://127.0.0.1:1"),
        ("HTTP_ADDR", "127.0.0.1:0"),
        ("WORKER_HTTP_ADDR", "127.0.0.1:0"),
        ("DATA_DIR", &folder.join("data").display().to_string()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// It ended badly, and said why in one line that names the setting.
fn assert_one_clear_line(output: &Output, setting: &str, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{what} is refused: {said}");
    let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(matches!(lines[..], [line] if line.contains(setting)), "{what}: {said}");
    assert!(output.stdout.is_empty(), "{what}: {}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn web_and_worker_name_the_required_setting_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    for program in ["web", "worker"] {
        for missing in ["DATABASE_URL", "AMQP_URL", "BLOB_URL", "SECRET_KEYS"] {
            let mut settings = complete(folder.path());
            settings.retain(|(name, _)| name != missing);
            let output = run_to_end(program, &[], &settings).await;
            assert_one_clear_line(&output, missing, &format!("{program} without {missing}"));
        }
    }
}

#[tokio::test]
async fn a_wrong_setting_is_named_in_one_line_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let table = [
        ("web", "DATABASE_URL", "mysql://app:hunter2@localhost/shop"),
        ("web", "DATABASE_URL", "sqlite://shop.db"),
        ("web", "AMQP_URL", "http://app:hunter2@localhost"),
        ("web", "BLOB_URL", "ftp://localhost"),
        ("web", "SECRET_KEYS", "hunter2"),
        ("web", "MIGRATE", "auto"),
        ("web", "HTTP_ADDR", &taken),
        ("web", "BASE_URL", "https://example.org/shop"),
        ("worker", "QUEUES", "images=0"),
        ("worker", "QUEUES", "prints"),
        ("worker", "LEASE_SECONDS", "1"),
        ("worker", "SHUTDOWN_SECONDS", "0"),
        ("worker", "SMTP_URL", "http://ada:hunter2@localhost"),
        ("worker", "PAYMENT_URL", "ftp://ada:hunter2@localhost"),
        ("worker", "MAIL_FROM", "nobody"),
        ("worker", "OPERATOR_EMAIL", "nobody"),
        ("worker", "WORKER_HTTP_ADDR", &taken),
    ];
    for (program, setting, value) in table {
        let mut settings = complete(folder.path());
        settings.retain(|(name, _)| name != setting);
        settings.push((setting.to_owned(), value.to_owned()));
        let output = run_to_end(program, &[], &settings).await;
        let what = format!("{program} with {setting}={value}");
        assert_one_clear_line(&output, setting, &what);
        assert!(!String::from_utf8_lossy(&output.stderr).contains("hunter2"), "{what}: the secret is shown");
    }
}

#[tokio::test]
async fn help_lists_every_setting() {
    let common = [
        "DATA_DIR",
        "DATABASE_URL",
        "AMQP_URL",
        "BLOB_URL",
        "BASE_URL",
        "SECRET_KEYS",
        "QUEUE_PREFIX",
        "MIGRATE",
        "SHUTDOWN_SECONDS",
        "MAX_PIXELS",
        "MAX_UPLOAD_BYTES",
    ];
    let web = ["HTTP_ADDR", "RATE_LIMIT"];
    let worker = [
        "WORKER_HTTP_ADDR",
        "SMTP_URL",
        "MAIL_FROM",
        "OPERATOR_EMAIL",
        "PAYMENT_URL",
        "QUEUES",
        "LEASE_SECONDS",
        "SCHEDULE",
        "REVIEW_HOURS",
        "INCOMING_TOKEN",
        "INCOMING_SECONDS",
    ];
    let all: Vec<&str> = web.into_iter().chain(worker).collect();
    for (program, own) in [("all-in-one", all), ("web", web.to_vec()), ("worker", worker.to_vec())] {
        let output = run_to_end(program, &["--help"], &[]).await;
        assert!(output.status.success());
        let help = String::from_utf8_lossy(&output.stdout);
        for setting in common.iter().chain(&own) {
            assert!(help.contains(&format!("[env: {setting}")), "{program} --help has no {setting}:\n{help}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_all_in_one_is_ready_within_a_second() {
    // The best of three: the machine may be busy, and only a slow start is always slow.
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let settings = [
            ("DATA_DIR".to_owned(), folder.path().join("data").display().to_string()),
            ("HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()),
        ];
        let begun = Instant::now();
        let mut program = Program::start("all-in-one", "all-in-one", &settings, folder.path());
        let base = program.ready().await;
        best = best.min(begun.elapsed());
        assert_eq!(reqwest::get(format!("{base}/readyz")).await.unwrap().status(), 200);
        let printed = program.printed();
        assert_eq!(printed.matches("listening on http://127.0.0.1:").count(), 1, "{printed}");
        assert!(printed.contains("/mailbox"), "it says where the mail is: {printed}");
    }
    println!("listening after {best:?}");
    assert!(best < Duration::from_secs(5), "{best:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_all_in_one_on_the_same_folder_is_refused() {
    let app = Setup::embedded().start().await;
    let output = run_to_end("all-in-one", &[], app.settings()).await;
    assert_one_clear_line(&output, "DATA_DIR", "a second start");
    app.visitor().await.ready_photo().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_is_made_once_and_is_its_owners_alone() {
    let mut app = Setup::embedded().start().await;
    let data = app.settings().iter().find(|(name, _)| name == "DATA_DIR").unwrap().1.clone();
    let secrets = |data: &str| -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let files = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains("secret")))
            .map(|path| (path.clone(), std::fs::read(path).unwrap()))
            .collect()
    };
    let before = secrets(&data);
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!(std::fs::metadata(&before[0].0).unwrap().permissions().mode() & 0o777, 0o600);
    app.kill();
    app.start_again().await;
    assert_eq!(secrets(&data), before);
}

async fn the_state_survives_a_crash(setup: Setup) {
    let mut app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let before = ada.read_photo(&photo).await;
    app.kill();
    app.start_again().await;
    assert_eq!(ada.read_photo(&photo).await, before, "the token and the photo are known");
    ada.get(&format!("/photos/{photo}/large")).await.expect(200);
}

async fn a_schema_that_is_behind_is_refused(setup: Setup) {
    let app = setup.start().await;
    let behind = behind(&app).await;
    for program in ["web", "worker"] {
        let output = run_to_end(program, &[], &behind).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("worker migrate"), "{program}: {said}");
    }
}

/// The app's settings, with a database that nobody has migrated.
async fn behind(app: &App) -> Vec<(String, String)> {
    let empty = app.production().another_database().await;
    let settings = app.settings().iter().cloned();
    settings
        .map(|(name, value)| if name == "DATABASE_URL" { (name, empty.clone()) } else { (name, value) })
        .collect()
}

async fn workers_share_a_machine_without_being_told_their_ports(setup: Setup) {
    let app = setup.start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut settings = app.settings().to_vec();
    settings.retain(|(name, _)| name != "WORKER_HTTP_ADDR");
    let mut first = Program::start("first", "worker", &settings, folder.path());
    let mut second = Program::start("second", "worker", &settings, folder.path());
    assert_ne!(first.ready().await, second.ready().await);
    app.visitor().await.upload(pictures::small_jpeg()).await;
}

on_both_set_ups!(the_state_survives_a_crash);

mod separate {
    use super::*;
    on_production!(
        a_schema_that_is_behind_is_refused,
        workers_share_a_machine_without_being_told_their_ports
    );
}
