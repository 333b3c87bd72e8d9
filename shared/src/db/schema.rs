//! The shop's tables as Diesel sees them; `migrations/` makes them.

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    customers (id) {
        id -> Id,
        token_hash -> Text,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    photos (id) {
        id -> Id,
        customer_id -> Id,
        job_id -> Id,
        status -> Text,
        reason -> Nullable<Text>,
        file_name -> Nullable<Text>,
        content_type -> Text,
        bytes -> BigInt,
        width -> Nullable<Integer>,
        height -> Nullable<Integer>,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::Id;
    photo_variants (photo_id, name) {
        photo_id -> Id,
        name -> Text,
        width -> Integer,
        height -> Integer,
        content_type -> Text,
        bytes -> BigInt,
    }
}

diesel::table! {
    products (id) {
        id -> Text,
        name -> Text,
        price_cents -> BigInt,
        stock -> Integer,
        stocked -> Integer,
        short_mm -> Integer,
        long_mm -> Integer,
        dpi -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    orders (id) {
        id -> Id,
        customer_id -> Id,
        job_id -> Id,
        email -> Text,
        status -> Text,
        reason -> Nullable<Text>,
        total_cents -> BigInt,
        payment_token -> Text,
        created_at -> Instant,
        express -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::Id;
    order_lines (order_id, position) {
        order_id -> Id,
        position -> Integer,
        photo_id -> Id,
        product_id -> Text,
        quantity -> Integer,
        price_cents -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    order_events (order_id, id) {
        id -> Id,
        order_id -> Id,
        at -> Instant,
        event -> Text,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    stock_moves (order_id, product_id, kind) {
        order_id -> Id,
        product_id -> Text,
        kind -> Text,
        quantity -> Integer,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    payments (order_id) {
        order_id -> Id,
        state -> Text,
        amount_cents -> BigInt,
        asked -> Integer,
        updated_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
    idempotency_keys (customer_id, key) {
        customer_id -> Id,
        key -> Text,
        request_hash -> Text,
        location -> Text,
        body -> Text,
        created_at -> Instant,
    }
}

diesel::table! {
    mail_recipients (recipient) {
        recipient -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
    mails (job_id) {
        job_id -> Id,
        recipient -> Text,
        at -> Instant,
        sent -> Bool,
    }
}

diesel::table! {
    also_bought (product_id, other_id) {
        product_id -> Text,
        other_id -> Text,
        orders -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
    ingested_files (path, version) {
        path -> Text,
        version -> Text,
        job_id -> Id,
        photo_id -> Nullable<Id>,
        reason -> Nullable<Text>,
        at -> Instant,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    customers,
    photos,
    photo_variants,
    products,
    orders,
    order_lines,
    order_events,
    also_bought,
);
