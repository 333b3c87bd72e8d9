//! The watched folder `incoming/`: files that programs elsewhere put into the store, and that stay as they are.

use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};

use super::Blobs;
use platform::BlobError;

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
        match self.folder.clone() {
            Some(folder) => {
                let found = stream::once(walk_all(folder));
                found.map_ok(|files| stream::iter(files.into_iter().map(Ok))).try_flatten().boxed()
            }
            None => {
                let all = self.store.list(Some(&Path::from(FOLDER))).map_err(BlobError::from);
                all.try_filter_map(|found| async move { Ok(object(&found)) }).boxed()
            }
        }
    }

    /// Whether a file that is listed is complete. A folder shows what is half written, too.
    pub fn lists_whole_files_only(&self) -> bool {
        self.folder.is_none()
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
            Ok(found) => Ok(Some(self.version(&found))),
            Err(BlobError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Of a file in a folder its size and time, and not the store's own tag: that has the number of the inode in
    /// it, and after a restored backup every file would be a new one.
    fn version(&self, found: &ObjectMeta) -> String {
        match self.folder {
            Some(_) => size_and_time(found.size, found.last_modified),
            None => tag(found),
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

fn object(found: &ObjectMeta) -> Option<IncomingFile> {
    let path = found.location.as_ref().strip_prefix(FOLDER)?.strip_prefix('/')?;
    is_ready(path).then(|| IncomingFile { path: path.to_owned(), version: tag(found) })
}

fn is_ready(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let unready = [".part", ".tmp", ".crdownload", "~"].iter().any(|end| name.ends_with(end));
    !name.is_empty() && !hidden && !unready
}

fn tag(found: &ObjectMeta) -> String {
    match &found.e_tag {
        Some(tag) => tag.clone(),
        None => size_and_time(found.size, found.last_modified),
    }
}

fn size_and_time(size: u64, time: DateTime<Utc>) -> String {
    format!("{}-{size}", time.timestamp_micros())
}

/// The store's own listing of a folder ends at the first name that it can't read, and one such file must not keep
/// all others out; and it follows links, which may lead anywhere.
async fn walk_all(store: Arc<FilePath>) -> Result<Vec<IncomingFile>, BlobError> {
    let walked = tokio::task::spawn_blocking(move || {
        let mut found = Vec::new();
        walk(&store.join(FOLDER), "", &mut found).map(|()| found)
    });
    Ok(walked.await.map_err(std::io::Error::other)??)
}

fn walk(folder: &FilePath, prefix: &str, found: &mut Vec<IncomingFile>) -> Result<(), std::io::Error> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        // Somebody else's folder inside ours: the rest can still be read.
        Err(error) if !prefix.is_empty() => {
            tracing::debug!(prefix, %error, "a folder of incoming files can't be read");
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // It may have been renamed since: that is how a complete file gets its name.
        let Ok(metadata) = entry.metadata() else { continue };
        let path = format!("{prefix}{name}");
        if metadata.is_dir() && !name.starts_with('.') {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else if metadata.is_file() && is_ready(&path) && below(&path).is_ok() {
            let version = size_and_time(metadata.len(), metadata.modified()?.into());
            found.push(IncomingFile { path, version });
        }
    }
    Ok(())
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_name_that_can_not_be_read_keeps_no_other_file_out() {
        use std::os::unix::ffi::OsStrExt;
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let incoming = folder.path().join(FOLDER);
        std::fs::create_dir(&incoming).unwrap();
        std::fs::write(incoming.join(std::ffi::OsStr::from_bytes(b"\xff.jpg")), "x").unwrap();
        std::fs::write(incoming.join("line\nbreak.jpg"), "x").unwrap();
        std::fs::write(incoming.join("me.jpg"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", incoming.join("elsewhere")).unwrap();
        let files: Vec<IncomingFile> = blobs.incoming().try_collect().await.unwrap();
        let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["me.jpg"]);
    }

    #[tokio::test]
    async fn a_file_that_comes_back_from_a_backup_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let file = folder.path().join(FOLDER).join("me.jpg");
        std::fs::create_dir(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "x").unwrap();
        let before = blobs.incoming_version("me.jpg").await.unwrap();
        let copy = folder.path().join("copy");
        std::fs::write(&copy, "x").unwrap();
        let time = std::fs::metadata(&file).unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(&copy).unwrap().set_modified(time).unwrap();
        std::fs::rename(&copy, &file).unwrap();
        assert_eq!(blobs.incoming_version("me.jpg").await.unwrap(), before);
    }
}
