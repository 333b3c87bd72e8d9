//! Jobs as operators find, see and change them: by page, by JSON and from a terminal.

use serde_json::{Value, json};
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::harness::{Answer, App, Operator, Order, Setup, eventually, on_both_set_ups, pictures};
use crate::triggers::{SECRET, machine_tokens, start};

async fn list(operator: &Operator, query: &str) -> Value {
    operator.read(&format!("/api/admin/jobs?{query}")).await
}

async fn story_of(operator: &Operator, job: &str) -> Value {
    operator.read(&format!("/api/admin/jobs/{job}")).await
}

async fn act(operator: &Operator, job: &str, what: &str) -> Answer {
    operator.program.post(&format!("/api/admin/jobs/{job}/{what}")).await
}

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

/// A job that its handler gave up: there is no such photo.
async fn failed_job(app: &App) -> String {
    let nightly = app.nobody().with_token(SECRET);
    let photo = json!({"photo_id": uuid::Uuid::nil()});
    let accepted = start(&nightly, "remake_thumbnails", &photo, None).await.expect(202).json();
    let job = accepted["job"]["id"].as_str().unwrap().to_owned();
    assert_eq!(nightly.wait_for(&job).await["status"], "failed");
    job
}

/// As if its attempts had been used up.
async fn make_dead(app: &App, job: &str) {
    let dead = "failure = 'exhausted', dead_reason = 'no', dead_at = updated_at";
    app.execute(&format!("UPDATE jobs SET {dead} WHERE id = '{job}'")).await;
}

/// As if it were in backoff for an hour.
async fn put_into_backoff(app: &App, job: &str) {
    let later = app.ago(-3600);
    let row = "state = 'pending', failure = NULL, dead_reason = NULL, dead_at = NULL, attempt = 1";
    let then = format!("run_at = {later}, due_at = {later}");
    app.execute(&format!("UPDATE jobs SET {row}, {then} WHERE id = '{job}'")).await;
}

/// Waits until a job has run so often and is over again.
async fn ran(app: &App, job: &str, fence: i64) {
    let sql =
        format!("SELECT count(*) FROM jobs WHERE id = '{job}' AND state = 'failed' AND fence >= {fence}");
    eventually("the job to have run again", async || (app.number(&sql).await == 1).then_some(())).await;
}

async fn fence(app: &App, job: &str) -> i64 {
    app.number(&format!("SELECT fence FROM jobs WHERE id = '{job}'")).await
}

async fn filters_find_exactly_theirs(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let ada = app.visitor().await;
    let photo = ada.upload(pictures::small_jpeg()).await;
    let order = ada.order(&Order::of(&photo.photo, "print-10x15", 1)).await;
    ada.wait_for(&order.job).await;
    let failed = failed_job(&app).await;
    let dead = failed_job(&app).await;
    make_dead(&app, &dead).await;
    let operator = Operator::new(&app, "bob", false).await;
    let customer = story_of(&operator, &order.job).await["customer"].as_str().unwrap().to_owned();
    let trace = story_of(&operator, &photo.job).await["trace_id"].as_str().unwrap().to_owned();

    for (query, expected) in [
        ("kind=make_thumbnails".to_owned(), vec![&photo.job]),
        (format!("customer={customer}&kind=fulfil_order"), vec![&order.job]),
        ("state=failed".into(), vec![&dead, &failed]),
        ("failure=exhausted".into(), vec![&dead]),
        ("state=failed&younger_than=1h&queue=images".into(), vec![&dead, &failed]),
        ("state=failed&older_than=1h".into(), vec![]),
        (format!("text={}", photo.photo), vec![&photo.job]),
        (format!("text={}", order.order), vec![&order.job]),
        (format!("text={failed}"), vec![&failed]),
        (format!("text={trace}"), vec![&photo.job]),
        ("text=no+such+photo".into(), vec![&dead, &failed]),
    ] {
        assert_eq!(
            ids(&list(&operator, &query).await),
            expected.into_iter().cloned().collect::<Vec<_>>(),
            "{query}"
        );
    }
    let parts = list(&operator, &format!("parent={}", order.job)).await;
    assert!(!ids(&parts).is_empty() && !ids(&parts).contains(&order.job), "{parts}");

    // What can't be meant names its field, and a name that means nothing is no filter that fits all.
    for (query, field) in
        [("state=dead", "state"), ("older_than=3", "older_than"), ("knd=x", "knd"), ("limit=0", "limit")]
    {
        let refused = operator.program.get(&format!("/api/admin/jobs?{query}")).await;
        assert_eq!(refused.wrong_fields(), [field], "{query}");
    }
    // The page remembers what was typed, also what is wrong with it.
    let page =
        operator.page("/admin/jobs?kind=make_thumbnails&text=%3Cb%3E&older_than=3").await.expect(422).text();
    assert!(page.contains("selected>make_thumbnails") && page.contains("&#60;b&#62;"), "{page}");
    assert!(page.contains("Older than is a number with a unit"), "{page}");
    let page = operator.page("/admin/jobs?failure=exhausted").await.expect(200).text();
    assert!(page.contains(&format!("/admin/jobs/{dead}")) && !page.contains(&failed), "{page}");
    let listed = app.says(&["jobs", "list", "--state", "failed", "--failure", "exhausted"]).await;
    assert!(listed.starts_with(&dead) && listed.lines().count() == 1, "{listed}");
    let listed: Value =
        serde_json::from_str(&app.says(&["jobs", "list", "--text", &failed, "--json"]).await).unwrap();
    assert_eq!(ids(&listed), std::slice::from_ref(&failed));
    let refused = app.command(&["jobs", "list", "--state", "dead"]).await;
    assert!(
        !refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("state: "),
        "{refused:?}"
    );

    app.nobody().get("/api/admin/jobs").await.problem(401);
    ada.get("/api/admin/jobs").await.problem(401);
    let login = app.nobody().get("/admin/jobs").await.expect(303);
    assert!(login.header("location").starts_with("/admin/login"), "{login:?}");
}

