//! A mail as its recipient sees it.

use mail_parser::{MessageParser, MimeHeaders, PartType};

/// A mail.
#[derive(Debug, Clone)]
pub struct Mail {
    /// `Message-ID`, without the angle brackets.
    pub message_id: String,
    /// The recipients of `To`.
    pub to: Vec<String>,
    /// `Subject`.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The HTML.
    pub html: String,
    /// The pictures in the HTML: content id, media type, bytes.
    pub inline: Vec<(String, String, Vec<u8>)>,
    /// The attached files of text: name and content.
    pub attached: Vec<(String, String)>,
}

impl Mail {
    /// Reads an Internet message (RFC 5322).
    pub fn parse(raw: &[u8]) -> Self {
        let message = MessageParser::default().parse(raw).unwrap();
        let to = message.to().into_iter().flat_map(|to| to.iter());
        let inline = message.parts.iter().filter_map(|part| {
            let (PartType::Binary(bytes) | PartType::InlineBinary(bytes)) = &part.body else { return None };
            let kind = part.content_type()?;
            let media_type = format!("{}/{}", kind.ctype(), kind.subtype()?);
            Some((part.content_id()?.to_owned(), media_type, bytes.to_vec()))
        });
        let attached = message
            .attachments()
            .filter_map(|part| Some((part.attachment_name()?.to_owned(), part.text_contents()?.to_owned())));
        Self {
            message_id: message.message_id().unwrap_or_default().to_owned(),
            to: to.filter_map(|address| address.address()).map(str::to_owned).collect(),
            subject: message.subject().unwrap_or_default().to_owned(),
            text: message.body_text(0).unwrap_or_default().into_owned(),
            html: message.body_html(0).unwrap_or_default().into_owned(),
            inline: inline.collect(),
            attached: attached.collect(),
        }
    }

    /// The path and query of the first link to an order in the text.
    pub fn order_link(&self) -> String {
        let at = self.text.find("/orders/").unwrap_or_else(|| panic!("no link in the mail: {}", self.text));
        let link: &str = self.text[at..].split(|c: char| c.is_whitespace() || c == '>').next().unwrap();
        link.to_owned()
    }
}
