//! `operator …`: operators and their tokens, from a terminal. Whoever has the database's password needs no other.

use std::io::BufRead;
use std::process::ExitCode;

use clap::Subcommand;
use database::Db;
use operations::operator::Actor;
use operations::operators;
use platform::signing::Password;

use crate::{Error, say};

/// What to do about operators.
#[derive(Debug, Clone, Subcommand)]
pub enum OperatorCommand {
    /// Add one, and print the password that was made up
    Add {
        /// The name: lower-case letters, digits, dots, hyphens and underscores
        name: String,
        /// May look, but change nothing
        #[arg(long)]
        read_only: bool,
        /// Read the password from standard input, instead of making one up
        #[arg(long)]
        password_stdin: bool,
    },
    /// List them
    List,
    /// Remove one; their sessions and tokens end at once
    Remove {
        /// The name
        name: String,
    },
    /// Change the password of one, which ends their sessions, and print the one that was made up
    Password {
        /// The name
        name: String,
        /// Read the password from standard input, instead of making one up
        #[arg(long)]
        password_stdin: bool,
    },
    /// Make a token for the programs of one, and print it: they send it as "Authorization: Bearer TOKEN"
    Token {
        /// The operator's name
        name: String,
        /// What to call the token
        token_name: String,
    },
}

impl OperatorCommand {
    /// Does it. Other programs may be running on the same database.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub async fn run(self, db: &Db) -> Result<ExitCode, Error> {
        let actor = Actor::of_command();
        match self {
            Self::Add { name, read_only, password_stdin } => {
                let chosen = password(password_stdin)?;
                let made = operators::add(db, &actor, &name, chosen.as_deref(), read_only).await?;
                tell(&name, made.as_ref());
            }
            Self::List => {
                for operator in operators::list(db).await? {
                    let may = if operator.read_only { "read-only" } else { "may change" };
                    let seen = match operator.seen_at {
                        Some(at) => format!("seen {}", at.rfc3339()),
                        None => "not logged in".to_owned(),
                    };
                    say(&format!(
                        "{:20} {may:10} since {}, {seen}",
                        operator.name,
                        operator.created_at.rfc3339()
                    ));
                }
            }
            Self::Remove { name } => operators::remove(db, &actor, &name).await?,
            Self::Password { name, password_stdin } => {
                let chosen = password(password_stdin)?;
                let made = operators::set_password(db, &actor, &name, chosen.as_deref()).await?;
                tell(&name, made.as_ref());
            }
            Self::Token { name, token_name } => {
                say(operators::create_token(db, &actor, &name, &token_name).await?.token.as_str());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The line that the all-in-one prints at its first start.
pub fn first_line(password: &Password, base: &str) -> String {
    format!("operator {}, password {}: {base}/admin", operators::FIRST, password.as_str())
}

fn tell(name: &str, made: Option<&Password>) {
    if let Some(password) = made {
        say(&format!("operator {name}, password {}", password.as_str()));
    }
}

/// The first line of standard input, if it is to be read. An argument would stand in the list of processes.
fn password(from_stdin: bool) -> Result<Option<String>, Error> {
    if !from_stdin {
        return Ok(None);
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    Ok(Some(line.trim_end_matches(['\r', '\n']).to_owned()))
}
