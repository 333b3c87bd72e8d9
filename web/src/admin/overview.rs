//! `/admin`: how everything is, what is broken first. The page's script fetches it again every few seconds.

use actix_web::HttpResponse;
use actix_web::web::Data;
use askama::Template;
use model::process::{BreakerState, Facts};
use operations::overview::{BreakerOverview, Overview, ProcessOverview, QueueHistory, QueueOverview, Totals};

use super::chart::Chart;
use super::shell::{AdminSection, AdminShell};
use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::pages::format::{count, readable_time, span};
use crate::pages::html;

/// How it all is.
#[derive(Debug, Template)]
#[template(path = "admin/overview.html")]
pub struct OverviewPage {
    /// Around the content.
    pub shell: AdminShell,
    /// When, RFC 3339.
    pub at: String,
    /// What needs somebody's attention.
    pub troubles: Vec<Trouble>,
    /// Names and numbers over all queues.
    pub totals: Vec<(&'static str, String)>,
    /// Every queue.
    pub queues: Vec<QueueSummary>,
    /// What the workers think of their dependencies.
    pub breakers: Vec<BreakerRow>,
    /// Every process.
    pub processes: Vec<ProcessRow>,
}

/// Something that needs attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub text: String,
    /// Where there is more of it.
    pub href: String,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSummary {
    /// Its name.
    pub name: String,
    /// Since when it is paused, RFC 3339.
    pub paused_since: Option<String>,
    /// Jobs by state, and messages in the broker.
    pub due: i64,
    /// For later.
    pub scheduled: i64,
    /// In flight.
    pub running: i64,
    /// Until others are over.
    pub waiting: i64,
    /// To be decided on.
    pub dead: i64,
    /// For how long the oldest has been due.
    pub oldest: String,
    /// Messages in the broker.
    pub in_broker: String,
    /// How many run at a time, and where.
    pub slots: String,
    /// A minute.
    pub done: String,
    /// A minute.
    pub failed: String,
    /// Mean and longest.
    pub wait: String,
    /// Mean and longest.
    pub run: String,
    /// The last day.
    pub chart: Chart,
}

/// A circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerRow {
    /// What is behind it.
    pub dependency: String,
    /// `closed`, `probing`, `open`.
    pub state: &'static str,
    /// The look of the state.
    pub tone: &'static str,
    /// What that means, and since when.
    pub words: String,
}

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessRow {
    /// Its id.
    pub id: String,
    /// `web`, `worker` or `all-in-one`.
    pub program: String,
    /// Machine and number there.
    pub place: String,
    /// The program's version.
    pub version: String,
    /// `at work`, `stopping`, `silent`, `in part dead`.
    pub state: &'static str,
    /// The look of the state.
    pub tone: &'static str,
    /// When it was last seen, RFC 3339.
    pub seen_at: String,
    /// How long ago that was.
    pub seen: String,
    /// For how long it has run.
    pub up: String,
    /// Its connections to the database.
    pub connections: String,
    /// Its queues and slots, in words.
    pub queues: String,
    /// How many jobs it runs.
    pub running: usize,
    /// Some of them.
    pub runs: Vec<RunRow>,
}

/// A job that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The job.
    pub job: String,
    /// What it does.
    pub kind: String,
    /// From which queue.
    pub queue: String,
    /// For how long.
    pub age: String,
}

impl OverviewPage {
    /// Each time of it as it is read.
    pub fn readable(&self, at: &str) -> String {
        readable_time(at)
    }

    /// For those who can't see it: what the page says when it changes.
    pub fn words(&self) -> String {
        match self.troubles.len() {
            0 => "Everything is well.".to_owned(),
            _ => self.troubles.iter().map(|trouble| trouble.text.as_str()).collect::<Vec<_>>().join(" "),
        }
    }

    /// The page of what there is.
    pub fn of(shell: AdminShell, overview: &Overview, history: &[QueueHistory]) -> Self {
        Self {
            shell,
            at: overview.at.rfc3339(),
            troubles: troubles(overview),
            totals: totals(&overview.totals),
            queues: overview.queues.iter().map(|queue| queue_row(queue, history)).collect(),
            breakers: overview.breakers.iter().map(|breaker| breaker_row(breaker, overview)).collect(),
            processes: overview.processes.iter().map(|process| process_row(process, overview)).collect(),
        }
    }
}

/// `GET /admin`
///
/// # Errors
/// [`ApiError::LogInFirst`]; those of the database.
pub async fn show(app: Data<App>, operator: Operator) -> Result<HttpResponse, ApiError> {
    let overview = app.overview.overview(&app.db, &app.broker).await?;
    let history = app.overview.history(&app.db).await?;
    let shell = AdminShell::of(&operator, AdminSection::Overview);
    html(&OverviewPage::of(shell, &overview, &history))
}

