//! The keys that signatures are made with.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// One or more secrets: the first signs, all verify. To change the key, put the new one in front and
/// drop the old one when the last thing that it signed has expired.
///
/// As text: secrets separated by commas, each at least 32 bytes. A secret is used as it is written, so
/// base64, hexadecimal and any other form are alike; `openssl rand -base64 32` makes a good one.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKeys {
    first: Vec<u8>,
    older: Vec<Vec<u8>>,
}

/// Why there are no keys. Never repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretKeysError {
    /// Nothing but commas and white space.
    #[error("needs at least one secret")]
    Empty,
    /// One is shorter than [`SecretKeys::MIN_BYTES`].
    #[error("secret number {0} is shorter than {min} bytes", min = SecretKeys::MIN_BYTES)]
    TooShort(usize),
    /// The key file can't be read or made.
    #[error("the key file can't be used: {0}")]
    File(#[from] io::Error),
}

impl SecretKeys {
    /// The fewest bytes of a secret: as long as what SHA-256 gives (RFC 2104 §3).
    pub const MIN_BYTES: usize = 32;

    /// The name of the key file.
    pub const FILE_NAME: &str = "secret-keys";

    /// Reads the keys in `directory`, after making them if there are none. The file is for its owner's
    /// eyes only (mode 0600). Processes that start together agree on one file.
    ///
    /// # Errors
    /// The file can't be read or written, or holds no keys.
    pub fn load_or_create(directory: &Path) -> Result<Self, SecretKeysError> {
        let path = directory.join(Self::FILE_NAME);
        match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => create(directory, &path)?,
            text => return text?.parse(),
        }
        fs::read_to_string(&path)?.parse()
    }

    /// The signature of `text` with the first key.
    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        match mac(&self.first, text) {
            Some(mac) => mac.finalize().into_bytes().to_vec(),
            None => Vec::new(),
        }
    }

    /// The signatures of `text` with each of the keys, the one that signs now first.
    pub(super) fn sign_with_each(&self, text: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        let keys = std::iter::once(&self.first).chain(&self.older);
        keys.filter_map(|key| mac(key, text)).map(|mac| mac.finalize().into_bytes().to_vec())
    }

    /// Whether one of the keys has signed `text`; takes the same time wherever the signatures differ.
    pub(super) fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let mut keys = std::iter::once(&self.first).chain(&self.older);
        keys.any(|key| mac(key, text).is_some_and(|mac| mac.verify_slice(signature).is_ok()))
    }
}

/// HMAC takes keys of any length, so there is always one; the type can't say so.
pub(super) fn mac(key: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}

/// Writes a new key beside `path` and links it there: the link fails if another process was first, and
/// nobody ever sees an empty file, not even after a power cut.
fn create(directory: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let secret = URL_SAFE_NO_PAD.encode(rand::random::<[u8; SecretKeys::MIN_BYTES]>());
    let unfinished = directory.join(format!(".{}.{}", SecretKeys::FILE_NAME, Uuid::new_v4()));
    let linked = write_private(&unfinished, &secret).and_then(|()| fs::hard_link(&unfinished, path));
    // Best effort: litter in the data directory harms nobody, and the first error is the one to report.
    let _ = fs::remove_file(&unfinished);
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(directory)?.sync_all(),
    }
}

fn write_private(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    writeln!(file, "{secret}")?;
    file.sync_all()
}

impl FromStr for SecretKeys {
    type Err = SecretKeysError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut keys = Vec::new();
        for secret in text.split(',').map(str::trim).filter(|secret| !secret.is_empty()) {
            if secret.len() < Self::MIN_BYTES {
                return Err(SecretKeysError::TooShort(keys.len() + 1));
            }
            keys.push(secret.as_bytes().to_vec());
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(SecretKeysError::Empty)?;
        Ok(Self { first, older: keys.collect() })
    }
}

/// How many, and nothing else.
impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({} secret)", 1 + self.older.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "old-old-old-old-old-old-old-old-old";
    const NEW: &str = "new-new-new-new-new-new-new-new-new";

    fn keys(text: &str) -> SecretKeys {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let (old, new, both) = (keys(OLD), keys(NEW), keys(&format!("{NEW}, {OLD},")));
        assert!(both.verify(b"text", &old.sign(b"text")));
        assert!(new.verify(b"text", &both.sign(b"text")));
        assert!(!old.verify(b"text", &both.sign(b"text")));
        assert!(!both.verify(b"text", b""));
        assert!(!both.verify(b"text", &both.sign(b"texts")));
    }

    #[test]
    fn signatures_are_hmac_sha256() {
        // RFC 4231 test case 6: the one whose key is long enough for us.
        let key = SecretKeys { first: vec![0xaa; 131], older: Vec::new() };
        let signature = key.sign(b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(signature[..4], [0x60, 0xe4, 0x31, 0x59]);
        assert_eq!(signature.len(), 32);
    }

    #[test]
    fn short_and_missing_secrets_are_refused_and_none_is_ever_shown() {
        assert!(matches!(" , ".parse::<SecretKeys>(), Err(SecretKeysError::Empty)));
        let error = format!("{NEW},hunter2").parse::<SecretKeys>().unwrap_err();
        assert_eq!(error.to_string(), "secret number 2 is shorter than 32 bytes");
        assert_eq!(format!("{:?}", keys(NEW)), "SecretKeys(1 secret)");
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        let starts: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| SecretKeys::load_or_create(&data).unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(starts.iter().all(|keys| *keys == starts[0]));
        assert_eq!(SecretKeys::load_or_create(&data).unwrap(), starts[0]);
        let names: Vec<_> = fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [SecretKeys::FILE_NAME]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(data.join(SecretKeys::FILE_NAME)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_key_file_is_an_error_and_not_a_new_key() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(SecretKeys::FILE_NAME), "short\n").unwrap();
        let answer = SecretKeys::load_or_create(directory.path());
        assert!(matches!(answer, Err(SecretKeysError::TooShort(1))));
    }
}
