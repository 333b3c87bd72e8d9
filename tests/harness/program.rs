//! One child process: its log, its address, its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::within;

/// What a program prints in front of its address when it is ready.
const READY: &str = "listening on ";

/// Variables of the tests' own environment that programs may see. Settings are not among them: a developer's
/// `DATABASE_URL` must not reach a test. The last one lets `scripts/servers` find what is left at its end.
const INHERITED: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "RUST_BACKTRACE", "LLVM_PROFILE_FILE", "SYSTEM_TEST_RUN"];

/// A running program; killed when dropped.
pub struct Program {
    name: String,
    child: Child,
    stdout: PathBuf,
    log: PathBuf,
}

/// The path of one of the programs: `all-in-one`, `web`, `worker`, and the last release's `previous-web` and
/// `previous-worker`.
pub fn program_path(name: &str) -> &'static str {
    match name {
        // It has the name of the package, which `cargo generate` changes.
        "all-in-one" => env!(concat!("CARGO_BIN_EXE_", env!("CARGO_PKG_NAME"))),
        "web" => env!("CARGO_BIN_EXE_web"),
        "worker" => env!("CARGO_BIN_EXE_worker"),
        // Built by scripts/check-previous-release.
        "previous-web" | "previous-worker" => {
            let folder = super::test_variable("PREVIOUS_RELEASE");
            Box::leak(format!("{folder}/{}", &name["previous-".len()..]).into_boxed_str())
        }
        other => panic!("there is no program {other}"),
    }
}

/// Whether a process of that id runs. One that has ended and was not asked how does not run.
pub fn process_exists(id: u32) -> bool {
    status_of(id).is_some_and(|status| !status.lines().any(|line| line.starts_with("State:\tZ")))
}

fn status_of(process: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{process}/status")).ok()
}

/// A command with nothing in its environment but `settings`.
fn command(program: &str, arguments: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(program_path(program));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.envs(settings.iter().map(|(name, value)| (name, value)));
    command
}

/// Runs a program that is expected to end by itself soon.
pub async fn run_to_end(program: &str, arguments: &[&str], settings: &[(String, String)]) -> Output {
    let mut command = tokio::process::Command::from(command(program, arguments, settings));
    let output = command.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await;
    output.unwrap_or_else(|_| panic!("{program} {arguments:?} did not end")).unwrap()
}

impl Program {
    /// Starts `program` under a `name` of its own, with its logs in `folder`; a second start adds to them.
    pub fn start(name: &str, program: &str, settings: &[(String, String)], folder: &Path) -> Self {
        Self::spawn(command(program, &[], settings), name, folder)
    }

    /// As [`Program::start`], as the first process of a namespace of its own, as in a container. It is the only child
    /// of the process that this is, and its end is that one's. Needs root.
    pub fn start_as_first_process(
        name: &str,
        program: &str,
        settings: &[(String, String)],
        folder: &Path,
    ) -> Self {
        let inside = command(program, &[], settings);
        let mut unshare = Command::new("unshare");
        unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(inside.get_program());
        unshare.env_clear().stdin(Stdio::null());
        unshare.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Self::spawn(unshare, name, folder)
    }

    fn spawn(mut command: Command, name: &str, folder: &Path) -> Self {
        let stdout = folder.join(format!("{name}.stdout"));
        let log = folder.join(format!("{name}.log"));
        let appended = File::options().append(true).create(true).open(&log).unwrap();
        let child = command
            .stdout(File::create(&stdout).unwrap())
            .stderr(appended)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self { name: name.to_owned(), child, stdout, log }
    }

    /// The address that it prints once it is ready: `http://127.0.0.1:PORT`.
    pub async fn ready(&mut self) -> String {
        let what = format!("{} to be ready", self.name);
        within(Duration::from_secs(30), &what, async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{} ended with {status} instead of getting ready:\n{}", self.name, self.log());
            }
            self.printed().lines().find_map(|line| {
                Some(line.split_once(READY)?.1.split_whitespace().next()?.trim_end_matches('/').to_owned())
            })
        })
        .await
    }

    /// What it printed on standard output since it was started.
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it logged, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The name that it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The ids of the processes that it has started.
    pub fn children(&self) -> Vec<u32> {
        let parent = format!("PPid:\t{}", self.child.id());
        let all = fs::read_dir("/proc").unwrap().flatten();
        let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        all.filter(|id| status_of(*id).is_some_and(|status| status.lines().any(|line| line == parent)))
            .collect()
    }

    /// The most memory that it has ever had, in MiB (`VmHWM`).
    pub fn peak_memory(&self) -> u64 {
        let status = status_of(self.child.id()).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
    }

    /// How it ended, if it has.
    #[cfg(feature = "crash-points")]
    pub fn end(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub async fn ended(&mut self, limit: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        within(limit, &what, async || self.child.try_wait().unwrap()).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
