//! The watched folder: every worker that is told to looks at it, and each new version of a file becomes one job,
//! however many look (see `db::ingested_files`).
//!
//! A look is cheap (a listing, and one statement a page of it) and leaves no trace, so it is a loop and not a job.

use std::collections::HashMap;

use database::DbError;
use futures_util::StreamExt;
use platform::BlobError;
use shared::blobs::IncomingFile;
use shared::config::Incoming;
use shared::db::{customers, ingested_files};
use shared::domain::CustomerId;
use tokio_util::sync::CancellationToken;

use crate::Services;

/// So many files are looked up at a time.
const PAGE: usize = 500;

/// What went wrong with a look; the next one may fare better.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("no customer has the token of INCOMING_TOKEN")]
    NoCustomer,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// Looks at the folder again and again, until `stop`.
pub async fn run(services: Services, incoming: Incoming, stop: CancellationToken) {
    let mut tick = tokio::time::interval(incoming.every);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = HashMap::new();
    let mut complaint = String::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let looked = look(&services, &incoming, &mut seen, &stop).await;
        let outcome = if looked.is_ok() { "done" } else { "failed" };
        metrics::counter!("incoming_polls_total", "outcome" => outcome).increment(1);
        match looked {
            Ok(()) => complaint.clear(),
            Err(error) => {
                // Once is enough: it may be the same for a day.
                let error = error.to_string();
                if error != complaint {
                    tracing::warn!(error, "could not look for incoming files");
                    complaint = error;
                }
            }
        }
    }
}

/// One look. `seen` is what the look before saw of files that nobody has taken.
async fn look(
    services: &Services,
    incoming: &Incoming,
    seen: &mut HashMap<String, String>,
    stop: &CancellationToken,
) -> Result<(), LookError> {
    let hash = incoming.token.hash().to_string();
    let customer = customers::by_token_hash(&mut services.db.conn().await?, &hash).await?;
    let customer = customer.ok_or(LookError::NoCustomer)?;
    // While no file has come yet, nothing else shows that somebody counts on it.
    customers::keep(&mut services.db.conn().await?, customer).await?;
    let whole = services.blobs.lists_whole_files_only();
    let mut waiting = HashMap::new();
    let mut refused = None;
    let mut pages = services.blobs.incoming().chunks(PAGE);
    loop {
        // A store that is away is tried for longer than a stopping program has.
        let page = tokio::select! {
            page = pages.next() => page,
            () = stop.cancelled() => return Ok(()),
        };
        let Some(page) = page else { break };
        let page = page.into_iter().collect::<Result<Vec<IncomingFile>, _>>()?;
        let new = ingested_files::not_taken(&mut services.db.conn().await?, page).await?;
        for file in new {
            if whole || is_complete(&file, seen) {
                match take(services, &file, customer).await {
                    // One file that can't be written down keeps no other out.
                    Err(error) if !error.is_unavailable() => {
                        tracing::debug!(path = file.path, %error, "an incoming file could not be taken");
                        refused = Some(error);
                    }
                    taken => taken?,
                }
            } else {
                waiting.insert(file.path, file.version);
            }
        }
    }
    *seen = waiting;
    refused.map_or(Ok(()), |error| Err(error.into()))
}

/// Who writes a file changes it: what is as it was at the look before is complete.
fn is_complete(file: &IncomingFile, seen: &HashMap<String, String>) -> bool {
    seen.get(&file.path) == Some(&file.version)
}

async fn take(services: &Services, file: &IncomingFile, customer: CustomerId) -> Result<(), DbError> {
    if let Some(job) = ingested_files::take(&services.db, file, customer).await? {
        tracing::info!(path = file.path, job = %job.id, "a file came in");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_complete_when_two_looks_saw_it_the_same() {
        let file = |version: &str| IncomingFile { path: "me.jpg".into(), version: version.into() };
        let seen = |version: &str| HashMap::from([("me.jpg".to_owned(), version.to_owned())]);
        assert!(!is_complete(&file("1"), &HashMap::new()), "at the first look");
        assert!(!is_complete(&file("2"), &seen("1")), "while it grows");
        assert!(is_complete(&file("2"), &seen("2")));
    }
}
