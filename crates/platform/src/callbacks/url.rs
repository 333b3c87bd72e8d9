//! What may be asked for as the address of a callback.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

use crate::callbacks::{CallbackPolicy, may_reach};

/// The longest, in bytes.
const MAX_LENGTH: usize = 2000;

/// Ports below this belong to services that are no receivers of ours, the two of HTTP excepted.
const FIRST_FREE_PORT: u16 = 1024;

/// An address that a callback may be sent to, as far as the address alone tells. Where its name leads, the
/// [`CallbackClient`](crate::callbacks::CallbackClient) checks at each delivery.
#[derive(Clone, PartialEq, Eq)]
pub struct CallbackUrl(Url);

/// Why not. The text is for the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCallbackUrl {
    /// No URL, or one without a host.
    #[error("is not a URL")]
    NotAUrl,
    /// Longer than a URL may be.
    #[error("must have at most {MAX_LENGTH} characters")]
    TooLong,
    /// Not encrypted.
    #[error("must begin with https://")]
    Scheme,
    /// A user or a password in it would be stored, and shown.
    #[error("must have no user or password; the signature tells that it is us")]
    Credentials,
    /// A fragment is never sent.
    #[error("must have no fragment")]
    Fragment,
    /// A port of something else.
    #[error("must name port 443, or one from {FIRST_FREE_PORT} up")]
    Port,
    /// An address that is not public.
    #[error("must lead to a public address")]
    Address,
    /// No callbacks at all.
    #[error("is not offered here")]
    Off,
}

impl CallbackUrl {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it under this policy.
    pub fn parse(text: &str, policy: CallbackPolicy) -> Result<Self, InvalidCallbackUrl> {
        use InvalidCallbackUrl as Invalid;
        if policy == CallbackPolicy::Off {
            return Err(Invalid::Off);
        }
        if text.len() > MAX_LENGTH {
            return Err(Invalid::TooLong);
        }
        // Every odd form of an IPv4 address (decimal, hexadecimal, octal, shortened) becomes the plain one here.
        let url = Url::parse(text).map_err(|_| Invalid::NotAUrl)?;
        match url.scheme() {
            "https" => {}
            "http" if policy == CallbackPolicy::Any => {}
            _ => return Err(Invalid::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid::Credentials);
        }
        if url.fragment().is_some() {
            return Err(Invalid::Fragment);
        }
        let port = url.port_or_known_default().ok_or(Invalid::Port)?;
        if port < FIRST_FREE_PORT && port != 443 && !(port == 80 && url.scheme() == "http") {
            return Err(Invalid::Port);
        }
        let url = Self(url);
        if url.address().is_some_and(|address| !may_reach(address, policy.loopback())) {
            return Err(Invalid::Address);
        }
        Ok(url)
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its host.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Its host, where that is an address: such a one is not resolved.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
            Host::Domain(_) => None,
        }
    }

    pub(super) fn url(&self) -> Url {
        self.0.clone()
    }
}

/// Its host alone: a path or a query may be a secret of the receiver's.
impl fmt::Debug for CallbackUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CallbackUrl").field(&self.host()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::InvalidCallbackUrl as Invalid;
    use super::*;

    fn strict(text: &str) -> Result<CallbackUrl, Invalid> {
        CallbackUrl::parse(text, CallbackPolicy::Https)
    }

    #[test]
    fn https_to_a_name_or_a_public_address_is_taken() {
        for text in [
            "https://shop.example/hooks?job=1",
            "HTTPS://shop.example",
            "https://shop.example:8443/",
            "https://bücher.example/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]:4433/",
        ] {
            assert!(strict(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_sentence() {
        let long = format!("https://shop.example/{}", "x".repeat(2000));
        let table = [
            ("", Invalid::NotAUrl),
            ("shop.example", Invalid::NotAUrl),
            ("https://", Invalid::NotAUrl),
            ("https://a b/", Invalid::NotAUrl),
            (long.as_str(), Invalid::TooLong),
            ("http://shop.example/", Invalid::Scheme),
            ("ftp://shop.example/", Invalid::Scheme),
            ("file:///etc/passwd", Invalid::Scheme),
            ("gopher://shop.example/", Invalid::Scheme),
            ("https://ada:secret@shop.example/", Invalid::Credentials),
            ("https://ada@shop.example/", Invalid::Credentials),
            ("https://shop.example/#x", Invalid::Fragment),
            ("https://shop.example:22/", Invalid::Port),
            ("https://shop.example:25/", Invalid::Port),
            ("https://shop.example:80/", Invalid::Port),
        ];
        for (text, expected) in table {
            assert_eq!(strict(text).unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_however_it_is_written() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "127.0.0.1.",
            "①②⑦.0.0.1",
            "%31%32%37.0.0.1",
            "10.0.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "2852039166",
            "0xa9fea9fe",
            "0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[fd00:ec2::254]",
            "[fe80::1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
        ] {
            assert_eq!(strict(&format!("https://{host}/")).unwrap_err(), Invalid::Address, "{host}");
        }
    }

    #[test]
    fn for_development_http_and_this_machine_are_taken_and_other_private_ones_are_not() {
        let parse = |text| CallbackUrl::parse(text, CallbackPolicy::Any);
        for text in
            ["http://127.0.0.1:9090/", "http://localhost:9090/", "http://[::1]:9090/", "http://shop.example/"]
        {
            assert!(parse(text).is_ok(), "{text}");
        }
        assert_eq!(parse("http://192.168.0.1/").unwrap_err(), Invalid::Address);
        assert_eq!(parse("http://169.254.169.254/latest").unwrap_err(), Invalid::Address);
        assert_eq!(
            CallbackUrl::parse("https://shop.example/", CallbackPolicy::Off).unwrap_err(),
            Invalid::Off
        );
    }

    #[test]
    fn a_log_shows_its_host_alone() {
        let url = strict("https://shop.example/hooks/secret?key=secret").unwrap();
        assert_eq!(format!("{url:?}"), "CallbackUrl(\"shop.example\")");
    }
}
