//! Operators: how they get in, what ends that, and what they do on their own pages.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::operators::{log_in, session_of};
use crate::harness::{App, Browser, Program, Setup, Visitor, eventually, on_both_set_ups, pictures};

/// The pages, as in the navigation, that this file's tests look at.
const PAGES: [&str; 5] = ["/admin", "/admin/queues", "/admin/schedule", "/admin/audit", "/admin/operators"];

async fn a_login_is_a_new_session_that_ends_with_the_log_out(setup: Setup) {
    let app = setup.start().await;
    let nobody = app.nobody();
    for page in PAGES {
        let sent = nobody.get(page).await.expect(303);
        assert!(sent.header("location").starts_with("/admin/login"), "{page}");
        assert_eq!(sent.header("cache-control"), "no-store", "{page}");
    }
    let sent = nobody.get("/admin/audit?before=0190d1f2-0000-7000-8000-000000000000").await;
    assert!(sent.header("location").contains("next=%2Fadmin%2Faudit%3Fbefore%3D"), "it leads back");
    let form = nobody.get_with("/admin/login?next=//evil.example", "Accept", "text/html").await.expect(200);
    assert!(form.text().contains(r#"name="next" value="/admin""#), "to nowhere else: {}", form.text());

    let password = app.add_operator("ada", false).await;
    for (name, wrong) in [("ada", "not her password"), ("eve", &password), ("ada", "")] {
        let refused = log_in(&nobody, name, wrong, None, "/admin").await.expect(422);
        assert!(refused.text().contains("belong together") && session_of(&refused).is_none(), "{name}");
    }

    // Somebody planted a session in her browser before: she gets another.
    let planted = "A".repeat(43);
    let answer = log_in(&nobody, "ada", &password, Some(&planted), "/admin/audit").await.expect(303);
    assert_eq!(answer.header("location"), "/admin/audit");
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(answer.header("set-cookie").contains(attribute), "{}", answer.header("set-cookie"));
    }
    let first = session_of(&answer).unwrap();
    assert_ne!(first, planted);
    let ada = app.log_in("ada", &password).await;
    assert_ne!(ada.session, first);
    ada.with_session(&first).get("/admin").await.expect(200);
    ada.with_session(&planted).get("/admin").await.expect(303);

    // A login in a browser that has a session ends that one.
    let answer = log_in(&nobody, "ada", &password, Some(&first), "/admin").await.expect(303);
    let second = session_of(&answer).unwrap();
    ada.with_session(&first).get("/admin").await.expect(303);
    let page = ada.with_session(&second).get("/admin").await.expect(200);
    assert_eq!(page.header("cache-control"), "no-store");

    ada.post("/admin/logout", &[]).await.expect(303);
    ada.get("/admin").await.expect(303);
    ada.with_session(&second).get("/admin").await.expect(200);
}

async fn too_many_logins_are_refused(setup: Setup) {
    let app = setup.with("RATE_LIMIT", "on").start().await;
    let password = app.add_operator("ada", false).await;
    let mut answers = Vec::new();
    for number in 0..11 {
        let name = format!("guess-{number}");
        answers.push(log_in(&app.nobody(), &name, "wrong password", None, "/admin").await.status);
    }
    assert_eq!(answers[..10], [422; 10], "{answers:?}");
    assert_eq!(answers[10], 429, "{answers:?}");
    let refused = log_in(&app.nobody(), "ada", &password, None, "/admin").await.expect(429);
    assert!(!refused.header("retry-after").is_empty() && session_of(&refused).is_none());
}

async fn whoever_may_only_look_is_refused_on_each_changing_route(setup: Setup) {
    let app = setup.start().await;
    let (ada, guest) = (app.operator("ada", false).await, app.operator("guest", true).await);
    app.says(&["operator", "token", "ada", "hers"]).await;
    let program = app.program_of("guest").await;

    let description = app.nobody().get("/openapi.json").await.expect(200).json();
    let mut tried = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        if !path.starts_with("/api/admin") {
            continue;
        }
        for (method, _) in methods.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path =
                path.replace("{id}", "0190d1f2-0000-7000-8000-000000000000").replace("{name}", "images");
            if method == Method::GET {
                app.nobody().get(&path).await.problem(401);
            } else {
                let request = program.request(method, &path).json(&json!({}));
                assert_eq!(program.send(request).await.problem(403)["type"], "urn:problem:read-only");
                tried += 1;
            }
        }
    }
    assert!(tried >= 5, "{tried}");

    // Every form that an operator sees is refused to a guest, who sees none.
    let mut tried = 0;
    for page in PAGES {
        let (hers, guests) =
            (ada.get(page).await.expect(200).text(), guest.get(page).await.expect(200).text());
        assert_eq!(forms(&guests), ["/admin/logout"], "{page}");
        assert!(guests.contains("Read-only"), "{page}");
        for action in forms(&hers).into_iter().filter(|action| *action != "/admin/logout") {
            guest.post(action, &[("name", "x")]).await.expect(403);
            tried += 1;
        }
    }
    assert!(tried >= 10, "{tried}");
    let audit = program.get("/api/admin/audit").await.expect(200).json();
    assert!(audit["items"].as_array().unwrap().iter().all(|entry| entry["operator"] != "guest"), "{audit}");
}