/// A thousand jobs, that nobody takes: their queue has no worker.
async fn a_thousand_jobs(app: &App) {
    let (now, id, json) = match app.is_production() {
        true => (
            "now()",
            "('0195a1b2-c3d4-7e5f-8a9b-' || lpad(n::text, 12, '0'))::uuid",
            ("'{}'::jsonb", "'[]'::jsonb"),
        ),
        false => (
            "(unixepoch() * 1000000)",
            "'0195a1b2-c3d4-7e5f-8a9b-' || printf('%012d', n)",
            ("jsonb('{}')", "jsonb('[]')"),
        ),
    };
    let (args, errors) = json;
    app.execute(&format!(
        "INSERT INTO jobs (id, kind, queue, args, state, max_attempts, run_at, errors, created_at, updated_at)
         WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000)
         SELECT {id}, 'make_thumbnails', 'bulk', {args}, 'succeeded', 20, {now}, {errors}, {now}, {now} FROM numbers"
    ))
    .await;
}

async fn pages_walk_a_thousand_jobs_without_gap_or_double_while_new_ones_come(setup: Setup) {
    let app = setup.start().await;
    a_thousand_jobs(&app).await;
    let operator = Operator::new(&app, "bob", false).await;
    let ada = app.visitor().await;
    let (mut seen, mut next, mut uploads) = (Vec::new(), Some(String::new()), Vec::new());
    while let Some(before) = next {
        let page = list(&operator, &format!("kind=make_thumbnails&limit=100&before={before}")).await;
        seen.extend(ids(&page));
        next = page["next"].as_str().map(str::to_owned);
        uploads.push(ada.upload(pictures::small_jpeg()).await.job);
    }
    let planted: Vec<String> = (1..=1000).rev().map(|n| format!("0195a1b2-c3d4-7e5f-8a9b-{n:012}")).collect();
    assert_eq!(seen, planted, "those that came meanwhile are on no page but a first one");
    for job in &uploads {
        ada.wait_for(job).await;
    }
    uploads.reverse();
    assert_eq!(ids(&list(&operator, &format!("limit={}", uploads.len())).await), uploads);
    // The pages lead from one to the next.
    let page = operator.page("/admin/jobs?queue=bulk").await.expect(200).text();
    let next = page
        .split("href=\"")
        .find(|link| link.starts_with("/admin/jobs?") && link.contains("before"))
        .unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let second = operator.page(&next).await.expect(200).text();
    assert!(second.contains("/admin/jobs/0195a1b2-c3d4-7e5f-8a9b-000000000950"), "{next}: {second}");
    assert!(!second.contains("/admin/jobs/0195a1b2-c3d4-7e5f-8a9b-000000000951\""));
    let listed = app.says(&["jobs", "list", "--queue", "bulk", "--limit", "250"]).await;
    assert_eq!(listed.lines().count(), 251);
    assert!(listed.ends_with("--before 0195a1b2-c3d4-7e5f-8a9b-000000000751"), "{listed}");
}

