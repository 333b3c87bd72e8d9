//! The worker alone: as many as needed, on RabbitMQ and PostgreSQL.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use model::Program;
use programs::{Process, Stop};
use runtime::presence;
use shared::config::{
    Common, CommonSettings, ConfigError, DEFAULT_WORKER_HTTP_ADDR, Migrate, WorkerSettings,
};
use shared::foundation::Foundation;
use tokio_util::sync::CancellationToken;

/// Does the heavy work of the print shop.
#[derive(Parser)]
#[command(name = "worker", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonSettings,
    #[command(flatten)]
    worker: WorkerSettings,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a program's life")]
enum Command {
    /// Bring the database's schema up to date, then exit
    Migrate,
    /// Ask the worker that listens on WORKER_HTTP_ADDR whether it is alive, then exit
    Health,
    /// Start one task, print its job's id, then exit
    Run(programs::run::RunArgs),
    /// Look at settings, database, migrations, broker, blob store, mail server and payment gateway, a line
    /// each, then exit; the exit code tells whether all is well
    Check,
    #[command(flatten)]
    Operate(programs::operate::OperateCommand),
}

fn main() -> ExitCode {
    if let Some(code) = worker::imaging::child::dispatch() {
        return code;
    }
    let process = match Process::begin() {
        Ok(process) => process,
        Err(code) => return code,
    };
    let cli = Cli::parse();
    if let Some(Command::Health) = cli.command {
        return programs::health::check(cli.worker.worker_http_addr.unwrap_or(DEFAULT_WORKER_HTTP_ADDR));
    }
    let logs = cli.common.log_format;
    match cli.command {
        None => process.serve(logs, |stop| async move {
            let common = cli.common.check(Program::Worker)?.with_lease(cli.worker.lease()?);
            work(&common, &cli.worker, stop).await
        }),
        Some(command) => process.command(logs, run(command, cli.common, cli.worker)),
    }
}

async fn run(
    command: Command,
    common: CommonSettings,
    worker: WorkerSettings,
) -> Result<ExitCode, programs::Error> {
    if let Command::Check = command {
        return Ok(programs::check::run(Program::Worker, &common, &worker).await);
    }
    let task = match &command {
        Command::Run(task) => Some(task.check()?),
        _ => None,
    };
    let common = common.check(Program::Worker)?;
    if let Some(task) = task {
        return task.run(Foundation::lay(&common).await?).await;
    }
    match command {
        Command::Operate(command) => command.run(&common).await,
        _ => migrate(common).await.map(|()| ExitCode::SUCCESS),
    }
}

async fn migrate(mut common: Common) -> Result<(), programs::Error> {
    common.migrate = Migrate::Auto;
    Foundation::lay(&common).await?;
    programs::say("the database is up to date");
    Ok(())
}

async fn work(common: &Common, settings: &WorkerSettings, stop: Stop) -> Result<ExitCode, programs::Error> {
    stop.allow(common.shutdown);
    let checked = worker::start::check(common, settings)?;
    let listener = worker::start::health_listener(settings)?;
    let address = listener.local_addr()?;
    let mut foundation = stop.or(Foundation::lay(common)).await?;
    let base_url = match &common.base_url {
        Some(url) => url.clone(),
        None => {
            tracing::warn!("BASE_URL is not set: links in mail lead to http://127.0.0.1:8080");
            "http://127.0.0.1:8080".parse().map_err(|error| ConfigError::new("BASE_URL", error))?
        }
    };
    let worker = worker::start::worker(&foundation, common, checked, base_url, stop.token.clone())?;
    let relay_stop = CancellationToken::new();
    let mut relay = tokio::spawn(foundation.relay(relay_stop.clone()));
    let health = tokio::spawn(runtime::health::serve(listener, worker.engine.clone(), relay_stop.clone()));
    let told = worker.clone();
    let tell = Box::new(move || runtime::facts::tell(&told.engine));
    let present =
        tokio::spawn(presence::run(foundation.db.clone(), common.program, tell, relay_stop.clone()));
    programs::say(&format!("listening on http://{address}"));
    let working = async {
        match settings.drain {
            true => programs::drain::work_until_empty(worker).await,
            false => worker::run(worker).await.map_err(programs::Error::from),
        }
    };
    let ended = tokio::select! {
        ended = working => ended,
        _ = &mut relay => Err("the relay ended by itself".into()),
        served = health => Err(format!("the health page ended by itself: {served:?}").into()),
    };
    // Whatever ended it, the rest has no longer than a stop may take.
    stop.token.cancel();
    relay_stop.cancel();
    programs::end(relay, present, &foundation).await;
    ended.map(|()| ExitCode::SUCCESS)
}
