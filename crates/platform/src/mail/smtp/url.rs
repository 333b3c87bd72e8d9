//! The `SMTP_URL` setting: `smtp://user:password@host:port/ehlo-name?tls=required` or `smtps://…`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// How a connection becomes a private one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all: for a server on the same machine or network.
    Plain,
    /// By `STARTTLS` where the server offers it; whoever sits in between can take the offer away.
    Opportunistic,
    /// By `STARTTLS`, or no mail is sent.
    Required,
    /// From the first byte (RFC 8314): the one to prefer.
    Wrapped,
}

/// Where mail goes and who we are there.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    /// A name or an address.
    pub host: String,
    /// 465 for `smtps`, 587 with `tls=…`, else 25, unless the URL names one.
    pub port: u16,
    /// From the scheme and `tls=`.
    pub security: Security,
    /// User and password, percent-decoded.
    pub credentials: Option<(String, String)>,
    /// What to call ourselves; the machine's own name when the URL has no path.
    pub ehlo_name: Option<String>,
}

/// What is wrong with an `SMTP_URL`. Never repeats the URL: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSmtpUrl {
    /// No URL.
    #[error("is not a URL: {0}")]
    Syntax(#[from] url::ParseError),
    /// Neither `smtp` nor `smtps`.
    #[error("must begin with smtp:// or smtps://")]
    Scheme,
    /// No host.
    #[error("names no host")]
    Host,
    /// A `tls` that is not `required` or `opportunistic`, `tls` with `smtps`, or another parameter.
    #[error("understands only ?tls=required and ?tls=opportunistic, and these only with smtp://")]
    Parameter,
    /// A user without a password or the other way round, or escapes that are not UTF-8.
    #[error("needs both a user and a password, percent-encoded, or neither")]
    Credentials,
    /// The certificates of this machine can't be used.
    #[error("asks for TLS, which can't be set up: {0}")]
    Tls(String),
}

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text)?;
        let security = security(&url)?;
        let host = match url.host().ok_or(InvalidSmtpUrl::Host)? {
            Host::Domain("") => return Err(InvalidSmtpUrl::Host),
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let default_port = match security {
            Security::Plain => 25,
            Security::Opportunistic | Security::Required => 587,
            Security::Wrapped => 465,
        };
        let ehlo_name = url.path().trim_matches('/');
        Ok(Self {
            host,
            port: url.port().unwrap_or(default_port),
            security,
            credentials: credentials(&url)?,
            ehlo_name: (!ehlo_name.is_empty()).then(|| ehlo_name.to_owned()),
        })
    }
}

fn security(url: &Url) -> Result<Security, InvalidSmtpUrl> {
    let parameters: Vec<_> = url.query_pairs().collect();
    let parameters: Vec<(&str, &str)> =
        parameters.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    match (url.scheme(), parameters.as_slice()) {
        ("smtp", []) => Ok(Security::Plain),
        ("smtp", [("tls", "opportunistic")]) => Ok(Security::Opportunistic),
        ("smtp", [("tls", "required")]) => Ok(Security::Required),
        ("smtps", []) => Ok(Security::Wrapped),
        ("smtp" | "smtps", _) => Err(InvalidSmtpUrl::Parameter),
        _ => Err(InvalidSmtpUrl::Scheme),
    }
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, InvalidSmtpUrl> {
    let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(InvalidSmtpUrl::Credentials),
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        ("", Some(_)) | (_, None) => Err(InvalidSmtpUrl::Credentials),
        (user, Some(password)) => Ok(Some((decoded(user)?, decoded(password)?))),
    }
}

/// Without the password.
impl fmt::Debug for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpUrl")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("user", &self.credentials.as_ref().map(|(user, _)| user))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_and_tls_decide_security_and_port() {
        for (text, security, port) in [
            ("smtp://mail.example", Security::Plain, 25),
            ("smtp://localhost:1025", Security::Plain, 1025),
            ("smtp://mail.example?tls=required", Security::Required, 587),
            ("smtp://mail.example:25?tls=opportunistic", Security::Opportunistic, 25),
            ("smtps://mail.example/", Security::Wrapped, 465),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!((url.security, url.port), (security, port), "{text}");
        }
    }

    #[test]
    fn user_password_address_and_name_are_read_and_the_password_is_not_shown() {
        let url: SmtpUrl = "smtps://ada%40shop:s%2Fcret%3A@[::1]:4650/web-1.example".parse().unwrap();
        assert_eq!(url.host, "::1");
        assert_eq!(url.credentials, Some(("ada@shop".to_owned(), "s/cret:".to_owned())));
        assert_eq!(url.ehlo_name.as_deref(), Some("web-1.example"));
        assert!(!format!("{url:?}").contains("cret"));
    }

    #[test]
    fn a_wrong_url_says_what_is_wrong_with_it() {
        for (text, error) in [
            ("mail.example", InvalidSmtpUrl::Syntax(url::ParseError::RelativeUrlWithoutBase)),
            ("http://mail.example", InvalidSmtpUrl::Scheme),
            ("smtp:mail.example", InvalidSmtpUrl::Host),
            ("smtp://mail.example?tls=maybe", InvalidSmtpUrl::Parameter),
            ("smtps://mail.example?tls=required", InvalidSmtpUrl::Parameter),
            ("smtp://mail.example?timeout=1", InvalidSmtpUrl::Parameter),
            ("smtp://ada@mail.example", InvalidSmtpUrl::Credentials),
            ("smtp://ada:%ff@mail.example", InvalidSmtpUrl::Credentials),
        ] {
            assert_eq!(text.parse::<SmtpUrl>(), Err(error), "{text}");
        }
    }
}
