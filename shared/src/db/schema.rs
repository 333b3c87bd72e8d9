//! The tables as Diesel sees them, for both databases.

use model::sql_types::{Id, Instant};

diesel::table! {
    use diesel::sql_types::*;
    use super::{Instant, Id};
    customers (id) {
        id -> Id,
        token_hash -> Text,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Instant, Id};
    jobs (id) {
        id -> Id,
        kind -> Text,
        queue -> Text,
        args -> Jsonb,
        state -> Text,
        failure -> Nullable<Text>,
        fence -> BigInt,
        attempt -> Integer,
        max_attempts -> Integer,
        lapses -> Integer,
        woken -> Bool,
        published -> Integer,
        run_at -> Instant,
        due_at -> Nullable<Instant>,
        unavailable_since -> Nullable<Instant>,
        started_at -> Nullable<Instant>,
        worker -> Nullable<Id>,
        undoing -> Bool,
        checkpoint -> Nullable<Jsonb>,
        progress -> Nullable<Jsonb>,
        result -> Nullable<Jsonb>,
        errors -> Jsonb,
        cancel_requested_at -> Nullable<Instant>,
        owner -> Nullable<Id>,
        traceparent -> Nullable<Text>,
        version -> BigInt,
        created_at -> Instant,
        updated_at -> Instant,
        express -> Bool,
        parent -> Nullable<Id>,
        ordering_key -> Nullable<Text>,
        ordering_seq -> Nullable<BigInt>,
        unique_key -> Nullable<Text>,
        has_callback -> Bool,
        args_version -> Integer,
        dead_reason -> Nullable<Text>,
        parked -> Nullable<Text>,
        waiting_since -> Nullable<Instant>,
        unique_open -> Nullable<Text>,
        ordering_open -> Nullable<Text>,
        dead_at -> Nullable<Instant>,
        awaited -> Bool,
    }
}

diesel::table! {
    ordering_keys (key) {
        key -> Text,
        last_seq -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Instant;
    queues (name) {
        name -> Text,
        paused_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Id;
    job_waits (waiter, on_job) {
        waiter -> Id,
        on_job -> Id,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Instant, Id};
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
    use super::Id;
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
    use super::{Instant, Id};
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
    use super::Id;
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
    use super::{Instant, Id};
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
    use super::{Instant, Id};
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
    use super::{Instant, Id};
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
    use super::{Instant, Id};
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
    use super::{Id, Instant};
    mails (job_id) {
        job_id -> Id,
        recipient -> Text,
        at -> Instant,
        sent -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Instant, Id};
    dead_messages (id) {
        id -> Id,
        queue -> Text,
        body -> Binary,
        error -> Text,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    schedules (name) {
        name -> Text,
        cron -> Text,
        next_at -> Instant,
        last_at -> Nullable<Instant>,
        last_job -> Nullable<Id>,
        missed -> Integer,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    job_callbacks (job_id) {
        job_id -> Id,
        url -> Text,
        every_change -> Bool,
        last_status -> Text,
        stopped_at -> Nullable<Instant>,
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
    use super::{Id, Instant};
    webhook_deliveries (delivery_id, fence) {
        delivery_id -> Id,
        fence -> BigInt,
        job_id -> Id,
        told -> Text,
        attempt -> Integer,
        at -> Instant,
        status -> Nullable<Integer>,
        error -> Nullable<Text>,
        duration_ms -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    triggered_jobs (job_id) {
        job_id -> Id,
        source -> Text,
        key -> Nullable<Text>,
        request_hash -> Text,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    ingested_files (path, version) {
        path -> Text,
        version -> Text,
        job_id -> Id,
        photo_id -> Nullable<Id>,
        reason -> Nullable<Text>,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Id;
    job_replies (job_id, reply_to, correlation_id) {
        job_id -> Id,
        reply_to -> Text,
        correlation_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    expired_jobs (id) {
        id -> Id,
        owner -> Nullable<Id>,
        kind -> Text,
        state -> Text,
        source -> Nullable<Text>,
        finished_at -> Instant,
        expired_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    operators (id) {
        id -> Id,
        name -> Text,
        password_hash -> Text,
        read_only -> Bool,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    operator_sessions (token_hash) {
        token_hash -> Text,
        operator_id -> Id,
        created_at -> Instant,
        seen_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    operator_tokens (id) {
        id -> Id,
        operator_id -> Id,
        name -> Text,
        token_hash -> Text,
        created_at -> Instant,
        used_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    audit (id) {
        id -> Id,
        at -> Instant,
        operator -> Text,
        via -> Text,
        action -> Text,
        subject -> Jsonb,
        done -> Nullable<BigInt>,
        refused -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::{Id, Instant};
    processes (id) {
        id -> Id,
        program -> Text,
        host -> Text,
        pid -> Integer,
        version -> Text,
        started_at -> Instant,
        seen_at -> Instant,
        facts -> Jsonb,
        lease_ms -> Nullable<BigInt>,
        renewals -> BigInt,
        lost_at -> Nullable<Instant>,
        stopped_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use super::Instant;
    queue_samples (queue, at) {
        queue -> Text,
        at -> Instant,
        due -> Nullable<BigInt>,
        scheduled -> Nullable<BigInt>,
        running -> Nullable<BigInt>,
        waiting -> Nullable<BigInt>,
        broker -> Nullable<BigInt>,
        oldest_seconds -> Nullable<BigInt>,
        taken -> BigInt,
        succeeded -> BigInt,
        failed -> BigInt,
        retried -> BigInt,
        wait_ms -> BigInt,
        longest_wait_ms -> BigInt,
        run_ms -> BigInt,
        longest_run_ms -> BigInt,
        runs -> BigInt,
    }
}

diesel::joinable!(operator_sessions -> operators (operator_id));
diesel::joinable!(operator_tokens -> operators (operator_id));
diesel::allow_tables_to_appear_in_same_query!(operators, operator_sessions, operator_tokens);

diesel::allow_tables_to_appear_in_same_query!(
    customers,
    jobs,
    processes,
    job_waits,
    photos,
    photo_variants,
    products,
    orders,
    order_lines,
    order_events,
    also_bought,
    triggered_jobs,
    queues,
);
