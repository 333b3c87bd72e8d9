//! What the business rows rely on: stock, the payment ledger, photos, mails.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::Bench;
use super::promises;
use crate::db::idempotency::KeyedRequest;
use crate::db::mails::Place;
use crate::db::orders::{NewLine, NewOrder};
use crate::db::photos::{Deletion, NewPhoto};
use crate::db::placing::{self, Accepting};
use crate::db::stock::Reserved;
use crate::db::{accepting, customers, mails, orders, payments, photos, products, stock};
use crate::domain::order::OrderStatus;
use crate::domain::photo::ImageType;
use crate::domain::{CustomerId, OrderId, PhotoId};
use ::jobs::enqueue::Options;
use database::{Db, DbError};
use model::JobId;
use platform::EmailAddress;

promises!(both:
    stock_is_taken_once_and_given_back_once,
    stock_never_falls_below_zero,
    a_short_order_takes_nothing_of_its_other_products,
    an_order_is_charged_once,
    a_void_refuses_a_charge_that_comes_later,
    a_refund_takes_back_a_charge_and_only_a_charge,
    a_photo_of_an_unfinished_order_is_not_deleted,
    mails_of_the_last_hour_are_counted_once_each,
    a_mail_whose_try_left_no_word_may_have_been_sent,
);

/// The limited one: there are three.
pub(super) const CANVAS: &str = "canvas-60x80";

pub(super) fn pieces(wanted: &[(&str, i32)]) -> BTreeMap<String, i32> {
    wanted.iter().map(|(product, n)| ((*product).to_owned(), *n)).collect()
}

pub(super) async fn in_stock(bench: &Bench, product: &str) -> i32 {
    let all = products::all(&mut bench.db.conn().await.unwrap()).await.unwrap();
    all.iter().find(|row| row.id == product).unwrap().stock
}

/// An order of one photo, as these products.
pub(super) async fn order_of(bench: &Bench, wanted: &[&str]) -> (CustomerId, PhotoId, OrderId) {
    let hash = uuid::Uuid::now_v7().to_string();
    let customer = customers::create(&mut bench.db.conn().await.unwrap(), &hash).await.unwrap();
    let photo = photo_of(bench, customer).await;
    let order = place(bench, customer, photo, wanted).await;
    (customer, photo, order)
}

pub(super) async fn photo_of(bench: &Bench, customer: CustomerId) -> PhotoId {
    let mut tx = bench.db.begin().await.unwrap();
    let id = photo_in(&mut tx, customer).await;
    tx.commit().await.unwrap();
    id
}

/// As [`photo_of`], in a transaction that goes on.
pub(super) async fn photo_in(tx: &mut database::Tx, customer: CustomerId) -> PhotoId {
    let photo = new_photo(customer);
    accepting::accept(tx, &photo, None).await.unwrap();
    photo.id
}

/// A photo that is about to be accepted.
pub(super) fn new_photo(customer: CustomerId) -> NewPhoto {
    NewPhoto {
        id: PhotoId::new(),
        customer_id: customer,
        job_id: JobId::new(),
        file_name: None,
        content_type: ImageType::Png,
        bytes: 1,
        width: None,
        height: None,
    }
}

/// An order that is about to be accepted, in a transaction that holds its photo.
pub(super) struct Placing {
    tx: database::Tx,
    keyed: KeyedRequest,
    accepting: Accepting,
}

pub(super) async fn begin_placing(
    db: &Db,
    customer: CustomerId,
    photo: PhotoId,
    wanted: &[&str],
) -> Option<Placing> {
    let mut tx = db.begin().await.unwrap();
    let keyed = KeyedRequest { customer, key: uuid::Uuid::now_v7().to_string(), hash: "hash".into() };
    let known = placing::read(&mut tx, &keyed, &[photo], 1000, false).await.unwrap().unwrap();
    if known.own_photos != [photo] {
        tx.rollback().await.unwrap();
        return None;
    }
    let line = |product: &&str| NewLine {
        photo_id: photo,
        product_id: (*product).to_owned(),
        quantity: 1,
        price_cents: 100,
    };
    let new = NewOrder {
        id: OrderId::new(),
        customer_id: customer,
        job_id: JobId::new(),
        email: "ada@example.org".parse().unwrap(),
        payment_token: "tok_ok".into(),
        lines: wanted.iter().map(line).collect(),
        express: false,
    };
    let accepting = placing::accept(&known, new, Options::default()).unwrap();
    Some(Placing { tx, keyed, accepting })
}

