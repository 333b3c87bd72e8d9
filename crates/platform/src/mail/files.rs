//! Mail as files: `<directory>/<job id>.eml`, one each, complete or not there at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::mail::message::compose;
use crate::mail::{MailError, MailSummary, OutgoingMail, Sender, StoredMail, stored};

/// The longest file that is read back, in bytes.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// As much of a file as its headers can be, in bytes.
const HEAD_BYTES: u64 = 16 * 1024;

/// Writes every mail to a directory and reads it back for the `/mailbox` page. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FileMailer {
    directory: Arc<Path>,
    sender: Sender,
}

impl FileMailer {
    /// Uses `directory`, made if it is not there. Removes what a crash left unfinished, so open a
    /// directory once, at start, and clone from there on.
    ///
    /// # Errors
    /// The directory can't be made or read.
    pub fn open(directory: &Path, sender: Sender) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { directory: directory.into(), sender })
    }

    /// Writes one mail; a mail of the same job takes the place of the first.
    ///
    /// # Errors
    /// [`MailError::Other`] when the disk refuses; [`MailError::Rejected`] when it can't be composed.
    pub async fn send(&self, mail: &OutgoingMail) -> Result<(), MailError> {
        let bytes = compose(mail, &self.sender, SystemTime::now())?.formatted();
        let target = self.path(mail.message_id_of);
        blocking(move || write_whole(&target, &bytes))
            .await
            .map_err(|error| MailError::Other(error.to_string()))
    }

    /// The newest mails, newest first, at most `limit`. A file that is no mail is left out.
    ///
    /// # Errors
    /// The directory can't be read.
    pub async fn list(&self, limit: usize) -> io::Result<Vec<MailSummary>> {
        let mailer = self.clone();
        blocking(move || {
            let mut ids = Vec::new();
            for entry in fs::read_dir(&mailer.directory)? {
                ids.extend(id_of(&entry?.path()));
            }
            // Ids are UUIDs of version 7: their order is that of time.
            ids.sort_unstable_by(|a: &Uuid, b| b.cmp(a));
            let read = |id| Some((id, read_at_most(&mailer.path(id), HEAD_BYTES).ok()?));
            let summaries = ids.into_iter().filter_map(read);
            Ok(summaries.filter_map(|(id, head)| stored::summary(id, &head)).take(limit).collect())
        })
        .await
    }

    /// One mail, or `None` when there is none of this job.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub async fn read(&self, id: Uuid) -> io::Result<Option<StoredMail>> {
        let path = self.path(id);
        blocking(move || match read_at_most(&path, MAX_BYTES) {
            Ok(bytes) => Ok(stored::mail(id, &bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes mails that were written longer ago than `age`. Returns how many.
    ///
    /// # Errors
    /// The directory can't be read, or a file not removed.
    pub async fn remove_older(&self, age: Duration) -> io::Result<usize> {
        let mailer = self.clone();
        blocking(move || {
            let mut removed = 0;
            for entry in fs::read_dir(&mailer.directory)? {
                let path = entry?.path();
                if id_of(&path).is_none() {
                    continue;
                }
                let written = fs::metadata(&path)?.modified()?;
                // One from the future is not old.
                if written.elapsed().is_ok_and(|elapsed| elapsed > age) {
                    match fs::remove_file(&path) {
                        Ok(()) => removed += 1,
                        // One that can't be removed keeps no other from it.
                        Err(error) => {
                            tracing::warn!(path = %path.display(), %error, "a mail's file could not be removed");
                        }
                    }
                }
            }
            Ok(removed)
        })
        .await
    }

    fn path(&self, id: Uuid) -> PathBuf {
        self.directory.join(format!("{id}.eml"))
    }
}

/// The job whose mail this is, if the file is named as ours are.
fn id_of(path: &Path) -> Option<Uuid> {
    path.file_name()?.to_str()?.strip_suffix(".eml")?.parse().ok()
}

/// Writes beside the target, then renames: whoever looks sees the whole file or none, and after a
/// power cut, too.
fn write_whole(target: &Path, bytes: &[u8]) -> io::Result<()> {
    // A name of its own for each attempt: two workers may send one mail when a lease has lapsed.
    let unfinished = target.with_extension(format!("{}.tmp", Uuid::new_v4()));
    let written = File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&unfinished, target)) {
        // Best effort: the first error is the one to report, and the next start cleans up.
        let _ = fs::remove_file(&unfinished);
        return Err(error);
    }
    match target.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn read_at_most(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes).read_to_end(&mut content)?;
    Ok(content)
}

/// Runs file work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::super::testing::{mail, sender};
    use super::*;

    fn mailer(directory: &tempfile::TempDir) -> FileMailer {
        FileMailer::open(directory.path(), sender()).unwrap()
    }

    #[tokio::test]
    async fn a_mail_is_read_back_as_it_was_sent_with_its_pictures_in_place() {
        let directory = tempfile::tempdir().unwrap();
        let mailer = mailer(&directory);
        let sent = OutgoingMail { subject: "Größe 9×13 👾".to_owned(), ..mail() };
        mailer.send(&sent).await.unwrap();
        let read = mailer.read(sent.message_id_of).await.unwrap().unwrap();
        assert_eq!(read.summary.subject, sent.subject);
        assert_eq!(read.summary.to, "ada@example.org");
        assert!((chrono::Utc::now() - read.summary.date).num_seconds() < 60);
        assert_eq!(read.text.replace("\r\n", "\n"), sent.text);
        assert_eq!(read.html, "<p>Hello Ada <img src=\"data:image/png;base64,iVBORyBwaWN0dXJl\"></p>");
    }

    #[tokio::test]
    async fn sending_a_mail_twice_leaves_one_file_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let mailer = mailer(&directory);
        let mail = mail();
        mailer.send(&mail).await.unwrap();
        mailer.send(&mail).await.unwrap();
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [format!("{}.eml", mail.message_id_of).as_str()]);
    }

    #[tokio::test]
    async fn the_list_is_bounded_newest_first_and_passes_over_strangers() {
        let directory = tempfile::tempdir().unwrap();
        let mailer = mailer(&directory);
        let sent = [mail(), mail(), mail()];
        for mail in &sent {
            mailer.send(mail).await.unwrap();
        }
        fs::write(directory.path().join("notes.txt"), "not a mail").unwrap();
        fs::write(directory.path().join("letter.eml"), "not ours").unwrap();
        let ids: Vec<_> = mailer.list(2).await.unwrap().into_iter().map(|mail| mail.id).collect();
        assert_eq!(ids, [sent[2].message_id_of, sent[1].message_id_of]);
    }

    #[tokio::test]
    async fn old_mails_are_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let mailer = mailer(&directory);
        let (old, young) = (mail(), mail());
        for mail in [&old, &young] {
            mailer.send(mail).await.unwrap();
        }
        let strangers = directory.path().join("letter.eml");
        fs::write(&strangers, "not ours").unwrap();
        for file in [&mailer.path(old.message_id_of), &strangers] {
            let past = SystemTime::now() - Duration::from_secs(100);
            File::options().write(true).open(file).unwrap().set_modified(past).unwrap();
        }
        assert_eq!(mailer.remove_older(Duration::from_secs(200)).await.unwrap(), 0);
        assert_eq!(mailer.remove_older(Duration::from_secs(50)).await.unwrap(), 1);
        assert!(mailer.read(young.message_id_of).await.unwrap().is_some() && strangers.exists());
    }

    #[tokio::test]
    async fn a_start_sweeps_up_what_a_crash_left_and_keeps_the_mails() {
        let directory = tempfile::tempdir().unwrap();
        let sent = mail();
        mailer(&directory).send(&sent).await.unwrap();
        let litter = directory.path().join(format!("{}.x.tmp", sent.message_id_of));
        fs::write(&litter, "half a ma").unwrap();
        let mailer = mailer(&directory);
        assert!(!litter.exists());
        assert_eq!(mailer.list(10).await.unwrap().len(), 1);
        assert_eq!(mailer.read(Uuid::now_v7()).await.unwrap(), None);
    }
}
