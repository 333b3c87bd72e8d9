//! Passwords of operators: hashed with argon2id, slowly, so that a copy of the database gives none away.

use std::fmt;

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

/// Each hash takes 19 MiB for some milliseconds: however many ask at once, two are made at a time.
static HASHING: Semaphore = Semaphore::const_new(2);

/// The hash of no password: whoever gives a name that nobody has waits as long as everybody else.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlz\
                       $QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE";

/// Letters and digits that can't be mistaken for each other: 32, so that five random bits choose one.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What an operator logs in with. Never stored and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The text is no password of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has 12 to 200 characters")]
pub struct InvalidPassword;

impl Password {
    /// A password that an operator chose.
    ///
    /// # Errors
    /// It is too short to be safe, or long enough to be none.
    pub fn parse(text: &str) -> Result<Self, InvalidPassword> {
        if (12..=200).contains(&text.chars().count()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPassword)
        }
    }

    /// A new one: a hundred random bits, in four groups that can be read out.
    pub fn generate() -> Self {
        let random = rand::random::<[u8; 20]>();
        let letters: Vec<char> =
            random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
        Self(groups.join("-"))
    }

    /// The password as text, for the one line that gives it to the operator.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What to store: a PHC string with its own salt and its cost.
    ///
    /// # Errors
    /// There is not enough memory, or the runtime ends.
    pub async fn hash(&self) -> Result<String, HashError> {
        let password = self.0.clone();
        apart(move || {
            let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(broken)?;
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt).map_err(broken)?;
            Ok(hash.to_string())
        })
        .await
    }
}

/// Whether `password` is the one that was hashed. Without a hash it is not, which takes as long to find out.
///
/// # Errors
/// As for [`Password::hash`].
pub async fn verify(password: &str, hash: Option<&str>) -> Result<bool, HashError> {
    let known = hash.is_some();
    let (password, hash) = (password.to_owned(), hash.unwrap_or(NOBODYS).to_owned());
    apart(move || {
        let hash = PasswordHash::new(&hash).map_err(broken)?;
        Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok() && known)
    })
    .await
}

/// A password could not be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a password could not be hashed: {0}")]
pub struct HashError(String);

fn broken(error: impl fmt::Display) -> HashError {
    HashError(error.to_string())
}

/// On a blocking thread: it computes for longer than a task of the runtime may.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
) -> Result<T, HashError> {
    let _turn = HASHING.acquire().await.map_err(broken)?;
    tokio::task::spawn_blocking(work).await.map_err(broken)?
}

/// Without the secret.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_no_other_is() {
        let password = Password::parse("correct horse battery").unwrap();
        let hash = password.hash().await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(password.hash().await.unwrap(), hash, "each has a salt of its own");
        assert!(verify(password.as_str(), Some(&hash)).await.unwrap());
        assert!(!verify("correct horse batterz", Some(&hash)).await.unwrap());
        assert!(!format!("{password:?}").contains("horse"));
    }

    #[tokio::test]
    async fn nobodys_hash_is_readable_and_lets_nobody_in() {
        assert!(PasswordHash::new(NOBODYS).is_ok());
        assert!(!verify("", None).await.unwrap());
        assert!(verify("x", Some("no hash")).await.is_err());
    }

    #[test]
    fn generated_passwords_differ_and_can_be_given_back() {
        let (one, other) = (Password::generate(), Password::generate());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 23);
        assert_eq!(Password::parse(one.as_str()), Ok(one));
        for text in ["", "elevenchars", &"x".repeat(201)] {
            assert_eq!(Password::parse(text), Err(InvalidPassword), "{text}");
        }
    }
}
