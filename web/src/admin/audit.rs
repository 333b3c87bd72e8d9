//! `/admin/audit`: who did what.

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use askama::Template;
use operations::audit::{self, AuditView};
use operations::ids::AuditId;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::shell::{AdminSection, AdminShell};
use super::when::When;
use crate::App;
use crate::auth::operator::Operator;
use crate::http::error::ApiError;
use crate::pages::html;

/// Entries on a page.
const SHOWN: i64 = 50;

/// Of a list in a subject, so many are shown.
const NAMED: usize = 5;

/// What operators did, the newest first.
#[derive(Debug, Template)]
#[template(path = "admin/audit.html")]
pub struct AuditPage {
    /// Around the content.
    pub shell: AdminShell,
    /// The entries.
    pub rows: Vec<AuditRow>,
    /// Whether these are the newest.
    pub newest: bool,
    /// Where older ones are.
    pub older_url: Option<String>,
}

/// Something that an operator did.
#[derive(Debug)]
pub struct AuditRow {
    /// When it was begun.
    pub at: When,
    /// Who.
    pub operator: String,
    /// By which way.
    pub via: &'static str,
    /// What.
    pub action: String,
    /// To what, readable.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

/// Which page.
#[derive(Debug, Deserialize)]
pub struct Before {
    before: Option<Uuid>,
}

/// `GET /admin/audit`
///
/// # Errors
/// Those of the database.
pub async fn list(
    app: Data<App>,
    operator: Operator,
    query: Query<Before>,
) -> Result<HttpResponse, ApiError> {
    let before = query.before.map(AuditId);
    let page = app.db.run(move |db| async move { audit::page(&db, before, SHOWN).await }).await?;
    html(&AuditPage {
        shell: AdminShell::of(&operator, AdminSection::Audit),
        rows: page.items.into_iter().map(row).collect(),
        newest: before.is_none(),
        older_url: page.next.map(|id| format!("/admin/audit?before={id}")),
    })
}

fn row(entry: AuditView) -> AuditRow {
    AuditRow {
        at: entry.at.into(),
        operator: entry.operator,
        via: entry.via.name(),
        action: entry.action,
        subject: in_words(&entry.subject),
        outcome: outcome(entry.done, entry.refused),
    }
}

fn outcome(done: Option<i64>, refused: Option<i64>) -> String {
    match (done, refused) {
        (None, _) => "not finished".to_owned(),
        (Some(done), None | Some(0)) => format!("{done} done"),
        (Some(done), Some(refused)) => format!("{done} done, {refused} refused"),
    }
}

/// A subject as people read it: `queue: images`; what is null was not said.
pub fn in_words(subject: &Value) -> String {
    match subject {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let said = fields.iter().filter(|(_, value)| !value.is_null());
            let words: Vec<String> = said
                .map(|(name, value)| match value {
                    Value::Object(_) => format!("{name} ({})", in_words(value)),
                    _ => format!("{name}: {}", in_words(value)),
                })
                .collect();
            words.join(", ")
        }
        Value::Array(list) => {
            let mut words: Vec<String> = list.iter().take(NAMED).map(in_words).collect();
            if list.len() > NAMED {
                words.push(format!("and {} more", list.len() - NAMED));
            }
            words.join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_subject_is_read_as_words() {
        let table = [
            (json!({"queue": "images"}), "queue: images"),
            (json!({"operator": "bob", "read_only": true}), "operator: bob, read_only: true"),
            (json!({"filter": {"kind": "x", "text": null}, "after": null}), "filter (kind: x)"),
            (json!({"jobs": ["a", "b"]}), "jobs: a b"),
            (json!({"jobs": [1, 2, 3, 4, 5, 6, 7]}), "jobs: 1 2 3 4 5 and 2 more"),
            (json!({}), ""),
        ];
        for (subject, words) in table {
            assert_eq!(in_words(&subject), words);
        }
    }

    #[test]
    fn what_was_broken_off_says_so() {
        assert_eq!(outcome(Some(3), Some(0)), "3 done");
        assert_eq!(outcome(Some(3), Some(2)), "3 done, 2 refused");
        assert_eq!(outcome(None, None), "not finished");
    }
}
