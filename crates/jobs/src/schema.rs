//! The engine's tables as Diesel sees them; `migrations/` makes them.

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
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
    use model::sql_types::Instant;
    queues (name) {
        name -> Text,
        paused_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::Id;
    job_waits (waiter, on_job) {
        waiter -> Id,
        on_job -> Id,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Instant, Id};
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
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::{Id, Instant};
    job_callbacks (job_id) {
        job_id -> Id,
        url -> Text,
        every_change -> Bool,
        last_status -> Text,
        stopped_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::Id;
    job_replies (job_id, reply_to, correlation_id) {
        job_id -> Id,
        reply_to -> Text,
        correlation_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::Instant;
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

diesel::allow_tables_to_appear_in_same_query!(jobs, processes, job_waits, triggered_jobs, queues);
