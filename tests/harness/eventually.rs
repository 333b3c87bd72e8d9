use std::time::{Duration, Instant};

/// How long the things that tests wait for may take: far more than they do, because the machine may be busy.
///
/// What a killed process had taken to publish comes a minute later by another: that is a right answer, too.
const PATIENCE: Duration = Duration::from_secs(150);

/// How often a probe is tried.
const INTERVAL: Duration = Duration::from_millis(20);

/// Tries `probe` until it gives something.
///
/// Panics, naming what was awaited, when it takes more than two and a half minutes.
pub async fn eventually<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(PATIENCE, what, probe).await
}

/// As [`eventually`], with a limit of the test's own.
pub async fn within<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(begun.elapsed() < limit, "waited {limit:?} in vain: {what}");
        tokio::time::sleep(INTERVAL).await;
    }
}
