//! Lists of jobs: those that a filter fits, the newest first, a page at a time.
//!
//! A page costs what it shows, however many jobs there are. For that the look is made of several, each of which
//! one index answers in the order of the ids: what is over has indexes for this (each row is written into them
//! once), what is under way is found by the indexes that its life needs anyway, state by state. So what a page
//! may cost beyond what it shows grows with the number of jobs that are under way, and, for a part of an error,
//! with that of the jobs that failed, but never with that of all jobs. It is one statement: a job that changes
//! its state meanwhile is in it once.

use diesel::backend::Backend;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment, QueryId};
use diesel::result::QueryResult;
use diesel::serialize::ToSql;
use diesel::sql_types::{BigInt, Bool, HasSqlType, Nullable, Text as SqlText};
use diesel::sqlite::Sqlite;
use diesel_async::RunQueryDsl;

use crate::db::schema::jobs;
use crate::db::sql_types::Id;
use crate::db::{Conn, DbError, with};
use crate::domain::job::{Failure, JobState};
use crate::domain::{CustomerId, JobId, Timestamp};
use crate::jobs::names_of;
use crate::operations::filter::{Age, FailedAs, JobFilter, Text};

/// A job as a list shows it.
#[derive(Debug, Clone, Queryable)]
pub struct Listed {
    /// Its id.
    pub id: JobId,
    /// See [`crate::jobs::Kind::NAME`].
    pub kind: String,
    /// The queue's name.
    pub queue: String,
    /// Whether it goes through the express lane.
    pub express: bool,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it is `failed`.
    pub failure: Option<Failure>,
    /// Failed or lapsed attempts since the last checkpoint, the running one included.
    pub attempt: i32,
    /// Tries allowed.
    pub max_attempts: i32,
    /// How often its lease lapsed.
    pub lapses: i32,
    /// Not before.
    pub run_at: Timestamp,
    /// The customer who may see it.
    pub owner: Option<CustomerId>,
    /// The job that it is a part of.
    pub parent: Option<JobId>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What went wrong last.
    pub error: Option<String>,
}

/// The newest jobs that the filter fits, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn page(
    conn: &mut Conn,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<Listed>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(OnPage::new(filter, before, limit))
            .order(jobs::id.desc())
            .limit(limit)
            .select((
                jobs::id,
                jobs::kind,
                jobs::queue,
                jobs::express,
                jobs::state,
                jobs::failure,
                jobs::attempt,
                jobs::max_attempts,
                jobs::lapses,
                jobs::run_at,
                jobs::owner,
                jobs::parent,
                jobs::created_at,
                jobs::updated_at,
                LastError,
            ))
            .load(c)
            .await
    })?)
}

/// The ids of a page: the newest jobs that the filter fits, or those before one.
///
/// # Errors
/// Those of the database.
pub async fn ids(
    conn: &mut Conn,
    filter: &JobFilter,
    before: Option<JobId>,
    limit: i64,
) -> Result<Vec<JobId>, DbError> {
    Ok(with!(conn, |c| {
        jobs::table
            .filter(OnPage::new(filter, before, limit))
            .order(jobs::id.desc())
            .limit(limit)
            .select(jobs::id)
            .load(c)
            .await
    })?)
}

