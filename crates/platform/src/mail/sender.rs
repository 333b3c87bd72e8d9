//! Who our mail is from.

use std::fmt;
use std::str::FromStr;

use lettre::message::Mailbox;

/// The `MAIL_FROM` setting: an address, with or without a display name in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// The text is not one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a sender like team@example.org or \"Our team <team@example.org>\"")]
pub struct InvalidSender;

impl Sender {
    /// The part after the `@`: the host that our message ids belong to.
    pub fn host(&self) -> &str {
        self.0.email.domain()
    }

    /// The mailbox as the message builder takes it.
    pub(super) fn mailbox(&self) -> Mailbox {
        self.0.clone()
    }
}

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.chars().any(char::is_control) {
            return Err(InvalidSender);
        }
        let mailbox: Mailbox = text.parse().map_err(|_| InvalidSender)?;
        // The parser stops after the first mailbox and says nothing about what follows it.
        if !text.trim_end_matches('>').trim_end().ends_with(mailbox.email.to_string().as_str()) {
            return Err(InvalidSender);
        }
        Ok(Self(mailbox))
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, host) in [
            ("team@example.org", "example.org"),
            ("Our team <team@example.org>", "example.org"),
            (" \"Notes, and more\" <team@mail.example.org> ", "mail.example.org"),
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!(sender.host(), host, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "team",
            "a@example.org, b@example.org",
            "Team\r\nBcc: x@example.org <team@example.org>",
            "<>",
        ] {
            assert_eq!(text.parse::<Sender>(), Err(InvalidSender), "{text:?}");
        }
    }
}
