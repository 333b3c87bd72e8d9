//! A real browser: headless Chromium, driven by chromedriver.

use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder, Locator};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::test_variable;

/// A browser with a profile of its own. It ends when dropped.
pub struct Browser {
    /// The page that it shows.
    pub page: Client,
    _driver: Child,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser that runs scripts, or does not.
    pub async fn start(scripts: bool) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new(test_variable("TEST_CHROMEDRIVER"))
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let port = driver_port(&mut driver).await;
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            &format!("--user-data-dir={}", profile.path().display()),
        ]
        .map(str::to_owned);
        let mut options = json!({"binary": test_variable("TEST_CHROMIUM"), "args": arguments});
        if !scripts {
            options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
        }
        let mut capabilities = Capabilities::new();
        capabilities.insert("goog:chromeOptions".into(), options);
        let page = ClientBuilder::rustls()
            .unwrap()
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        Self { page, _driver: driver, _profile: profile }
    }

    /// Waits for an element.
    pub async fn see(&self, selector: &str) -> fantoccini::elements::Element {
        let wait = self.page.wait().at_most(Duration::from_secs(30)).for_element(Locator::Css(selector));
        match wait.await {
            Ok(element) => element,
            Err(error) => panic!("{selector}: {error}\n{}", self.page.source().await.unwrap_or_default()),
        }
    }

    /// Clicks on an element, when it is there.
    pub async fn click(&self, selector: &str) {
        self.see(selector).await.click().await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Puts text, or a file's path, into a field.
    pub async fn fill(&self, selector: &str, text: &str) {
        let field = self.see(selector).await;
        field.send_keys(text).await.unwrap_or_else(|error| panic!("{selector}: {error}"));
    }

    /// Ends the session, and the browser with it.
    pub async fn close(self) {
        self.page.clone().close().await.unwrap();
    }
}

/// The port that the driver took, as it prints it.
async fn driver_port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    loop {
        let line = lines.next_line().await.unwrap().expect("chromedriver names its port");
        let port = line.split_once("started successfully on port ").map(|(_, port)| port);
        if let Some(port) = port.and_then(|port| port.trim_end_matches('.').parse().ok()) {
            // It goes on printing, and must not find the pipe closed.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return port;
        }
    }
}
