//! The operators' tables as Diesel sees them; `migrations/` makes them.

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::{Id, Instant};
    operator_sessions (token_hash) {
        token_hash -> Text,
        operator_id -> Id,
        created_at -> Instant,
        seen_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use model::sql_types::{Id, Instant};
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
    use model::sql_types::{Id, Instant};
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

diesel::joinable!(operator_sessions -> operators (operator_id));
diesel::joinable!(operator_tokens -> operators (operator_id));
diesel::allow_tables_to_appear_in_same_query!(operators, operator_sessions, operator_tokens);
