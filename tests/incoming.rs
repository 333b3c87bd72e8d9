//! The watched folder: files that others put there become photos of the configured customer.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use object_store::ObjectStoreExt;
use object_store::aws::AmazonS3Builder;
use serde_json::Value;

use crate::harness::{App, Setup, Visitor, eventually, on_both_set_ups, pictures, test_variable};

/// An app that watches its folder for a customer, and that customer.
async fn watched(setup: Setup) -> (App, Visitor, PathBuf) {
    let mut app = setup.with("INCOMING_SECONDS", 1).start().await;
    let ada = app.visitor().await;
    app.stop_gracefully().await;
    app.set("INCOMING_TOKEN", ada.token());
    app.start_again().await;
    let folder = app.blob_folder().join("incoming");
    fs::create_dir_all(&folder).unwrap();
    (app, ada, folder)
}

async fn photos(visitor: &Visitor) -> Vec<Value> {
    let list = visitor.get("/api/photos?limit=100").await.expect(200).json();
    list["photos"].as_array().unwrap().clone()
}

async fn ready(visitor: &Visitor, count: usize) -> Vec<Value> {
    eventually(&format!("{count} photos to be ready"), async || {
        let photos = photos(visitor).await;
        assert!(photos.len() <= count, "{photos:#?}");
        let ready = photos.iter().filter(|photo| photo["status"] == "ready").count();
        (ready == count).then_some(photos)
    })
    .await
}

/// The same as uploads would be, however many workers watch; what is not touched is not taken again.
async fn each_file_is_one_photo_however_many_watch(setup: Setup) {
    let (mut app, ada, folder) = watched(setup.workers(3)).await;
    fs::create_dir_all(folder.join("2026")).unwrap();
    for number in 0..12_u8 {
        let name = folder.join(format!("2026/holiday {number}.jpg"));
        fs::write(name, pictures::jpeg_of_colour(number * 20, 0, 99)).unwrap();
    }
    let photos = ready(&ada, 12).await;
    let names: BTreeSet<&str> = photos.iter().filter_map(|photo| photo["file_name"].as_str()).collect();
    assert_eq!(names.len(), 12, "{names:?}");
    assert!(names.contains("holiday 0.jpg"));
    let original = format!("/photos/{}/original", photos[0]["id"].as_str().unwrap());
    ada.get(&original).await.expect(200);

    app.stop_gracefully().await;
    app.start_again().await;
    fs::write(folder.join("another.jpg"), pictures::small_jpeg()).unwrap();
    ready(&ada, 13).await;
    // A changed file is another version, and another photo.
    fs::write(folder.join("another.jpg"), pictures::jpeg_of_colour(1, 2, 3)).unwrap();
    ready(&ada, 14).await;
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'ingest_file'").await, 14);
}

async fn what_is_half_written_is_left_until_it_is_complete(setup: Setup) {
    use std::io::Write;
    let (app, ada, folder) = watched(setup).await;
    let picture = pictures::jpeg(1200, 900);
    fs::write(folder.join("later.jpg.part"), &picture).unwrap();
    let mut slow = fs::File::create(folder.join("slow.jpg")).unwrap();
    for piece in picture.chunks(picture.len() / 12) {
        slow.write_all(piece).unwrap();
        slow.sync_all().unwrap();
    }
    drop(slow);
    let photos = ready(&ada, 1).await;
    assert_eq!(photos[0]["bytes"], picture.len());
    let parts = "SELECT count(*) FROM ingested_files WHERE path LIKE '%.part'";
    assert_eq!(app.number(parts).await, 0, "although several looks saw it");
    fs::rename(folder.join("later.jpg.part"), folder.join("later.jpg")).unwrap();
    ready(&ada, 2).await;
}

/// One look shows nothing of whether somebody still writes; the next one is an hour away.
async fn one_look_is_not_enough(setup: Setup) {
    let (mut app, _, folder) = watched(setup).await;
    app.stop_gracefully().await;
    app.set("INCOMING_SECONDS", "3600");
    fs::write(folder.join("me.jpg"), pictures::small_jpeg()).unwrap();
    app.start_again().await;
    eventually("a look", async || (app.metric(0, "incoming_polls_total").await > 0.0).then_some(())).await;
    assert_eq!(app.number("SELECT count(*) FROM ingested_files").await, 0);
}

