//! More than one of each program.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::{App, Order, Setup, eventually, on_production, pictures};

async fn two_workers_share_the_work(setup: Setup) {
    let app = setup.workers(2).with("QUEUES", "images=1,orders=1,mail=1").start().await;
    let ada = app.visitor().await;
    let mut uploads = Vec::new();
    for number in 0..12 {
        uploads.push(ada.upload(pictures::jpeg(1600 + number, 1200)).await);
    }
    for upload in &uploads {
        assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded");
    }
    let mut total = 0;
    for worker in 0..2 {
        let done = pictures_done(&app, worker).await;
        assert!(done > 0, "worker {worker} did its share");
        total += done;
    }
    assert_eq!(total, 12, "each picture was made once");
}

/// Read from the worker's own metrics.
async fn pictures_done(app: &App, worker: usize) -> u64 {
    let metrics = app.worker_client(worker).get("/metrics").await.expect(200).text();
    let counts = metrics.lines().filter(|line| {
        line.starts_with("jobs_ended_total{")
            && line.contains("\"make_thumbnails\"")
            && line.contains("\"succeeded\"")
    });
    counts.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

/// A worker that was frozen for longer than its lease wakes up, and can change nothing any more.
async fn a_frozen_worker_loses_its_job_and_does_no_harm_when_it_wakes(setup: Setup) {
    let app = setup.workers(2).with("LEASE_SECONDS", 3).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1).paid_by("tok_slow")).await;
    let frozen = eventually("a worker to have the order", async || {
        for worker in 0..2 {
            let tasks = app.worker_client(worker).get("/tasks").await.expect(200).text();
            if tasks.contains(&placed.job) {
                return Some(worker);
            }
        }
        None
    })
    .await;
    app.freeze_worker(frozen);
    let job = ada.wait_for(&placed.job).await;
    assert_eq!(job["result"]["order_status"], "confirmed", "the other one took over: {job}");
    app.thaw_worker(frozen);
    eventually("the frozen one to have given up", async || {
        let tasks = app.worker_client(frozen).get("/tasks").await.expect(200).text();
        (!tasks.contains(&placed.job)).then_some(())
    })
    .await;
    app.idle().await;
    assert_eq!(ada.read_job(&placed.job).await, job, "what was final stays as it was");
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 1);
    assert_eq!(app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await, 2);
    assert_eq!(app.mails().len(), 1);
}

/// A web program hears of a change by a message, and not by looking every 15 seconds.
async fn a_client_of_another_web_program_hears_of_a_change_at_once(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let (other, _web) = app.another_web().await;
    let ada_elsewhere = other.with_token(ada.token());
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1).paid_by("tok_slow")).await;
    let events = ada_elsewhere.events(&placed.job, None).await;
    let begun = Instant::now();
    let last = events.rest().await.pop().unwrap();
    let job: Value = serde_json::from_str(&last.data).unwrap();
    assert_eq!(job["status"], "succeeded", "{job}");
    assert!(begun.elapsed() < Duration::from_secs(13), "a slow order takes 5 s: {:?}", begun.elapsed());
}

on_production!(
    two_workers_share_the_work,
    a_frozen_worker_loses_its_job_and_does_no_harm_when_it_wakes,
    a_client_of_another_web_program_hears_of_a_change_at_once,
);
