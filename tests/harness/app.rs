//! The running shop: its programs, and what a test can do to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use super::database::Database;
use super::production::Production;
use super::{FaultServers, Mail, Program, Setup, Visitor, eventually, test_variable};

/// How long the programs may take to finish what is left when a test ends.
const LAST_JOBS: Duration = Duration::from_secs(60);

/// The unfinished jobs.
const UNFINISHED: &str =
    "SELECT count(*) FROM jobs WHERE state IN ('pending', 'queued', 'running', 'waiting')";

/// The running programs. Dropping it ends them, and holds the test to what every test promises: no job is left
/// unfinished and no program has panicked.
pub struct App {
    setup: Setup,
    settings: Vec<(String, String)>,
    /// The web program's address, which changes with each start.
    base: Arc<Mutex<String>>,
    web: Option<Program>,
    workers: Vec<Program>,
    worker_bases: Vec<String>,
    production: Option<Production>,
    database: Database,
    folder: TempDir,
}

impl App {
    pub(super) async fn start(setup: Setup) -> Self {
        let folder = tempfile::Builder::new().prefix("wqw-test-").tempdir().unwrap();
        let mut settings = setup.common_settings(folder.path());
        let (production, database) = match setup.production {
            false => (None, Database::in_folder(&folder.path().join("data"))),
            true => {
                let production = take_share(&setup, &mut settings).await;
                let database = Database::Postgres(production.database_url.clone());
                (Some(production), database)
            }
        };
        let base = Arc::default();
        let (web, workers, worker_bases) = (None, Vec::new(), Vec::new());
        let mut app =
            Self { setup, settings, base, web, workers, worker_bases, production, database, folder };
        app.start_again().await;
        app
    }

    /// Starts what does not run.
    pub async fn start_again(&mut self) {
        if self.web.is_none() {
            self.start_web().await;
        }
        if self.setup.production && self.workers.is_empty() {
            for number in 1..=self.setup.workers {
                self.start_worker(&format!("worker-{number}")).await;
            }
        }
    }

    async fn start_web(&mut self) {
        let name = if self.setup.production { "web" } else { "all-in-one" };
        let mut web = Program::start(name, name, &self.settings, self.folder.path());
        *self.base.lock().unwrap() = web.ready().await;
        self.web = Some(web);
    }

    async fn start_worker(&mut self, name: &str) {
        let mut settings = self.settings.clone();
        if settings.iter().all(|(name, _)| name != "BASE_URL") {
            settings.push(("BASE_URL".into(), self.base()));
        }
        let mut worker = Program::start(name, "worker", &settings, self.folder.path());
        self.worker_bases.push(worker.ready().await);
        self.workers.push(worker);
    }

    /// `kill -9` of every program.
    pub fn kill(&mut self) {
        self.web = None;
        self.kill_workers();
    }

    /// `kill -9` of the programs that do the work: the workers, or the all-in-one.
    pub fn kill_workers(&mut self) {
        if !self.setup.production {
            self.web = None;
        }
        self.workers.clear();
        self.worker_bases.clear();
    }

    /// SIGTERM to every program: each must end with success. Gives the time that the slowest took.
    pub async fn stop_gracefully(&mut self) -> Duration {
        let begun = Instant::now();
        let mut programs: Vec<Program> = self.web.take().into_iter().chain(self.workers.drain(..)).collect();
        self.worker_bases.clear();
        for program in &programs {
            program.signal(Signal::TERM);
        }
        for program in &mut programs {
            let status = program.ended(Duration::from_secs(60)).await;
            assert!(status.success(), "{} ended with {status}:\n{}", program.name(), program.log());
        }
        begun.elapsed()
    }

    /// The same signal so many times to every program that does the work, a moment apart. Gives the time that the
    /// slowest took, and how each ended.
    pub async fn end(&mut self, signal: Signal, times: usize) -> (Duration, Vec<ExitStatus>) {
        let begun = Instant::now();
        let mut programs: Vec<Program> = match self.setup.production {
            true => self.workers.drain(..).collect(),
            false => self.web.take().into_iter().collect(),
        };
        self.worker_bases.clear();
        for program in &programs {
            for time in 1..=times {
                let before = program.log().matches("stopping").count();
                program.signal(signal);
                if time < times {
                    let what = format!("{} to hear it", program.name());
                    eventually(&what, async || {
                        (program.log().matches("stopping").count() > before).then_some(())
                    })
                    .await;
                }
            }
        }
        let mut ended = Vec::new();
        for program in &mut programs {
            ended.push(program.ended(Duration::from_secs(90)).await);
        }
        (begun.elapsed(), ended)
    }

