//! Jobs that programs elsewhere submit by AMQP, and the replies that they get.

use std::path::PathBuf;
use std::process::Output;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use serde_json::{Value, json};

use crate::harness::{App, Setup, eventually, on_production};
use crate::triggers::{SECRET, machine_tokens};

/// The example client, built with the tests.
fn client() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent().unwrap().with_file_name("examples").join("submit_over_amqp");
    assert!(path.exists(), "{path:?}: cargo build --example submit_over_amqp");
    path
}

async fn submit_by_the_example(app: &App, args: &Value, message_id: &str) -> (Output, Value) {
    let mut command = tokio::process::Command::new(client());
    let production = app.production();
    let command = command
        .args(["remake_thumbnails", &args.to_string()])
        .env("AMQP_URL", &production.amqp_url)
        .env("QUEUE_PREFIX", &production.prefix)
        .env("MACHINE_TOKEN", SECRET)
        .env("MESSAGE_ID", message_id)
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let reply = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output, reply)
}

async fn the_example_submits_a_job_and_gets_its_end(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let photo = app.visitor().await.ready_photo().await;
    let args = json!({"photo_id": photo});
    let (output, reply) = submit_by_the_example(&app, &args, "monday").await;
    assert!(output.status.success(), "{reply}");
    assert_eq!((&reply["kind"], &reply["status"]), (&json!("remake_thumbnails"), &json!("succeeded")));
    assert_eq!(reply["result"]["photo_id"], photo);

    let (_, again) = submit_by_the_example(&app, &args, "monday").await;
    assert_eq!(again["id"], reply["id"], "the same message_id is the same job, and is told its end");
    let (output, failed) = submit_by_the_example(&app, &json!({"photo_id": uuid::Uuid::nil()}), "2").await;
    assert!(!output.status.success());
    assert_eq!((&failed["status"], &failed["failure"]), (&json!("failed"), &json!("discarded")));
    let (output, refused) = submit_by_the_example(&app, &json!({}), "3").await;
    assert!(!output.status.success());
    assert_eq!(refused["status"], 422, "{refused}");
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'remake_thumbnails'").await, 2);
}

/// A program of the test's own, for what the example does not do.
struct Client {
    channel: Channel,
    submit: String,
    _connection: Connection,
}

impl Client {
    async fn of(app: &App) -> Self {
        let production = app.production();
        let connecting = Connection::connect(&production.amqp_url, ConnectionProperties::default());
        let connection = connecting.await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { channel, submit: format!("{}submit", production.prefix), _connection: connection }
    }

    async fn reply_queue(&self, name: &str) -> Consumer {
        let options = QueueDeclareOptions { exclusive: true, ..Default::default() };
        self.channel.queue_declare(name.into(), options, FieldTable::default()).await.unwrap();
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        self.channel.basic_consume(name.into(), "".into(), options, FieldTable::default()).await.unwrap()
    }

    async fn submit(&self, body: &[u8], properties: BasicProperties) {
        let options = BasicPublishOptions::default();
        let publishing =
            self.channel.basic_publish("".into(), self.submit.as_str().into(), options, body, properties);
        publishing.await.unwrap();
    }
}

fn submission(args: &Value) -> Vec<u8> {
    json!({"token": SECRET, "kind": "remake_thumbnails", "args": args}).to_string().into_bytes()
}

async fn next_reply(replies: &mut Consumer) -> (String, Value) {
    let delivery = tokio::time::timeout(Duration::from_secs(60), replies.next()).await.expect("no reply");
    let delivery = delivery.unwrap().unwrap();
    let id = delivery.properties.correlation_id().as_ref().map_or("", |id| id.as_str()).to_owned();
    (id, serde_json::from_slice(&delivery.data).unwrap())
}

