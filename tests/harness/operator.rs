//! An operator: at a browser, by program and at a terminal.

use std::process::Output;

use reqwest::Method;
use serde_json::Value;

use super::{Answer, App, Visitor, run_to_end};

/// Whoever operates the system under test.
pub struct Operator {
    cookie: String,
    /// Their program, with a token of theirs.
    pub program: Visitor,
    nobody: Visitor,
}

impl Operator {
    /// Adds one by the command, with these options, and logs them in.
    pub async fn new(app: &App, name: &str, options: &[&str]) -> Self {
        let told = app.says(&[&["operator", "add", name], options].concat()).await;
        let password = told.rsplit(' ').next().unwrap();
        let token = app.says(&["operator", "token", name, "tests"]).await;
        let nobody = app.nobody();
        let answer = post_form(&nobody, "/admin/login", &[("name", name), ("password", password)], "").await;
        let cookie = answer.expect(303).header("set-cookie").split(';').next().unwrap().to_owned();
        Self { cookie, program: nobody.with_token(&token), nobody }
    }

    /// Opens a page.
    pub async fn page(&self, path: &str) -> Answer {
        self.nobody.send(self.nobody.request(Method::GET, path).header("Cookie", &self.cookie)).await
    }

    /// Presses a button on a page of ours.
    pub async fn press(&self, path: &str) -> Answer {
        self.send(path, &[]).await
    }

    /// Presses a button that another site made look like ours.
    pub async fn press_from(&self, origin: &str, path: &str) -> Answer {
        let forged = self.nobody.request(Method::POST, path).header("Cookie", &self.cookie);
        self.nobody.send(forged.header("Origin", origin)).await
    }

    /// Sends a form of a page of ours.
    pub async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        post_form(&self.nobody, path, fields, &self.cookie).await
    }

    /// What a GET of the JSON says.
    pub async fn read(&self, path: &str) -> Value {
        self.program.get(path).await.expect(200).json()
    }

    /// What a POST of the JSON answers.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.program.request(Method::POST, path).header("Content-Type", "application/json");
        self.program.send(request.body(body.to_string())).await
    }
}

async fn post_form(who: &Visitor, path: &str, fields: &[(&str, &str)], cookie: &str) -> Answer {
    let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = who.request(Method::POST, path).body(form);
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    who.send(request.header("Cookie", cookie).header("Sec-Fetch-Site", "same-origin")).await
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
}
