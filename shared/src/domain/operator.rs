//! Who operates the system, and by which way.

use serde::{Deserialize, Serialize};

/// By which way an operator did something.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
)]
#[diesel(sql_type = diesel::sql_types::Text)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// The pages under `/admin`.
    Page,
    /// `/api/admin`.
    Api,
    /// The command line: whoever has the database's password needs no other.
    Command,
}

impl Via {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Api => "api",
            Self::Command => "command",
        }
    }

    /// The inverse of [`Via::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Page, Self::Api, Self::Command].into_iter().find(|via| via.name() == name)
    }
}

/// Whoever does something to the system; what they did stands in the audit under this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The operator's name, or that of the account that runs the command.
    pub name: String,
    /// By which way.
    pub via: Via,
    /// Whether they may look and not touch.
    pub read_only: bool,
}

impl Actor {
    /// Whoever runs a command of the programs: the account's name, as far as the environment tells it.
    pub fn of_command() -> Self {
        let name = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        Self { name: name.unwrap_or_else(|| "unknown".to_owned()), via: Via::Command, read_only: false }
    }
}
