//! The watched folder `incoming/`: files that programs elsewhere put into the store, and that stay as they are.

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::{BlobError, Blobs};

/// The folder.
const FOLDER: &str = "incoming";

/// A file in the watched folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncomingFile {
    /// Below the folder: `2026/holiday.jpg`.
    pub path: String,
    /// Another one after every change.
    pub version: String,
}

impl Blobs {
    /// The files in the watched folder, as the store lists them. Those whose names say that they are not ready
    /// are left out: hidden ones, and `.part`, `.tmp`, `.crdownload` and `~` at the end.
    pub fn incoming(&self) -> BoxStream<'static, Result<IncomingFile, BlobError>> {
        let all = self.store.list(Some(&Path::from(FOLDER)));
        all.try_filter_map(|found| async move { Ok(file(&found)) }).map_err(BlobError::from).boxed()
    }

    /// Whether a file that is listed is complete. A folder shows what is half written, too.
    pub fn lists_whole_files_only(&self) -> bool {
        self.in_order
    }

    /// The version that a file has now; `None` when it is gone.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn incoming_version(&self, path: &str) -> Result<Option<String>, BlobError> {
        let found = match below(path) {
            Ok(path) => self.store.head(&path).await.map_err(BlobError::from),
            Err(error) => Err(error),
        };
        match found {
            Ok(found) => Ok(Some(version(&found))),
            Err(BlobError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Unavailable`].
    pub async fn read_incoming(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let found = self.store.get(&below(path)?).await?;
        Ok(found.into_stream().map_err(BlobError::from).boxed())
    }
}

/// A path as a listing gave it: taken as it is, not encoded once more.
fn below(path: &str) -> Result<Path, BlobError> {
    Path::parse(format!("{FOLDER}/{path}")).map_err(|_| BlobError::Missing)
}

fn file(found: &ObjectMeta) -> Option<IncomingFile> {
    let path = found.location.as_ref().strip_prefix(FOLDER)?.strip_prefix('/')?;
    let name = path.rsplit('/').next().unwrap_or_default();
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let unready = [".part", ".tmp", ".crdownload", "~"].iter().any(|end| name.ends_with(end));
    (!name.is_empty() && !hidden && !unready)
        .then(|| IncomingFile { path: path.to_owned(), version: version(found) })
}

fn version(found: &ObjectMeta) -> String {
    match &found.e_tag {
        Some(tag) => tag.clone(),
        None => format!("{}-{}", found.last_modified.timestamp_micros(), found.size),
    }
}

#[cfg(test)]
mod tests {
    use super::super::BlobUrl;
    use super::*;

    #[tokio::test]
    async fn files_are_listed_with_a_version_that_changes_with_them() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        assert_eq!(blobs.incoming().count().await, 0, "a folder that is not there is empty");
        let incoming = folder.path().join(FOLDER);
        std::fs::create_dir_all(incoming.join("2026/.cache")).unwrap();
        for name in ["a.jpg", "2026/ü b.jpg", "b.part", "c.tmp", ".d", "2026/.cache/e.jpg", "f~"] {
            std::fs::write(incoming.join(name), b"x").unwrap();
        }
        let list = async || {
            let mut files: Vec<IncomingFile> = blobs.incoming().try_collect().await.unwrap();
            files.sort_by(|a, b| a.path.cmp(&b.path));
            files
        };
        let before = list().await;
        assert_eq!(before.len(), 2, "{before:?}");
        assert_eq!(list().await, before);
        for file in &before {
            assert_eq!(blobs.incoming_version(&file.path).await.unwrap().as_ref(), Some(&file.version));
            let bytes: Vec<Bytes> =
                blobs.read_incoming(&file.path).await.unwrap().try_collect().await.unwrap();
            assert_eq!(bytes.concat(), b"x");
        }
        std::fs::write(incoming.join("a.jpg"), b"xy").unwrap();
        let after = list().await;
        assert_eq!((&after[0], after[1].version != before[1].version), (&before[0], true));
        assert_eq!(blobs.incoming_version("gone.jpg").await.unwrap(), None);
    }
}
