//! A program that is told to stop before it has really begun, also as the first process of a container: to that one
//! the kernel gives no signal that it does not listen for.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::TcpListener;

use crate::harness::{Program, eventually, within};

/// The setting of the tests here.
const SHUTDOWN: Duration = Duration::from_secs(6);

/// Whose only process is the program, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum As {
    Usual,
    FirstProcess,
}

impl As {
    /// What can be tried here.
    fn all() -> Vec<Self> {
        let mut namespace = Command::new("unshare");
        namespace.args(["--pid", "--fork", "--mount-proc", "--kill-child", "true"]).stderr(Stdio::null());
        if namespace.status().is_ok_and(|status| status.success()) {
            return vec![Self::Usual, Self::FirstProcess];
        }
        println!("not tried as the first process: only root may make a namespace of processes here");
        vec![Self::Usual]
    }
}

/// A program that was just started, and whose database says nothing.
struct Starting {
    program: Program,
    database: TcpListener,
    folder: tempfile::TempDir,
    how: As,
}

impl Starting {
    async fn new(program: &str, how: As) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = settings(program, folder.path(), database.local_addr().unwrap().port());
        let program = match how {
            As::Usual => Program::start(program, program, &settings, folder.path()),
            As::FirstProcess => Program::start_as_first_process(program, program, &settings, folder.path()),
        };
        Self { program, database, folder, how }
    }

    /// The program's own process.
    fn process(&self) -> Option<u32> {
        match self.how {
            As::Usual => Some(self.program.id()),
            As::FirstProcess => self.program.children().first().copied(),
        }
    }

    /// Whether it would hear SIGTERM: it is no more what the kernel does with one.
    fn listens(&self) -> bool {
        let status = self.process().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
        let status = status.unwrap_or_default();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
        caught & (1 << (Signal::TERM.as_raw() - 1)) != 0
    }

    fn tell_to_stop(&self) {
        let id = self.process().and_then(|id| i32::try_from(id).ok());
        let id = id.and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(id, Signal::TERM).unwrap();
    }

    async fn ends(&mut self) -> ExitStatus {
        // Waiting for the database it would end by itself, with a complaint; but not so soon.
        self.program.ended(SHUTDOWN + Duration::from_secs(2)).await
    }

    fn said(&self) -> String {
        format!("{:?} in {}:\n{}", self.how, self.folder.path().display(), self.program.log())
    }
}

fn settings(program: &str, folder: &std::path::Path, database: u16) -> Vec<(String, String)> {
    let mut settings = vec![
        ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ("DATA_DIR", folder.join("data").display().to_string()),
        ("SHUTDOWN_SECONDS", SHUTDOWN.as_secs().to_string()),
    ];
    if program != "all-in-one" {
        settings.extend([
            ("WORKER_HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("DATABASE_URL", format!("postgres://app:pw@127.0.0.1:{database}/shop")),
            ("AMQP_URL", "amqp://app:pw@127.0.0.1:1".to_owned()),
            ("BLOB_URL", format!("file://{}", folder.join("blobs").display())),
            ("SECRET_KEYS", "a-secret-of-the-tests-that-is-long-enough".to_owned()),
            ("BASE_URL", "http://127.0.0.1".to_owned()),
            ("SMTP_URL", "smtp://127.0.0.1:1".to_owned()),
        ]);
    }
    settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_told_to_stop_as_soon_as_it_can_hear_ends_without_a_complaint() {
    for how in As::all() {
        for program in ["web", "worker", "all-in-one"] {
            let mut starting = Starting::new(program, how).await;
            eventually("it to listen", async || starting.listens().then_some(())).await;
            starting.tell_to_stop();
            let status = starting.ends().await;
            assert!(status.success(), "{program}: {status}: {}", starting.said());
        }
    }
}

/// Nothing of it runs yet: the kernel ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_told_to_stop_before_it_can_hear_ends_all_the_same() {
    for program in ["web", "worker", "all-in-one"] {
        let mut starting = Starting::new(program, As::Usual).await;
        starting.tell_to_stop();
        let status = starting.ends().await;
        let ended = status.success() || status.signal() == Some(Signal::TERM.as_raw());
        assert!(ended, "{program}: {status}: {}", starting.said());
    }
}

/// A balancer without a server behind it, a frozen database.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_whose_database_takes_the_call_and_says_nothing_can_be_stopped() {
    for how in As::all() {
        for program in ["web", "worker"] {
            let mut starting = Starting::new(program, how).await;
            let _silent = within(Duration::from_secs(30), "it to call its database", async || {
                tokio::time::timeout(Duration::from_millis(20), starting.database.accept()).await.ok()
            })
            .await
            .unwrap();
            assert!(starting.listens(), "it calls before it can hear: {}", starting.said());
            starting.tell_to_stop();
            let status = starting.ends().await;
            assert!(status.success(), "{program}: {status}: {}", starting.said());
            let told = starting.program.log();
            assert!(
                told.contains("stopping") && !told.contains("not stopped in time"),
                "{}",
                starting.said()
            );
        }
    }
}