    /// Where a program of that name writes its log.
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Freezes a worker in the middle of whatever it does, as a stopped virtual machine would be.
    pub fn freeze_worker(&self, number: usize) {
        self.workers[number].signal(Signal::STOP);
    }

    /// Lets it go on as if nothing had been.
    pub fn thaw_worker(&self, number: usize) {
        self.workers[number].signal(Signal::CONT);
    }

    /// Whether a program that does the work died of a crash point. It is put away; all others go on.
    #[cfg(feature = "crash-points")]
    pub fn crashed(&mut self) -> bool {
        let working = if self.setup.production { self.workers.first_mut() } else { self.web.as_mut() };
        let Some(status) = working.and_then(Program::end) else { return false };
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        assert_eq!(signal, Some(Signal::ABORT.as_raw()), "it ended with {status}:\n{}", self.logs());
        self.kill_workers();
        true
    }

    /// Changes a setting, for the programs' next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.retain(|(known, _)| known != name);
        self.settings.push((name.to_owned(), value.to_owned()));
    }

    /// The ids of the processes that the programs that do the work have started.
    pub fn children_of_workers(&self) -> Vec<u32> {
        match self.setup.production {
            true => self.workers.iter().flat_map(Program::children).collect(),
            false => self.web.iter().flat_map(Program::children).collect(),
        }
    }

    /// Starts another web program beside the first. Gives its client and itself.
    pub async fn another_web(&self) -> (Visitor, Program) {
        self.beside("web-2", "web").await
    }

    /// Starts a program beside the others, under a name of its own. Gives its client and itself.
    pub async fn beside(&self, name: &str, program: &str) -> (Visitor, Program) {
        let mut settings = self.settings.clone();
        settings.push(("BASE_URL".into(), self.base()));
        let mut program = Program::start(name, program, &settings, self.folder.path());
        let base = Arc::new(Mutex::new(program.ready().await));
        (Visitor::new(base), program)
    }

    /// The most memory that the web program has ever had, in MiB, as the kernel counts it.
    pub fn web_memory(&self) -> u64 {
        self.web.as_ref().unwrap().peak_memory()
    }

    /// A person with a token.
    pub async fn visitor(&self) -> Visitor {
        let nobody = self.nobody();
        let answer = nobody.post("/api/tokens").await.expect(201);
        nobody.with_token(answer.json()["token"].as_str().unwrap())
    }

    /// A client without a token.
    pub fn nobody(&self) -> Visitor {
        Visitor::new(self.base.clone())
    }

    /// A client of the worker's own port; the all-in-one serves it on its only one.
    pub fn worker_client(&self, number: usize) -> Visitor {
        match self.setup.production {
            true => Visitor::new(Arc::new(Mutex::new(self.worker_bases[number].clone()))),
            false => self.nobody(),
        }
    }

    /// The web program's address.
    pub fn base(&self) -> String {
        self.base.lock().unwrap().clone()
    }

    /// The settings that its programs got.
    pub fn settings(&self) -> &[(String, String)] {
        &self.settings
    }

    /// The servers to stop, if the test asked for them.
    pub fn faults(&self) -> &FaultServers {
        self.setup.fault_servers()
    }

    /// Its share of the servers.
    pub fn production(&self) -> &Production {
        self.production.as_ref().unwrap()
    }

    /// The number that a query gives. A database that is just being restarted, or locked by whoever closes it, is
    /// asked again.
    pub async fn number(&self, query: &str) -> i64 {
        let mut answer = self.database.number(query).await;
        let deadline = Instant::now() + Duration::from_secs(10);
        while answer.is_err() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
            answer = self.database.number(query).await;
        }
        answer.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Changes rows, as an operator with a console could.
    pub async fn execute(&self, statement: &str) {
        self.database.execute(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    /// A connection to the database, as an operator's console has one. PostgreSQL only.
    pub async fn console(&self) -> tokio_postgres::Client {
        super::database::connect(&self.production().database_url).await.unwrap()
    }

    /// A metric of a worker, all its labels together; 0 while there is none of that name.
    pub async fn metric(&self, worker: usize, name: &str) -> f64 {
        sum_of(&self.worker_client(worker).get("/metrics").await.expect(200).text(), name)
    }

    /// The same of `web`.
    pub async fn metric_of_web(&self, name: &str) -> f64 {
        sum_of(&self.nobody().get("/metrics").await.expect(200).text(), name)
    }

    /// Makes an entry of the schedule due.
    pub async fn make_due(&self, schedule: &str) {
        let row = format!("SELECT count(*) FROM schedules WHERE name = '{schedule}'");
        eventually("the schedule to be written down", async || (self.number(&row).await == 1).then_some(()))
            .await;
        let past = self.ago(5);
        self.execute(&format!("UPDATE schedules SET next_at = {past} WHERE name = '{schedule}'")).await;
    }

    /// So many seconds ago, in the database's own words.
    pub fn ago(&self, seconds: i64) -> String {
        match self.setup.production {
            true => format!("(now() - interval '{seconds} seconds')"),
            false => format!("((unixepoch() - {seconds}) * 1000000)"),
        }
    }

    /// Waits until no job is unfinished.
    pub async fn idle(&self) {
        eventually("all jobs to be finished", async || {
            (self.database.number(UNFINISHED).await == Ok(0)).then_some(())
        })
        .await;
    }

    /// Every mail so far, in no particular order.
    pub fn mails(&self) -> Vec<Mail> {
        let raw: Vec<Vec<u8>> = match &self.production {
            Some(production) => production.smtp.mails(),
            None => {
                let files = files_below(&self.folder.path().join("data/mail"));
                let whole = files.iter().filter(|file| file.extension().is_some_and(|end| end == "eml"));
                whole.map(|file| fs::read(file).unwrap()).collect()
            }
        };
        raw.iter().map(|mail| Mail::parse(mail)).collect()
    }

    /// The mail to this address, when it has come.
    pub async fn mail_to(&self, address: &str) -> Mail {
        eventually(&format!("a mail to {address}"), async || {
            self.mails().into_iter().find(|mail| mail.to.iter().any(|to| to == address))
        })
        .await
    }

    /// The files of the blob store, where that is a folder.
    pub fn blob_files(&self) -> Vec<PathBuf> {
        files_below(&self.blob_folder())
    }

    /// That folder.
    pub fn blob_folder(&self) -> PathBuf {
        self.folder.path().join(if self.setup.production { "blobs" } else { "data/blobs" })
    }

    /// Whether web and worker are programs of their own.
    pub fn is_production(&self) -> bool {
        self.setup.production
    }

    /// What the program of that name logged, over all its starts.
    pub fn log_of(&self, program: &str) -> String {
        fs::read_to_string(self.folder.path().join(format!("{program}.log"))).unwrap()
    }

    /// What the programs logged.
    pub fn logs(&self) -> String {
        let logs = files_below(self.folder.path());
        let logs = logs.iter().filter(|file| file.extension().is_some_and(|end| end == "log"));
        logs.map(|file| format!("==== {}\n{}", file.display(), fs::read_to_string(file).unwrap_or_default()))
            .collect()
    }

    /// What is wrong at the end of a test that found nothing wrong itself.
    fn broken_promise(&self) -> Option<String> {
        if self.logs().contains("panicked at") {
            return Some("a program panicked".into());
        }
        if self.setup.leaves_work {
            return None;
        }
        let database = self.database.clone();
        let finished = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let wait = super::within(LAST_JOBS, "the last jobs", async || {
                    (database.number(UNFINISHED).await == Ok(0)).then_some(())
                });
                wait.await;
            });
        });
        finished.join().is_err().then(|| "jobs were left unfinished".into())
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let broken = if std::thread::panicking() { None } else { self.broken_promise() };
        self.kill();
        if std::thread::panicking() || broken.is_some() {
            println!("{}", self.logs());
        }
        if let Some(broken) = broken {
            panic!("{broken}");
        }
    }
}

