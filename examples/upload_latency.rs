//! How long after an upload was answered are its thumbnails ready?
//!
//! Uploads the same 12-megapixel JPEG 20 times, one after the other, to a running print shop, and prints
//! median and 95th percentile; beside them, measured in the same run, what decoding and resizing in the
//! plainest way costs on this machine, because times of one machine mean nothing on another.
//!
//! ```text
//! RATE_LIMIT=off cargo run --release &
//! cargo run --release --example upload_latency -- http://127.0.0.1:8080 [PID of the program]
//! ```
//!
//! With the process id (Linux), also how much of the time the program and its children spent computing.
#![expect(clippy::print_stdout, reason = "a program for people")]
#![expect(clippy::unwrap_used, reason = "a measurement has nobody to report to but its terminal")]

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};
use reqwest::header::{ETAG, IF_NONE_MATCH, LOCATION};
use serde_json::Value;

const UPLOADS: usize = 20;

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that we know.
const TICKS: f64 = 100.0;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let pid: Option<u32> = arguments.next().and_then(|pid| pid.parse().ok());
    let jpeg = photograph();
    println!("a JPEG of 4000 × 3000 pixels, {:.1} MB", jpeg.len() as f64 / 1e6);

    let plain = plain_pipeline(&jpeg);
    let client = reqwest::Client::new();
    let answer: Value = client.post(format!("{url}/api/tokens")).send().await.unwrap().json().await.unwrap();
    let token = answer["token"].as_str().unwrap().to_owned();
    upload_and_wait(&client, &url, &token, &jpeg).await;

    let cpu_before = pid.map(cpu_seconds);
    let begun = Instant::now();
    let (mut answered, mut ready) = (Vec::new(), Vec::new());
    for _ in 0..UPLOADS {
        let (upload, thumbnails) = upload_and_wait(&client, &url, &token, &jpeg).await;
        answered.push(upload);
        ready.push(thumbnails);
    }
    let elapsed = begun.elapsed();
    report("upload sent → answered", answered);
    let median = report("answered → thumbnails ready", ready);
    println!("decode + resize in the plainest way: {:.0} ms", plain.as_secs_f64() * 1e3);
    println!("ratio plain / ready: {:.1}", plain.as_secs_f64() / median.as_secs_f64());
    if let (Some(before), Some(pid)) = (cpu_before, pid) {
        let spent = cpu_seconds(pid) - before;
        println!(
            "computing: {:.0} ms an upload, {:.0} % of the time of one core",
            spent * 1e3 / UPLOADS as f64,
            100.0 * spent / elapsed.as_secs_f64()
        );
    }
}

/// A picture with edges and noise: flat colours would flatter every codec.
fn photograph() -> Vec<u8> {
    let mut seed = 1_u32;
    let picture = RgbImage::from_fn(4000, 3000, |x, y| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (seed >> 27) as u8;
        let shape = if ((x / 97) + (y / 61)) % 2 == 0 { 60 } else { 150 };
        image::Rgb([shape + noise, (x >> 5) as u8 + noise, (y >> 5) as u8 + noise])
    });
    let mut jpeg = Cursor::new(Vec::new());
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90);
    picture.write_with_encoder(encoder).unwrap();
    jpeg.into_inner()
}

fn plain_pipeline(jpeg: &[u8]) -> Duration {
    let begun = Instant::now();
    let picture = image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).unwrap();
    for width in [1200, 480, 160] {
        let sized = picture.resize(width, u32::MAX, FilterType::Lanczos3);
        let mut out = Cursor::new(Vec::new());
        sized.write_to(&mut out, ImageFormat::Jpeg).unwrap();
    }
    begun.elapsed()
}

async fn upload_and_wait(
    client: &reqwest::Client,
    url: &str,
    token: &str,
    jpeg: &[u8],
) -> (Duration, Duration) {
    let begun = Instant::now();
    let answer = client
        .post(format!("{url}/api/photos"))
        .bearer_auth(token)
        .header("Content-Type", "image/jpeg")
        .body(jpeg.to_vec())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap_or_default());
    let upload = begun.elapsed();
    let job = answer.headers()[LOCATION].to_str().unwrap().to_owned();
    let mut etag = String::new();
    loop {
        let answer = client
            .get(format!("{url}{job}"))
            .bearer_auth(token)
            .header("Prefer", "wait=20")
            .header(IF_NONE_MATCH, &etag)
            .send()
            .await
            .unwrap();
        if answer.status() == 304 {
            continue;
        }
        etag = answer.headers()[ETAG].to_str().unwrap().to_owned();
        let job: Value = answer.json().await.unwrap();
        match job["status"].as_str().unwrap() {
            "succeeded" => return (upload, begun.elapsed() - upload),
            "failed" | "cancelled" => panic_with(&job),
            _ => {}
        }
    }
}

fn panic_with(job: &Value) {
    println!("the job did not succeed: {job}");
    std::process::exit(1);
}

fn report(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!("{what}: median {:.0} ms, p95 {:.0} ms", ms(at(0.5)), ms(at(0.95)));
    at(0.5)
}

/// Computing time of a process and its children so far, dead ones included.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let own: f64 = fields.iter().skip(11).take(4).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    let children = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let living: f64 = children
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>())
        .map(cpu_seconds)
        .sum();
    own / TICKS + living
}
