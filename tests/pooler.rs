//! Behind PgBouncer: in session mode everything works; where prepared statements don't, `worker check` says so.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use url::Url;

use crate::harness::{App, Order, Setup, eventually, on_production, run_to_end};

/// A pooler of one test, between the programs and the test's database.
struct PgBouncer {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl PgBouncer {
    async fn start(app: &App, mode: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Url::parse(&app.production().database_url).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = folder.path().join("pgbouncer.ini");
        let settings = format!(
            "[databases]\n* = host={} port={} user={} password={}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = 40\n",
            server.host_str().unwrap(),
            server.port().unwrap(),
            server.username(),
            server.password().unwrap(),
        );
        fs::write(&config, settings).unwrap();
        // It does not run as root, and must read its settings as whoever it is.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = match rustix::process::geteuid().is_root() {
            false => Command::new("/usr/sbin/pgbouncer"),
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "/usr/sbin/pgbouncer"]);
                command
            }
        };
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
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn the_shop_works_behind_a_pooler_in_session_mode(setup: Setup) {
    let mut app = setup.start().await;
    let pooler = PgBouncer::start(&app, "session").await;
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

async fn a_pooler_that_loses_prepared_statements_is_named_by_the_check(setup: Setup) {
    let mut app = setup.start().await;
    let pooler = PgBouncer::start(&app, "transaction").await;
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

on_production!(
    the_shop_works_behind_a_pooler_in_session_mode,
    a_pooler_that_loses_prepared_statements_is_named_by_the_check,
);
