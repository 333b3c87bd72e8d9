//! Statements that stay prepared.
//!
//! PostgreSQL parses and plans a prepared statement once a connection. Anew each time, that costs four to ten times
//! what running it does, and a round trip more. Diesel keeps only what it knows to have the same text each time: no
//! UPDATE, and nothing that has SQL in words. Here every value is a parameter, so each statement has one of few texts,
//! and all of them are kept.

use std::future::Future;

use diesel::pg::Pg;
use diesel::query_builder::{AsQuery, AstPass, Query, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel_async::{AsyncConnectionCore, AsyncPgConnection, SimpleAsyncConnection};

/// A connection to PostgreSQL that prepares each statement once.
pub struct Preparing<'a>(pub &'a AsyncPgConnection);

impl SimpleAsyncConnection for Preparing<'_> {
    fn batch_execute(&mut self, query: &str) -> impl Future<Output = QueryResult<()>> + Send {
        self.0.batch_execute(query)
    }
}

impl<'a> AsyncConnectionCore for Preparing<'a> {
    type ExecuteFuture<'conn, 'query> =
        <&'a AsyncPgConnection as AsyncConnectionCore>::ExecuteFuture<'conn, 'query>;
    type LoadFuture<'conn, 'query> =
        <&'a AsyncPgConnection as AsyncConnectionCore>::LoadFuture<'conn, 'query>;
    type Stream<'conn, 'query> = <&'a AsyncPgConnection as AsyncConnectionCore>::Stream<'conn, 'query>;
    type Row<'conn, 'query> = <&'a AsyncPgConnection as AsyncConnectionCore>::Row<'conn, 'query>;
    type Backend = Pg;

    fn load<'conn, 'query, T>(&'conn mut self, source: T) -> Self::LoadFuture<'conn, 'query>
    where
        T: AsQuery + 'query,
        T::Query: QueryFragment<Pg> + QueryId + 'query,
    {
        self.0.load(Kept(source.as_query()))
    }

    fn execute_returning_count<'conn, 'query, T>(
        &'conn mut self,
        source: T,
    ) -> Self::ExecuteFuture<'conn, 'query>
    where
        T: QueryFragment<Pg> + QueryId + 'query,
    {
        self.0.execute_returning_count(Kept(source))
    }
}

/// A statement that stays prepared.
struct Kept<Q>(Q);

impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Kept<Q> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &Pg) -> QueryResult<bool> {
        Ok(true)
    }
}

/// Where Diesel knows that a type has one text, the type finds the statement and no text is built. Else the text
/// decides: one type of UPDATE may leave out a column.
impl<Q: QueryId> QueryId for Kept<Q> {
    type QueryId = Q::QueryId;
    const HAS_STATIC_QUERY_ID: bool = Q::HAS_STATIC_QUERY_ID;
}

impl<Q: Query> Query for Kept<Q> {
    type SqlType = Q::SqlType;
}
