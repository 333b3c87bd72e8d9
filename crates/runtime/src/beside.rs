//! Work that a loop has done beside itself, so that it goes on meanwhile.

use tokio::task::JoinHandle;

/// At most one such task at a time: what comes while it works is left out, and comes again with the next look.
#[derive(Debug, Default)]
pub struct Beside(Option<JoinHandle<()>>);

impl Beside {
    /// Begins, unless the last one is still at work. Whether it began.
    pub fn begin(&mut self, work: impl Future<Output = ()> + Send + 'static) -> bool {
        if self.0.as_ref().is_some_and(|task| !task.is_finished()) {
            return false;
        }
        self.0 = Some(tokio::spawn(work));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_is_at_work_at_a_time_and_then_the_next() {
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let mut beside = Beside::default();
        let first = async move {
            let _ = gate.await;
        };
        assert!(beside.begin(first));
        assert!(!beside.begin(async {}), "the first is at work");
        open.send(()).unwrap();
        while !beside.begin(async {}) {
            tokio::task::yield_now().await;
        }
    }
}
