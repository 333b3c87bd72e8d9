//! A look into the tables, for what no user could see.

use std::path::{Path, PathBuf};

use diesel::connection::SimpleConnection;
use diesel::sql_types::BigInt;
use diesel::{Connection, QueryableByName, RunQueryDsl, SqliteConnection};
use tokio_postgres::NoTls;

/// Where an app keeps its rows.
#[derive(Debug, Clone)]
pub enum Database {
    /// The embedded file.
    Sqlite(PathBuf),
    /// A database on the tests' PostgreSQL.
    Postgres(String),
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl Database {
    /// The database in an all-in-one's `DATA_DIR`.
    pub fn in_folder(data: &Path) -> Self {
        Self::Sqlite(data.join("print-shop.db"))
    }

    /// Changes rows, as an operator with a console could.
    ///
    /// # Errors
    /// The database does not answer at present.
    pub async fn execute(&self, statement: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(file) => {
                let mut connection = SqliteConnection::establish(&file.to_string_lossy())
                    .map_err(|error| error.to_string())?;
                let patience = connection.batch_execute("PRAGMA busy_timeout = 5000");
                patience.and_then(|()| connection.batch_execute(statement)).map_err(|error| error.to_string())
            }
            Self::Postgres(url) => {
                let client = connect(url).await.map_err(|error| error.to_string())?;
                client.batch_execute(statement).await.map_err(|error| error.to_string())
            }
        }
    }

    /// The number that a query gives; NULL counts as 0.
    ///
    /// # Errors
    /// The database does not answer at present.
    pub async fn number(&self, query: &str) -> Result<i64, String> {
        let query = format!("SELECT CAST(COALESCE(({query}), 0) AS bigint) AS number");
        match self {
            Self::Sqlite(file) => {
                let mut connection = SqliteConnection::establish(&file.to_string_lossy())
                    .map_err(|error| error.to_string())?;
                let answer = diesel::sql_query(query).get_result(&mut connection);
                answer.map(|row: Number| row.number).map_err(|error| error.to_string())
            }
            Self::Postgres(url) => {
                let client = connect(url).await.map_err(|error| error.to_string())?;
                let row = client.query_one(&query, &[]).await.map_err(|error| error.to_string())?;
                Ok(row.get(0))
            }
        }
    }
}

/// A connection to PostgreSQL.
///
/// # Errors
/// It does not answer.
pub async fn connect(url: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
