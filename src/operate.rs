//! The commands of an operator, the same on the worker and on the all-in-one. They open the database alone: a running
//! program on the same database does what they ask for.

use std::process::ExitCode;

use clap::Subcommand;
use shared::config::Common;
use shared::foundation::Foundation;

use crate::Error;
use crate::dead::DeadCommand;
use crate::jobs::JobsCommand;
use crate::operator::OperatorCommand;
use crate::queues::QueuesCommand;

/// What an operator may do from a terminal.
#[derive(Debug, Clone, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one in a program's life")]
pub enum OperateCommand {
    /// Operators: who may log in at /admin, and the tokens of their programs
    #[command(subcommand)]
    Operator(OperatorCommand),
    /// Dead letters: what failed for good, and what is to become of it
    #[command(subcommand)]
    Dead(DeadCommand),
    /// Jobs: finding them, all about one, and what is to become of it
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Queues: how full they are, and pausing them
    #[command(subcommand)]
    Queues(QueuesCommand),
}

impl OperateCommand {
    /// Does it.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub async fn run(self, common: &Common) -> Result<ExitCode, Error> {
        let db = Foundation::database_only(common).await?;
        match self {
            Self::Operator(command) => command.run(&db).await,
            Self::Dead(command) => command.run(&db).await,
            Self::Jobs(command) => command.run(&db).await,
            Self::Queues(command) => command.run(&db).await,
        }
    }
}
