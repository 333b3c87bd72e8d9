//! Signed links: whoever holds one may read one path until it expires ("valet key").
//!
//! The link in a mail opens a page without a session; the page links its pictures the same way, each with a
//! signature of its own. A link only ever reads: nothing that changes something takes one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};

use crate::signing::SecretKeys;

/// Keeps a signature of a link from being one of anything else that the same keys sign.
const PURPOSE: &str = "link/v1";

/// Why a link opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It was ours and is too old.
    #[error("the link has expired")]
    Expired,
    /// It was never ours, or has been changed.
    #[error("the link is not valid")]
    Invalid,
}

impl SecretKeys {
    /// The path with what opens it until `expires_at`: `path?expires=UNIX&signature=BASE64URL`.
    ///
    /// `path` is absolute, as it will stand in the request line, without a query.
    pub fn sign_path(&self, path: &str, expires_at: DateTime<Utc>) -> String {
        let expires = expires_at.timestamp();
        let signature = URL_SAFE_NO_PAD.encode(self.sign(&canonical(path, expires)));
        format!("{path}?expires={expires}&signature={signature}")
    }

    /// Whether `signature` opens `path` at the time `now`; `expires` is in seconds since 1970.
    ///
    /// # Errors
    /// [`LinkError::Expired`] only for a link that was signed by us, else [`LinkError::Invalid`].
    pub fn verify_path(
        &self,
        path: &str,
        expires: i64,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), LinkError> {
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| LinkError::Invalid)?;
        if !self.verify(&canonical(path, expires), &signature) {
            return Err(LinkError::Invalid);
        }
        if now.timestamp() >= expires {
            return Err(LinkError::Expired);
        }
        Ok(())
    }
}

/// What is signed. The path comes last: whatever it holds, it can't pass for another field.
fn canonical(path: &str, expires: i64) -> Vec<u8> {
    format!("{PURPOSE}\n{expires}\n{path}").into_bytes()
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const PATH: &str = "/letters/0190c2f0-0000-7000-8000-000000000000";

    fn keys() -> SecretKeys {
        "a secret of more than thirty-two bytes".parse().unwrap()
    }

    fn now() -> DateTime<Utc> {
        "2026-01-01T12:00:00Z".parse().unwrap()
    }

    /// The two parameters of a signed link.
    fn parts(link: &str) -> (i64, String) {
        let (expires, signature) = link.split_once("?expires=").unwrap().1.split_once("&signature=").unwrap();
        (expires.parse().unwrap(), signature.to_owned())
    }

    #[test]
    fn a_signed_link_opens_its_path_until_it_expires() {
        let link = keys().sign_path(PATH, now() + TimeDelta::hours(1));
        let (expires, signature) = parts(&link);
        assert!(link.starts_with(PATH));
        assert!(link.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/?=&-_".contains(&byte)), "{link}");
        assert_eq!(keys().verify_path(PATH, expires, &signature, now()), Ok(()));
        let later = now() + TimeDelta::hours(1);
        assert_eq!(keys().verify_path(PATH, expires, &signature, later), Err(LinkError::Expired));
    }

    #[test]
    fn a_link_that_was_changed_opens_nothing() {
        let (expires, signature) = parts(&keys().sign_path(PATH, now() + TimeDelta::hours(1)));
        let other_keys: SecretKeys = "another secret of more than thirty-two bytes".parse().unwrap();
        let invalid = Err(LinkError::Invalid);
        assert_eq!(keys().verify_path("/letters/other", expires, &signature, now()), invalid);
        assert_eq!(keys().verify_path(PATH, expires + 1, &signature, now()), invalid);
        assert_eq!(keys().verify_path(PATH, expires, "", now()), invalid);
        assert_eq!(keys().verify_path(PATH, expires, "not base64!", now()), invalid);
        assert_eq!(keys().verify_path(PATH, expires, &signature[..20], now()), invalid);
        assert_eq!(keys().verify_path(PATH, expires, &format!("{signature}="), now()), invalid);
        assert_eq!(other_keys.verify_path(PATH, expires, &signature, now()), invalid);
    }

    #[test]
    fn a_forged_link_is_invalid_even_when_it_is_old() {
        assert_eq!(keys().verify_path(PATH, 0, "AAAA", now()), Err(LinkError::Invalid));
    }
}