/// Where the forms of a page are sent to.
fn forms(page: &str) -> Vec<&str> {
    let forms = page.split("<form ").skip(1);
    forms.map(|form| form.split("action=\"").nth(1).unwrap().split('"').next().unwrap()).collect()
}

async fn a_token_opens_the_api_and_nothing_else(setup: Setup) {
    let app = setup.start().await;
    let ada = app.operator("ada", false).await;
    ada.post("/admin/operators/tokens", &[("name", "Not A Name")]).await.expect(422);
    let page = ada.post("/admin/operators/tokens", &[("name", "by-page")]).await.expect(200).text();
    let secret = page.split("id=\"token\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(!ada.get("/admin/operators").await.text().contains(&secret), "it is shown once");
    let program = app.nobody().with_token(&secret);
    let made =
        program.send(program.request(Method::POST, "/api/admin/tokens").json(&json!({"name": "by-api"})));
    let made = made.await.expect(201).json();
    let other = app.nobody().with_token(made["token"].as_str().unwrap());
    let known = other.get("/api/admin/tokens").await.expect(200).json();
    let names: Vec<&str> =
        known["items"].as_array().unwrap().iter().map(|token| token["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["by-api", "by-page"], "{known}");
    assert!(!known.to_string().contains(&secret));

    // The pages' scripts come with the cookie; what is a token is no cookie, and the other way round.
    ada.get("/api/admin/tokens").await.expect(200);
    ada.with_session(&secret).get("/api/admin/tokens").await.problem(401);
    app.nobody().with_token(&ada.session).get("/api/admin/tokens").await.problem(401);
    program.get("/admin").await.expect(303);
    // Customers' tokens open nothing here, and operators' nothing of customers'.
    program.get("/api/photos").await.problem(401);
    let customer = app.visitor().await;
    customer.get("/api/admin/queues").await.problem(401);
    ada.with_session(customer.token()).get("/admin").await.expect(303);
    app.nobody().get("/api/admin/queues").await.problem(401);

    program.delete(&format!("/api/admin/tokens/{}", made["id"].as_str().unwrap())).await.expect(204);
    other.get("/api/admin/tokens").await.problem(401);
    let page = ada.get("/admin/operators").await.text();
    let revoke = forms(&page).into_iter().find(|action| action.ends_with("/revoke")).unwrap();
    ada.post(revoke, &[]).await.expect(303);
    program.get("/api/admin/tokens").await.problem(401);
}

async fn another_site_can_change_nothing(setup: Setup) {
    let app = setup.start().await;
    let ada = app.operator("ada", false).await;
    let pause = "/admin/queues/images/pause";
    for from in [
        vec![("Sec-Fetch-Site", "cross-site")],
        vec![("Sec-Fetch-Site", "same-site")],
        vec![("Origin", "https://evil.example")],
        vec![],
    ] {
        ada.post_from(pause, &[], &from).await.expect(403);
        ada.post_from("/api/admin/queues/images/pause", &[], &from).await.expect(403);
    }
    // Credentials in the address of another site's form: the cookie does not count then.
    let tricked = [("Sec-Fetch-Site", "cross-site"), ("Authorization", "Basic YTpi")];
    ada.post_from(pause, &[], &tricked).await.expect(303);
    ada.post_from("/api/admin/queues/images/pause", &[], &tricked).await.problem(401);
    assert_eq!(queue(&app.program_of("ada").await, "images").await["paused_since"], Value::Null);
}

async fn queue(program: &Visitor, name: &str) -> Value {
    let all = program.get("/api/admin/queues").await.expect(200).json();
    all["items"].as_array().unwrap().iter().find(|queue| queue["name"] == name).unwrap().clone()
}

async fn whoever_is_removed_is_out_at_once(setup: Setup) {
    let app = setup.start().await;
    let (ada, program) = (app.operator("ada", false).await, app.program_of("ada").await);
    ada.get("/admin").await.expect(200);
    program.get("/api/admin/audit").await.expect(200);
    assert!(app.says(&["operator", "list"]).await.contains("ada"));

    let changed = app.says(&["operator", "password", "ada"]).await;
    ada.get("/admin").await.expect(303);
    program.get("/api/admin/audit").await.expect(200);
    let ada = app.log_in("ada", changed.rsplit_once(' ').unwrap().1).await;

    app.says(&["operator", "remove", "ada"]).await;
    ada.get("/admin").await.expect(303);
    program.get("/api/admin/audit").await.problem(401);
    let again = app.command(&["operator", "remove", "ada"]).await;
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("no such operator"));
}

async fn an_operator_pauses_a_queue_and_the_audit_tells(setup: Setup) {
    let app = setup.start().await;
    let (ada, program) = (app.operator("ada", false).await, app.program_of("ada").await);
    let pause = ada.post("/admin/queues/images/pause", &[]).await.expect(303);
    assert_eq!(pause.header("location"), "/admin/queues");
    assert!(ada.get("/admin/queues").await.expect(200).text().contains("/admin/queues/images/resume"));
    let customer = app.visitor().await;
    let upload = customer.upload(pictures::small_jpeg()).await;
    assert_eq!(queue(&program, "images").await["pending"], 1);
    assert!(queue(&program, "images").await["paused_since"].is_string());
    let resume = "/api/admin/queues/images/resume";
    assert_eq!(program.post(resume).await.expect(200).json(), json!({"changed": true}));
    assert_eq!(program.post(resume).await.expect(200).json(), json!({"changed": false}));
    assert_eq!(customer.wait_for(&upload.job).await["status"], "succeeded");
    program.post("/api/admin/queues/nothing/pause").await.problem(404);

    // Page by page, without a gap and without an end that repeats.
    let mut entries: Vec<Value> = Vec::new();
    let mut path = "/api/admin/audit?limit=2".to_owned();
    loop {
        let page = program.get(&path).await.expect(200).json();
        entries.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/admin/audit?limit=2&before={next}");
    }
    let told: Vec<String> = entries
        .iter()
        .filter(|entry| entry["operator"] == "ada")
        .map(|entry| format!("{} by {} {}", entry["action"], entry["via"], entry["done"]).replace('"', ""))
        .collect();
    assert_eq!(told, ["queue.resume by api 0", "queue.resume by api 1", "queue.pause by page 1"]);
    assert!(entries.iter().any(|entry| entry["action"] == "operator.add" && entry["via"] == "command"));
    let page = ada.get("/admin/audit").await.expect(200).text();
    assert!(page.contains("queue.pause") && page.contains("queue: images"), "{page}");
}

async fn an_entry_of_the_schedule_is_run_now(setup: Setup) {
    let app = setup.with("SCHEDULE", "on").start().await;
    let (ada, program) = (app.operator("ada", false).await, app.program_of("ada").await);
    let before = eventually("the schedule to be written down", async || {
        Some(entry(&program).await).filter(|entry| entry["next_at"].is_string())
    })
    .await;
    assert_eq!((&before["last_at"], &before["overdue"]), (&Value::Null, &json!(false)), "{before}");
    let sent = ada.post("/admin/schedule/also-bought/run", &[]).await.expect(303);
    let job = sent.header("location").strip_prefix("/admin/schedule?started=").unwrap().to_owned();
    assert!(ada.get(sent.header("location")).await.expect(200).text().contains("Started:"));
    let after = eventually("the run to be over", async || {
        Some(entry(&program).await).filter(|entry| entry["last_state"] == "succeeded")
    })
    .await;
    assert_eq!(after["last_job"], job.as_str());
    assert_eq!(after["next_at"], before["next_at"], "its own time stays");
    assert!(after["words"].as_str().is_some_and(|words| !words.is_empty()), "{after}");

    // The job of the run before is unfinished: nothing is started.
    program.post("/api/admin/queues/reports/pause").await.expect(200);
    let run = "/api/admin/schedule/also-bought/run";
    let first = program.post(run).await.expect(200).json();
    let second = program.post(run).await.expect(200).json();
    assert_eq!((&first["started"], &second["started"]), (&json!(true), &json!(false)), "{first} {second}");
    assert_eq!(first["job"], second["job"]);
    program.post("/api/admin/queues/reports/resume").await.expect(200);
    program.post("/api/admin/schedule/nothing/run").await.problem(404);
    let runs = "SELECT count(*) FROM audit WHERE action = 'schedule.run' AND done = 1 AND refused = 0";
    assert_eq!(app.number(runs).await, 2);
}

async fn entry(program: &Visitor) -> Value {
    let all = program.get("/api/admin/schedule").await.expect(200).json();
    all["items"].as_array().unwrap().iter().find(|entry| entry["name"] == "also-bought").unwrap().clone()
}

/// PostgreSQL can't even be asked for such a name.
async fn a_name_that_no_database_can_hold_is_the_name_of_nobody(setup: Setup) {
    let app = setup.start().await;
    app.add_operator("ada", false).await;
    let answer = log_in(&app.nobody(), "ada\0", "correct horse battery", None, "/admin").await;
    assert_eq!(answer.status, 422, "{}", answer.text());
    let program = app.program_of("ada").await;
    for change in ["pause", "resume"] {
        program.post(&format!("/api/admin/queues/images%00/{change}")).await.problem(404);
    }
    program.post("/api/admin/schedule/x%00/run").await.problem(404);
    for query in ["kind=x%00", "queue=x%00", "text=x%00", "reason=x%00", "customer=x%00", "state=%00"] {
        let answer = program.get(&format!("/api/admin/jobs?{query}")).await;
        assert!((400..500).contains(&answer.status), "{query}: {}", answer.text());
    }
    assert!(!app.logs().contains("ERROR"), "{}", app.logs());
}

on_both_set_ups!(
    a_name_that_no_database_can_hold_is_the_name_of_nobody,
    a_login_is_a_new_session_that_ends_with_the_log_out,
    too_many_logins_are_refused,
    whoever_may_only_look_is_refused_on_each_changing_route,
    a_token_opens_the_api_and_nothing_else,
    another_site_can_change_nothing,
    whoever_is_removed_is_out_at_once,
    an_operator_pauses_a_queue_and_the_audit_tells,
    an_entry_of_the_schedule_is_run_now,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_prints_a_password_that_works_and_the_second_none() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("DATA_DIR".to_owned(), folder.path().join("data").display().to_string()),
        ("HTTP_ADDR".to_owned(), "127.0.0.1:0".to_owned()),
    ];
    let mut program = Program::start("first", "all-in-one", &settings, folder.path());
    let base = program.ready().await;
    let line = eventually("the line", async || {
        program.printed().lines().find(|line| line.starts_with("operator admin")).map(str::to_owned)
    })
    .await;
    assert!(program.printed().starts_with("listening on"), "{}", program.printed());
    let (words, address) = line.split_once(": ").unwrap();
    assert_eq!(address, format!("{base}/admin"));
    let password = words.rsplit_once(' ').unwrap().1;
    assert!(!program.log().contains(password), "it is in no log");
    let visitor = Visitor::at(&base);
    assert!(session_of(&log_in(&visitor, "admin", password, None, "/admin").await.expect(303)).is_some());
    program.kill();

    let mut program = Program::start("second", "all-in-one", &settings, folder.path());
    let visitor = Visitor::at(&program.ready().await);
    log_in(&visitor, "admin", password, None, "/admin").await.expect(303);
    assert!(!program.printed().contains("password"), "{}", program.printed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a browser: scripts/test"]
async fn an_operator_with_a_keyboard_logs_in_and_pauses_a_queue() {
    let app = Setup::embedded().start().await;
    let password = app.add_operator("ada", false).await;
    let browser = Browser::start(false).await;
    browser.page.goto(&format!("{}/admin/queues", app.base())).await.unwrap();
    // The form has no focus of its own: past the skip link and the brand to its first field.
    let keys = format!("\u{e004}\u{e004}\u{e004}ada\u{e004}{password}\u{e007}");
    browser.fill("body", &keys).await;
    browser.see("form[action='/admin/queues/images/pause']").await;
    press_until(&app, &browser).await;
    let paused = browser.see("form[action='/admin/queues/images/resume'] button").await;
    assert!(paused.text().await.unwrap().starts_with("Resume"));
    browser.close().await;
    app.says(&["queues", "resume", "images"]).await;
}

/// Tabs to the button that pauses the pictures, and presses it.
async fn press_until(app: &App, browser: &Browser) {
    for _ in 0..60 {
        let focused = browser.page.active_element().await.unwrap();
        let words = focused.text().await.unwrap_or_default();
        if words.split_whitespace().eq(["Pause", "images"]) {
            focused.send_keys("\u{e007}").await.unwrap();
            return;
        }
        focused.send_keys("\u{e004}").await.unwrap();
    }
    panic!("no way to the button by the keyboard:\n{}", app.logs());
}
