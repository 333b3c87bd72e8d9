//! Two customers at once.

use tokio::task::JoinHandle;

use super::bench::{Bench, done};
use super::promises;
use super::shop::{CANVAS, begin_placing, in_stock, order_of, photo_of, pieces};
use crate::db::photos::{self, Deletion};
use crate::db::stock::{self, Reserved};
use crate::db::{Tx, payments};
use crate::domain::{CustomerId, OrderId, PhotoId};

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
    tokio::spawn(async move {
        let mut tx = db.begin().await.unwrap();
        let reserved = stock::reserve(&mut tx, order, &wanted).await.unwrap();
        match reserved {
            Reserved::Yes => tx.commit().await.unwrap(),
            Reserved::Short => tx.rollback().await.unwrap(),
        }
        reserved
    })
}

async fn reserve_all(bench: &Bench, tx: &mut Tx) -> OrderId {
    let (.., order) = order_of(bench, &[CANVAS]).await;
    assert_eq!(stock::reserve(tx, order, &pieces(&[(CANVAS, 3)])).await.unwrap(), Reserved::Yes);
    order
}

async fn of_two_orders_that_want_the_last_piece_one_gets_it(bench: &mut Bench) {
    let (.., second) = order_of(bench, &[CANVAS]).await;
    let mut tx = bench.db.begin().await.unwrap();
    reserve_all(bench, &mut tx).await;
    let short = reserve_later(bench, second, &[(CANVAS, 1)]);
    bench.until_blocked(1).await;
    tx.commit().await.unwrap();
    assert_eq!(done(short).await, Reserved::Short);
    assert_eq!(in_stock(bench, CANVAS).await, 0);
}

async fn placing_an_order_does_not_wait_for_the_stock_of_another(bench: &mut Bench) {
    let mut tx = bench.db.begin().await.unwrap();
    reserve_all(bench, &mut tx).await;
    let placed = order_of(bench, &[CANVAS]);
    tokio::time::timeout(std::time::Duration::from_secs(5), placed).await.expect("it waited");
    tx.commit().await.unwrap();
}

/// Placing an order locks no product's row: its lines come in the customer's order, not in that of the locks.
async fn orders_that_want_the_same_products_in_any_order_do_not_lock_each_other_out(bench: &mut Bench) {
    let both = [(CANVAS, 1), ("print-10x15", 1)];
    let (customer, photo, first) = order_of(bench, &[CANVAS]).await;
    let mut held = bench.db.begin().await.unwrap();
    assert_eq!(stock::reserve(&mut held, first, &pieces(&both)).await.unwrap(), Reserved::Yes);
    let placing = begin_placing(&bench.db, customer, photo, &["print-10x15", CANVAS]).await.unwrap();
    let placed = tokio::time::timeout(std::time::Duration::from_secs(5), placing.end());
    let second = placed.await.expect("it waited for the stock");
    held.commit().await.unwrap();
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
        let order = OrderId::new();
        let (refunded, asked) =
            tokio::join!(payments::refund(&bench.db, order), payments::ask(&bench.db, order, 500, "asked"));
        refunded.unwrap();
        asked.unwrap();
        payments::refund(&bench.db, order).await.unwrap();
        assert_eq!(payments::answer(&bench.db, order, "charged").await.unwrap(), "voided");
    }
}