/// As a condition on rows of `jobs`, in whatever statement. Its ages count from now.
pub(crate) fn matches(filter: &JobFilter) -> Matches {
    let mut all = Vec::new();
    let text = |before, value: &str| Term::Text(before, value.to_owned());
    if let Some(kind) = &filter.kind {
        match names_of(kind).as_slice() {
            [name] => all.push(text("jobs.kind = ", name)),
            names => {
                all.push(Term::OneOf("jobs.kind IN (", names.iter().map(|name| (*name).to_owned()).collect()))
            }
        }
    }
    if let Some(state) = filter.state {
        all.push(Term::Sql(is_in(state)));
    }
    match filter.failure {
        None => {}
        Some(FailedAs::Dead) => all.push(Term::Sql(DEAD)),
        Some(FailedAs::Only(failure)) => {
            all.push(Term::Sql(FAILED));
            all.push(text("jobs.failure = ", failure.name()));
        }
    }
    if let Some(reason) = &filter.reason {
        all.push(Term::Sql(DEAD));
        all.push(text("jobs.dead_reason = ", reason));
    }
    if let Some(queue) = &filter.queue {
        all.push(text("jobs.queue = ", queue));
    }
    if let Some(age) = filter.older_than {
        all.push(Term::Id("jobs.id < ", first_id(age)));
    }
    if let Some(age) = filter.younger_than {
        all.push(Term::Id("jobs.id >= ", first_id(age)));
    }
    if let Some(customer) = filter.customer {
        all.push(Term::Id("jobs.owner = ", JobId(customer.0)));
    }
    if let Some(parent) = filter.parent {
        all.push(Term::Id("jobs.parent = ", parent));
    }
    match &filter.text {
        None => {}
        Some(Text::Id(id)) => all.push(Term::About(JobId(*id))),
        Some(Text::Trace(trace)) => {
            all.push(Term::Sql("jobs.traceparent IS NOT NULL"));
            all.push(text("substr(jobs.traceparent, 4, 32) = ", trace));
        }
        Some(Text::Words(words)) => all.push(Term::Words(words.clone())),
    }
    Matches { all, few: false }
}

/// The states as the partial indexes spell them.
const OVER: &str = "jobs.state IN ('succeeded', 'failed', 'cancelled')";
const UNFINISHED: &str = "jobs.state IN ('pending', 'queued', 'running', 'waiting')";
const FAILED: &str = "jobs.state = 'failed'";
const DEAD: &str = "jobs.failure IN ('exhausted', 'crashed')";

fn is_in(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "jobs.state = 'pending'",
        JobState::Queued => "jobs.state = 'queued'",
        JobState::Running => "jobs.state = 'running'",
        JobState::Waiting => "jobs.state = 'waiting'",
        // Said twice, for the index: that has all three.
        JobState::Succeeded => {
            "jobs.state = 'succeeded' AND jobs.state IN ('succeeded', 'failed', 'cancelled')"
        }
        JobState::Failed => "jobs.state = 'failed' AND jobs.state IN ('succeeded', 'failed', 'cancelled')",
        JobState::Cancelled => {
            "jobs.state = 'cancelled' AND jobs.state IN ('succeeded', 'failed', 'cancelled')"
        }
    }
}

/// Every state that a job under way can be in.
const UNDER_WAY: [JobState; 4] = [JobState::Pending, JobState::Queued, JobState::Running, JobState::Waiting];

/// One of the looks that a page is made of: rows that the filter fits and these terms as well.
struct Look {
    terms: Vec<Term>,
    /// Its rows are few: they are all read and sorted.
    few: bool,
}

impl Look {
    /// There is an index that gives them in the order of the ids.
    fn in_order(terms: Vec<Term>) -> Self {
        Self { terms, few: false }
    }

    fn under_way(state: JobState) -> Self {
        Self { terms: vec![Term::Sql(is_in(state))], few: true }
    }
}

/// The looks that a filter's page is made of. Together they find all that the filter fits.
fn looks(filter: &JobFilter) -> Vec<Look> {
    let state_by_state = || {
        let over = Look::in_order(vec![Term::Sql(OVER)]);
        std::iter::once(over).chain(UNDER_WAY.into_iter().map(Look::under_way)).collect()
    };
    match (&filter.text, filter.state) {
        (Some(Text::Words(words)), _) => vec![
            Look::in_order(vec![Term::Sql(UNFINISHED), Term::Text("jobs.unique_key = ", words.clone())]),
            Look::in_order(vec![Term::Sql(UNFINISHED), Term::Text("jobs.ordering_key = ", words.clone())]),
            Look::in_order(vec![Term::Sql(is_in(JobState::Failed))]),
        ],
        (Some(Text::Trace(_)), _) => state_by_state(),
        (Some(Text::Id(_)), _) => vec![Look::in_order(Vec::new())],
        (None, _) if filter.customer.is_some() || filter.parent.is_some() => {
            vec![Look::in_order(Vec::new())]
        }
        (None, Some(state)) if UNDER_WAY.contains(&state) => vec![Look::under_way(state)],
        (None, Some(_)) => vec![Look::in_order(Vec::new())],
        (None, None) if filter.reason.is_some() => vec![Look { terms: Vec::new(), few: true }],
        (None, None) if filter.failure.is_some() => vec![Look::in_order(Vec::new())],
        (None, None) if filter.kind.is_some() || filter.queue.is_some() => state_by_state(),
        (None, None) => vec![Look::in_order(Vec::new())],
    }
}

