//! Deleting photos: all of a photo goes, and not while somebody needs it.

use std::path::PathBuf;

use crate::harness::{Order, Setup, on_both_set_ups, pictures};

async fn a_deleted_photo_is_gone_with_all_its_sizes(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    assert_eq!(app.blob_files().len(), 4, "the original and three sizes");
    let path = format!("/api/photos/{photo}");
    assert!(ada.delete(&path).await.expect(204).body.is_empty());
    for path in [&path, &format!("/photos/{photo}/thumb"), &format!("/photos/{photo}/original")] {
        assert_eq!(ada.get(path).await.status, 404, "{path}");
    }
    ada.delete(&path).await.problem(404);
    assert_eq!(app.blob_files(), Vec::<PathBuf>::new());
}

async fn a_photo_stays_while_an_order_needs_it(setup: Setup) {
    // Nobody works on orders here.
    let app = setup.with("QUEUES", "images,mail").start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "print-10x15", 1)).await;
    let path = format!("/api/photos/{photo}");
    ada.delete(&path).await.problem(409);
    ada.get(&format!("/photos/{photo}/thumb")).await.expect(200);
    ada.post(&format!("/api/orders/{}/cancel", placed.order)).await;
    ada.wait_for(&placed.job).await;
    ada.delete(&path).await.expect(204);
    let order = ada.read_order(&placed.order).await;
    assert_eq!(order["lines"][0]["photo_id"], photo.as_str(), "the order remembers it: {order}");
}

/// Deleted while the worker is at it: its sizes must not come back as litter.
async fn a_photo_deleted_while_it_is_processed_leaves_nothing(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let uploads =
        [ada.upload(pictures::jpeg(3000, 2000)).await, ada.upload(pictures::jpeg(1600, 1200)).await];
    for upload in &uploads {
        ada.delete(&format!("/api/photos/{}", upload.photo)).await.expect(204);
    }
    app.idle().await;
    for upload in &uploads {
        ada.get(&format!("/api/photos/{}", upload.photo)).await.problem(404);
    }
    assert_eq!(app.blob_files(), Vec::<PathBuf>::new());
}

on_both_set_ups!(
    a_deleted_photo_is_gone_with_all_its_sizes,
    a_photo_stays_while_an_order_needs_it,
    a_photo_deleted_while_it_is_processed_leaves_nothing,
);
