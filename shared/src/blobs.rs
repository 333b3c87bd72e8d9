//! The blob store: originals, sizes and prints of photos, as files or in an S3-compatible store.
//!
//! A blob is written before the row that names it, so a row never points at nothing; a blob without a
//! row is litter, no more.

mod incoming;
mod listing;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use object_store::aws::AmazonS3Builder;
use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, ClientOptions, GetResult, ObjectStore, ObjectStoreExt, PutOptions,
};
use tokio::io::AsyncWriteExt;
use url::Url;

pub use incoming::IncomingFile;
pub use listing::Listed;
pub use platform::BlobError;

use crate::domain::photo::Variant;
use crate::domain::{OrderId, PhotoId};
use model::ProcessId;

/// Every path in the store is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlobPath {
    /// A photo as it was uploaded.
    Original(PhotoId),
    /// A size that the worker made of it.
    Sized(PhotoId, Variant),
    /// The print of a line of an order.
    Print(OrderId, u16),
    /// Written, read and deleted by whoever checks the store. One that is left is an orphan from its beginning.
    Probe(ProcessId),
}

impl BlobPath {
    /// All blobs of a photo.
    pub fn all_of(photo: PhotoId) -> [Self; 4] {
        let [large, medium, thumb] = Variant::LARGEST_FIRST;
        [
            Self::Original(photo),
            Self::Sized(photo, large),
            Self::Sized(photo, medium),
            Self::Sized(photo, thumb),
        ]
    }

    fn path(self) -> Path {
        match self {
            Self::Original(photo) => Path::from(format!("photos/{photo}/original")),
            Self::Sized(photo, variant) => Path::from(format!("photos/{photo}/{}", variant.name())),
            Self::Print(order, position) => Path::from(format!("orders/{order}/prints/{position}")),
            Self::Probe(process) => Path::from(format!("probes/{process}")),
        }
    }
}

/// Where the blobs are.
#[derive(Clone, PartialEq, Eq)]
pub enum BlobUrl {
    /// A folder, shared by web and worker: `file:///srv/blobs`.
    Files(PathBuf),
    /// `s3://bucket?endpoint=https://…&region=…`; the credentials are AWS's own variables.
    S3 {
        /// The bucket.
        bucket: String,
        /// The store's address, if it is not AWS.
        endpoint: Option<String>,
        /// The region, if `AWS_REGION` does not name it.
        region: Option<String>,
    },
}

/// Not a URL of a blob store that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidBlobUrl(&'static str);

impl FromStr for BlobUrl {
    type Err = InvalidBlobUrl;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text).map_err(|_| InvalidBlobUrl("is not a URL"))?;
        match url.scheme() {
            "file" => url
                .to_file_path()
                .map(Self::Files)
                .map_err(|()| InvalidBlobUrl("must name an absolute folder: file:///srv/blobs")),
            "s3" => {
                let bucket = url.host_str().unwrap_or_default().to_owned();
                if bucket.is_empty() {
                    return Err(InvalidBlobUrl("names no bucket: s3://bucket"));
                }
                let (mut endpoint, mut region) = (None, None);
                for (name, value) in url.query_pairs() {
                    match &*name {
                        "endpoint" => endpoint = Some(value.into_owned()),
                        "region" => region = Some(value.into_owned()),
                        _ => return Err(InvalidBlobUrl("knows only ?endpoint= and &region=")),
                    }
                }
                Ok(Self::S3 { bucket, endpoint, region })
            }
            _ => Err(InvalidBlobUrl("must begin with file:// or s3://")),
        }
    }
}

impl fmt::Debug for BlobUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files(folder) => write!(f, "file://{}", folder.display()),
            Self::S3 { bucket, .. } => write!(f, "s3://{bucket}"),
        }
    }
}

/// The blob store. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// The folder, if that is what the store is; else it is S3.
    folder: Option<Arc<std::path::Path>>,
}

impl Blobs {
    /// Opens the store; a folder is made if it is missing.
    ///
    /// # Errors
    /// [`BlobError::Setup`].
    pub fn open(url: &BlobUrl) -> Result<Self, BlobError> {
        let setup = |error: &dyn fmt::Display| BlobError::Setup(error.to_string());
        let store: Arc<dyn ObjectStore> = match url {
            BlobUrl::Files(folder) => {
                std::fs::create_dir_all(folder)
                    .map_err(|error| setup(&format!("{}: {error}", folder.display())))?;
                let files = LocalFileSystem::new_with_prefix(folder).map_err(|error| setup(&error))?;
                // A row must never outlive its blob in a power cut.
                Arc::new(files.with_fsync(true).with_automatic_cleanup(true))
            }
            BlobUrl::S3 { bucket, endpoint, region } => {
                let mut s3 = AmazonS3Builder::from_env().with_bucket_name(bucket);
                if let Some(endpoint) = endpoint {
                    s3 = s3.with_endpoint(endpoint);
                    if endpoint.starts_with("http://") {
                        s3 = s3.with_client_options(ClientOptions::new().with_allow_http(true));
                    }
                }
                if let Some(region) = region {
                    s3 = s3.with_region(region);
                }
                Arc::new(s3.build().map_err(|error| setup(&error))?)
            }
        };
        let folder = match url {
            BlobUrl::Files(folder) => Some(folder.as_path().into()),
            BlobUrl::S3 { .. } => None,
        };
        Ok(Self { store, folder })
    }

