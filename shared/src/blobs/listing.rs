//! What there is in the store, for those who tidy it up.

use std::fmt;
use std::future::ready;
use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path as StorePath;

use super::{BlobPath, Blobs};
use crate::domain::photo::Variant;
use platform::BlobError;

/// A blob that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub path: BlobPath,
    /// When it was written, by the store's clock.
    pub modified: DateTime<Utc>,
}

impl Blobs {
    /// Every blob of the store, as it is read page by page. What has another path than ours is left out.
    ///
    /// A store that lists in order goes on behind `after`; another one begins anew.
    pub fn list(&self, after: Option<BlobPath>) -> BoxStream<'static, Result<Listed, BlobError>> {
        let all = match after.filter(|_| self.lists_in_order()) {
            Some(after) => self.store.list_with_offset(None, &after.path()),
            None => self.store.list(None),
        };
        let ours = all.try_filter_map(|blob| {
            let path = BlobPath::parse(blob.location.as_ref());
            ready(Ok(path.map(|path| Listed { path, modified: blob.last_modified })))
        });
        ours.map_err(BlobError::from).boxed()
    }

    /// Removes the files of uploads that nobody finished, because their program was killed, and that nobody has written
    /// to since `before`. Returns how many. Other stores than a folder do so by their own rules.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]: the folder can't be read.
    pub async fn remove_unfinished(&self, before: DateTime<Utc>) -> Result<usize, BlobError> {
        let Some(folder) = self.folder.clone() else { return Ok(0) };
        let swept = tokio::task::spawn_blocking(move || sweep(&folder, "", before));
        Ok(swept.await.map_err(io::Error::other)??)
    }

    /// Whether a listing can go on where another one stopped. That of a folder is in no order.
    pub fn lists_in_order(&self) -> bool {
        self.folder.is_none()
    }
}

impl BlobPath {
    /// The path of this text, if it is one of ours, to the letter.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let path = match parts[..] {
            ["photos", photo, "original"] => Self::Original(photo.parse().ok()?),
            ["photos", photo, variant] => Self::Sized(photo.parse().ok()?, Variant::from_name(variant)?),
            ["orders", order, "prints", position] => Self::Print(order.parse().ok()?, position.parse().ok()?),
            ["probes", process] => Self::Probe(process.parse().ok()?),
            _ => return None,
        };
        // An id and a number can be written in several ways; we write them in one.
        (path.path() == StorePath::from(text)).then_some(path)
    }
}

/// The store writes a blob into a file beside its place, which has this and a number behind its name, and gives it its
/// name at the end. Listings leave such files out.
const UNFINISHED: char = '#';

fn sweep(folder: &Path, prefix: &str, before: DateTime<Utc>) -> io::Result<usize> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // It may be finished by now, or removed.
        let Ok(metadata) = entry.metadata() else { continue };
        let path = format!("{prefix}{name}");
        if metadata.is_dir() {
            match sweep(&entry.path(), &format!("{path}/"), before) {
                Ok(more) => removed += more,
                Err(error) => tracing::debug!(path, %error, "a folder of blobs can't be read"),
            }
        } else if is_unfinished(&path) && DateTime::<Utc>::from(metadata.modified()?) < before {
            match std::fs::remove_file(entry.path()) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(path, %error, "an unfinished upload could not be removed"),
            }
            // Where it was the only one; else this is refused.
            let _ = std::fs::remove_dir(folder);
        }
    }
    Ok(removed)
}

