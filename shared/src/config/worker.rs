//! Settings of the worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::Args;

use super::{ConfigError, IncomingSettings, UpkeepSettings};
use model::{Queue, WorkedQueues};

/// The address of the worker's health page when none is set.
pub const DEFAULT_WORKER_HTTP_ADDR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// Settings of the worker.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of worker")]
pub struct WorkerSettings {
    /// Address of /livez, /readyz, /metrics and /tasks. Unset: 127.0.0.1:8081, or any free port if that
    /// is taken
    #[arg(long, env, value_name = "ADDRESS")]
    pub worker_http_addr: Option<SocketAddr>,
    /// Queues to work on, each with the number of jobs at a time: images=2,orders=16. * is all of them, those
    /// too that are named while it runs. quarantine, for jobs whose lease lapsed twice, needs a worker as well:
    /// best one of its own
    #[arg(long, env, default_value = "*", value_name = "QUEUES")]
    pub queues: String,
    /// Work until nothing is left to do in the queues, then exit: no schedule, no watched folder, no submissions.
    /// Jobs that are due in more than 10 seconds, and those of paused queues, are left
    #[arg(long)]
    pub drain: bool,
    /// How long a worker may be silent before its jobs are given to others
    #[arg(long, env, default_value_t = 30, value_name = "SECONDS")]
    pub lease_seconds: u64,
    /// Mail server: smtp://user:password@host:port or smtps://. Unset: files in DATA_DIR, shown at /mailbox
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<String>,
    /// Sender of all mail
    #[arg(long, env, default_value = "Halftone <shop@localhost>", value_name = "MAILBOX")]
    pub mail_from: String,
    /// Payment gateway that speaks POST /charges and /refunds. Unset: a sandbox that moves no money
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub payment_url: Option<String>,
    /// Memory of one process that decodes pictures
    #[arg(long, env, default_value_t = 1024 * 1024 * 1024, value_name = "BYTES")]
    pub imaging_memory_bytes: u64,
    /// The watched folder.
    #[command(flatten)]
    pub incoming: IncomingSettings,
    /// What happens at set times.
    #[command(flatten)]
    pub upkeep: UpkeepSettings,
}

impl WorkerSettings {
    /// The queues to work on.
    ///
    /// # Errors
    /// When `QUEUES` can't be read.
    pub fn queues(&self) -> Result<WorkedQueues, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        parse_queues(&self.queues, cores)
    }

    /// The lease.
    ///
    /// # Errors
    /// When it is too short to be renewed three times, or so long that a crash would hold jobs up for minutes.
    pub fn lease(&self) -> Result<Duration, ConfigError> {
        if !(3..=600).contains(&self.lease_seconds) {
            return Err(ConfigError::new("LEASE_SECONDS", "must be between 3 and 600"));
        }
        Ok(Duration::from_secs(self.lease_seconds))
    }
}

fn parse_queues(text: &str, cores: usize) -> Result<WorkedQueues, ConfigError> {
    let wrong = |problem: String| ConfigError::new("QUEUES", problem);
    let mut slots: Vec<(Queue, usize)> = Vec::new();
    let mut follow = false;
    for part in text.split(',').map(str::trim) {
        if part == "*" {
            follow = true;
            for queue in Queue::all() {
                if slots.iter().all(|(known, _)| *known != queue) {
                    slots.push((queue, queue.default_slots(cores)));
                }
            }
            continue;
        }
        let (name, count) = part.split_once('=').unwrap_or((part, ""));
        let known: Vec<&str> = Queue::all().map(|queue| queue.name()).collect();
        let queue = Queue::from_name(name)
            .ok_or_else(|| wrong(format!("there is no queue {name:?}; there are {}", known.join(", "))))?;
        let count = match count {
            "" => queue.default_slots(cores),
            count => count.parse().ok().filter(|count| (1..=1000).contains(count)).ok_or_else(|| {
                wrong(format!("{name} needs a number of jobs between 1 and 1000, not {count:?}"))
            })?,
        };
        if slots.iter().any(|(known, _)| *known == queue) {
            return Err(wrong(format!("{name} is named twice")));
        }
        if queue == Queue::QUARANTINE && count != 1 {
            return Err(wrong(format!("{name} runs one job at a time, not {count}")));
        }
        slots.push((queue, count));
    }
    Ok(WorkedQueues { slots, follow })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::queues::{IMAGES, ORDERS};

    #[test]
    fn queues_are_read_with_their_slots() {
        crate::jobs::register();
        let some = parse_queues("images=2, orders", 4).unwrap();
        let expected = vec![(IMAGES, 2), (ORDERS, 16)];
        assert_eq!((some.slots, some.follow), (expected, false));
        let quarantine = parse_queues("quarantine", 4).unwrap().slots;
        assert_eq!(quarantine, [(Queue::QUARANTINE, 1)], "by those alone that name it");
        let all = parse_queues("*", 4).unwrap();
        assert_eq!((all.slots.len(), all.follow), (Queue::all().count(), true));
        assert_eq!(parse_queues("images=9,*", 4).unwrap().slots[0], (IMAGES, 9));
    }

    #[test]
    fn wrong_queues_are_named() {
        for bad in
            ["", "prints", "images=0", "images=many", "images=1,images=2", "images=2000", "quarantine=2"]
        {
            assert_eq!(parse_queues(bad, 4).unwrap_err().setting, "QUEUES", "{bad}");
        }
    }
}
