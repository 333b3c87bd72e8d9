//! The web front end alone: as many as needed, on RabbitMQ and PostgreSQL.

use std::net::TcpListener;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use model::ProcessId;
use model::Program;
use programs::{Process, Stop};
use runtime::presence;
use shared::config::{CommonSettings, ConfigError, WebSettings};
use shared::foundation::Foundation;
use tokio_util::sync::CancellationToken;

/// The print shop's web front end.
#[derive(Parser)]
#[command(name = "web", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonSettings,
    #[command(flatten)]
    web: WebSettings,
    /// Payment gateway of the workers. Set: any payment token is taken. Unset: those of the sandbox
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    payment_url: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Ask the web front end that listens on HTTP_ADDR whether it is alive, then exit
    Health,
}

fn main() -> ExitCode {
    let process = match Process::begin() {
        Ok(process) => process,
        Err(code) => return code,
    };
    let cli = Cli::parse();
    if let Some(Command::Health) = cli.command {
        return programs::health::check(cli.web.http_addr);
    }
    process.serve(cli.common.log_format, |stop| serve(cli, stop))
}

async fn serve(cli: Cli, stop: Stop) -> Result<ExitCode, programs::Error> {
    let common = cli.common.check(Program::Web)?;
    stop.allow(common.shutdown);
    cli.web.check()?;
    let listener = TcpListener::bind(cli.web.http_addr)
        .map_err(|error| ConfigError::new("HTTP_ADDR", format!("{}: {error}", cli.web.http_addr)))?;
    let address = listener.local_addr()?;
    if common.base_url.is_none() {
        tracing::warn!("BASE_URL is not set: session cookies are not marked Secure");
    }
    let mut foundation = stop.or(Foundation::lay(&common)).await?;
    // The heartbeat's: it is the same as a worker's.
    platform::telemetry::describe(runtime::measured::METRICS);
    let config = web::Config::new(&common, &cli.web, cli.payment_url.is_none());
    let app = web::App::new(&foundation, config);
    let relay_stop = CancellationToken::new();
    let mut relay = tokio::spawn(foundation.relay(relay_stop.clone()));
    let itself = ProcessId::new();
    let (db, broker, stopping) = (foundation.db.clone(), foundation.broker.clone(), stop.token.clone());
    let tell = Box::new(move || (itself, presence::common_facts(&db, &broker, &stopping)));
    let present =
        tokio::spawn(presence::run(foundation.db.clone(), common.program, tell, relay_stop.clone()));
    programs::say(&format!("listening on http://{address}"));
    let ended = tokio::select! {
        served = web::run(listener, app, stop.token.clone()) => served.map_err(programs::Error::from),
        _ = &mut relay => Err("the relay ended by itself".into()),
    };
    // Whatever ended it, the rest has no longer than a stop may take.
    stop.token.cancel();
    relay_stop.cancel();
    presence::say_goodbye(&foundation.db, itself).await;
    programs::end(relay, present, &foundation).await;
    ended.map(|()| ExitCode::SUCCESS)
}
