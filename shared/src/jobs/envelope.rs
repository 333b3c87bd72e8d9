//! What a message carries: just enough to look at the job's row, never the work itself (claim check).

use serde::{Deserialize, Serialize};

use crate::domain::JobId;

/// The body of every job message, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The row to look at.
    pub job: JobId,
    /// The job's kind, for logs and for telling an unknown kind before the database is asked.
    pub kind: String,
    /// The version of the kind's arguments, see [`super::Kind::VERSION`].
    pub version: i32,
    /// W3C Trace Context of the request that caused the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// Copied to what a job sends out, so that a client can match answer and question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
}

/// The bytes are no envelope of ours.
#[derive(Debug, thiserror::Error)]
#[error("not a job envelope: {0}")]
pub struct NotAnEnvelope(#[from] serde_json::Error);

impl Envelope {
    /// The message body.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message body.
    ///
    /// # Errors
    /// [`NotAnEnvelope`] for anything that another version of this program could not have written.
    pub fn parse(body: &[u8]) -> Result<Self, NotAnEnvelope> {
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
            kind: "make_thumbnails".into(),
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
            assert!(Envelope::parse(garbage).is_err());
        }
    }
}
