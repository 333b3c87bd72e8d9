//! Servers that go away, and messages that come twice or make no sense.

use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;

use crate::harness::{App, Order, Placed, Setup, Upload, Visitor, eventually, on_production, pictures};

async fn while_the_broker_is_away_everything_is_accepted_and_finished_later(setup: Setup) {
    let app = setup.on_fault_servers().await.workers(2).start().await;
    let ada = app.visitor().await;
    // A broker that is killed within seconds of making its queues may lose them; an orderly stop writes them down.
    app.faults().rabbitmq("stop").await;
    app.faults().rabbitmq("start").await;
    let before = accept(&ada, 2).await;
    app.faults().rabbitmq("kill").await;
    let during = accept(&ada, 3).await;
    let nobody = app.nobody();
    eventually("web to say that it is degraded", async || {
        let ready = nobody.get("/readyz").await.expect(200);
        ready.text().contains("degraded").then_some(())
    })
    .await;
    app.faults().rabbitmq("start").await;
    for (upload, placed) in before.iter().chain(&during) {
        assert_eq!(ada.wait_for(&upload.job).await["status"], "succeeded");
        assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    }
    eventually("web to be well again", async || {
        (!nobody.get("/readyz").await.text().contains("degraded")).then_some(())
    })
    .await;
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 5);
}

/// Connected is not enough: the broker can be there and take nothing.
async fn while_nobody_may_publish_web_says_so_and_accepts(setup: Setup) {
    let mut app = setup.start().await;
    app.stop_gracefully().await;
    let user = BrokerUser::make(&app).await;
    app.set("AMQP_URL", &user.url);
    app.start_again().await;
    let ada = app.visitor().await;
    ada.ready_photo().await;
    user.may_write("^$").await;
    // Two of web and two of its worker.
    user.connects_anew(4).await;
    let accepted = accept(&ada, 3).await;
    let nobody = app.nobody();
    eventually("web to say that nothing is taken", async || {
        let ready = nobody.get("/readyz").await.expect(200).text();
        (ready.contains("degraded") && ready.contains("takes no messages")).then_some(())
    })
    .await;
    user.may_write(".*").await;
    for (_, placed) in accepted {
        assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    }
    eventually("web to be well again", async || {
        nobody.get("/readyz").await.expect(200).text().contains("\"ok\"").then_some(())
    })
    .await;
    app.idle().await;
    app.stop_gracefully().await;
    user.remove().await;
}

/// A user of the broker whose rights a test may change.
struct BrokerUser {
    name: String,
    url: String,
}

impl BrokerUser {
    async fn make(app: &App) -> Self {
        let name = app.production().prefix.trim_end_matches('.').to_owned();
        let mut url = url::Url::parse(&app.production().amqp_url).unwrap();
        url.set_username(&name).unwrap();
        url.set_password(Some("pw")).unwrap();
        let user = Self { name, url: url.into() };
        user.put("users", json!({"password": "pw", "tags": ""})).await;
        user.may_write(".*").await;
        user
    }

    async fn may_write(&self, names: &str) {
        self.put("permissions/%2f", json!({"configure": ".*", "write": names, "read": ".*"})).await;
    }

    /// Closes its connections, so that the programs open new ones: a channel remembers for a while what it may. The
    /// broker's list is a little old, so this goes on until it names as many new ones as there must be.
    async fn connects_anew(&self, connections: usize) {
        let since = chrono::Utc::now().timestamp_millis();
        eventually("the programs to connect anew", async || {
            let listed: Vec<serde_json::Value> =
                reqwest::get(management("connections")).await.unwrap().json().await.unwrap();
            let own = listed.iter().filter(|connection| connection["user"] == *self.name);
            let (new, old): (Vec<_>, Vec<_>) =
                own.partition(|connection| connection["connected_at"].as_i64() >= Some(since));
            for connection in &old {
                let mut path = url::Url::parse(&management("connections")).unwrap();
                path.path_segments_mut().unwrap().push(connection["name"].as_str().unwrap());
                reqwest::Client::new().delete(path).send().await.unwrap();
            }
            (old.is_empty() && new.len() >= connections).then_some(())
        })
        .await;
    }

