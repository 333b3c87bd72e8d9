//! A way to a server that can fall silent: connections stay, and nothing is passed on any more.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};
use url::Url;

/// Listens on a port of its own until the test ends.
pub struct Proxy {
    url: String,
    passing: Arc<RwLock<()>>,
}

impl Proxy {
    /// Before the server at `url`, which must name host and port.
    pub async fn before(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url = Url::parse(url).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let passing = Arc::new(RwLock::new(()));
        tokio::spawn(serve(listener, server, passing.clone()));
        Self { url: url.into(), passing }
    }

    /// The server's address by this way.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Nothing is passed on until what this returns is dropped.
    pub async fn silence(&self) -> OwnedRwLockWriteGuard<()> {
        self.passing.clone().write_owned().await
    }
}

async fn serve(listener: TcpListener, server: String, passing: Arc<RwLock<()>>) {
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&server).await else { continue };
        let (near, far) = (near.into_split(), far.into_split());
        tokio::spawn(pass_on(near.0, far.1, passing.clone()));
        tokio::spawn(pass_on(far.0, near.1, passing.clone()));
    }
}

async fn pass_on(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, passing: Arc<RwLock<()>>) {
    let mut bytes = vec![0; 8192];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let _passing = passing.read().await;
        if to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