fn troubles(overview: &Overview) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let mut add = |href: String, text: String| troubles.push(Trouble { text, href });
    if !overview.broker {
        add("/admin/queues".into(), "The broker is away: jobs are accepted, and run when it is back.".into());
    }
    for process in &overview.processes {
        let href = format!("#process-{}", process.id);
        let name = format!("{} {}", process.program, place(process));
        match (process.silent_since, process.facts.dead_parts.as_slice()) {
            (Some(since), _) => {
                let silent = span(overview.at.since(since));
                add(href, format!("{name} has been silent for {silent}."));
            }
            (None, []) => {}
            (None, dead) => add(href, format!("{name} makes no progress in {}.", dead.join(", "))),
        }
    }
    for breaker in overview.breakers.iter().filter(|breaker| breaker.state != BreakerState::Closed) {
        let open = span(overview.at.since(breaker.since));
        add("#breakers".into(), format!("{} has been unavailable for {open}.", breaker.dependency));
    }
    for job in &overview.crashing_undos {
        add(format!("/admin/jobs/{job}"), format!("The undo of job {job} crashes again and again."));
    }
    for queue in &overview.queues {
        if queue.paused_since.is_some() {
            add("/admin/queues".into(), format!("{} is paused, {} due.", queue.name, queue.due));
        } else if queue.workers == 0 && queue.due > 0 {
            let jobs = count(unsigned(queue.due), "job");
            add("#queues".into(), format!("{} has {jobs} due and no worker.", queue.name));
        }
        if queue.dead > 0 {
            let jobs = count(unsigned(queue.dead), "dead job");
            add("/admin/dead".into(), format!("{} has {jobs}.", queue.name));
        }
        if queue.unknown > 0 {
            let jobs = count(unsigned(queue.unknown), "job");
            add("/admin/jobs".into(), format!("{} has {jobs} of a kind that web does not know.", queue.name));
        }
    }
    if overview.totals.dead_messages > 0 {
        let messages = count(unsigned(overview.totals.dead_messages), "message");
        add("/admin/dead".into(), format!("{messages} could not be read."));
    }
    troubles
}

fn totals(totals: &Totals) -> Vec<(&'static str, String)> {
    vec![
        ("Due", totals.due.to_string()),
        ("In flight", totals.running.to_string()),
        ("For later", totals.scheduled.to_string()),
        ("Waiting for others", totals.waiting.to_string()),
        ("Dead", totals.dead.to_string()),
        ("Done a minute", rate(totals.done_per_minute)),
        ("Failed a minute", rate(totals.failed_per_minute)),
    ]
}

fn queue_row(queue: &QueueOverview, history: &[QueueHistory]) -> QueueSummary {
    let points = history.iter().find(|history| history.queue == queue.name);
    let times = |mean: Option<i64>, longest: Option<i64>| match (mean, longest) {
        (Some(mean), Some(longest)) => format!("{} · {}", millis(mean), millis(longest)),
        _ => "–".to_owned(),
    };
    let oldest = queue.oldest_seconds.map(|seconds| span(std::time::Duration::from_secs(seconds)));
    QueueSummary {
        name: queue.name.clone(),
        paused_since: queue.paused_since.map(|since| since.rfc3339()),
        due: queue.due,
        scheduled: queue.scheduled,
        running: queue.running,
        waiting: queue.waiting,
        dead: queue.dead,
        oldest: oldest.unwrap_or_else(|| "–".to_owned()),
        in_broker: queue.in_broker.map_or_else(|| "unknown".to_owned(), |messages| messages.to_string()),
        slots: match queue.workers {
            0 => "no worker".to_owned(),
            1 => queue.slots.to_string(),
            workers => format!("{} in {workers} workers", queue.slots),
        },
        done: rate(queue.rates.done_per_minute),
        failed: rate(queue.rates.failed_per_minute),
        wait: times(queue.rates.mean_wait_ms, queue.rates.longest_wait_ms),
        run: times(queue.rates.mean_run_ms, queue.rates.longest_run_ms),
        chart: Chart::of(&queue.name, points.map_or(&[], |history| &history.points)),
    }
}

fn breaker_row(breaker: &BreakerOverview, overview: &Overview) -> BreakerRow {
    let age = span(overview.at.since(breaker.since));
    let (tone, words) = match breaker.state {
        BreakerState::Closed if breaker.failures > 0 => {
            ("wait", format!("asked by all; {} in a row", count(breaker.failures.into(), "failure")))
        }
        BreakerState::Closed => ("done", "asked by all".to_owned()),
        BreakerState::Probing | BreakerState::Open => {
            let (some, all) = (breaker.not_closed, breaker.processes);
            let failures = count(breaker.failures.into(), "failure");
            ("no", format!("for {age}, in {some} of {all} workers, after {failures} in a row"))
        }
    };
    BreakerRow { dependency: breaker.dependency.clone(), state: breaker.state.name(), tone, words }
}