impl Placing {
    pub(super) async fn end(self) -> OrderId {
        self.try_end().await.unwrap()
    }

    pub(super) async fn try_end(self) -> Result<OrderId, DbError> {
        placing::write(self.tx, &self.keyed, &self.accepting, "/api/jobs/1", "{}").await?;
        Ok(self.accepting.order.id)
    }
}

pub(super) async fn place(bench: &Bench, customer: CustomerId, photo: PhotoId, wanted: &[&str]) -> OrderId {
    begin_placing(&bench.db, customer, photo, wanted).await.expect("the photo is not theirs").end().await
}

async fn reserve(bench: &Bench, order: OrderId, wanted: &[(&str, i32)]) -> Reserved {
    stock::reserve(bench.db.begin().await.unwrap(), order, &pieces(wanted)).await.unwrap()
}

async fn release(bench: &Bench, order: OrderId) {
    let mut tx = bench.db.begin().await.unwrap();
    stock::release(&mut tx, order).await.unwrap();
    tx.commit().await.unwrap();
}

async fn stock_is_taken_once_and_given_back_once(bench: &mut Bench) {
    let (.., order) = order_of(bench, &[CANVAS]).await;
    release(bench, order).await;
    assert_eq!(in_stock(bench, CANVAS).await, 3);
    for _ in 0..2 {
        assert_eq!(reserve(bench, order, &[(CANVAS, 2)]).await, Reserved::Yes);
        assert_eq!(in_stock(bench, CANVAS).await, 1);
    }
    for _ in 0..2 {
        release(bench, order).await;
        assert_eq!(in_stock(bench, CANVAS).await, 3);
    }
}

async fn stock_never_falls_below_zero(bench: &mut Bench) {
    let (.., first) = order_of(bench, &[CANVAS]).await;
    let (.., second) = order_of(bench, &[CANVAS]).await;
    assert_eq!(reserve(bench, first, &[(CANVAS, 3)]).await, Reserved::Yes);
    assert_eq!(reserve(bench, second, &[(CANVAS, 1)]).await, Reserved::Short);
    assert_eq!(in_stock(bench, CANVAS).await, 0);
    release(bench, first).await;
    assert_eq!(reserve(bench, second, &[(CANVAS, 1)]).await, Reserved::Yes);
}

async fn a_short_order_takes_nothing_of_its_other_products(bench: &mut Bench) {
    let (.., order) = order_of(bench, &[CANVAS, "print-10x15"]).await;
    let before = in_stock(bench, "print-10x15").await;
    assert_eq!(reserve(bench, order, &[("print-10x15", 1), (CANVAS, 4)]).await, Reserved::Short);
    assert_eq!(in_stock(bench, "print-10x15").await, before);
}

async fn an_order_is_charged_once(bench: &mut Bench) {
    let order = OrderId::new();
    assert_eq!(payments::ask(&bench.db, order, 500, "asked").await.unwrap().asked, 1);
    assert_eq!(payments::answer(&bench.db, order, "charged").await.unwrap(), "charged");
    let again = payments::ask(&bench.db, order, 500, "declined").await.unwrap();
    assert_eq!((again.state.as_str(), again.asked, again.amount_cents), ("charged", 2, 500));
    assert_eq!(payments::answer(&bench.db, order, "declined").await.unwrap(), "charged");
}

async fn a_void_refuses_a_charge_that_comes_later(bench: &mut Bench) {
    let never_asked = OrderId::new();
    payments::refund(&bench.db, never_asked).await.unwrap();
    assert_eq!(payments::ask(&bench.db, never_asked, 500, "charged").await.unwrap().state, "voided");
    assert_eq!(payments::answer(&bench.db, never_asked, "charged").await.unwrap(), "voided");

    let asked = OrderId::new();
    payments::ask(&bench.db, asked, 500, "asked").await.unwrap();
    payments::refund(&bench.db, asked).await.unwrap();
    assert_eq!(payments::answer(&bench.db, asked, "charged").await.unwrap(), "voided");
}