async fn a_message_that_comes_five_times_is_one_job(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).workers(2).start().await;
    let photo = app.visitor().await.ready_photo().await;
    let client = Client::of(&app).await;
    let queue = format!("reply.{}", uuid::Uuid::new_v4());
    let mut replies = client.reply_queue(&queue).await;
    let properties = || {
        BasicProperties::default()
            .with_message_id("five-times".into())
            .with_correlation_id("c-1".into())
            .with_reply_to(queue.as_str().into())
    };
    for _ in 0..5 {
        client.submit(&submission(&json!({"photo_id": photo})), properties()).await;
    }
    let (id, reply) = next_reply(&mut replies).await;
    assert_eq!((id.as_str(), &reply["status"]), ("c-1", &json!("succeeded")));
    eventually("all five to be taken", async || {
        let taken = app.logs().matches("a machine submitted a job").count();
        (taken == 5).then_some(())
    })
    .await;
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM jobs WHERE kind = 'remake_thumbnails'").await, 1);
}

async fn what_can_not_be_taken_is_put_aside_without_its_token(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let client = Client::of(&app).await;
    let queue = format!("reply.{}", uuid::Uuid::new_v4());
    let mut replies = client.reply_queue(&queue).await;
    let named = || BasicProperties::default().with_message_id("1".into());
    let orders = format!("{}orders", app.production().prefix);
    client.submit(b"hello", named().with_reply_to(queue.as_str().into())).await;
    assert_eq!(next_reply(&mut replies).await.1["status"], 400);
    client.submit(&submission(&json!({})), named()).await;
    client.submit(&submission(&json!({})), named().with_reply_to(orders.as_str().into())).await;
    client.submit(&submission(&json!({})), BasicProperties::default()).await;
    // What no row can hold must not stay with the consumer and keep others out.
    client.submit(&submission(&json!({})), BasicProperties::default().with_message_id("1\0".into())).await;
    client.submit(br#"{"\u0000": 1}"#, named().with_correlation_id("c\0".into())).await;
    eventually("all six to be put aside", async || {
        (app.number("SELECT count(*) FROM dead_messages WHERE queue = 'submit'").await == 6).then_some(())
    })
    .await;
    let secrets = format!("SELECT count(*) FROM dead_messages WHERE position('{SECRET}'::bytea IN body) > 0");
    assert_eq!(app.number(&secrets).await, 0);
    app.idle().await;
    assert_eq!(app.number("SELECT count(*) FROM jobs").await, 1, "the one reply");
}

/// Where no machine may submit anything, whoever tries is told so, and nothing lies unread.
async fn without_machines_every_submission_is_refused(setup: Setup) {
    let app = setup.start().await;
    let client = Client::of(&app).await;
    let queue = format!("reply.{}", uuid::Uuid::new_v4());
    let mut replies = client.reply_queue(&queue).await;
    let properties =
        BasicProperties::default().with_message_id("1".into()).with_reply_to(queue.as_str().into());
    client.submit(&submission(&json!({"photo_id": uuid::Uuid::nil()})), properties).await;
    let (_, reply) = next_reply(&mut replies).await;
    assert_eq!(reply["status"], 401, "{reply}");
    assert_eq!(app.number("SELECT count(*) FROM dead_messages WHERE queue = 'submit'").await, 1);
}

/// Whoever does not wait any more costs one try.
async fn a_reply_queue_that_is_gone_is_not_run_after(setup: Setup) {
    let app = setup.with("MACHINE_TOKENS", machine_tokens()).start().await;
    let photo = app.visitor().await.ready_photo().await;
    let client = Client::of(&app).await;
    let queue = format!("reply.{}", uuid::Uuid::new_v4());
    client.reply_queue(&queue).await;
    client.channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let properties =
        BasicProperties::default().with_message_id("1".into()).with_reply_to(queue.as_str().into());
    client.submit(&submission(&json!({"photo_id": photo})), properties).await;
    eventually("the reply to be given up", async || {
        let given_up =
            "SELECT count(*) FROM jobs WHERE kind = 'send_reply' AND failure = 'discarded' AND attempt = 1";
        (app.number(given_up).await == 1).then_some(())
    })
    .await;
}

on_production!(
    the_example_submits_a_job_and_gets_its_end,
    a_message_that_comes_five_times_is_one_job,
    what_can_not_be_taken_is_put_aside_without_its_token,
    without_machines_every_submission_is_refused,
    a_reply_queue_that_is_gone_is_not_run_after,
);
