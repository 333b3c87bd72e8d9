//! Two customers at once.

use tokio::task::JoinHandle;

use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use super::bench::{Bench, done};
use super::promises;
use super::shop::{CANVAS, begin_placing, in_stock, order_of, photo_of, pieces};
use crate::db::payments;
use crate::db::photos::{self, Deletion};
use crate::db::schema::products;
use crate::db::stock::{self, Reserved};
use crate::domain::{CustomerId, OrderId, PhotoId};
use database::{Tx, with};

promises!(postgres:
    of_two_orders_that_want_the_last_piece_one_gets_it,
    placing_an_order_does_not_wait_for_the_stock_of_another,
    orders_that_want_the_same_products_in_any_order_do_not_lock_each_other_out,
    a_photo_that_is_being_ordered_is_not_deleted,
    a_photo_that_is_being_deleted_can_not_be_ordered,
    a_void_and_a_charge_at_once_leave_the_void,
);

fn reserve_later(bench: &Bench, order: OrderId, wanted: &[(&str, i32)]) -> JoinHandle<Reserved> {
    let (db, wanted) = (bench.db.clone(), pieces(wanted));
    tokio::spawn(async move { stock::reserve(db.begin().await.unwrap(), order, &wanted).await.unwrap() })
}

/// A transaction that has taken all there is of a product, as that of a step has before its commit.
async fn take_all(bench: &Bench) -> Tx {
    let mut tx = bench.db.begin().await.unwrap();
    with!(tx.conn(), |c| {
        diesel::update(products::table.find(CANVAS)).set(products::stock.eq(0)).execute(c).await
    })
    .unwrap();
    tx
}

async fn of_two_orders_that_want_the_last_piece_one_gets_it(bench: &mut Bench) {
    let (.., second) = order_of(bench, &[CANVAS]).await;
    let tx = take_all(bench).await;
    let short = reserve_later(bench, second, &[(CANVAS, 1)]);
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert_eq!(done(short).await, Reserved::Short);
    assert_eq!(in_stock(bench, CANVAS).await, 0);
}

async fn placing_an_order_does_not_wait_for_the_stock_of_another(bench: &mut Bench) {
    let tx = take_all(bench).await;
    let placed = order_of(bench, &[CANVAS]);
    tokio::time::timeout(std::time::Duration::from_secs(5), placed).await.expect("it waited");
    tx.commit().await.unwrap();
}

/// Placing an order locks no product's row: its lines come in the customer's order, not in that of the locks.
async fn orders_that_want_the_same_products_in_any_order_do_not_lock_each_other_out(bench: &mut Bench) {
    let both = [(CANVAS, 1), ("print-10x15", 1)];
    let (customer, photo, first) = order_of(bench, &["print-10x15"]).await;
    let held = take_all(bench).await;
    let placing = begin_placing(&bench.db, customer, photo, &["print-10x15", CANVAS]).await.unwrap();
    let placed = tokio::time::timeout(std::time::Duration::from_secs(5), placing.end());
    let second = placed.await.expect("it waited for the stock");
    let taking = reserve_later(bench, first, &both);
    bench.until_blocked(1).await;
    held.rollback().await.unwrap();
    assert_eq!(done(taking).await, Reserved::Yes);
    assert_eq!(done(reserve_later(bench, second, &both)).await, Reserved::Yes);
}

async fn a_photo_that_is_being_ordered_is_not_deleted(bench: &mut Bench) {
    let (customer, photo) = lonely_photo(bench).await;
    let placing = begin_placing(&bench.db, customer, photo, &[CANVAS]).await.unwrap();
    let deleted = delete_later(bench, customer, photo);
    bench.until_blocked(1).await;
    placing.end().await;
    assert_eq!(done(deleted).await, Deletion::InUse);
}

async fn a_photo_that_is_being_deleted_can_not_be_ordered(bench: &mut Bench) {
    let (customer, photo) = lonely_photo(bench).await;
    let mut tx = bench.db.begin().await.unwrap();
    assert_eq!(photos::delete(&mut tx, customer, photo).await.unwrap(), Deletion::Done);
    let db = bench.db.clone();
    let placed = tokio::spawn(async move { begin_placing(&db, customer, photo, &[CANVAS]).await.is_some() });
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert!(!done(placed).await);
}

async fn lonely_photo(bench: &Bench) -> (CustomerId, PhotoId) {
    let (customer, ..) = order_of(bench, &[CANVAS]).await;
    (customer, photo_of(bench, customer).await)
}

fn delete_later(bench: &Bench, customer: CustomerId, photo: PhotoId) -> JoinHandle<Deletion> {
    let db = bench.db.clone();
    tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let deletion = photos::delete(&mut tx, customer, photo).await.unwrap();
        tx.commit().await.unwrap();
        deletion
    })
}

async fn a_void_and_a_charge_at_once_leave_the_void(bench: &mut Bench) {
    for _ in 0..20 {
        // A card that is decided at once, and one that is decided later.
        for state in ["charged", "asked"] {
            let order = OrderId::new();
            let (refunded, asked) =
                tokio::join!(payments::refund(&bench.db, order), payments::ask(&bench.db, order, 500, state));
            refunded.unwrap();
            asked.unwrap();
            let left = payments::answer(&bench.db, order, "charged").await.unwrap();
            assert!(["voided", "refunded"].contains(&left.as_str()), "{state}: {left}");
        }
    }
}
