//! The processes that decode pictures: what happens when one is out of memory, hangs, gets old, or loses its parent.
//!
//! The pool is the worker's own, with settings of the tests'; its processes are those of the real program.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::Signal;
use serde_json::json;
use shared::domain::photo::PictureLimits;
use shared::domain::print::PrintFormat;
use tempfile::TempDir;
use worker::imaging::{ImagingError, ImagingPool, ImagingSettings, Task};

use crate::harness::{
    App, Setup, eventually, on_both_set_ups, pictures, process_exists, program_path, within,
};

/// Enough for the program itself, not optimised and with all that it links, and for a small picture.
const LITTLE_MEMORY: u64 = 128 << 20;

/// More pixels than that, in a small file: it must not be the reading that fails.
fn too_large() -> Vec<u8> {
    pictures::blank_png(8000, 4500)
}

/// Far longer than any of these pictures takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A pool of one process at a time, and the list of those that it started.
struct Bench {
    pool: ImagingPool,
    folder: TempDir,
}

impl Bench {
    /// Its processes are those of the worker.
    fn of_the_worker(change: impl FnOnce(&mut ImagingSettings)) -> Self {
        Self::of(&["exec", program_path("worker"), "imaging", "\"$@\""].join(" "), change)
    }

    /// Its processes do what this shell script does, after they have written down their ids.
    fn of(script: &str, change: impl FnOnce(&mut ImagingSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("echo $$ >>{}\n{script}", started_in(folder.path()).display());
        let limits = PictureLimits { max_pixels: 40_000_000, max_side: PictureLimits::MAX_SIDE };
        let mut settings = ImagingSettings::new(limits).unwrap();
        settings.command = ["/bin/sh", "-c", &script, "imaging"].map(OsString::from).to_vec();
        settings.processes = 1;
        change(&mut settings);
        Self { pool: ImagingPool::new(settings), folder }
    }

    /// How many sizes it makes of a picture.
    async fn ask(&self, picture: Vec<u8>, timeout: Duration) -> Result<usize, ImagingError> {
        self.pool.make(Task::Sizes, Bytes::from(picture), timeout).await.map(|made| made.len())
    }

    /// The ids of all processes so far, in that order.
    fn started(&self) -> Vec<u32> {
        let ids = fs::read_to_string(started_in(self.folder.path())).unwrap_or_default();
        ids.lines().map(|id| id.parse().unwrap()).collect()
    }
}

fn started_in(folder: &Path) -> PathBuf {
    folder.join("started")
}

async fn is_gone(process: u32) {
    eventually(&format!("process {process} to be gone"), async || (!process_exists(process)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_picture_that_needs_more_memory_than_there_is_ends_its_process_alone() {
    let bench = Bench::of_the_worker(|settings| settings.memory_bytes = LITTLE_MEMORY);
    let too_large = bench.ask(too_large(), PATIENCE).await;
    assert!(
        matches!(&too_large, Err(ImagingError::Crashed { detail }) if detail.contains("signal")),
        "{too_large:?}"
    );
    let [process] = bench.started()[..] else { panic!("one process: {:?}", bench.started()) };
    is_gone(process).await;
    assert_eq!(bench.ask(pictures::small_jpeg(), PATIENCE).await.unwrap(), 3, "the next one is made");
    assert_eq!(bench.started().len(), 2, "by another process");
}

/// As many pixels as are taken, the most expensive ones included, on the largest paper that is sold.
#[tokio::test]
async fn a_very_large_original_is_printed_within_the_memory_of_its_process() {
    let bench = Bench::of_the_worker(|settings| assert_eq!(settings.memory_bytes, 1 << 30, "the default"));
    let poster = PrintFormat { short_mm: 500, long_mm: 700, dpi: 200 }.size();
    // Nobody waits for it: not optimised, it takes its time.
    let patience = Duration::from_secs(600);
    let original = Bytes::from(pictures::deep_png(8000, 5000));
    let prints = bench.pool.make(Task::Print(poster), original, patience).await.unwrap();
    let [print] = &prints[..] else { panic!("one print") };
    assert_eq!((print.width, print.height), (poster.long, poster.short));
    assert_eq!(bench.started().len(), 1, "and the process lives");
}

#[tokio::test]
async fn a_process_that_hangs_is_killed_when_its_time_is_over() {
    // It reads nothing and says nothing, as one in an endless loop.
    let bench = Bench::of("exec sleep 1000", |_| {});
    let late = bench.ask(pictures::small_jpeg(), Duration::from_millis(300)).await;
    assert!(matches!(late, Err(ImagingError::TimedOut)), "{late:?}");
    let [process] = bench.started()[..] else { panic!("one process: {:?}", bench.started()) };
    is_gone(process).await;
}

/// As the kernel does when the machine has no memory left.
#[tokio::test]
async fn a_process_that_somebody_else_kills_says_nothing_about_its_picture() {
    let bench = Bench::of("kill -9 $$", |_| {});
    let killed = bench.ask(pictures::small_jpeg(), PATIENCE).await;
    assert!(matches!(killed, Err(ImagingError::Ended { .. })), "{killed:?}");
    let bench = Bench::of("kill -ABRT $$", |_| {});
    let crashed = bench.ask(pictures::small_jpeg(), PATIENCE).await;
    assert!(matches!(crashed, Err(ImagingError::Crashed { .. })), "{crashed:?}");
}

#[tokio::test]
async fn a_process_is_replaced_after_so_many_pictures() {
    let bench = Bench::of_the_worker(|settings| settings.pictures_per_process = 2);
    for _ in 0..5 {
        bench.ask(pictures::jpeg_of_colour(1, 2, 3), PATIENCE).await.unwrap();
    }
    let [first, second, third] = bench.started()[..] else { panic!("three: {:?}", bench.started()) };
    is_gone(first).await;
    is_gone(second).await;
    assert!(process_exists(third), "it may make one more");
    drop(bench.pool);
    is_gone(third).await;
}

#[tokio::test]
async fn a_process_ends_when_its_standard_input_does() {
    let mut process = tokio::process::Command::new(program_path("worker"))
        .args(["imaging", "--memory-bytes", &LITTLE_MEMORY.to_string()])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(process.stdin.take());
    let status = tokio::time::timeout(PATIENCE, process.wait()).await.expect("its end").unwrap();
    assert!(status.success(), "{status}");
}

/// Three tries, then the photo is rejected; whoever comes after it is served.
async fn a_picture_that_needs_too_much_memory_is_rejected_and_the_worker_works_on(setup: Setup) {
    let app = setup.with("IMAGING_MEMORY_BYTES", LITTLE_MEMORY).start().await;
    let ada = app.visitor().await;
    let too_large = ada.upload(too_large()).await;
    let small = ada.upload(pictures::small_jpeg()).await;
    assert_eq!(ada.wait_for(&small.job).await["status"], "succeeded");
    let job = ada.wait_for(&too_large.job).await;
    assert_eq!((&job["status"], &job["failure"]), (&json!("failed"), &json!("discarded")), "{job}");
    assert_eq!(job["attempt"], 3, "{job}");
    let photo = ada.read_photo(&too_large.photo).await;
    assert_eq!(photo["status"], "rejected", "{photo}");
    assert_eq!(photo["reason"], "the picture could not be processed", "{photo}");
    ada.ready_photo().await;
    assert_eq!(app.number("SELECT sum(lapses) FROM jobs").await, 0, "the worker never went away");
}

/// Nobody is left to kill them: an idle one sees the end of its requests, a busy one that nobody wants its answer.
async fn imaging_processes_end_with_a_worker_that_is_killed(setup: Setup) {
    let mut app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    ada.ready_photo().await;
    end_with_their_worker(&mut app).await;
    app.start_again().await;
    let upload = ada.upload(pictures::jpeg(4000, 3000)).await;
    eventually("a process for the picture", async || (!app.children_of_workers().is_empty()).then_some(()))
        .await;
    end_with_their_worker(&mut app).await;
    app.start_again().await;
    assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded");
}

/// The process hangs, so that only the customer's word can end the run before its time is over.
async fn a_picture_that_nobody_wants_any_more_is_left_half_made(setup: Setup) {
    let app = setup.with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    ada.ready_photo().await;
    let [process] = app.children_of_workers()[..] else { panic!("{:?}", app.children_of_workers()) };
    signal(process, Signal::STOP);
    let upload = ada.upload(pictures::small_jpeg()).await;
    ada.wait_for_status(&format!("/api/jobs/{}", upload.job), "running").await;
    ada.delete(&format!("/api/jobs/{}", upload.job)).await.expect(202);
    // Half of the time after which the process is given up anyway.
    let soon = Duration::from_secs(30);
    let job = within(soon, "the job to be over", async || {
        let job = ada.read_job(&upload.job).await;
        (job["status"] == "cancelled").then_some(job)
    })
    .await;
    assert_eq!(job["result"], json!(null), "{job}");
    is_gone(process).await;
    ada.ready_photo().await;
}

fn signal(process: u32, signal: Signal) {
    let process = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw).unwrap();
    rustix::process::kill_process(process, signal).unwrap();
}

async fn end_with_their_worker(app: &mut App) {
    let processes = app.children_of_workers();
    assert!(!processes.is_empty(), "there is one for the next picture, or at work");
    app.kill_workers();
    for process in processes {
        is_gone(process).await;
    }
}

on_both_set_ups!(
    a_picture_that_needs_too_much_memory_is_rejected_and_the_worker_works_on,
    imaging_processes_end_with_a_worker_that_is_killed,
    a_picture_that_nobody_wants_any_more_is_left_half_made,
);