/// A database and queues for this test, and the settings that lead to them.
async fn take_share(setup: &Setup, settings: &mut Vec<(String, String)>) -> Production {
    let which = if setup.faults.is_some() { "TEST_FAULT" } else { "TEST" };
    let database = test_variable(&format!("{which}_DATABASE_URL"));
    let production = Production::make(database, test_variable(&format!("{which}_AMQP_URL"))).await;
    let (database_url, amqp_url) = match setup.tls {
        true => {
            (production.database_by(&test_variable("TEST_DATABASE_TLS_URL")), test_variable("TEST_AMQPS_URL"))
        }
        false => (production.database_url.clone(), production.amqp_url.clone()),
    };
    let own = [
        ("DATABASE_URL", database_url),
        ("AMQP_URL", amqp_url),
        ("QUEUE_PREFIX", production.prefix.clone()),
        ("SMTP_URL", production.smtp.url()),
    ];
    settings.extend(own.map(|(name, value)| (name.to_owned(), value)));
    production.migrate(settings).await;
    production
}

/// Over all labels, of Prometheus' text format.
fn sum_of(metrics: &str, name: &str) -> f64 {
    let values = metrics.lines().filter_map(|line| {
        let (labelled, value) = line.rsplit_once(' ')?;
        let (found, _) = labelled.split_once('{').unwrap_or((labelled, ""));
        (found == name).then(|| value.parse::<f64>().unwrap())
    });
    values.sum()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    // A folder that is not there, or no longer, holds nothing.
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