    /// Begins to write a blob of unknown size. Memory is bounded whatever comes.
    pub fn writer(&self, path: BlobPath) -> BlobWriter {
        BlobWriter { writer: BufWriter::with_capacity(self.store.clone(), path.path(), WRITE_BUFFER) }
    }

    /// Writes a small blob whole.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn put(
        &self,
        path: BlobPath,
        bytes: Bytes,
        content_type: &'static str,
    ) -> Result<(), BlobError> {
        let mut attributes = Attributes::new();
        attributes.insert(Attribute::ContentType, content_type.into());
        let options = PutOptions { attributes, ..PutOptions::default() };
        match self.store.put_opts(&path.path(), bytes.clone().into(), options).await {
            Ok(_) => Ok(()),
            // The file store keeps no attributes, and says so by refusing them.
            Err(object_store::Error::NotImplemented { .. }) => {
                self.store.put(&path.path(), bytes.into()).await?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a blob whole.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Unavailable`].
    pub async fn get(&self, path: BlobPath) -> Result<Bytes, BlobError> {
        Ok(self.store.get(&path.path()).await?.bytes().await?)
    }

    /// Opens a blob to be streamed.
    ///
    /// # Errors
    /// [`BlobError::Missing`], [`BlobError::Unavailable`].
    pub async fn stream(&self, path: BlobPath) -> Result<GetResult, BlobError> {
        Ok(self.store.get(&path.path()).await?)
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn exists(&self, path: BlobPath) -> Result<bool, BlobError> {
        match self.store.head(&path.path()).await.map_err(BlobError::from) {
            Ok(_) => Ok(true),
            Err(BlobError::Missing) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes a blob; one that is not there is fine.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn delete(&self, path: BlobPath) -> Result<(), BlobError> {
        match self.store.delete(&path.path()).await.map_err(BlobError::from) {
            Ok(()) | Err(BlobError::Missing) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Blobs {
    /// Writes, reads and deletes a blob of its own, as a check of the settings.
    ///
    /// # Errors
    /// The first of these that failed.
    pub async fn probe(&self) -> Result<(), BlobError> {
        let probe = BlobPath::Probe(ProcessId::new());
        let bytes = Bytes::from_static(b"A check of the blob store wrote this.\n");
        self.put(probe, bytes.clone(), "text/plain").await?;
        let read = self.get(probe).await;
        // Also when it could not be read: nothing should be left.
        self.delete(probe).await?;
        if read? == bytes { Ok(()) } else { Err(BlobError::Setup("it gives back something else".into())) }
    }
}

/// S3 takes parts of no less than 5 MiB; what is smaller is written at once.
const WRITE_BUFFER: usize = 5 * 1024 * 1024;

/// A blob that is being written; it exists only once [`BlobWriter::finish`] has returned.
pub struct BlobWriter {
    writer: BufWriter,
}

impl BlobWriter {
    /// Adds bytes.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        Ok(self.writer.put(bytes).await?)
    }

    /// Makes the blob exist, durably.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]; then nothing exists.
    pub async fn finish(mut self) -> Result<(), BlobError> {
        Ok(self.writer.shutdown().await?)
    }

    /// Gives up; nothing stays behind.
    pub async fn abort(mut self) {
        if let Err(error) = self.writer.abort().await {
            tracing::warn!(%error, "an unfinished upload could not be removed from the blob store");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_tells_the_store() {
        assert_eq!("file:///srv/blobs".parse(), Ok(BlobUrl::Files("/srv/blobs".into())));
        let s3 =
            BlobUrl::S3 { bucket: "photos".into(), endpoint: Some("http://[::1]:9000".into()), region: None };
        assert_eq!("s3://photos?endpoint=http://[::1]:9000".parse(), Ok(s3));
        for bad in ["blobs", "ftp://x", "s3://", "s3://b?secret=x"] {
            assert!(bad.parse::<BlobUrl>().is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_blob_is_written_read_and_deleted_and_an_aborted_one_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let photo = PhotoId::new();
        let path = BlobPath::Original(photo);
        let mut writer = blobs.writer(path);
        writer.write(Bytes::from(vec![7; WRITE_BUFFER + 1])).await.unwrap();
        writer.finish().await.unwrap();
        assert_eq!(blobs.get(path).await.unwrap().len(), WRITE_BUFFER + 1);
        blobs.delete(path).await.unwrap();
        assert!(matches!(blobs.get(path).await, Err(BlobError::Missing)));

        let mut writer = blobs.writer(path);
        writer.write(Bytes::from(vec![7; 2 * WRITE_BUFFER])).await.unwrap();
        writer.abort().await;
        assert!(matches!(blobs.get(path).await, Err(BlobError::Missing)));
        let left: Vec<_> = walk(folder.path());
        assert!(left.is_empty(), "{left:?}");
    }

    /// As root everything may be read: a folder in a blob's place is refused to anybody.
    #[tokio::test]
    async fn a_file_that_can_not_be_read_is_refused_and_the_store_is_well() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&BlobUrl::Files(folder.path().to_owned())).unwrap();
        let path = BlobPath::Original(PhotoId::new());
        std::fs::create_dir_all(folder.path().join(path.to_string()).join("x")).unwrap();
        let got = blobs.get(path).await;
        assert!(matches!(got, Err(BlobError::Refused(_) | BlobError::Missing)), "{got:?}");
        let put = blobs.put(path, Bytes::from_static(b"x"), "image/jpeg").await;
        assert!(matches!(put, Err(BlobError::Refused(_))), "{put:?}");
        blobs.probe().await.unwrap();
    }

    fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }
}
