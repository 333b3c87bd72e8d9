//! Operators: made by command, at work in a browser or with a token.

use std::process::Output;

use reqwest::Method;
use serde_json::Value;

use super::{Answer, App, Visitor, run_to_end};

/// An operator's session in a browser: a visitor with a cookie, whose requests come from the site's own pages.
#[derive(Clone)]
pub struct Session {
    visitor: Visitor,
    /// What the cookie holds.
    pub session: String,
}

impl App {
    /// Runs an operator's command beside the running programs.
    pub async fn command(&self, arguments: &[&str]) -> Output {
        let mut settings = self.settings().to_vec();
        settings.push(("RUST_LOG".into(), "error".into()));
        let program = if self.is_production() { "worker" } else { "all-in-one" };
        run_to_end(program, arguments, &settings).await
    }

    /// What a command prints that succeeds.
    pub async fn says(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Adds an operator; gives the password that was made up.
    pub async fn add_operator(&self, name: &str, read_only: bool) -> String {
        let mut arguments = vec!["operator", "add", name];
        if read_only {
            arguments.push("--read-only");
        }
        let printed = self.says(&arguments).await;
        printed.rsplit_once("password ").unwrap_or_else(|| panic!("{printed}")).1.to_owned()
    }

    /// Adds an operator and logs them in, in a browser.
    pub async fn operator(&self, name: &str, read_only: bool) -> Session {
        let password = self.add_operator(name, read_only).await;
        self.log_in(name, &password).await
    }

    /// Logs an operator in, in a browser.
    pub async fn log_in(&self, name: &str, password: &str) -> Session {
        let answer = log_in(&self.nobody(), name, password, None, "/admin").await.expect(303);
        Session { session: session_of(&answer).unwrap(), visitor: self.nobody() }
    }

    /// A program of this operator, with a token.
    pub async fn program_of(&self, name: &str) -> Visitor {
        self.nobody().with_token(&self.says(&["operator", "token", name, "tests"]).await)
    }
}

impl Session {
    /// The same browser with another session cookie.
    pub fn with_session(&self, session: &str) -> Self {
        Self { session: session.to_owned(), ..self.clone() }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Answer {
        let request = self.visitor.request(Method::GET, path).header("Accept", "text/html");
        self.visitor.send(request.header("Cookie", self.cookie())).await
    }

    /// Sends a form, from one of the site's own pages.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from(path, fields, &[("Sec-Fetch-Site", "same-origin")]).await
    }

    /// Sends a form, with header fields that tell where from.
    pub async fn post_from(&self, path: &str, fields: &[(&str, &str)], from: &[(&str, &str)]) -> Answer {
        let mut request = form(&self.visitor, path, fields).header("Cookie", self.cookie());
        for (name, value) in from {
            request = request.header(*name, *value);
        }
        self.visitor.send(request).await
    }

    fn cookie(&self) -> String {
        format!("operator={}", self.session)
    }
}

/// An operator with everything: a session in a browser, and a program with a token.
pub struct Operator {
    session: Session,
    /// Their program.
    pub program: Visitor,
}

impl Operator {
    /// Adds one and logs them in.
    pub async fn new(app: &App, name: &str, read_only: bool) -> Self {
        Self { session: app.operator(name, read_only).await, program: app.program_of(name).await }
    }

    /// Opens a page.
    pub async fn page(&self, path: &str) -> Answer {
        self.session.get(path).await
    }

    /// Presses a button on a page of ours.
    pub async fn press(&self, path: &str) -> Answer {
        self.session.post(path, &[]).await
    }

    /// Presses a button that another site made look like ours.
    pub async fn press_from(&self, origin: &str, path: &str) -> Answer {
        self.session.post_from(path, &[], &[("Origin", origin)]).await
    }

    /// Sends a form of a page of ours.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.session.post(path, fields).await
    }

    /// What a GET of the JSON says.
    pub async fn read(&self, path: &str) -> Value {
        self.program.get(path).await.expect(200).json()
    }

    /// What a POST of the JSON answers.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.program.send(self.program.request(Method::POST, path).json(body)).await
    }
}

/// Sends the form of the login, with a session cookie from before if there is one.
pub async fn log_in(
    visitor: &Visitor,
    name: &str,
    password: &str,
    before: Option<&str>,
    next: &str,
) -> Answer {
    let fields = [("name", name), ("password", password), ("next", next)];
    let mut request = form(visitor, "/admin/login", &fields).header("Sec-Fetch-Site", "same-origin");
    if let Some(before) = before {
        request = request.header("Cookie", format!("operator={before}"));
    }
    visitor.send(request).await
}

/// The session that an answer sets, if it sets one.
pub fn session_of(answer: &Answer) -> Option<String> {
    let value = answer.header("set-cookie").strip_prefix("operator=")?;
    value.split(';').next().filter(|session| !session.is_empty()).map(str::to_owned)
}

fn form(visitor: &Visitor, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = visitor.request(Method::POST, path).body(body).header("Accept", "text/html");
    request.header("Content-Type", "application/x-www-form-urlencoded")
}
