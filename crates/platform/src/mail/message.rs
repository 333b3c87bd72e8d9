//! From an [`OutgoingMail`] to the bytes of a message. Pure: the caller brings the time.
//!
//! ```text
//! multipart/mixed                    only with attachments
//! ├─ multipart/alternative
//! │  ├─ text/plain
//! │  └─ multipart/related            only with inline pictures, else text/html alone
//! │     ├─ text/html
//! │     └─ image/…                   inline, Content-ID
//! └─ application/…                   attachment
//! ```

use std::time::SystemTime;

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as Part, Mailbox, MultiPart, SinglePart};

use crate::mail::{Attachment, InlinePicture, MailError, OutgoingMail, Sender};

/// The most characters of a subject: a longer one without spaces could not be folded into lines of
/// at most 998 octets (RFC 5322 §2.1.1).
const MAX_SUBJECT: usize = 200;

/// Composes the message.
///
/// # Errors
/// [`MailError::Rejected`] when a content id or a media type is none: a programming mistake, which no
/// retry mends.
pub(super) fn compose(mail: &OutgoingMail, sender: &Sender, now: SystemTime) -> Result<Message, MailError> {
    let recipient = mail.to.as_str().parse().map_err(|_| rejected("recipient", mail.to.as_str()))?;
    let builder = Message::builder()
        .from(sender.mailbox())
        .to(Mailbox::new(None, recipient))
        .subject(one_line(&mail.subject))
        .date(now)
        .message_id(Some(format!("<{}@{}>", mail.message_id_of, sender.host())))
        // RFC 3834: keeps "I am on holiday" answers from coming back to us.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    builder.multipart(body(mail)?).map_err(|error| MailError::Rejected(error.to_string()))
}

fn body(mail: &OutgoingMail) -> Result<MultiPart, MailError> {
    let alternative = MultiPart::alternative().singlepart(SinglePart::plain(mail.text.clone()));
    let html = SinglePart::html(mail.html.clone());
    let alternative = if mail.inline.is_empty() {
        alternative.singlepart(html)
    } else {
        let mut related = MultiPart::related().singlepart(html);
        for picture in &mail.inline {
            related = related.singlepart(inline_part(picture)?);
        }
        alternative.multipart(related)
    };
    if mail.attachments.is_empty() {
        return Ok(alternative);
    }
    let mut mixed = MultiPart::mixed().multipart(alternative);
    for attachment in &mail.attachments {
        mixed = mixed.singlepart(attached_part(attachment)?);
    }
    Ok(mixed)
}

fn inline_part(picture: &InlinePicture) -> Result<SinglePart, MailError> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if picture.content_id.is_empty() || !picture.content_id.chars().all(harmless) {
        return Err(rejected("content id", &picture.content_id));
    }
    let content_type = media_type(&picture.content_type)?;
    Ok(Part::new_inline(picture.content_id.clone()).body(picture.bytes.clone(), content_type))
}

fn attached_part(attachment: &Attachment) -> Result<SinglePart, MailError> {
    let harmful = |c: char| c.is_control() || matches!(c, '/' | '\\');
    let file_name: String =
        attachment.file_name.chars().take(100).map(|c| if harmful(c) { '_' } else { c }).collect();
    let content_type = media_type(&attachment.content_type)?;
    Ok(Part::new(file_name).body(attachment.bytes.clone(), content_type))
}

fn media_type(text: &str) -> Result<ContentType, MailError> {
    if text.chars().any(char::is_control) {
        return Err(rejected("media type", text));
    }
    ContentType::parse(text).map_err(|_| rejected("media type", text))
}

fn rejected(what: &str, text: &str) -> MailError {
    MailError::Rejected(format!("{text:?} is no {what}"))
}

