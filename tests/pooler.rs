//! Behind PgBouncer: in session mode everything works. In transaction mode it does where PgBouncer keeps what is
//! prepared (1.21 and later); where it does not, `worker check` says so.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use url::Url;

use crate::harness::{App, Order, Setup, eventually, on_production, run_to_end, test_variable};

/// A pooler of one test, between the programs and the test's database.
struct PgBouncer {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl PgBouncer {
    /// With the lines of `settings` beside those that every one needs.
    async fn start(app: &App, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Url::parse(&app.production().database_url).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} port={} user={} password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             default_pool_size = 40\n{settings}\n",
            server.host_str().unwrap(),
            server.port().unwrap(),
            server.username(),
            server.password().unwrap(),
        );
        fs::write(&config, text).unwrap();
        // It reads them as whoever it is.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(test_variable("TEST_PGBOUNCER"));
        let child = command.arg(&config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = server.clone();
        url.set_port(Some(port)).unwrap();
        let pooler = Self { child, url: url.into(), _folder: folder };
        eventually("the pooler to listen", async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok().map(drop)
        })
        .await;
        pooler
    }

    /// Whether this one can keep what is prepared over sessions.
    fn keeps_what_is_prepared() -> bool {
        let output = Command::new(test_variable("TEST_PGBOUNCER")).arg("--version").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let minor = text.trim_start_matches("PgBouncer 1.").split('.').next().unwrap().parse::<u32>();
        minor.expect(&text) >= 21
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn in_session_mode_the_shop_works(setup: Setup) {
    works_behind(setup, "pool_mode = session").await;
}

async fn in_transaction_mode_the_shop_works_or_the_check_says_why_not(setup: Setup) {
    if PgBouncer::keeps_what_is_prepared() {
        works_behind(setup, "pool_mode = transaction\nmax_prepared_statements = 100").await;
        is_named_by_the_check(Setup::production(), "pool_mode = transaction\nmax_prepared_statements = 0")
            .await;
    } else {
        is_named_by_the_check(setup, "pool_mode = transaction").await;
    }
}

async fn works_behind(setup: Setup, settings: &str) {
    let mut app = setup.start().await;
    let pooler = PgBouncer::start(&app, settings).await;
    app.stop_gracefully().await;
    app.set("DATABASE_URL", &pooler.url);
    app.start_again().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    let (well, said) = check(&app).await;
    assert!(well, "{said}");
    app.stop_gracefully().await;
}

async fn is_named_by_the_check(setup: Setup, settings: &str) {
    let mut app = setup.start().await;
    let pooler = PgBouncer::start(&app, settings).await;
    app.set("DATABASE_URL", &pooler.url);
    let (well, said) = check(&app).await;
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAILED ")).collect();
    assert!(!well && failed[0].starts_with("FAILED database: prepared statements"), "{said}");
    assert!(failed[0].contains("PgBouncer"), "{said}");
}

/// Whether `worker check` found everything well, and what it said.
async fn check(app: &App) -> (bool, String) {
    let output = run_to_end("worker", &["check"], app.settings()).await;
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

on_production!(in_session_mode_the_shop_works, in_transaction_mode_the_shop_works_or_the_check_says_why_not);
