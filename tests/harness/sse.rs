//! Server-sent events, as a browser reads them.

use std::time::Duration;

use reqwest::Response;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `event`.
    pub name: String,
    /// `id`.
    pub id: String,
    /// `data`, its lines joined.
    pub data: String,
}

/// The events of one connection, in the order in which they come.
pub struct EventStream {
    response: Response,
    buffer: String,
}

impl EventStream {
    /// Reads events from a response.
    pub fn new(response: Response) -> Self {
        Self { response, buffer: String::new() }
    }

    /// The next event, or `None` when the server has closed the stream. Comments are passed over.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let event = parse(block);
                self.buffer = rest.to_owned();
                if event != Event::default() {
                    return Some(event);
                }
                continue;
            }
            let chunk = tokio::time::timeout(Duration::from_secs(60), self.response.chunk()).await;
            let bytes = chunk.expect("an event within a minute").unwrap()?;
            self.buffer.push_str(&String::from_utf8_lossy(&bytes).replace("\r\n", "\n"));
        }
    }

    /// All that is still to come, up to the end of the stream.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(block: &str) -> Event {
    let mut event = Event::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = value.to_owned(),
            "id" => event.id = value.to_owned(),
            "data" if event.data.is_empty() => event.data = value.to_owned(),
            "data" => event.data.extend(["\n", value]),
            _ => {}
        }
    }
    event
}