async fn what_is_no_picture_is_refused_once_and_holds_nobody_up(setup: Setup) {
    let (app, ada, folder) = watched(setup).await;
    fs::write(folder.join("notes.jpg"), "Dear diary, this is not a picture at all").unwrap();
    fs::write(folder.join("empty.png"), "").unwrap();
    fs::write(folder.join("bomb.png"), pictures::png_header(60_000, 60_000)).unwrap();
    fs::write(folder.join("fine.jpg"), pictures::small_jpeg()).unwrap();
    ready(&ada, 1).await;
    eventually("three refusals", async || {
        let refused = "SELECT count(*) FROM ingested_files WHERE photo_id IS NULL AND reason IS NOT NULL";
        (app.number(refused).await == 3).then_some(())
    })
    .await;
    fs::write(folder.join("one more.jpg"), pictures::jpeg_of_colour(9, 9, 9)).unwrap();
    ready(&ada, 2).await;
    app.idle().await;
    let tries = "SELECT sum(fence) FROM jobs WHERE kind = 'ingest_file' AND failure = 'discarded'";
    assert_eq!(app.number(tries).await, 3, "each once");
    assert_eq!(app.blob_files().iter().filter(|file| file.ends_with("original")).count(), 2);
}

/// A worker that dies in the middle leaves its files to others: still one photo each.
async fn a_worker_that_is_killed_loses_and_doubles_nothing(setup: Setup) {
    let (mut app, ada, folder) = watched(setup.with("LEASE_SECONDS", 3)).await;
    for number in 0..10_u8 {
        fs::write(folder.join(format!("{number}.jpg")), pictures::jpeg_of_colour(0, number * 25, 7)).unwrap();
    }
    eventually("the first to be taken", async || {
        (app.number("SELECT count(*) FROM jobs WHERE kind = 'ingest_file'").await > 0).then_some(())
    })
    .await;
    app.kill_workers();
    app.start_again().await;
    ready(&ada, 10).await;
}

/// An index of PostgreSQL holds no key of more than some 2,700 bytes, and a path may be longer.
async fn files_that_can_not_be_written_down_keep_no_other_out(setup: Setup) {
    let (app, ada, folder) = watched(setup).await;
    for number in 0..8 {
        // Of random letters: what can be compressed fits.
        let letter = |byte: u8| {
            char::from(
                b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"[usize::from(byte) % 62],
            )
        };
        let name = || (0..14).flat_map(|_| uuid::Uuid::new_v4().into_bytes()).map(letter).collect::<String>();
        let path = folder.join((0..15).map(|_| name()).collect::<PathBuf>());
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("lost.jpg"), pictures::jpeg_of_colour(number, 1, 1)).unwrap();
    }
    for number in 0..4 {
        fs::write(folder.join(format!("{number}.jpg")), pictures::jpeg_of_colour(number, 2, 2)).unwrap();
    }
    ready(&ada, 4).await;
    assert!(app.logs().contains("could not look for incoming files"));
}

/// Objects are complete when they are listed.
async fn objects_in_s3_are_taken_too(setup: Setup) {
    let mut app = setup.with("INCOMING_SECONDS", 1).blobs_in_s3().start().await;
    let ada = app.visitor().await;
    app.stop_gracefully().await;
    app.set("INCOMING_TOKEN", ada.token());
    app.start_again().await;
    let name = format!("incoming/{}.jpg", uuid::Uuid::new_v4());
    let store = AmazonS3Builder::new()
        .with_endpoint(test_variable("TEST_S3_URL"))
        .with_allow_http(true)
        .with_bucket_name(test_variable("TEST_S3_BUCKET"))
        .with_region(test_variable("TEST_S3_REGION"))
        .with_access_key_id(test_variable("TEST_S3_ACCESS_KEY"))
        .with_secret_access_key(test_variable("TEST_S3_SECRET_KEY"))
        .build()
        .unwrap();
    store.put(&name.as_str().into(), pictures::small_jpeg().into()).await.unwrap();
    let photos = eventually("the photo", async || {
        let photos = photos(&ada).await;
        photos.iter().any(|photo| photo["status"] == "ready").then_some(photos)
    })
    .await;
    assert!(name.ends_with(photos[0]["file_name"].as_str().unwrap()), "{photos:?}");
}

on_both_set_ups!(
    each_file_is_one_photo_however_many_watch,
    what_is_half_written_is_left_until_it_is_complete,
    one_look_is_not_enough,
    what_is_no_picture_is_refused_once_and_holds_nobody_up,
    a_worker_that_is_killed_loses_and_doubles_nothing,
);

mod s3 {
    use super::objects_in_s3_are_taken_too;

    crate::harness::on_production!(objects_in_s3_are_taken_too);
}

mod paths {
    use super::files_that_can_not_be_written_down_keep_no_other_out;

    crate::harness::on_production!(files_that_can_not_be_written_down_keep_no_other_out);
}
