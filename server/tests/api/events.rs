//! Server-sent events as a client reads them.

use axum::body::Body;
use axum::http::{Method, header};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::support::{DEADLINE, TestServer, request};

#[derive(Debug)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

/// An open stream.
pub struct Events {
    body: Body,
    text: String,
}

impl Events {
    pub async fn open(server: &TestServer, uri: &str, last_seen: Option<&str>) -> Self {
        let mut builder = request(Method::GET, uri);
        if let Some(id) = last_seen {
            builder = builder.header("Last-Event-ID", id);
        }
        let response = server.open_stream(builder.body(Body::empty()).unwrap()).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no", "proxies pass events on at once");
        Events { body: response.into_body(), text: String::new() }
    }

    /// The next event; none when the server has ended the stream.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let event = parse(event);
                self.text = rest.to_owned();
                return Some(event);
            }
            let frame = timeout(DEADLINE, self.body.frame()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }

    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event { id: None, name: "message".into(), data: String::new() };
    for line in text.lines() {
        match line.split_once(": ").unwrap() {
            ("id", id) => event.id = Some(id.to_owned()),
            ("event", name) => event.name = name.to_owned(),
            ("data", data) => event.data.push_str(data),
            other => panic!("{other:?}"),
        }
    }
    event
}
