//! SQL types that PostgreSQL and SQLite store differently, and how the domain's types map to them.
//!
//! A UUID is `uuid` on PostgreSQL and text on SQLite; a time is `timestamptz` there and microseconds
//! since 1970 here. Diesel's own types know only one of the two.

use chrono::{DateTime, Utc};
use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::{BigInt, SqlType, Text, Timestamptz};
use diesel::sqlite::{Sqlite, SqliteValue};

use crate::domain::job::{Failure, JobState};
use crate::domain::operator::Via;
use crate::domain::order::{OrderStatus, RejectReason};
use crate::domain::photo::{ImageType, PhotoStatus, Variant};
use crate::domain::{
    self, AuditId, CustomerId, JobId, OperatorId, OperatorTokenId, OrderId, PhotoId, ProcessId, WorkerId,
};

/// A UUID (RFC 9562).
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951))]
#[diesel(sqlite_type(name = "Text"))]
pub struct Id;

/// A point in time.
#[derive(Debug, Clone, Copy, Default, SqlType, diesel::query_builder::QueryId)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185))]
#[diesel(sqlite_type(name = "Long"))]
pub struct Instant;

impl diesel::sql_types::SqlOrd for Instant {}

macro_rules! uuid_columns {
    ($($id:ident),*) => { $(
        impl ToSql<Id, Pg> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                <uuid::Uuid as ToSql<diesel::sql_types::Uuid, Pg>>::to_sql(&self.0, out)
            }
        }
        impl FromSql<Id, Pg> for $id {
            fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
                <uuid::Uuid as FromSql<diesel::sql_types::Uuid, Pg>>::from_sql(value).map(Self)
            }
        }
        impl ToSql<Id, Sqlite> for $id {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
                out.set_value(self.0.to_string());
                Ok(IsNull::No)
            }
        }
        impl FromSql<Id, Sqlite> for $id {
            fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
                let text = <String as FromSql<Text, Sqlite>>::from_sql(value)?;
                Ok(Self(uuid::Uuid::parse_str(&text)?))
            }
        }
    )* };
}
uuid_columns!(JobId, CustomerId, PhotoId, OrderId, WorkerId, OperatorId, AuditId, OperatorTokenId, ProcessId);

impl ToSql<Instant, Pg> for domain::Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        <DateTime<Utc> as ToSql<Timestamptz, Pg>>::to_sql(&self.0, out)
    }
}

impl FromSql<Instant, Pg> for domain::Timestamp {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        <DateTime<Utc> as FromSql<Timestamptz, Pg>>::from_sql(value).map(Self)
    }
}

impl ToSql<Instant, Sqlite> for domain::Timestamp {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> serialize::Result {
        out.set_value(self.0.timestamp_micros());
        Ok(IsNull::No)
    }
}

impl FromSql<Instant, Sqlite> for domain::Timestamp {
    fn from_sql(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        let micros = <i64 as FromSql<BigInt, Sqlite>>::from_sql(value)?;
        let time = DateTime::from_timestamp_micros(micros).ok_or("a time out of range")?;
        Ok(Self(time))
    }
}

/// Enums are stored by their stable names; a name that this program does not know is an error, not a default.
macro_rules! text_columns {
    ($($name:ident),*) => { $(
        impl<DB: diesel::backend::Backend> ToSql<Text, DB> for $name
        where
            str: ToSql<Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
                self.name().to_sql(out)
            }
        }
        impl<DB: diesel::backend::Backend> FromSql<Text, DB> for $name
        where
            String: FromSql<Text, DB>,
        {
            fn from_sql(value: DB::RawValue<'_>) -> deserialize::Result<Self> {
                let name = String::from_sql(value)?;
                Self::from_name(&name).ok_or_else(|| format!("unknown {}: {name}", stringify!($name)).into())
            }
        }
    )* };
}
text_columns!(JobState, Failure, PhotoStatus, Variant, OrderStatus, RejectReason, ImageType, Via);