/// The first id of a job that was enqueued `age` ago: ids begin with their time.
///
/// By the clock of this process, as ids are made by the clocks of processes.
fn first_id(age: Age) -> JobId {
    let now = u64::try_from(chrono::Utc::now().timestamp_millis()).unwrap_or_default();
    let millis = now.saturating_sub(u64::try_from(age.duration().as_millis()).unwrap_or(u64::MAX));
    JobId(uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid())
}

/// One of several conditions that must all hold.
#[derive(Debug, Clone)]
enum Term {
    Sql(&'static str),
    Text(&'static str, String),
    OneOf(&'static str, Vec<String>),
    Id(&'static str, JobId),
    /// Of this id, or about what has it.
    About(JobId),
    /// See [`Text::Words`].
    Words(String),
}

/// See [`matches`].
#[derive(Debug, Clone)]
pub(crate) struct Matches {
    all: Vec<Term>,
    /// See [`Look::few`].
    few: bool,
}

/// Whether a row is one of the newest that a filter fits.
#[derive(Debug, Clone)]
struct OnPage {
    looks: Vec<Matches>,
    limit: i64,
}

/// The message of the newest entry of the error log.
#[derive(Debug, Clone, Copy)]
struct LastError;

impl OnPage {
    fn new(filter: &JobFilter, before: Option<JobId>, limit: i64) -> Self {
        let mut all = matches(filter).all;
        all.extend(before.map(|before| Term::Id("jobs.id < ", before)));
        let looks = looks(filter).into_iter().map(|mut look| {
            look.terms.extend(all.iter().cloned());
            Matches { all: look.terms, few: look.few }
        });
        Self { looks: looks.collect(), limit }
    }
}

/// What the databases spell differently.
trait Dialect: Backend {
    /// Whether one of a job's errors, which are JSON, has these words in it.
    const IN_ERRORS: &'static str;
    /// Before an id, where an index on it is not to be used. SQLite has no statistics: it would rather walk the
    /// whole table in the order of the ids than sort the few rows of another index.
    const NOT_BY_INDEX: &'static str;
}

impl Dialect for Pg {
    const NOT_BY_INDEX: &'static str = "";
    const IN_ERRORS: &'static str = "EXISTS (SELECT 1 FROM jsonb_array_elements(jobs.errors) AS entry \
         WHERE strpos(lower(entry ->> 'message'), lower(";
}

/// Each message is read by itself: a whole entry that SQLite is to write as text again breaks at a quotation mark,
/// which Diesel stores as if it needed no escape.
impl Dialect for Sqlite {
    const NOT_BY_INDEX: &'static str = "+";
    const IN_ERRORS: &'static str = "EXISTS (SELECT 1 FROM json_tree(jobs.errors) AS entry \
         WHERE entry.key = 'message' AND instr(lower(entry.atom), lower(";
}

/// The ids of jobs that something of an id belongs to; each look is one by a primary key.
const ABOUT: [&str; 4] = [
    "SELECT ",
    " UNION ALL SELECT photos.job_id FROM photos WHERE photos.id = ",
    " UNION ALL SELECT orders.job_id FROM orders WHERE orders.id = ",
    " UNION ALL SELECT made.job_id FROM webhook_deliveries AS made WHERE made.delivery_id = ",
];

impl Term {
    fn walk<'b, DB>(&'b self, few: bool, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Dialect + HasSqlType<Id>,
        JobId: ToSql<Id, DB>,
        String: ToSql<SqlText, DB>,
    {
        match self {
            Self::Sql(sql) => out.push_sql(sql),
            Self::Text(before, value) => {
                out.push_sql(before);
                out.push_bind_param::<SqlText, _>(value)?;
            }
            Self::OneOf(before, values) => {
                for (index, value) in values.iter().enumerate() {
                    out.push_sql(if index == 0 { before } else { ", " });
                    out.push_bind_param::<SqlText, _>(value)?;
                }
                out.push_sql(")");
            }
            Self::Id(before, value) => {
                out.push_sql(if few { DB::NOT_BY_INDEX } else { "" });
                out.push_sql(before);
                out.push_bind_param::<Id, _>(value)?;
            }
            Self::About(id) => {
                out.push_sql("jobs.id IN (");
                for before in ABOUT {
                    out.push_sql(before);
                    out.push_bind_param::<Id, _>(id)?;
                }
                out.push_sql(")");
            }
            Self::Words(words) => {
                out.push_sql("((");
                out.push_sql(UNFINISHED);
                out.push_sql(" OR ");
                out.push_sql(FAILED);
                out.push_sql(") AND (jobs.unique_key = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(" OR jobs.ordering_key = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(") OR ");
                out.push_sql(FAILED);
                out.push_sql(" AND ");
                out.push_sql(DB::IN_ERRORS);
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(")) > 0))");
            }
        }
        Ok(())
    }
}

impl Matches {
    fn walk<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Dialect + HasSqlType<Id>,
        JobId: ToSql<Id, DB>,
        String: ToSql<SqlText, DB>,
    {
        if self.all.is_empty() {
            out.push_sql("1 = 1");
        }
        for (index, term) in self.all.iter().enumerate() {
            if index > 0 {
                out.push_sql(" AND ");
            }
            term.walk(self.few, out)?;
        }
        Ok(())
    }
}

impl<DB> QueryFragment<DB> for Matches
where
    DB: Dialect + HasSqlType<Id>,
    JobId: ToSql<Id, DB>,
    String: ToSql<SqlText, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("(");
        self.walk(&mut out)?;
        out.push_sql(")");
        Ok(())
    }
}

impl<DB> QueryFragment<DB> for OnPage
where
    DB: Dialect + HasSqlType<Id>,
    JobId: ToSql<Id, DB>,
    String: ToSql<SqlText, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("jobs.id IN (");
        for (index, look) in self.looks.iter().enumerate() {
            out.push_sql(if index > 0 { " UNION ALL " } else { "" });
            out.push_sql("SELECT look.id FROM (SELECT jobs.id FROM jobs WHERE ");
            look.walk(&mut out)?;
            out.push_sql(" ORDER BY ");
            out.push_sql(if look.few { DB::NOT_BY_INDEX } else { "" });
            out.push_sql("jobs.id DESC LIMIT ");
            out.push_bind_param::<BigInt, _>(&self.limit)?;
            out.push_sql(") AS look");
        }
        out.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Pg> for LastError {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("(jobs.errors #>> '{-1,message}')");
        Ok(())
    }
}

impl QueryFragment<Sqlite> for LastError {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        out.push_sql("(jobs.errors ->> '$[#-1].message')");
        Ok(())
    }
}

macro_rules! expressions {
    ($($node:ident: $type:ty),*) => { $(
        impl Expression for $node {
            type SqlType = $type;
        }

        /// Its text differs from one to the next.
        impl QueryId for $node {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }

        impl<G> ValidGrouping<G> for $node {
            type IsAggregate = diesel::expression::is_aggregate::Never;
        }

        impl AppearsOnTable<jobs::table> for $node {}
        impl SelectableExpression<jobs::table> for $node {}
    )* };
}
expressions!(Matches: Bool, OnPage: Bool, LastError: Nullable<SqlText>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_id_of_an_age_stands_between_those_before_and_after() {
        let age: Age = "1h".parse().unwrap();
        let made = |seconds_ago: i64| {
            let at = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds_ago);
            let millis = u64::try_from(at.timestamp_millis()).unwrap();
            uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid()
        };
        assert!(made(3605) < first_id(age).0 && first_id(age).0 < made(3595));
        assert!(first_id("0s".parse().unwrap()).0 > made(1));
    }
}
