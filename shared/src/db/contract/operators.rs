//! Operators: who gets in, and that everything that opens ends at once.

use super::bench::Bench;
use super::promises;
use operations::OperationError;
use operations::operator::{Actor, Operator, Via};
use operations::operators::{
    add, add_first, by_session, by_token, create_token, list, log_in, log_out, remove, revoke_token,
    set_password, tokens,
};
use platform::signing::Token;

promises!(both:
    whoever_has_name_and_password_gets_a_new_session_each_time,
    a_session_ends_when_it_is_idle_or_old_or_left,
    a_new_password_ends_every_session_and_no_token,
    a_session_that_is_being_opened_does_not_outlive_the_password,
    a_removed_operators_sessions_and_tokens_are_dead,
    a_token_is_its_operators_until_it_is_revoked,
    whoever_may_only_look_changes_nothing,
    the_first_operator_is_made_once,
    wrong_names_and_passwords_are_refused,
);

const PASSWORD: &str = "correct horse battery";

fn ada() -> Actor {
    Actor { name: "ada".into(), via: Via::Command, read_only: false }
}

async fn session(bench: &Bench, name: &str) -> (Operator, Token) {
    let found = log_in(&bench.db, name, PASSWORD, None).await.unwrap().unwrap();
    (found.operator, found.session)
}

async fn add_bob(bench: &Bench) {
    assert!(add(&bench.db, &ada(), "bob", Some(PASSWORD), false).await.unwrap().is_none());
}

async fn whoever_has_name_and_password_gets_a_new_session_each_time(bench: &mut Bench) {
    add_bob(bench).await;
    for (name, password) in
        [("bob", "wrong horse battery"), ("eve", PASSWORD), ("Bob", PASSWORD), ("", ""), ("bob\0", PASSWORD)]
    {
        assert!(log_in(&bench.db, name, password, None).await.unwrap().is_none(), "{name}");
    }
    let (bob, first) = session(bench, "bob").await;
    let second = log_in(&bench.db, "bob", PASSWORD, Some(&first)).await.unwrap().unwrap().session;
    assert_ne!(first, second);
    assert_eq!(by_session(&bench.db, &first).await.unwrap(), None, "the one before is over");
    assert_eq!(by_session(&bench.db, &second).await.unwrap(), Some(bob));
    assert_eq!(by_token(&bench.db, &second).await.unwrap(), None, "a session is no token");
    let stored = format!("SELECT count(*) FROM operator_sessions WHERE token_hash = '{}'", second.as_str());
    assert_eq!(bench.number(&stored).await, 0, "only its hash is stored");
}

async fn a_session_ends_when_it_is_idle_or_old_or_left(bench: &mut Bench) {
    add_bob(bench).await;
    let alive = async |session: &Token| by_session(&bench.db, session).await.unwrap().is_some();
    let (_, session) = session(bench, "bob").await;
    bench.sql(&moved("seen_at", bench.is_postgres(), 11)).await;
    assert!(alive(&session).await);
    bench.sql(&moved("seen_at", bench.is_postgres(), 11)).await;
    assert!(alive(&session).await, "it was seen in between");
    bench.sql(&moved("seen_at", bench.is_postgres(), 13)).await;
    assert!(!alive(&session).await, "idle");

    let (_, session) = self::session(bench, "bob").await;
    assert_eq!(bench.number("SELECT count(*) FROM operator_sessions").await, 1, "a login removes the dead");
    bench.sql(&moved("created_at", bench.is_postgres(), 7 * 24 + 1)).await;
    assert!(!alive(&session).await, "old");

    let (_, session) = self::session(bench, "bob").await;
    assert!(alive(&session).await);
    log_out(&bench.db, &session).await.unwrap();
    assert!(!alive(&session).await, "left");
    log_out(&bench.db, &session).await.unwrap();
}

/// Moves a time of every session into the past.
fn moved(column: &str, postgres: bool, hours: u32) -> String {
    if postgres {
        format!("UPDATE operator_sessions SET {column} = {column} - interval '{hours} hours'")
    } else {
        format!("UPDATE operator_sessions SET {column} = {column} - {hours} * 3600000000")
    }
}

async fn a_new_password_ends_every_session_and_no_token(bench: &mut Bench) {
    add_bob(bench).await;
    let (bob, session) = session(bench, "bob").await;
    let token = create_token(&bench.db, &ada(), "bob", "scripts").await.unwrap().token;
    let made = set_password(&bench.db, &ada(), "bob", None).await.unwrap().unwrap();
    assert_eq!(by_session(&bench.db, &session).await.unwrap(), None);
    assert_eq!(by_token(&bench.db, &token).await.unwrap(), Some(bob));
    assert!(log_in(&bench.db, "bob", PASSWORD, None).await.unwrap().is_none());
    assert!(log_in(&bench.db, "bob", made.as_str(), None).await.unwrap().is_some());
    for unknown in ["eve", "bob\0"] {
        let refused = set_password(&bench.db, &ada(), unknown, Some(PASSWORD)).await;
        assert!(matches!(refused, Err(OperationError::Unknown("operator"))));
        assert!(matches!(remove(&bench.db, &ada(), unknown).await, Err(OperationError::Unknown("operator"))));
    }
}

