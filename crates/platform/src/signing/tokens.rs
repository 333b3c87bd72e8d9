//! Tokens of anonymous customers: all that we know of them, and all that they need. Operators' sessions and
//! tokens are of the same make.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

/// 256 random bits as base64url: what the customer keeps. Never stored and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// The SHA-256 of a [`Token`]: what we keep. Nobody who reads the database can act as a customer.
///
/// Neither salted nor slow, unlike the hash of a password: a token can't be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

/// In hexadecimal, as it is stored.
impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a token")]
pub struct InvalidToken;

impl Token {
    /// The random bytes in a token.
    const BYTES: usize = 32;

    /// A new one, from the operating system's randomness by way of `rand`'s cryptographic generator.
    pub fn generate() -> Self {
        Self(URL_SAFE_NO_PAD.encode(rand::random::<[u8; Self::BYTES]>()))
    }

    /// The token as text, for the one answer that gives it to the customer.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to store, and to look for.
    pub fn hash(&self) -> TokenHash {
        TokenHash(Sha256::digest(self.0.as_bytes()).into())
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if bytes.len() == Self::BYTES => Ok(Self(text.to_owned())),
            _ => Err(InvalidToken),
        }
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_read_back() {
        let (one, other) = (Token::generate(), Token::generate());
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        let again: Token = one.as_str().parse().unwrap();
        assert_eq!(again.hash(), one.hash());
        assert_eq!(one.as_str().len(), 43);
        assert_eq!(one.hash().to_string().len(), 64);
        assert!(!format!("{one:?}").contains(one.as_str()));
    }

    #[test]
    fn nothing_else_is_a_token() {
        let long = "A".repeat(10_000);
        for text in
            ["", "secret", "Bearer x", "\u{0}", &"A".repeat(42), &"A".repeat(44), &"/".repeat(43), &long]
        {
            assert_eq!(text.parse::<Token>(), Err(InvalidToken), "{text:?}");
        }
    }
}
