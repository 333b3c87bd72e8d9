//! Lists of jobs: those that a filter fits, the newest first, a page at a time.
//!
//! A page costs what it shows, however many jobs there are. For that the look is made of several, each of
//! which one index answers. Every job, over or not, is in an index of its queue and kind, of its customer, of
//! its parent and of its trace, in the order of the ids; a filter by queue or by kind alone is one look for
//! each kind of the queue, or for each queue, whose names a small statement finds before. What is unfinished,
//! and what failed, is found by the indexes that its life needs anyway. So what a page may cost beyond what
//! it shows grows with the number of unfinished jobs, where their state is asked for; with that of the jobs
//! that failed, for a reason or a part of an error; and, for several fields at once, with that of the jobs
//! that one of them finds. `succeeded` alone is looked for among all jobs: that is what most of them are.
//!
//! The rows are found in one statement: a job that changes its state meanwhile is in it once.

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

use crate::dead::DEAD;
use crate::filter::{Age, FailedAs, JobFilter, Text};
use crate::schema::jobs;
use crate::subject;
use database::{Conn, DbError, with};
use model::OwnerId;
use model::job::{Failure, JobState};
use model::names_of;
use model::sql_types::Id;
use model::{JobId, Timestamp};

/// A job as a list shows it.
#[derive(Debug, Clone, Queryable)]
pub struct Listed {
    /// Its id.
    pub id: JobId,
    /// See [`model::Kind::NAME`].
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
    pub owner: Option<OwnerId>,
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
    let on_page = OnPage::new(conn, filter, before, limit).await?;
    Ok(with!(conn, |c| {
        jobs::table
            .filter(on_page)
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
    let on_page = OnPage::new(conn, filter, before, limit).await?;
    Ok(with!(conn, |c| {
        jobs::table.filter(on_page).order(jobs::id.desc()).limit(limit).select(jobs::id).load(c).await
    })?)
}

/// As a condition on rows of `jobs`, in whatever statement. Its ages count from now.
pub fn matches(filter: &JobFilter) -> Matches {
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
    Matches { all }
}

/// As the partial index spells it.
const FAILED: &str = "jobs.failure IS NOT NULL";

fn is_in(state: JobState) -> &'static str {
    match state {
        JobState::Pending => "jobs.state = 'pending'",
        JobState::Queued => "jobs.state = 'queued'",
        JobState::Running => "jobs.state = 'running'",
        JobState::Waiting => "jobs.state = 'waiting'",
        JobState::Succeeded => "jobs.state = 'succeeded'",
        JobState::Failed => "jobs.state = 'failed'",
        JobState::Cancelled => "jobs.state = 'cancelled'",
    }
}

/// One of the looks that a page is made of: rows that the filter fits and these terms as well.
#[derive(Debug, Clone)]
struct Look {
    terms: Vec<Term>,
    by: By,
}

/// How a look finds its rows.
#[derive(Debug, Clone)]
enum By {
    /// Along an index that gives them in the order of the ids.
    Order,
    /// All of them are read and sorted: they are few.
    Few,
    /// Along an index of columns and the id, as far as the columns have these values.
    Values(Along),
}

/// Where a look goes along an index.
#[derive(Debug, Clone)]
struct Along {
    /// The columns of the index before the id, each with its value.
    columns: Vec<(&'static str, String)>,
    /// From this id on.
    from: Option<JobId>,
    /// Before this id.
    before: Option<JobId>,
}

impl Look {
    fn in_order(terms: Vec<Term>) -> Self {
        Self { terms, by: By::Order }
    }

    fn few(terms: Vec<Term>) -> Self {
        Self { terms, by: By::Few }
    }

    fn along(terms: Vec<Term>, columns: Vec<(&'static str, String)>) -> Self {
        Self { terms, by: By::Values(Along { columns, from: None, before: None }) }
    }
}

/// The looks that a filter's page is made of. Together they find all that the filter fits.
async fn looks(conn: &mut Conn, filter: &JobFilter) -> Result<Vec<Look>, DbError> {
    let found_by = |column| Look::few(vec![Term::Sql(column)]);
    Ok(match (&filter.text, filter.state) {
        (Some(Text::Words(words)), _) => {
            let of_key = |column| Look::few(vec![Term::Text(column, words.clone())]);
            let mut looks = vec![of_key("jobs.unique_open = "), of_key("jobs.ordering_open = ")];
            looks.extend(failed(filter));
            looks
        }
        (Some(Text::Trace(_) | Text::Id(_)), _) => vec![Look::in_order(Vec::new())],
        (None, _) if filter.customer.is_some() || filter.parent.is_some() => {
            vec![Look::in_order(Vec::new())]
        }
        (None, Some(JobState::Pending)) => vec![
            found_by("jobs.due_at IS NOT NULL"),
            found_by("jobs.parked IS NOT NULL"),
            found_by("jobs.ordering_open IS NOT NULL"),
        ],
        (None, Some(JobState::Queued | JobState::Running)) => vec![found_by("jobs.due_at IS NOT NULL")],
        (None, Some(JobState::Waiting)) => vec![found_by("jobs.waiting_since IS NOT NULL")],
        (None, _) if filter.reason.is_some() => vec![Look::few(Vec::new())],
        (None, Some(JobState::Failed)) => failed(filter).collect(),
        (None, _) if filter.failure.is_some() => failed(filter).collect(),
        // Nothing is cancelled that nobody asked to cancel.
        (None, Some(JobState::Cancelled)) => {
            vec![Look::in_order(vec![Term::Sql("jobs.cancel_requested_at IS NOT NULL")])]
        }
        (None, Some(JobState::Succeeded) | None) => match queues_and_kinds(conn, filter).await? {
            None => vec![Look::in_order(Vec::new())],
            Some(names) => {
                let has_one = || vec![Term::Sql("(jobs.queue || '/' || jobs.kind) IS NOT NULL")];
                let along = |name| Look::along(has_one(), vec![(QUEUE_AND_KIND, name)]);
                names.into_iter().map(along).collect()
            }
        },
    })
}

/// A look for each way to fail that the filter fits.
fn failed(filter: &JobFilter) -> impl Iterator<Item = Look> + use<> {
    let wanted = filter.failure;
    [Failure::Discarded, Failure::Exhausted, Failure::Crashed]
        .into_iter()
        .filter(move |failure| match wanted {
            None => true,
            Some(FailedAs::Dead) => failure.is_dead(),
            Some(FailedAs::Only(only)) => *failure == only,
        })
        .map(|failure| {
            Look::along(vec![Term::Sql(FAILED)], vec![("jobs.failure", failure.name().to_owned())])
        })
}

/// Every queue and kind that there are jobs of which the filter fits, as the index has them; `None` where it names
/// neither. What there is nothing of is left out: PostgreSQL would look for it through its neighbours in the index.
async fn queues_and_kinds(conn: &mut Conn, filter: &JobFilter) -> Result<Option<Vec<String>>, DbError> {
    if filter.queue.is_none() && filter.kind.is_none() {
        return Ok(None);
    }
    let kinds = filter.kind.as_deref().map(names_of);
    let fits = |name: &String| {
        let Some((queue, kind)) = name.split_once('/') else { return false };
        filter.queue.as_deref().is_none_or(|wanted| wanted == queue)
            && kinds.as_ref().is_none_or(|names| names.contains(&kind))
    };
    Ok(Some(all_queues_and_kinds(conn).await?.into_iter().filter(fits).collect()))
}

/// A queue and a kind, as in [`QUEUE_AND_KIND`].
#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = SqlText)]
    name: String,
}

/// As the index has them.
const QUEUE_AND_KIND: &str = "(jobs.queue || '/' || jobs.kind)";

/// The queues and kinds that there are jobs of, whether anybody registered them or not, and whether this program knows
/// them. From one name to the next, by the index: it reads as many of its entries as there are names.
async fn all_queues_and_kinds(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    const NAMES: &str = "WITH RECURSIVE names (name) AS (SELECT min(queue || '/' || kind) FROM jobs \
         UNION ALL SELECT (SELECT min(queue || '/' || kind) FROM jobs WHERE (queue || '/' || kind) > names.name) \
         FROM names WHERE names.name IS NOT NULL) SELECT name FROM names WHERE name IS NOT NULL";
    let names: Vec<Name> = with!(conn, |c| diesel::sql_query(NAMES).load(c).await)?;
    Ok(names.into_iter().map(|row| row.name).collect())
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

/// See [`matches`](fn@matches).
#[derive(Debug, Clone)]
pub struct Matches {
    all: Vec<Term>,
}

/// Whether a row is one of the newest that a filter fits.
#[derive(Debug, Clone)]
struct OnPage {
    looks: Vec<Look>,
    limit: i64,
}

/// The message of the newest entry of the error log.
#[derive(Debug, Clone, Copy)]
struct LastError;

impl OnPage {
    async fn new(
        conn: &mut Conn,
        filter: &JobFilter,
        before: Option<JobId>,
        limit: i64,
    ) -> Result<Self, DbError> {
        let mut all = matches(filter).all;
        all.extend(before.map(|before| Term::Id("jobs.id < ", before)));
        let mut looks = looks(conn, filter).await?;
        for look in &mut looks {
            look.terms.extend(all.iter().cloned());
            if let By::Values(along) = &mut look.by {
                along.from = filter.younger_than.map(first_id);
                along.before = before.into_iter().chain(filter.older_than.map(first_id)).min();
            }
        }
        Ok(Self { looks, limit })
    }
}

/// What the databases spell differently.
trait Dialect: Backend {
    /// Whether one of a job's errors, which are JSON, has these words in it.
    const IN_ERRORS: &'static str;
    /// Before a condition on an id, where an index on it is not to be used. SQLite has no statistics: it
    /// would rather walk the whole table in the order of the ids than sort the few rows of another index.
    const NOT_BY_INDEX: &'static str;
    /// The id, to sort by without an index. PostgreSQL has statistics, but they may be of a time when these
    /// rows were many.
    const SORTED: &'static str;
    /// Whether a look along an index compares rows, and sorts by all columns of it: PostgreSQL can take that
    /// index only. Of a kind that was frequent once it would rather walk through the whole table in the order
    /// of the ids, expecting the next one soon.
    const COMPARES_ROWS: bool;
}

impl Dialect for Pg {
    const IN_ERRORS: &'static str = "EXISTS (SELECT 1 FROM jsonb_array_elements(jobs.errors) AS entry \
         WHERE strpos(lower(entry ->> 'message'), lower(";
    const NOT_BY_INDEX: &'static str = "";
    const SORTED: &'static str = "ROW(jobs.id)";
    const COMPARES_ROWS: bool = true;
}

/// Each message is read by itself: a whole entry that SQLite is to write as text again breaks at a quotation
/// mark, which Diesel stores as if it needed no escape.
impl Dialect for Sqlite {
    const IN_ERRORS: &'static str = "EXISTS (SELECT 1 FROM json_tree(jobs.errors) AS entry \
         WHERE entry.key = 'message' AND instr(lower(entry.atom), lower(";
    const NOT_BY_INDEX: &'static str = "+";
    const SORTED: &'static str = "+jobs.id";
    const COMPARES_ROWS: bool = false;
}

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
                // The job itself, one of whose callbacks this is, or what the application knows of.
                out.push_sql("jobs.id IN (SELECT ");
                out.push_bind_param::<Id, _>(id)?;
                out.push_sql(
                    " UNION ALL SELECT made.job_id FROM webhook_deliveries AS made WHERE made.delivery_id = ",
                );
                out.push_bind_param::<Id, _>(id)?;
                for look in subject::job_of() {
                    out.push_sql(" UNION ALL ");
                    out.push_sql(look);
                    out.push_bind_param::<Id, _>(id)?;
                }
                out.push_sql(")");
            }
            Self::Words(words) => {
                out.push_sql("(jobs.unique_open = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(" OR jobs.ordering_open = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(" OR ");
                out.push_sql(FAILED);
                out.push_sql(" AND (jobs.unique_key = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(" OR jobs.ordering_key = ");
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(" OR ");
                out.push_sql(DB::IN_ERRORS);
                out.push_bind_param::<SqlText, _>(words)?;
                out.push_sql(")) > 0)))");
            }
        }
        Ok(())
    }
}

/// Conditions that must all hold.
fn walk_terms<'b, DB>(terms: &'b [Term], few: bool, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
where
    DB: Dialect + HasSqlType<Id>,
    JobId: ToSql<Id, DB>,
    String: ToSql<SqlText, DB>,
{
    if terms.is_empty() {
        out.push_sql("1 = 1");
    }
    for (index, term) in terms.iter().enumerate() {
        if index > 0 {
            out.push_sql(" AND ");
        }
        term.walk(few, out)?;
    }
    Ok(())
}

impl Along {
    fn walk<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Dialect + HasSqlType<Id>,
        JobId: ToSql<Id, DB>,
        String: ToSql<SqlText, DB>,
    {
        if DB::COMPARES_ROWS {
            let until = if self.before.is_some() { " < " } else { " <= " };
            self.walk_end(" >= ", self.from.as_ref(), out)?;
            out.push_sql(" AND ");
            return self.walk_end(until, self.before.as_ref(), out);
        }
        for (index, (column, value)) in self.columns.iter().enumerate() {
            out.push_sql(if index > 0 { " AND " } else { "" });
            out.push_sql(column);
            out.push_sql(" = ");
            out.push_bind_param::<SqlText, _>(value)?;
        }
        Ok(())
    }

    /// One end of the way along the index.
    fn walk_end<'b, DB>(
        &'b self,
        compare: &str,
        id: Option<&'b JobId>,
        out: &mut AstPass<'_, 'b, DB>,
    ) -> QueryResult<()>
    where
        DB: Dialect + HasSqlType<Id>,
        JobId: ToSql<Id, DB>,
        String: ToSql<SqlText, DB>,
    {
        for (index, (column, _)) in self.columns.iter().enumerate() {
            out.push_sql(if index > 0 { ", " } else { "(" });
            out.push_sql(column);
        }
        out.push_sql(if id.is_some() { ", jobs.id)" } else { ")" });
        out.push_sql(compare);
        for (index, (_, value)) in self.columns.iter().enumerate() {
            out.push_sql(if index > 0 { ", " } else { "(" });
            out.push_bind_param::<SqlText, _>(value)?;
        }
        if let Some(id) = id {
            out.push_sql(", ");
            out.push_bind_param::<Id, _>(id)?;
        }
        out.push_sql(")");
        Ok(())
    }
}

impl Look {
    /// Where its rows are, and in which order.
    fn walk<'b, DB>(&'b self, out: &mut AstPass<'_, 'b, DB>) -> QueryResult<()>
    where
        DB: Dialect + HasSqlType<Id>,
        JobId: ToSql<Id, DB>,
        String: ToSql<SqlText, DB>,
    {
        if let By::Values(along) = &self.by {
            along.walk(out)?;
            out.push_sql(" AND ");
        }
        walk_terms(&self.terms, matches!(self.by, By::Few), out)?;
        out.push_sql(" ORDER BY ");
        if let By::Values(along) = &self.by
            && DB::COMPARES_ROWS
        {
            for (column, _) in &along.columns {
                out.push_sql(column);
                out.push_sql(" DESC, ");
            }
        }
        out.push_sql(if matches!(self.by, By::Few) { DB::SORTED } else { "jobs.id" });
        out.push_sql(" DESC");
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
        walk_terms(&self.all, false, &mut out)?;
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
        if self.looks.is_empty() {
            out.push_sql("1 = 0");
            return Ok(());
        }
        out.push_sql("jobs.id IN (");
        for (index, look) in self.looks.iter().enumerate() {
            out.push_sql(if index > 0 { " UNION ALL " } else { "" });
            out.push_sql("SELECT look.id FROM (SELECT jobs.id FROM jobs WHERE ");
            look.walk(&mut out)?;
            out.push_sql(" LIMIT ");
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