    async fn put(&self, what: &str, body: serde_json::Value) {
        let address = format!("{}/{}", management(what), self.name);
        let answer = reqwest::Client::new().put(address).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{what}: {}", answer.status());
    }

    async fn remove(&self) {
        let address = format!("{}/{}", management("users"), self.name);
        reqwest::Client::new().delete(address).send().await.unwrap();
    }
}

/// An address of the broker's management API.
fn management(path: &str) -> String {
    format!("{}/api/{path}", crate::harness::test_variable("TEST_RABBITMQ_API"))
}

async fn the_programs_start_without_the_broker(setup: Setup) {
    let setup = setup.on_fault_servers().await;
    setup.fault_servers().rabbitmq("stop").await;
    let app = setup.start().await;
    let ada = app.visitor().await;
    let accepted = accept(&ada, 1).await;
    app.faults().rabbitmq("start").await;
    for (_, placed) in accepted {
        assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    }
}

async fn a_restart_of_the_database_in_the_middle_loses_nothing(setup: Setup) {
    let app = setup.on_fault_servers().await.with("LEASE_SECONDS", 5).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let slow = ada.order(&Order::of(&photo, "canvas-60x80", 1).paid_by("tok_slow")).await;
    ada.wait_for_status(&format!("/api/jobs/{}", slow.job), "running").await;
    let others = accept(&ada, 2).await;
    app.faults().postgres("kill").await;
    let away = ada.get("/api/photos").await;
    assert!(matches!(away.status, 500..=599), "{}", away.text());
    assert!(!away.header("retry-after").is_empty(), "{:?}", away.headers);
    away.problem(503);
    let ready = app.nobody().get("/readyz").await.status;
    assert_eq!(ready, 503, "web can't work without its database");
    assert_eq!(app.nobody().get("/livez").await.status, 200, "and a restart of web would not help");
    app.faults().postgres("start").await;
    for job in others.iter().flat_map(|(upload, placed)| [&upload.job, &placed.job]).chain([&slow.job]) {
        assert_eq!(ada.wait_for(job).await["status"], "succeeded");
    }
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged'").await, 3);
    assert_eq!(app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await, 2);
}

/// Somebody holds the whole table of jobs, as one does who changes it by hand: nobody's claim is answered in time.
async fn what_nobody_can_claim_is_held_and_done_when_the_database_answers(setup: Setup) {
    let app = setup.with("RUST_LOG", "info,runtime=debug").start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.idle().await;
    // How often its message had been published when a job was claimed.
    app.execute(
        "CREATE TABLE claims (job uuid, published int);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
         'BEGIN INSERT INTO claims VALUES (OLD.id, OLD.published); RETURN NULL; END';
         CREATE TRIGGER note AFTER UPDATE ON jobs FOR EACH ROW
         WHEN (OLD.state = 'queued' AND NEW.state = 'running') EXECUTE FUNCTION note()",
    )
    .await;
    let console = app.console().await;
    app.freeze_worker(0);
    let mut placed = Vec::new();
    for _ in 0..5 {
        placed.push(ada.order(&Order::of(&photo, "print-10x15", 1)).await);
    }
    console.batch_execute("BEGIN; LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE").await.unwrap();
    app.thaw_worker(0);

    let another = Order::of(&photo, "print-10x15", 1).json();
    let (job, order) = (format!("/api/jobs/{}", placed[0].job), Some("placed-while-nothing-goes"));
    let (ordered, uploaded, read) = tokio::join!(
        ada.post_order(&another, order),
        ada.post_photo(pictures::jpeg_of_colour(1, 2, 3)),
        ada.get(&job),
    );
    for refused in [ordered, uploaded, read] {
        assert!(!refused.header("retry-after").is_empty(), "{refused:?}");
        refused.problem(503);
    }
    eventually("each claim to be undecided", async || {
        (app.log_of("worker-1").matches("the claim is undecided").count() >= placed.len()).then_some(())
    })
    .await;
    console.batch_execute("COMMIT").await.unwrap();

    for placed in &placed {
        let job = ada.wait_for(&placed.job).await;
        assert_eq!(
            (&job["result"]["order_status"], &job["attempt"]),
            (&json!("confirmed"), &json!(1)),
            "{job}"
        );
    }
    let accepted = ada.post_order(&another, order).await.expect(202).json();
    let job = ada.wait_for(accepted["job"]["id"].as_str().unwrap()).await;
    assert_eq!(job["result"]["order_status"], "confirmed", "{job}");
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM orders").await, 6);
    assert_eq!(app.number("SELECT count(*) FROM payments WHERE state = 'charged' AND asked = 1").await, 6);
    assert_eq!(app.number("SELECT coalesce(sum(lapses), 0) FROM jobs").await, 0);
    assert_eq!(
        app.number("SELECT count(DISTINCT job) FROM claims WHERE job IN (SELECT job_id FROM orders)").await,
        6
    );
    let again = "SELECT count(*) FROM claims WHERE published > 1";
    assert_eq!(app.number(again).await, 0, "a message that was acked would have come again after a minute");
}