fn is_unfinished(path: &str) -> bool {
    path.rsplit_once(UNFINISHED).is_some_and(|(blob, number)| {
        BlobPath::parse(blob).is_some()
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl fmt::Display for BlobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use object_store::memory::InMemory;

    use super::super::BlobUrl;
    use super::*;
    use crate::domain::{OrderId, PhotoId};
    use model::ProcessId;

    #[test]
    fn a_path_is_read_back_and_nothing_else_is_ours() {
        let photo = PhotoId::new();
        let others = [BlobPath::Print(OrderId::new(), 12), BlobPath::Probe(ProcessId::new())];
        for path in BlobPath::all_of(photo).into_iter().chain(others) {
            assert_eq!(BlobPath::parse(&path.to_string()), Some(path));
        }
        let upper = photo.to_string().to_uppercase();
        for other in [
            String::new(),
            format!("incoming/{photo}/original"),
            format!("photos/{photo}"),
            format!("photos/{photo}/original/x"),
            format!("photos/{photo}/Original"),
            format!("photos/{upper}/original"),
            format!("photos/{}/original", photo.0.simple()),
            format!("orders/{photo}/prints/01"),
            format!("orders/{photo}/prints/70000"),
        ] {
            assert_eq!(BlobPath::parse(&other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn a_listing_has_what_is_ours_and_leaves_the_rest_alone() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let (photo, print) = (BlobPath::Original(PhotoId::new()), BlobPath::Print(OrderId::new(), 0));
        for path in [photo, print] {
            blobs.put(path, Bytes::from_static(b"x"), "image/jpeg").await.unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "somebody's").unwrap();
        let listed: Vec<Listed> = blobs.list(None).try_collect().await.unwrap();
        let mut paths: Vec<String> = listed.iter().map(|blob| blob.path.to_string()).collect();
        paths.sort_unstable();
        assert_eq!(paths, [print.to_string(), photo.to_string()]);
        assert!(listed.iter().all(|blob| (Utc::now() - blob.modified).num_seconds().abs() < 60));
    }

    #[tokio::test]
    async fn what_a_killed_upload_left_is_removed_when_it_is_old_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let (killed, running) = (BlobPath::Original(PhotoId::new()), BlobPath::Original(PhotoId::new()));
        let mut writer = blobs.writer(killed);
        // More than a writer keeps to itself.
        writer.write(Bytes::from(vec![7; 6 * 1024 * 1024])).await.unwrap();
        // As when the program is killed: nobody tidies up.
        std::mem::forget(writer);
        let mut writer = blobs.writer(running);
        writer.write(Bytes::from(vec![7; 6 * 1024 * 1024])).await.unwrap();
        blobs.put(BlobPath::Print(OrderId::new(), 0), Bytes::from_static(b"x"), "image/jpeg").await.unwrap();
        let others = ["notes#1", "photos/original#1"].map(|name| folder.path().join(name));
        for other in &others {
            std::fs::write(other, "somebody's").unwrap();
        }
        let left = folder.path().join(format!("{killed}#1"));
        let long_ago = Utc::now() - chrono::TimeDelta::days(2);
        for file in others.iter().chain([&left]) {
            std::fs::File::options().write(true).open(file).unwrap().set_modified(long_ago.into()).unwrap();
        }
        let day_ago = Utc::now() - chrono::TimeDelta::days(1);
        assert_eq!(blobs.remove_unfinished(day_ago).await.unwrap(), 1);
        assert!(!left.exists() && !left.parent().unwrap().exists());
        assert!(others.iter().all(|other| other.exists()));
        writer.finish().await.unwrap();
        assert_eq!(blobs.list(None).count().await, 2);
        assert_eq!(blobs.remove_unfinished(day_ago).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_listing_in_order_goes_on_where_another_stopped() {
        let blobs = Blobs { store: Arc::new(InMemory::new()), folder: None };
        for path in BlobPath::all_of(PhotoId::new()).into_iter().chain([BlobPath::Print(OrderId::new(), 0)]) {
            blobs.put(path, Bytes::from_static(b"x"), "image/jpeg").await.unwrap();
        }
        let all: Vec<Listed> = blobs.list(None).try_collect().await.unwrap();
        assert_eq!(all.len(), 5);
        let rest: Vec<Listed> = blobs.list(Some(all[1].path)).try_collect().await.unwrap();
        assert_eq!(rest, all[2..]);
        let unordered = Blobs { folder: Some(std::path::Path::new("/").into()), ..blobs };
        let again: Vec<Listed> = unordered.list(Some(all[1].path)).try_collect().await.unwrap();
        assert_eq!(again, all, "what was missed would be missed for ever");
    }
}