/// The text without anything that could end a header or hide in one.
fn one_line(text: &str) -> String {
    text.chars().take(MAX_SUBJECT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use mail_parser::{MessageParser, MimeHeaders};
    use proptest::prelude::*;

    use super::super::testing::{mail, sender};
    use super::*;

    fn bytes(mail: &OutgoingMail) -> Vec<u8> {
        compose(mail, &sender(), SystemTime::UNIX_EPOCH).unwrap().formatted()
    }

    /// The names of the top-level headers, in order, as any reader sees them.
    fn header_names(raw: &[u8]) -> Vec<String> {
        let message = MessageParser::default().parse(raw).unwrap();
        message.headers().iter().map(|header| header.name().to_owned()).collect()
    }

    const HEADERS: [&str; 8] =
        ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type"];

    #[test]
    fn a_mail_is_named_after_its_job_and_says_that_a_machine_wrote_it() {
        let mail = mail();
        let text = String::from_utf8(bytes(&mail)).unwrap();
        assert!(text.contains(&format!("Message-ID: <{}@notes.example>\r\n", mail.message_id_of)), "{text}");
        assert!(text.contains("Auto-Submitted: auto-generated\r\n"), "{text}");
        assert!(text.contains("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("From: \"Our team\" <team@notes.example>\r\n"), "{text}");
        assert!(text.contains("To: ada@example.org\r\n"), "{text}");
    }

    #[test]
    fn text_html_pictures_and_attachments_nest_as_mail_programs_expect() {
        let mut mail = mail();
        mail.attachments.push(Attachment {
            file_name: "../evil\r\nname.pdf".to_owned(),
            content_type: "application/pdf".to_owned(),
            bytes: b"%PDF".to_vec(),
        });
        let raw = bytes(&mail);
        let message = MessageParser::default().parse(&raw).unwrap();
        let kinds: Vec<String> = message
            .parts
            .iter()
            .filter_map(|part| part.content_type())
            .map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()))
            .collect();
        let expected = [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "image/png",
            "application/pdf",
        ];
        assert_eq!(kinds, expected);
        assert_eq!(message.parts[6].attachment_name(), Some(".._evil__name.pdf"));
        assert_eq!(message.parts[5].content_id(), Some("line-1@example.org"));
    }

    #[test]
    fn hostile_subjects_add_no_header_and_no_recipient() {
        let table = [
            "x\r\nBcc: all@example.org",
            "x\nTo: all@example.org",
            "x\rCc: all@example.org",
            "x\r\n\r\n<h1>another body</h1>",
            "x\u{0}\u{1}\u{7f}\u{85}\u{2028}y",
            "\r\n.\r\nMAIL FROM:<x@example.org>",
            "undefined",
            "1;DROP TABLE users",
            "<script>alert(0)</script>",
            "\u{202e}test\u{202e}",
            "Ω≈ç√∫˜µ≤≥÷ 田中さんにあげて下さい 👾 🙇 💁",
            "\u{feff}﷽",
        ];
        for subject in table {
            let mail = OutgoingMail { subject: subject.to_owned(), ..mail() };
            let raw = bytes(&mail);
            assert_eq!(header_names(&raw), HEADERS, "{subject:?}");
            let message = compose(&mail, &sender(), SystemTime::UNIX_EPOCH).unwrap();
            assert_eq!(message.envelope().to().len(), 1, "{subject:?}");
        }
    }

    #[test]
    fn a_content_id_or_media_type_that_is_none_is_refused_for_good() {
        for (content_id, content_type) in
            [("a>\r\nX: y", "image/png"), ("", "image/png"), ("a", "image/png\r\nX: y"), ("a", "picture")]
        {
            let mut mail = mail();
            mail.inline[0].content_id = content_id.to_owned();
            mail.inline[0].content_type = content_type.to_owned();
            let answer = compose(&mail, &sender(), SystemTime::UNIX_EPOCH);
            assert!(matches!(answer, Err(MailError::Rejected(_))), "{content_id:?} {content_type:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_subject_headers_and_line_lengths_stay_right(subject in "\\PC{0,300}|[\r\n\t :,<>@=?a-z]{0,300}") {
            let raw = bytes(&OutgoingMail { subject, ..mail() });
            prop_assert_eq!(header_names(&raw), HEADERS);
            prop_assert!(raw.split(|byte| *byte == b'\n').all(|line| line.len() <= 998));
            prop_assert!(raw.is_ascii());
        }
    }
}