fn process_row(process: &ProcessOverview, overview: &Overview) -> ProcessRow {
    let Facts { stopping, dead_parts, queues, running, runs, connections, broker, .. } = &process.facts;
    let (state, tone) = match (process.silent_since, dead_parts.is_empty()) {
        (Some(_), _) => ("silent", "no"),
        (None, false) => ("in part dead", "no"),
        (None, true) if *stopping => ("stopping", "wait"),
        (None, true) if !broker => ("without broker", "wait"),
        (None, true) => ("at work", "work"),
    };
    let queues: Vec<String> = queues.iter().map(|slots| format!("{} {}", slots.queue, slots.slots)).collect();
    let runs = runs.iter().map(|run| RunRow {
        job: run.job.to_string(),
        kind: run.kind.clone(),
        queue: run.queue.clone(),
        age: span(process.seen_at.since(run.since)),
    });
    ProcessRow {
        id: process.id.to_string(),
        program: process.program.clone(),
        place: place(process),
        version: process.version.clone(),
        state,
        tone,
        seen_at: process.seen_at.rfc3339(),
        seen: span(overview.at.since(process.seen_at)),
        up: span(process.seen_at.since(process.started_at)),
        connections: format!("{} of {}", connections.used, connections.limit),
        queues: queues.join(", "),
        running: *running,
        runs: runs.collect(),
    }
}

fn place(process: &ProcessOverview) -> String {
    format!("{}:{}", process.host, process.pid)
}

fn millis(millis: i64) -> String {
    span(std::time::Duration::from_millis(unsigned(millis)))
}

