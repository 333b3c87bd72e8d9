//! What can go wrong with a blob, and whether the store is ill or only one blob is refused.

/// What can go wrong with a blob.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// There is none.
    #[error("there is no such blob")]
    Missing,
    /// The store can't be reached or fails: try again later.
    #[error("the blob store is unavailable: {0}")]
    Unavailable(#[source] object_store::Error),
    /// The store answers, but not for this blob: it may not be read or written, or its name is taken by something
    /// else. Others may well be fine.
    #[error("the blob store refuses this blob: {0}")]
    Refused(#[source] object_store::Error),
    /// The settings can't make a store.
    #[error("the blob store can't be set up: {0}")]
    Setup(String),
}

impl From<object_store::Error> for BlobError {
    fn from(error: object_store::Error) -> Self {
        use object_store::Error as E;
        match error {
            E::NotFound { .. } => Self::Missing,
            // A 401 is none of these: it speaks of our credentials, and so of all blobs.
            E::PermissionDenied { .. }
            | E::InvalidPath { .. }
            | E::AlreadyExists { .. }
            | E::Precondition { .. }
            | E::NotModified { .. }
            | E::NotSupported { .. }
            | E::NotImplemented { .. } => Self::Refused(error),
            E::Generic { store: FILE_STORE, ref source } if is_of_one_file(source.as_ref()) => {
                Self::Refused(error)
            }
            other => Self::Unavailable(other),
        }
    }
}

/// As the store of files names itself in its errors.
const FILE_STORE: &str = "LocalFileSystem";

/// Whether an error of the store of files comes from one file's rights or name, and not from the disk.
fn is_of_one_file(error: &(dyn std::error::Error + 'static)) -> bool {
    use std::io::ErrorKind as K;
    std::iter::successors(Some(error), |error| error.source())
        .filter_map(|error| error.downcast_ref::<std::io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                K::PermissionDenied
                    | K::IsADirectory
                    | K::NotADirectory
                    | K::DirectoryNotEmpty
                    | K::InvalidFilename
                    | K::InvalidInput
            )
        })
}

impl From<std::io::Error> for BlobError {
    fn from(error: std::io::Error) -> Self {
        match error.downcast::<object_store::Error>() {
            // The writer packs the store's errors so.
            Ok(error) => error.into(),
            Err(error) => object_store::Error::Generic { store: "blob writer", source: error.into() }.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_that_the_store_is_ill_is_an_outage() {
        use std::io::ErrorKind as K;
        let of_a_file = |kind: K| object_store::Error::Generic {
            store: FILE_STORE,
            source: std::io::Error::from(kind).into(),
        };
        let path = || "a/1/b".to_owned();
        let why = || "HTTP 40x".into();
        let refused = [
            object_store::Error::PermissionDenied { path: path(), source: why() },
            object_store::Error::AlreadyExists { path: path(), source: why() },
            of_a_file(K::PermissionDenied),
            of_a_file(K::IsADirectory),
            of_a_file(K::InvalidFilename),
        ];
        for error in refused {
            let error = BlobError::from(error);
            assert!(matches!(error, BlobError::Refused(_)), "{error}");
        }
        let ill = [
            object_store::Error::Unauthenticated { path: path(), source: why() },
            object_store::Error::Generic { store: "S3", source: "HTTP 503".into() },
            // A firewall's word on a connection.
            object_store::Error::Generic {
                store: "S3",
                source: std::io::Error::from(K::PermissionDenied).into(),
            },
            of_a_file(K::StorageFull),
            of_a_file(K::StaleNetworkFileHandle),
            of_a_file(K::Other),
        ];
        for error in ill {
            let error = BlobError::from(error);
            assert!(matches!(error, BlobError::Unavailable(_)), "{error}");
        }
        let packed =
            std::io::Error::from(object_store::Error::PermissionDenied { path: path(), source: why() });
        assert!(matches!(BlobError::from(packed), BlobError::Refused(_)));
    }
}
