//! A way to a server that can be closed: what is sent then is neither refused nor passed on.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// See the module's words. It ends with the test's runtime.
pub struct Gate {
    /// The server's URL by this way.
    pub url: String,
    open: watch::Sender<bool>,
}

impl Gate {
    /// An open way to the server at this URL.
    pub async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut url = Url::parse(server).unwrap();
        let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (open, is_open) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&address).await else { continue };
                let (near, far) = (near.into_split(), far.into_split());
                tokio::spawn(pass_on(near.0, far.1, is_open.clone()));
                tokio::spawn(pass_on(far.0, near.1, is_open.clone()));
            }
        });
        Self { url: url.into(), open }
    }

    /// From now on nothing passes, or all that came meanwhile and whatever comes.
    pub fn set_open(&self, open: bool) {
        self.open.send_replace(open);
    }
}

async fn pass_on(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut open: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 8192];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if open.wait_for(|open| *open).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}
