//! Submits a job by AMQP and awaits its end: how a program in any language uses the worker.
//!
//! ```text
//! MACHINE_TOKEN=SECRET cargo run --example submit_over_amqp -- remake_thumbnails '{"photo_id":"…"}'
//! ```
//!
//! `AMQP_URL` and `QUEUE_PREFIX` are as for the print shop; the secret is one of its `MACHINE_TOKENS`. Sent again
//! under the same `MESSAGE_ID`, a submission is the same job. Prints the reply; exit code 0 means succeeded.
#![expect(clippy::print_stdout, reason = "a program for people")]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error>;

/// RabbitMQ's own way to reply: no queue has to be declared, and none is left behind.
const REPLIES: &str = "amq.rabbitmq.reply-to";

/// How long the reply is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<ExitCode, Error> {
    let mut arguments = env::args().skip(1);
    let kind = arguments.next().ok_or("the first argument is the kind of job")?;
    let args: Value = serde_json::from_str(&arguments.next().unwrap_or_else(|| "{}".into()))?;
    let token = env::var("MACHINE_TOKEN").map_err(|_| "MACHINE_TOKEN is not set")?;
    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://localhost".into());
    let prefix = env::var("QUEUE_PREFIX").unwrap_or_else(|_| "wqw.".into());
    let message_id = env::var("MESSAGE_ID").unwrap_or_else(|_| uuid::Uuid::new_v4().to_string());

    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // Listen before asking, on the channel that asks.
    let no_ack = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let mut replies = channel.basic_consume(REPLIES.into(), "".into(), no_ack, FieldTable::default()).await?;
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(message_id.as_str().into())
        .with_correlation_id(message_id.as_str().into())
        .with_reply_to(REPLIES.into());
    let body = json!({"token": token, "kind": kind, "args": args}).to_string();
    let queue = format!("{prefix}submit");
    let options = BasicPublishOptions::default();
    channel.basic_publish("".into(), queue.as_str().into(), options, body.as_bytes(), properties).await?;

    let reply: Value = loop {
        let next = tokio::time::timeout(PATIENCE, replies.next()).await;
        let delivery = next.map_err(|_| "no reply came")?.ok_or("the broker went away")??;
        let answers = delivery.properties.correlation_id().as_ref().map(|id| id.as_str().to_owned());
        if answers.as_deref() == Some(message_id.as_str()) {
            break serde_json::from_slice(&delivery.data)?;
        }
    };
    println!("{reply:#}");
    let succeeded = reply["status"] == "succeeded";
    Ok(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