async fn a_session_that_is_being_opened_does_not_outlive_the_password(bench: &mut Bench) {
    add_bob(bench).await;
    let (bob, _) = session(bench, "bob").await;
    let mut tx = bench.db.begin().await.unwrap();
    let opened =
        operations::db::operators::open_session(&mut tx, bob.id, "the hash before", "x").await.unwrap();
    tx.rollback().await.unwrap();
    assert!(!opened);
}

async fn a_removed_operators_sessions_and_tokens_are_dead(bench: &mut Bench) {
    add_bob(bench).await;
    let (_, session) = session(bench, "bob").await;
    let token = create_token(&bench.db, &ada(), "bob", "scripts").await.unwrap().token;
    remove(&bench.db, &ada(), "bob").await.unwrap();
    assert_eq!(by_session(&bench.db, &session).await.unwrap(), None);
    assert_eq!(by_token(&bench.db, &token).await.unwrap(), None);
    let again = remove(&bench.db, &ada(), "bob").await;
    assert!(matches!(again, Err(OperationError::Unknown("operator"))));
    assert!(list(&bench.db).await.unwrap().is_empty());
    assert_eq!(
        audited(bench).await,
        [("operator.add", 1), ("operator.token.create", 1), ("operator.remove", 1)]
    );
}

/// What the audit knows that was done, and how often; what failed left nothing.
async fn audited(bench: &Bench) -> Vec<(&'static str, i64)> {
    let mut found = Vec::new();
    for action in ["operator.add", "operator.token.create", "operator.token.revoke", "operator.remove"] {
        let count =
            format!("SELECT count(*) FROM audit WHERE action = '{action}' AND operator = 'ada' AND done = 1");
        found.push((action, bench.number(&count).await));
    }
    found.retain(|(_, count)| *count > 0);
    found
}

async fn a_token_is_its_operators_until_it_is_revoked(bench: &mut Bench) {
    add_bob(bench).await;
    add(&bench.db, &ada(), "eve", Some(PASSWORD), false).await.unwrap();
    let (bob, eve) = (session(bench, "bob").await.0, session(bench, "eve").await.0);
    let made = create_token(&bench.db, &ada(), "bob", "scripts").await.unwrap();
    let known = tokens(&bench.db, bob.id).await.unwrap();
    assert!(matches!(&known[..], [token] if token.id == made.id && token.used_at.is_none()), "{known:?}");
    assert_eq!(by_token(&bench.db, &made.token).await.unwrap(), Some(bob.clone()));
    assert!(tokens(&bench.db, bob.id).await.unwrap()[0].used_at.is_some());
    assert_eq!(by_session(&bench.db, &made.token).await.unwrap(), None, "a token is no session");

    let anothers = revoke_token(&bench.db, &eve.actor(Via::Page), eve.id, made.id).await;
    assert!(matches!(anothers, Err(OperationError::Unknown("token"))));
    revoke_token(&bench.db, &bob.actor(Via::Page), bob.id, made.id).await.unwrap();
    assert_eq!(by_token(&bench.db, &made.token).await.unwrap(), None);
    assert!(tokens(&bench.db, bob.id).await.unwrap().is_empty());
}

async fn whoever_may_only_look_changes_nothing(bench: &mut Bench) {
    add_bob(bench).await;
    let (bob, _) = session(bench, "bob").await;
    let token = create_token(&bench.db, &ada(), "bob", "scripts").await.unwrap();
    let guest = Actor { read_only: true, ..ada() };
    let refused = [
        add(&bench.db, &guest, "eve", None, false).await.err(),
        set_password(&bench.db, &guest, "bob", None).await.err(),
        remove(&bench.db, &guest, "bob").await.err(),
        create_token(&bench.db, &guest, "bob", "more").await.err(),
        revoke_token(&bench.db, &guest, bob.id, token.id).await.err(),
    ];
    for refusal in refused {
        assert!(matches!(refusal, Some(OperationError::ReadOnly(_))), "{refusal:?}");
    }
    assert!(by_token(&bench.db, &token.token).await.unwrap().is_some());
}

async fn the_first_operator_is_made_once(bench: &mut Bench) {
    let password = add_first(&bench.db, &ada()).await.unwrap().unwrap();
    assert!(log_in(&bench.db, "admin", password.as_str(), None).await.unwrap().is_some());
    assert!(add_first(&bench.db, &ada()).await.unwrap().is_none());
    let all = list(&bench.db).await.unwrap();
    assert!(matches!(&all[..], [admin] if admin.name == "admin" && admin.seen_at.is_some()), "{all:?}");
}

async fn wrong_names_and_passwords_are_refused(bench: &mut Bench) {
    add_bob(bench).await;
    let twice = add(&bench.db, &ada(), "bob", None, true).await;
    assert!(matches!(twice, Err(OperationError::Refused(_))));
    let name = add(&bench.db, &ada(), "Bob!", None, true).await;
    assert!(matches!(name, Err(OperationError::Invalid { field: "NAME", .. })));
    let password = add(&bench.db, &ada(), "eve", Some("short"), true).await;
    assert!(matches!(password, Err(OperationError::Invalid { field: "password", .. })));
    assert_eq!(bench.number("SELECT count(*) FROM audit").await, 1, "nothing else was done");
}
