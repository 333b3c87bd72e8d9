//! The broker's URL: parsed once, at the start, and never shown.

use std::fmt;

use lapin::uri::AMQPUri;
use url::{Host, Url};

use crate::BrokerError;

/// How long the two sides may be silent before each takes the other for dead, in seconds.
const HEARTBEAT_SECONDS: u16 = 15;

/// Where to connect to. Shown without user and password.
#[derive(Clone)]
pub(super) struct Address {
    uri: AMQPUri,
}

impl Address {
    /// Reads `amqp://user:password@host:port/vhost?heartbeat=15`, see
    /// <https://www.rabbitmq.com/docs/uri-spec>. One difference: an empty path is the virtual host `/`,
    /// not the one with the empty name, which no broker has.
    pub(super) fn parse(text: &str) -> Result<Self, BrokerError> {
        let url = Url::parse(text).map_err(|error| BrokerError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "amqp" | "amqps") {
            return Err(BrokerError::Url("the scheme must be amqp or amqps".into()));
        }
        let Some(host) = url.host().filter(|host| *host != Host::Domain("")) else {
            return Err(BrokerError::Url("no host".into()));
        };
        // The reason is left out: it may quote the URL.
        let mut uri: AMQPUri =
            text.parse().map_err(|_| BrokerError::Url("a part of it can't be read".into()))?;
        if let Host::Ipv6(address) = host {
            // The parser takes only names and puts `localhost` in place of what it doesn't take.
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self { uri })
    }

    pub(super) fn uri(&self) -> AMQPUri {
        self.uri.clone()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri { scheme, authority, vhost, .. } = &self.uri;
        write!(f, "{scheme}://{}:{} vhost {vhost}", authority.host, authority.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_brokers_are_read_and_shown_without_the_password() {
        for (url, shown) in [
            ("amqp://app:s3cret@rabbit", "amqp://rabbit:5672 vhost /"),
            ("amqp://app:s3cret@rabbit/", "amqp://rabbit:5672 vhost /"),
            ("amqps://app:s3cret@rabbit/%2f", "amqps://rabbit:5671 vhost /"),
            ("amqp://app:s3cret@127.0.0.1:5673/shop", "amqp://127.0.0.1:5673 vhost shop"),
            ("amqp://app:s3cret@[::1]:5672/shop", "amqp://::1:5672 vhost shop"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(address.uri().authority.userinfo.password, "s3cret");
            assert_eq!(address.uri().query.heartbeat, Some(HEARTBEAT_SECONDS));
        }
    }

    #[test]
    fn a_wrong_url_is_refused_in_one_line_that_does_not_repeat_it() {
        for url in [
            "",
            "rabbit",
            "http://app:s3cret@rabbit",
            "amqp:app:s3cret@rabbit",
            "amqp://",
            "amqp:///vhost",
            "amqp://app:s3cret@rabbit:port",
            "amqp://app:s3cret@rabbit?heartbeat=s3cret",
            "amqp://app:%ff%ffs3cret@rabbit",
        ] {
            let error = Address::parse(url).err().unwrap().to_string();
            assert!(!error.contains("s3cret") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn a_heartbeat_in_the_url_is_kept() {
        let address = Address::parse("amqp://rabbit?heartbeat=3").unwrap();
        assert_eq!(address.uri().query.heartbeat, Some(3));
    }
}
