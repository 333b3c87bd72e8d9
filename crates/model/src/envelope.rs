//! What a message carries: just enough to look at the job's row, never the work itself (claim check).

use serde::{Deserialize, Serialize};

use crate::JobId;

/// The version of the envelope itself: raised when an older program could not read it, or would
/// misunderstand it. Such a program leaves the job to a newer one, as long as `job` is where it was.
/// A field that may be ignored needs no new version.
pub const SCHEMA: u32 = 1;

/// The body of every job message, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The row to look at.
    pub job: JobId,
    /// The job's kind, for logs and for telling an unknown kind before the database is asked.
    pub kind: String,
    /// The version of the kind's arguments, see [`crate::Kind::VERSION`].
    pub version: i32,
    /// W3C Trace Context of the request that caused the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Copied to what a job sends out, so that a client can match answer and question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// Why bytes can't be read as an envelope.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// A newer program can.
    #[error("an envelope of schema {schema}, which a newer program wrote")]
    Newer {
        /// The row to look at.
        job: JobId,
        /// Its version.
        schema: u32,
    },
    /// They are none of ours.
    #[error("not a job envelope: {0}")]
    NotOne(#[from] serde_json::Error),
}

/// An envelope as it is sent.
#[derive(Serialize)]
struct Sent<'a> {
    v: u32,
    #[serde(flatten)]
    envelope: &'a Envelope,
}

/// What all versions of the envelope have.
#[derive(Deserialize)]
struct Head {
    /// Messages of the first programs don't say it.
    #[serde(default = "first_schema")]
    v: u32,
    job: JobId,
}

fn first_schema() -> u32 {
    1
}

impl Envelope {
    /// The message body.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&Sent { v: SCHEMA, envelope: self }).unwrap_or_default()
    }

    /// Reads a message body.
    ///
    /// # Errors
    /// [`EnvelopeError::Newer`] for what only a newer version of this program can read,
    /// [`EnvelopeError::NotOne`] for anything that no version of it could have written.
    pub fn parse(body: &[u8]) -> Result<Self, EnvelopeError> {
        let Head { v: schema, job } = serde_json::from_slice(body)?;
        if schema > SCHEMA {
            return Err(EnvelopeError::Newer { job, schema });
        }
        Ok(serde_json::from_slice(body)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_survives_the_wire() {
        let envelope = Envelope {
            job: JobId::new(),
            kind: "copy".into(),
            version: 1,
            traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
            correlation_id: None,
        };
        assert_eq!(Envelope::parse(&envelope.to_bytes()).unwrap(), envelope);
    }

    #[test]
    fn a_field_of_a_later_version_is_ignored_and_garbage_is_refused() {
        let id = JobId::new();
        let later = format!(r#"{{"job":"{id}","kind":"x","version":9,"new":"field"}}"#);
        assert_eq!(Envelope::parse(later.as_bytes()).unwrap().version, 9);
        for garbage in [&b""[..], b"hello", b"{}", b"\xff\xfe", br#"{"job":"1","kind":"x","version":1}"#] {
            assert!(matches!(Envelope::parse(garbage), Err(EnvelopeError::NotOne(_))));
        }
    }

    #[test]
    fn an_envelope_of_a_newer_schema_is_known_by_its_job() {
        let id = JobId::new();
        let newer = format!(r#"{{"v":2,"job":"{id}","what":"else"}}"#);
        let read = Envelope::parse(newer.as_bytes());
        assert!(matches!(read, Err(EnvelopeError::Newer { job, schema: 2 }) if job == id), "{read:?}");
        let nameless = Envelope::parse(br#"{"v":2,"jobs":[]}"#);
        assert!(matches!(nameless, Err(EnvelopeError::NotOne(_))), "{nameless:?}");
    }
}
