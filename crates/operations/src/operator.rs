//! Who operates the system, and by which way.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ids::OperatorId;

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

/// Somebody who may operate the system, and has shown that it is them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Their id.
    pub id: OperatorId,
    /// Their name.
    pub name: String,
    /// Whether they may look and not touch.
    pub read_only: bool,
}

impl Operator {
    /// The operator as somebody who does something, by a way.
    pub fn actor(&self, via: Via) -> Actor {
        Actor { name: self.name.clone(), via, read_only: self.read_only }
    }
}

/// An operator's name, and that of a token: short and plain, so that it can stand in a log and in a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

/// The text is no such name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has 1 to 40 lower-case letters, digits, dots, hyphens and underscores")]
pub struct InvalidName;

impl Name {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if (1..=40).contains(&text.len()) && text.chars().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName)
        }
    }
}

model::text_columns!(Via);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["ada", "night-shift_2", "a.b", &"x".repeat(40)] {
            assert_eq!(good.parse::<Name>().map(|name| name.as_str() == good), Ok(true), "{good}");
        }
        for bad in ["", "Ada", "ada lovelace", "ä", "a/b", "a\n", &"x".repeat(41)] {
            assert_eq!(bad.parse::<Name>(), Err(InvalidName), "{bad}");
        }
    }
}
