//! E-mail addresses, parsed once at the edge.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An address that mail can be sent to: one recipient, no display name, no way to smuggle a header.
///
/// The syntax is the `addr-spec` of RFC 5322 as `lettre` checks it, at most 254 characters (RFC 5321),
/// and no white space or control character anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// The text is not one e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an e-mail address")]
pub struct InvalidEmail;

impl EmailAddress {
    /// The longest address that SMTP can carry (RFC 5321 §4.5.3.1.3, less the angle brackets).
    pub const MAX_LENGTH: usize = 254;

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for EmailAddress {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',' | ';' | '"');
        if text.len() > Self::MAX_LENGTH || text.chars().any(odd) {
            return Err(InvalidEmail);
        }
        let address: lettre::Address = text.parse().map_err(|_| InvalidEmail)?;
        if !address.domain().contains('.') && address.domain() != "localhost" {
            return Err(InvalidEmail);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_parse() {
        for text in ["ada@example.org", "a.b+c@mail.example.co.uk", "o'brien@example.ie"] {
            assert!(text.parse::<EmailAddress>().is_ok(), "{text}");
        }
    }

    #[test]
    fn hostile_and_broken_addresses_do_not() {
        let long = format!("{}@example.org", "a".repeat(250));
        let table = [
            "",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "ada@example.org\r\nBcc: all@example.org",
            "ada@example.org\nSubject: x",
            "ada@example.org, bob@example.org",
            "Ada <ada@example.org>",
            "ada @example.org",
            "ada@exam\u{0}ple.org",
            "\"ada\"@example.org",
            long.as_str(),
        ];
        for text in table {
            assert_eq!(text.parse::<EmailAddress>(), Err(InvalidEmail), "{text:?}");
        }
    }
}