fn rate(rate: f64) -> String {
    if rate > 0.0 && rate < 10.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
pub mod samples {
    //! What a busy and a broken shop look like.

    use model::Timestamp;
    use operations::overview::{Point, Rates};
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(chrono::DateTime::from_timestamp(1_772_712_000 + seconds, 0).unwrap())
    }

    /// Everything that can be wrong is; `text` stands wherever somebody else's words do.
    pub fn broken(text: &str) -> (Overview, Vec<QueueHistory>) {
        let (mut overview, history) = well(text);
        overview.broker = false;
        overview.processes[1].silent_since = Some(overview.processes[1].seen_at);
        overview.processes[2].facts.stopping = true;
        overview.processes[0].facts.dead_parts = vec![text.to_owned(), "supervisor".to_owned()];
        overview.breakers[1].state = BreakerState::Open;
        (overview.breakers[1].failures, overview.breakers[1].not_closed) = (7, 1);
        overview.queues[0].paused_since = Some(at(-600));
        (overview.queues[1].dead, overview.totals.dead) = (3, 3);
        overview.queues[2].in_broker = None;
        overview.queues[3].due = 12;
        overview.queues[2].unknown = 2;
        overview.crashing_undos = vec!["0190d1f2-0000-7000-8000-000000000009".parse().unwrap()];
        overview.totals.dead_messages = 1;
        (overview, history)
    }

    /// All is well.
    pub fn well(text: &str) -> (Overview, Vec<QueueHistory>) {
        let names = ["callbacks", "images", "mail", text];
        let queue = |(number, name): (usize, &&str)| QueueOverview {
            name: (*name).to_owned(),
            due: [3, 12, 0, 0][number],
            scheduled: [0, 2, 41, 0][number],
            running: [1, 4, 2, 0][number],
            waiting: [0, 0, 1, 0][number],
            dead: 0,
            unknown: 0,
            oldest_seconds: [Some(2), Some(75), None, None][number],
            in_broker: Some([3, 9, 0, 0][number]),
            paused_since: None,
            workers: [1, 2, 2, 0][number],
            slots: [16, 8, 32, 0][number],
            rates: [Rates::default(), rates(), rates(), Rates::default()][number],
        };
        let queues = names.iter().enumerate().map(queue).collect();
        let processes = vec![process(1, "worker", text), process(2, "worker", text), process(3, "web", text)];
        let breaker = |dependency: &str, failures| BreakerOverview {
            dependency: dependency.to_owned(),
            state: BreakerState::Closed,
            since: at(-300),
            not_closed: 0,
            processes: 2,
            failures,
        };
        let breakers = vec![breaker("blobs", 0), breaker("mail", 2), breaker("payments", 0)];
        let totals = Totals {
            due: 15,
            scheduled: 43,
            running: 7,
            waiting: 1,
            done_per_minute: 187.4,
            failed_per_minute: 0.2,
            ..Totals::default()
        };
        let history = names.iter().take(3).enumerate();
        let history = history.map(|(number, name)| QueueHistory {
            queue: (*name).to_owned(),
            points: (0..144).map(|minutes| point(minutes, number)).collect(),
        });
        let crashing_undos = Vec::new();
        (
            Overview { at: at(0), broker: true, queues, processes, breakers, totals, crashing_undos },
            history.collect(),
        )
    }

    fn rates() -> Rates {
        Rates {
            taken_per_minute: 94.0,
            done_per_minute: 93.4,
            failed_per_minute: 0.2,
            retried_per_minute: 1.2,
            mean_wait_ms: Some(840),
            longest_wait_ms: Some(75_300),
            mean_run_ms: Some(212),
            longest_run_ms: Some(5_012),
        }
    }

    /// A day with a busy noon, an hour when nobody looked, and some failures.
    fn point(number: i64, queue: usize) -> Point {
        let hill = (72 - (number - 72).abs()).max(0);
        let some = |of: i64| (number * 7919 + i64::try_from(queue).unwrap() * 104_729) % of;
        let away = (100..106).contains(&number);
        let done = if away { 0 } else { hill * 3 + some(30) };
        let depth = (!away).then(|| if (60..90).contains(&number) { hill * hill / 30 } else { some(6) });
        Point {
            at: at((number - 144) * 600),
            depth,
            done,
            failed: if (75..80).contains(&number) { 30 } else { 0 },
        }
    }

    fn process(number: i32, program: &str, text: &str) -> ProcessOverview {
        let works = program == "worker";
        let runs = if works {
            json!([
                {"job": "0190d1f2-0000-7000-8000-000000000001", "kind": "make_thumbnails", "queue": "images", "since": at(-65).rfc3339()},
                {"job": "0190d1f2-0000-7000-8000-000000000002", "kind": text, "queue": text, "since": at(-5).rfc3339()},
            ])
        } else {
            json!([])
        };
        let queues = if works {
            json!([{"queue": "images", "slots": 4}, {"queue": text, "slots": 16}])
        } else {
            json!([])
        };
        let facts = json!({
            "broker": true,
            "queues": queues,
            "running": if works { 2 } else { 0 },
            "runs": runs,
            "connections": {"used": 3, "limit": 20, "waiting": 0},
        });
        ProcessOverview {
            id: format!("0190d1f2-0000-7000-8000-00000000010{number}").parse().unwrap(),
            program: program.to_owned(),
            host: text.to_owned(),
            pid: 4000 + number,
            version: "0.1.0".to_owned(),
            started_at: at(-7200),
            seen_at: at(-3),
            silent_since: None,
            facts: serde_json::from_value(facts).unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page((overview, history): (Overview, Vec<QueueHistory>)) -> OverviewPage {
        OverviewPage::of(AdminShell::of_nobody(), &overview, &history)
    }

    #[test]
    fn what_is_broken_is_named_each_with_the_way_to_it() {
        let page = page(samples::broken("ada"));
        let named: Vec<(&str, &str)> =
            page.troubles.iter().map(|trouble| (trouble.text.as_str(), trouble.href.as_str())).collect();
        let silent = "#process-0190d1f2-0000-7000-8000-000000000102";
        let dead = "#process-0190d1f2-0000-7000-8000-000000000101";
        assert_eq!(
            named,
            [
                ("The broker is away: jobs are accepted, and run when it is back.", "/admin/queues"),
                ("worker ada:4001 makes no progress in ada, supervisor.", dead),
                ("worker ada:4002 has been silent for 3.0 s.", silent),
                ("mail has been unavailable for 5 min.", "#breakers"),
                (
                    "The undo of job 0190d1f2-0000-7000-8000-000000000009 crashes again and again.",
                    "/admin/jobs/0190d1f2-0000-7000-8000-000000000009",
                ),
                ("callbacks is paused, 3 due.", "/admin/queues"),
                ("images has 3 dead jobs.", "/admin/dead"),
                ("mail has 2 jobs of a kind that web does not know.", "/admin/jobs"),
                ("ada has 12 jobs due and no worker.", "#queues"),
                ("1 message could not be read.", "/admin/dead"),
            ]
        );
        assert!(page.words().starts_with("The broker is away"));
    }

    #[test]
    fn a_shop_that_is_well_says_so() {
        let page = page(samples::well("ada"));
        assert!(page.troubles.is_empty(), "{:?}", page.troubles);
        assert_eq!(page.words(), "Everything is well.");
        let images = page.queues.iter().find(|queue| queue.name == "images").unwrap();
        assert_eq!((images.wait.as_str(), images.run.as_str()), ("840 ms · 75 s", "212 ms · 5.0 s"));
        assert_eq!((images.oldest.as_str(), images.slots.as_str()), ("75 s", "8 in 2 workers"));
        assert!(!images.chart.depth.is_empty());
        assert_eq!(page.queues[3].chart, Chart::of("ada", &[]), "a queue without a sample has an empty one");
        assert_eq!(page.processes[0].runs[0].age, "62 s");
    }
}