async fn a_refund_takes_back_a_charge_and_only_a_charge(bench: &mut Bench) {
    for (answer, after) in [("charged", "refunded"), ("declined", "declined")] {
        let order = OrderId::new();
        payments::ask(&bench.db, order, 500, "asked").await.unwrap();
        payments::answer(&bench.db, order, answer).await.unwrap();
        for _ in 0..2 {
            payments::refund(&bench.db, order).await.unwrap();
            assert_eq!(payments::ask(&bench.db, order, 500, "charged").await.unwrap().state, after);
        }
    }
}

async fn a_photo_of_an_unfinished_order_is_not_deleted(bench: &mut Bench) {
    let (customer, photo, order) = order_of(bench, &[CANVAS]).await;
    assert_eq!(delete(bench, CustomerId::new(), photo).await, Deletion::Unknown);
    assert_eq!(delete(bench, customer, photo).await, Deletion::InUse);
    let mut tx = bench.db.begin().await.unwrap();
    orders::set_status(&mut tx, order, OrderStatus::Cancelled, None).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(delete(bench, customer, photo).await, Deletion::Done);
    assert_eq!(delete(bench, customer, photo).await, Deletion::Unknown);
}

async fn delete(bench: &Bench, customer: CustomerId, photo: PhotoId) -> Deletion {
    let mut tx = bench.db.begin().await.unwrap();
    let deletion = photos::delete(&mut tx, customer, photo).await.unwrap();
    tx.commit().await.unwrap();
    deletion
}

async fn mails_of_the_last_hour_are_counted_once_each(bench: &mut Bench) {
    let ada: EmailAddress = "Ada@example.org".parse().unwrap();
    let bob: EmailAddress = "bob@example.org".parse().unwrap();
    let lower: EmailAddress = "ada@example.org".parse().unwrap();
    let job = JobId::new();
    assert_eq!(mail_place(bench, job, &ada).await, Place::Taken);
    assert_eq!(mail_place(bench, job, &ada).await, Place::PerhapsSent, "and it has one place, not two");
    assert_eq!(mail_place(bench, JobId::new(), &lower).await, Place::Taken);
    assert_eq!(mail_place(bench, JobId::new(), &lower).await, Place::Full);
    assert_eq!(mail_place(bench, JobId::new(), &bob).await, Place::Taken);
    mails::mark_sent(&mut bench.db.conn().await.unwrap(), job).await.unwrap();
    assert_eq!(mail_place(bench, job, &ada).await, Place::Sent);
    bench.time_passes(3601).await;
    assert_eq!(mail_place(bench, JobId::new(), &ada).await, Place::Taken);
    assert_eq!(mail_place(bench, job, &ada).await, Place::Sent);
}

async fn a_mail_whose_try_left_no_word_may_have_been_sent(bench: &mut Bench) {
    let ada: EmailAddress = "ada@example.org".parse().unwrap();
    let job = JobId::new();
    assert_eq!(mail_place(bench, job, &ada).await, Place::Taken);
    give_mail_place_back(bench, job).await;
    assert_eq!(mail_place(bench, job, &ada).await, Place::Taken, "certainly not sent: as if never tried");
    assert_eq!(mail_place(bench, job, &ada).await, Place::PerhapsSent);
    mails::mark_sent(&mut bench.db.conn().await.unwrap(), job).await.unwrap();
    give_mail_place_back(bench, job).await;
    assert_eq!(mail_place(bench, job, &ada).await, Place::Sent, "what is sent stays sent");
}

async fn give_mail_place_back(bench: &Bench, job: JobId) {
    let mut tx = bench.db.begin().await.unwrap();
    mails::give_place_back(&mut tx, job).await.unwrap();
    tx.commit().await.unwrap();
}

/// At most two mails an hour.
async fn mail_place(bench: &Bench, job: JobId, recipient: &EmailAddress) -> Place {
    let tx = bench.db.begin().await.unwrap();
    let hour = Duration::from_secs(3600);
    mails::take_place(tx, job, recipient, 2, hour).await.unwrap()
}
