//! The all-in-one: web and worker in one process, on embedded defaults. `cargo run` is all it needs.

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use model::Program;
use operations::operator::Actor;
use operations::operators;
use platform::mail::Mailer;
use programs::{Process, Stop};
use runtime::presence;
use shared::config::{Common, CommonSettings, ConfigError, WebSettings, WorkerSettings};
use shared::foundation::{Foundation, StartError};
use tokio_util::sync::CancellationToken;
use url::Url;

/// A print shop: upload photos, order prints of them. Without any setting it runs on an embedded
/// database, an embedded queue and plain files; environment variables put it on servers.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: CommonSettings,
    #[command(flatten)]
    web: WebSettings,
    #[command(flatten)]
    worker: WorkerSettings,
}

#[derive(Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a program's life")]
enum Command {
    /// Start one task, print its job's id, then exit; the print shop must not be running on this DATA_DIR
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
    let mut cli = Cli::parse();
    let logs = cli.common.log_format;
    match cli.command.take() {
        Some(Command::Run(task)) => process.serve(logs, |stop| run_task(cli, task, stop)),
        Some(Command::Check) => process.command(logs, async move {
            Ok(programs::check::run(Program::AllInOne, &cli.common, &cli.worker).await)
        }),
        Some(Command::Operate(command)) => {
            process.command(logs, async move { command.run(&cli.common.check(Program::AllInOne)?).await })
        }
        None if cli.worker.drain => process.serve(logs, |stop| drain(cli, stop)),
        None => process.serve(logs, |stop| run(cli, stop)),
    }
}

/// Starts a task while the print shop does not run. With `--wait` a worker does it here and now, else the
/// next start of the print shop does.
async fn run_task(cli: Cli, task: programs::run::RunArgs, stop: Stop) -> Result<ExitCode, programs::Error> {
    let task = task.check()?;
    let common = cli.common.check(Program::AllInOne)?.with_lease(cli.worker.lease()?);
    let checked = worker::start::check(&common, &cli.worker)?;
    stop.allow(common.shutdown);
    let laid = async {
        Foundation::lay(&common).await.map_err(|error| match error {
            StartError::Locked(folder) => programs::Error::from(format!(
                "DATA_DIR {folder}: the print shop is running on this folder: start the task with \
                 POST /api/tasks/{{name}} instead"
            )),
            other => other.into(),
        })
    };
    let mut foundation = stop.or(laid).await?;
    if !task.wait {
        return task.run(foundation).await;
    }
    let (stop, relay_stop) = (stop.token, CancellationToken::new());
    let base_url = site(&common, cli.web.http_addr)?;
    let worker = worker::start::worker(&foundation, &common, checked, base_url, stop.clone())?;
    let relay = tokio::spawn(foundation.relay(relay_stop.clone()));
    let working = tokio::spawn(worker::run(worker));
    let ended = tokio::select! {
        ended = task.enqueue_and_wait(&foundation.db) => ended,
        () = stop.cancelled() => Err("stopped before the task was over".into()),
    };
    stop.cancel();
    let _ = working.await;
    relay_stop.cancel();
    let _ = relay.await;
    foundation.broker.close().await;
    ended
}

/// Does what is left to do while the print shop does not run, and serves nobody meanwhile.
async fn drain(cli: Cli, stop: Stop) -> Result<ExitCode, programs::Error> {
    let common = cli.common.check(Program::AllInOne)?.with_lease(cli.worker.lease()?);
    let checked = worker::start::check(&common, &cli.worker)?;
    stop.allow(common.shutdown);
    let mut foundation = stop.or(Foundation::lay(&common)).await?;
    let relay_stop = CancellationToken::new();
    let base_url = site(&common, cli.web.http_addr)?;
    let worker = worker::start::worker(&foundation, &common, checked, base_url, stop.token)?;
    let relay = tokio::spawn(foundation.relay(relay_stop.clone()));
    let ended = programs::drain::work_until_empty(worker).await;
    relay_stop.cancel();
    let _ = relay.await;
    foundation.broker.close().await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// The address for links in mail, as good as it is known while nobody listens.
fn site(common: &Common, http_addr: SocketAddr) -> Result<Url, programs::Error> {
    match &common.base_url {
        Some(url) => Ok(url.clone()),
        None => Ok(Url::parse(&format!("http://{http_addr}"))?),
    }
}

async fn run(cli: Cli, stop: Stop) -> Result<ExitCode, programs::Error> {
    let common = cli.common.check(Program::AllInOne)?.with_lease(cli.worker.lease()?);
    cli.web.check()?;
    let checked = worker::start::check(&common, &cli.worker)?;
    let listener = TcpListener::bind(cli.web.http_addr)
        .map_err(|error| ConfigError::new("HTTP_ADDR", format!("{}: {error}", cli.web.http_addr)))?;
    let address = listener.local_addr()?;
    stop.allow(common.shutdown);
    let mut foundation = stop.or(Foundation::lay(&common)).await?;
    let base_url = site(&common, address)?;
    let stop = stop.token;
    let worker = worker::start::worker(&foundation, &common, checked, base_url, stop.clone())?;
    let mut config = web::Config::new(&common, &cli.web, cli.worker.payment_url.is_none());
    if let Mailer::Files(files) = &*worker.services.mailer
        && address.ip().is_loopback()
    {
        config.mailbox = Some(files.clone());
    }
    let has_mailbox = config.mailbox.is_some();
    let mut app = web::App::new(&foundation, config);
    app.beside = Some(beside(&worker));
    let first = operators::add_first(&foundation.db, &Actor::of_command()).await?;
    let relay_stop = CancellationToken::new();
    let mut relay = tokio::spawn(foundation.relay(relay_stop.clone()));
    let told = worker.clone();
    let tell = Box::new(move || runtime::facts::tell(&told.engine));
    let present =
        tokio::spawn(presence::run(foundation.db.clone(), common.program, tell, relay_stop.clone()));
    programs::say(&format!("listening on http://{address}"));
    if has_mailbox {
        programs::say(&format!("its mailbox is at http://{address}/mailbox"));
    }
    if let Some(first) = first {
        programs::say(&programs::operator::first_line(&first, &format!("http://{address}")));
    }
    let both = async {
        let worked = async { worker::run(worker).await.map_err(programs::Error::from) };
        let served = async { web::run(listener, app, stop.clone()).await.map_err(programs::Error::from) };
        tokio::try_join!(worked, served)
    };
    let ended = tokio::select! {
        ended = both => ended.map(|_| ()),
        _ = &mut relay => Err("the relay ended by itself".into()),
    };
    // Whatever ended it, the rest has no longer than a stop may take.
    stop.cancel();
    relay_stop.cancel();
    programs::end(relay, present, &foundation).await;
    ended.map(|()| ExitCode::SUCCESS)
}

/// What web shows of the worker that runs beside it.
fn beside(worker: &Arc<worker::Worker>) -> web::Beside {
    let (routes, parts) = (worker.clone(), worker.clone());
    web::Beside {
        routes: Arc::new(move |config| runtime::health::beside_web(config, &routes.engine)),
        dead_parts: Arc::new(move || runtime::health::dead_parts(&parts.engine)),
    }
}