async fn the_story_of_a_job_has_everything_and_no_secret(setup: Setup) {
    let receiver = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(204)).mount(&receiver).await;
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).with("CALLBACKS", "any").start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let mut order = Order::of(&photo, "print-10x15", 1).json();
    order["callback_url"] = json!(format!("{}/hook?signature=very-secret", receiver.uri()));
    let placed = ada.post_order(&order, Some("story")).await.expect(202).json();
    let job = placed["job"]["id"].as_str().unwrap().to_owned();
    ada.wait_for(&job).await;
    let operator = Operator::new(&app, "bob", false).await;
    let story = story_of(&operator, &job).await;
    assert_eq!((&story["status"], &story["kind"]), (&json!("succeeded"), &json!("fulfil_order")), "{story}");
    assert!(story["children"]["count"].as_i64().unwrap() >= 1, "a print: {story}");
    assert!(story["waits_for"]["first"][0]["kind"] == "render_print", "{story}");
    let what = |story: &Value| -> Vec<String> {
        let timeline = story["timeline"].as_array().unwrap().iter();
        timeline.map(|event| event["what"].as_str().unwrap().to_owned()).collect()
    };
    for event in ["enqueued", "first taken by a worker", "order paid", "order confirmed", "succeeded"] {
        assert!(what(&story).iter().any(|what| what == event), "{event}: {story}");
    }
    assert!(story["process"]["id"].is_string() && story["trace_id"].is_string(), "{story}");
    assert_eq!(story["callback"]["url"], format!("{}/hook?[hidden]", receiver.uri()), "{story}");
    app.idle().await;
    assert_eq!(story_of(&operator, &job).await["deliveries"][0]["status"], 204);
    let child = story["children"]["first"][0]["id"].as_str().unwrap();
    assert_eq!(story_of(&operator, child).await["parent"]["id"], json!(job));

    // One whose tries failed: with their process, which is alive.
    let failed = failed_job(&app).await;
    let secret = r#"[{"at":"2026-01-01T00:00:00Z","since":"2026-01-01T00:00:00Z","times":1,"message":"smtp://u:very-secret@mail for ada@example.org"}]"#;
    let story = story_of(&operator, &failed).await;
    assert_eq!(story["errors"][0]["tries"][0]["attempt"], 1, "{story}");
    assert_eq!(story["source"], "nightly");
    let alive = eventually("the process to be known", async || {
        let story = story_of(&operator, &failed).await;
        story["errors"][0]["tries"][0]["process"]["seen"]["pid"].as_i64()
    });
    assert!(alive.await > 0);
    let (args, errors) = match app.is_production() {
        true => (r#"args || '{"password": "very-secret"}'"#.to_owned(), format!("'{secret}'::jsonb")),
        false => ("jsonb_set(args, '$.password', 'very-secret')".to_owned(), format!("jsonb('{secret}')")),
    };
    app.execute(&format!("UPDATE jobs SET args = {args}, errors = {errors} WHERE id = '{failed}'")).await;
    for id in [&job, &failed] {
        for text in [
            story_of(&operator, id).await.to_string(),
            list(&operator, &format!("text={id}")).await.to_string(),
            operator.page(&format!("/admin/jobs/{id}")).await.expect(200).text(),
            operator.page(&format!("/admin/jobs?text={id}")).await.expect(200).text(),
            app.says(&["jobs", "show", id]).await,
            app.says(&["jobs", "show", id, "--json"]).await,
            app.says(&["jobs", "list", "--text", id]).await,
        ] {
            assert!(text.contains(id.as_str()), "{text}");
            for secret in ["very-secret", "ada@", "tok_ok"] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
    operator.program.get(&format!("/api/admin/jobs/{}", uuid::Uuid::now_v7())).await.problem(404);
    operator.page("/admin/jobs/x").await.expect(404);
}

async fn an_operator_retries_cancels_and_runs_jobs_by_every_door(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let operator = Operator::new(&app, "bob", false).await;
    let job = failed_job(&app).await;
    assert!(
        act(&operator, &job, "retry").await.problem(409)["detail"]
            .as_str()
            .unwrap()
            .contains("no retry can help")
    );

    // Retry of the dead: JSON, page, terminal.
    for door in 0..3 {
        make_dead(&app, &job).await;
        let before = fence(&app, &job).await;
        match door {
            0 => assert_eq!(act(&operator, &job, "retry").await.expect(202).json()["done"], "redriven"),
            1 => {
                let page = operator.page(&format!("/admin/jobs/{job}")).await.expect(200).text();
                assert!(page.contains(&format!("action=\"/admin/jobs/{job}/retry\"")), "{page}");
                let done = operator.press(&format!("/admin/jobs/{job}/retry")).await.expect(303);
                assert_eq!(done.header("location"), format!("/admin/jobs/{job}"));
            }
            _ => assert!(app.says(&["jobs", "retry", &job]).await.starts_with(&job)),
        }
        ran(&app, &job, before + 1).await;
    }
    // Run now, of one in backoff.
    for door in 0..3 {
        put_into_backoff(&app, &job).await;
        let before = fence(&app, &job).await;
        match door {
            0 => assert_eq!(act(&operator, &job, "run").await.expect(202).json()["done"], "due"),
            1 => _ = operator.press(&format!("/admin/jobs/{job}/run")).await.expect(303),
            _ => assert!(app.says(&["jobs", "run", &job]).await.contains("is due now")),
        }
        ran(&app, &job, before + 1).await;
    }
    act(&operator, &job, "run").await.problem(409);
    // Cancel: what runs no more is refused; what died is discarded.
    act(&operator, &job, "cancel").await.problem(409);
    operator.press(&format!("/admin/jobs/{job}/cancel")).await.expect(409);
    for door in 0..3 {
        make_dead(&app, &job).await;
        match door {
            0 => _ = act(&operator, &job, "cancel").await.expect(202),
            1 => _ = operator.press(&format!("/admin/jobs/{job}/cancel")).await.expect(303),
            _ => _ = app.says(&["jobs", "cancel", &job]).await,
        }
        assert_eq!(story_of(&operator, &job).await["status"], "cancelled");
        app.execute(&format!("UPDATE jobs SET state = 'failed', failure = 'discarded' WHERE id = '{job}'"))
            .await;
    }
    // The exit code tells whether all were done, and a line each what became of it.
    make_dead(&app, &job).await;
    let unknown = uuid::Uuid::now_v7().to_string();
    let output = app.command(&["jobs", "cancel", &unknown, &job]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 2), "{said}");
    assert!(said.contains(&format!("{unknown}: no such job")), "{said}");

    let audit =
        "SELECT count(*) FROM audit WHERE done = 1 AND action IN ('dead.redrive', 'dead.discard', 'job.run')";
    assert_eq!(app.number(audit).await, 10);
    for (via, entries) in [("api", 3), ("page", 3), ("command", 4)] {
        let sql = format!("{audit} AND via = '{via}'");
        assert_eq!(app.number(&sql).await, entries, "{via}");
    }
}

async fn whoever_may_only_look_sees_no_buttons_and_changes_nothing(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let job = failed_job(&app).await;
    make_dead(&app, &job).await;
    let looker = Operator::new(&app, "eve", true).await;
    let page = looker.page(&format!("/admin/jobs/{job}")).await.expect(200).text();
    assert!(page.contains(&job) && !page.contains(&format!("/admin/jobs/{job}/")), "{page}");
    for what in ["retry", "cancel", "run"] {
        act(&looker, &job, what).await.problem(403);
        looker.press(&format!("/admin/jobs/{job}/{what}")).await.expect(403);
        app.nobody().post(&format!("/api/admin/jobs/{job}/{what}")).await.problem(401);
    }
    assert_eq!(story_of(&looker, &job).await["failure"], "exhausted");
    // Another site has the browser send the cookie, and gets nowhere.
    let forged = looker.press_from("https://evil.example", &format!("/admin/jobs/{job}/retry")).await;
    assert_eq!(forged.status, 403);
}

on_both_set_ups!(
    filters_find_exactly_theirs,
    pages_walk_a_thousand_jobs_without_gap_or_double_while_new_ones_come,
    the_story_of_a_job_has_everything_and_no_secret,
    an_operator_retries_cancels_and_runs_jobs_by_every_door,
    whoever_may_only_look_sees_no_buttons_and_changes_nothing,
);
