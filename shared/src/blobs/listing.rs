//! What there is in the store, for those who tidy it up.

use std::fmt;
use std::future::ready;

use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::path::Path;

use super::{BlobError, BlobPath, Blobs};
use crate::domain::photo::Variant;

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
        (path.path() == Path::from(text)).then_some(path)
    }
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
    use crate::domain::{OrderId, PhotoId, ProcessId};

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
