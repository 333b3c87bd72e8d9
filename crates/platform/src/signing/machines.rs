//! Tokens of machines: programs elsewhere that may start tasks. They stand in a setting, not in the
//! database, and are nobody's customers.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// Machines by the hash of their secret.
#[derive(Clone, Default)]
pub struct MachineTokens(Vec<(String, [u8; 32])>);

/// Not `name:secret,…`. Never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMachineTokens {
    /// No colon, or no name that can stand in a log.
    #[error("entry number {0} is not name:secret, with a name of lower-case letters, digits and hyphens")]
    Form(usize),
    /// Can be guessed.
    #[error("the secret of {0} is shorter than {min} characters", min = MachineTokens::MIN_LENGTH)]
    TooShort(String),
    /// Nobody could tell which is meant.
    #[error("{0} is named twice, or has the secret of another")]
    Twice(String),
}

impl MachineTokens {
    /// The shortest secret.
    pub const MIN_LENGTH: usize = 32;

    /// The machine that has this secret. Takes as long for a wrong one as for a right one: hashes are
    /// compared, to the last byte, with those of all.
    pub fn identify(&self, secret: &str) -> Option<&str> {
        let hash = hash(secret);
        let mut found = None;
        for (name, known) in &self.0 {
            if differences(known, &hash) == 0 {
                found = Some(name.as_str());
            }
        }
        found
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn differences(one: &[u8; 32], other: &[u8; 32]) -> u8 {
    std::iter::zip(one, other).fold(0, |all, (a, b)| std::hint::black_box(all | (a ^ b)))
}

impl FromStr for MachineTokens {
    type Err = InvalidMachineTokens;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut machines: Vec<(String, [u8; 32])> = Vec::new();
        let entries = text.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty());
        for (index, entry) in entries {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            let (name, secret) = entry
                .split_once(':')
                .filter(|(name, _)| (1..=40).contains(&name.len()) && name.bytes().all(plain))
                .ok_or(InvalidMachineTokens::Form(index + 1))?;
            if secret.chars().count() < Self::MIN_LENGTH {
                return Err(InvalidMachineTokens::TooShort(name.to_owned()));
            }
            let hash = hash(secret);
            if machines.iter().any(|(known, of)| known == name || *of == hash) {
                return Err(InvalidMachineTokens::Twice(name.to_owned()));
            }
            machines.push((name.to_owned(), hash));
        }
        Ok(Self(machines))
    }
}

/// Names only.
impl fmt::Debug for MachineTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_machine_is_known_by_its_whole_secret() {
        let other = SECRET.replace('0', "x");
        let machines: MachineTokens = format!("nightly:{SECRET}, backup:{other}").parse().unwrap();
        assert_eq!(machines.identify(SECRET), Some("nightly"));
        assert_eq!(machines.identify(&other), Some("backup"));
        for wrong in ["", "nightly", &SECRET[1..], &format!("nightly:{SECRET}")] {
            assert_eq!(machines.identify(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{machines:?}"), r#"["nightly", "backup"]"#);
        assert!("".parse::<MachineTokens>().unwrap().0.is_empty());
    }

    #[test]
    fn what_is_wrong_is_told_without_the_secret() {
        let other = SECRET.replace('0', "x");
        for bad in [
            SECRET.to_owned(),
            format!("Night ly:{SECRET}"),
            format!(":{SECRET}"),
            format!("nightly:{}", &SECRET[1..]),
            format!("nightly:{SECRET},nightly:{other}"),
            format!("nightly:{SECRET},backup:{SECRET}"),
        ] {
            let error = bad.parse::<MachineTokens>().unwrap_err().to_string();
            assert!(!error.contains("abcdef"), "{error}");
        }
    }
}
