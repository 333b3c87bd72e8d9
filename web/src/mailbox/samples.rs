//! The pages of the mailbox in every state.

use super::pages::{MailPage, MailRow, MailboxPage};
use crate::pages::Section;
use crate::pages::samples::{NOON, html, id, shell};

/// Each by a name; `text` stands wherever somebody else's words do.
pub fn all(text: &str) -> Vec<(String, String)> {
    vec![
        ("mailbox".to_owned(), html(&mailbox(text))),
        ("mailbox-empty".to_owned(), html(&MailboxPage { mails: Vec::new(), ..mailbox(text) })),
        ("mail".to_owned(), html(&mail(text))),
        ("mail-text".to_owned(), html(&MailPage { html: None, ..mail(text) })),
    ]
}

fn mailbox(text: &str) -> MailboxPage {
    let mail = |number: usize, subject: &str, to: &str| MailRow {
        id: id(300 + number),
        to: to.to_owned(),
        subject: subject.to_owned(),
        sent_at: NOON.to_owned(),
    };
    MailboxPage {
        shell: shell(Section::Mailbox),
        mails: vec![mail(0, "Your prints are on their way", "ada@example.org"), mail(1, text, text)],
    }
}

fn mail(text: &str) -> MailPage {
    MailPage {
        shell: shell(Section::Mailbox),
        from: "Halftone <prints@example.org>".to_owned(),
        to: text.to_owned(),
        subject: text.to_owned(),
        sent_at: NOON.to_owned(),
        text: format!("Hello,\n\n{text}\n\nLook at your order: http://localhost:8080/orders/1?sig=x&y=2.\n"),
        html: Some(format!(
            "<h1>Thank you</h1><p>{text}</p><p><a href=\"http://localhost:8080/orders/1\">Look at your order</a></p>"
        )),
    }
}