async fn while_the_mail_server_is_away_orders_go_on_and_their_mails_wait(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    app.production().smtp.set_away(true);
    let order = ada.order_and_wait(&Order::of(&photo, "print-10x15", 1)).await;
    assert_eq!(order["status"], "confirmed", "{order}");
    let put_off = "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND state = 'pending'
                   AND started_at IS NOT NULL AND attempt = 0";
    eventually("the mail to be put off, no attempt burnt", async || {
        (app.number(put_off).await == 1).then_some(())
    })
    .await;
    app.production().smtp.set_away(false);
    app.mail_to("ada@example.org").await;
    app.idle().await;
    assert_eq!(app.mails().len(), 1);
    assert_eq!(app.metric(0, "mails_perhaps_sent_twice_total").await, 0.0, "the earlier tries sent none");
}

async fn a_message_that_is_no_job_is_kept_aside_and_holds_nobody_up(setup: Setup) {
    let app = setup.start().await;
    let ada = app.visitor().await;
    for body in [&b"\xff\xfenot an envelope"[..], b"{}", b""] {
        publish(&app, "images", body).await;
    }
    ada.ready_photo().await;
    eventually("three dead messages", async || {
        (app.number("SELECT count(*) FROM dead_messages").await == 3).then_some(())
    })
    .await;
    eventually("the queue to be empty", async || (unacked(&app, "images").await == 0).then_some(())).await;
}

async fn a_message_that_comes_five_times_does_its_work_once(setup: Setup) {
    let app = setup.workers(2).start().await;
    let ada = app.visitor().await;
    let photo = ada.ready_photo().await;
    let placed = ada.order(&Order::of(&photo, "canvas-60x80", 1)).await;
    let envelope = json!({"job": placed.job, "kind": "fulfil_order", "version": 1}).to_string();
    for _ in 0..5 {
        publish(&app, "orders", envelope.as_bytes()).await;
    }
    assert_eq!(ada.wait_for(&placed.job).await["result"]["order_status"], "confirmed");
    for _ in 0..5 {
        publish(&app, "orders", envelope.as_bytes()).await;
    }
    app.idle().await;
    eventually("the queue to be empty", async || (unacked(&app, "orders").await == 0).then_some(())).await;
    assert_eq!(app.number("SELECT sum(asked) FROM payments").await, 1);
    assert_eq!(app.number("SELECT stock FROM products WHERE id = 'canvas-60x80'").await, 2);
    assert_eq!(app.mails().len(), 1);
}

async fn a_job_of_a_newer_program_is_left_for_one(setup: Setup) {
    let app = setup.leaving_work().start().await;
    let ada = app.visitor().await;
    // A kind that this one doesn't have, and a version of arguments that it can't read.
    for newer in ["kind = 'frame_picture'", "args_version = 2"] {
        let upload = ada.upload(pictures::small_jpeg()).await;
        ada.wait_for(&upload.job).await;
        app.execute(&format!(
            "UPDATE jobs SET {newer}, state = 'pending', started_at = NULL, attempt = 0, run_at = now(),
             due_at = now() WHERE id = '{}'",
            upload.job
        ))
        .await;
        let put_back = format!(
            "SELECT count(*) FROM jobs WHERE {newer} AND state = 'pending'
             AND run_at > now() + interval '10 seconds' AND attempt = 0 AND fence > 1"
        );
        eventually("the job to be put back", async || (app.number(&put_back).await == 1).then_some(())).await;
    }
    ada.ready_photo().await;
}

async fn a_message_of_a_newer_schema_is_left_for_a_newer_program(setup: Setup) {
    let app = setup.leaving_work().start().await;
    let ada = app.visitor().await;
    let upload = ada.upload(pictures::small_jpeg()).await;
    ada.wait_for(&upload.job).await;
    // As if it had just been published, by a program whose envelopes this one can't read.
    app.execute(&format!(
        "UPDATE jobs SET state = 'queued', due_at = now() + interval '1 hour', attempt = 0 WHERE id = '{}'",
        upload.job
    ))
    .await;
    publish(&app, "images", json!({"v": 2, "job": upload.job, "new": []}).to_string().as_bytes()).await;
    let put_back = "SELECT count(*) FROM jobs WHERE state = 'pending' AND attempt = 0 AND fence = 2
                    AND run_at > now() + interval '10 seconds'";
    eventually("the job to be put back", async || (app.number(put_back).await == 1).then_some(())).await;
    assert_eq!(app.number("SELECT count(*) FROM dead_messages").await, 0);
    eventually("the queue to be empty", async || (unacked(&app, "images").await == 0).then_some(())).await;
}

/// Messages that no consumer has acked yet. The management API counts them with a delay, an open channel does not.
async fn unacked(app: &App, queue: &str) -> u64 {
    let production = app.production();
    let url = management(&format!("queues/%2f/{}{queue}", production.prefix));
    let answer = reqwest::get(url).await.unwrap();
    let counts: serde_json::Value = answer.json().await.unwrap();
    counts["messages"].as_u64().unwrap_or(u64::MAX)
}

/// Puts bytes into a queue, as anybody with access to the broker can.
async fn publish(app: &App, queue: &str, body: &[u8]) {
    let production = app.production();
    let connection =
        Connection::connect(&production.amqp_url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queue = format!("{}{queue}", production.prefix);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let sent = channel
        .basic_publish("".into(), queue.into(), options, body, BasicProperties::default())
        .await
        .unwrap();
    assert!(sent.await.unwrap().is_ack());
    connection.close(200, "bye".into()).await.unwrap();
}

/// Uploads photos and orders a print of each. Web must accept, at once, whatever else is broken.
async fn accept(visitor: &Visitor, count: u8) -> Vec<(Upload, Placed)> {
    let mut accepted = Vec::new();
    for number in 0..count {
        let begun = std::time::Instant::now();
        let upload = visitor.upload(pictures::jpeg_of_colour(number, 0, 0)).await;
        let placed = visitor.order(&Order::of(&upload.photo, "print-10x15", 1)).await;
        assert!(begun.elapsed() < Duration::from_secs(5), "accepted after {:?}", begun.elapsed());
        accepted.push((upload, placed));
    }
    accepted
}

on_production!(
    what_nobody_can_claim_is_held_and_done_when_the_database_answers,
    while_the_mail_server_is_away_orders_go_on_and_their_mails_wait,
    while_the_broker_is_away_everything_is_accepted_and_finished_later,
    while_nobody_may_publish_web_says_so_and_accepts,
    the_programs_start_without_the_broker,
    a_restart_of_the_database_in_the_middle_loses_nothing,
    a_message_that_is_no_job_is_kept_aside_and_holds_nobody_up,
    a_message_that_comes_five_times_does_its_work_once,
    a_job_of_a_newer_program_is_left_for_one,
    a_message_of_a_newer_schema_is_left_for_a_newer_program,
);
