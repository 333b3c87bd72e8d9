//! What operators see of arguments, results and errors: all of it but what would let them, or whoever looks over
//! their shoulder, act or write in somebody else's name. The structure stays, so that one sees what is there.

use serde_json::Value;

/// In the place of what is hidden.
pub const HIDDEN: &str = "[hidden]";

/// Hides secrets in JSON: the values of names that say so, wherever they are, and what [`redact_text`] finds in
/// any other string.
pub fn redact(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(redact_text(text)),
        Value::Array(items) => items.iter().map(redact).collect(),
        Value::Object(fields) => {
            let shown = fields.iter().map(|(name, value)| {
                let value = if is_secret_name(name) { hide(value) } else { redact(value) };
                (name.clone(), value)
            });
            Value::Object(shown.collect())
        }
        other => other.clone(),
    }
}

/// That there is something, and of what shape.
fn hide(value: &Value) -> Value {
    match value {
        Value::String(_) | Value::Number(_) => Value::String(HIDDEN.into()),
        Value::Array(items) => items.iter().map(hide).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), hide(value))).collect())
        }
        other => other.clone(),
    }
}

/// Hides secrets in text: who an e-mail address belongs to, credentials and query of a URL, what follows
/// `password=` and its like.
pub fn redact_text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut state = State::Plain;
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let is_word = !is_delimiter(first);
        let end = rest.find(|c: char| is_delimiter(c) == is_word).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        if is_word {
            let (word, next) = redact_word(piece, state);
            shown.push_str(&word);
            state = next;
        } else {
            shown.push_str(piece);
        }
    }
    shown
}

/// A URL without credentials, query and fragment.
pub fn redact_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return redact_text(url) };
    let (place, has_more) = match rest.find(['?', '#']) {
        Some(end) => (&rest[..end], true),
        None => (rest, false),
    };
    let authority_end = place.find('/').unwrap_or(place.len());
    let (authority, path) = place.split_at(authority_end);
    // A password may have a slash in it that nobody escaped: then the host is in what looks like the path.
    let (credentials, host, path) = match (authority.rsplit_once('@'), place.rsplit_once('@')) {
        (Some((_, host)), _) => (true, host, path),
        (None, Some((before, after))) if before.contains(':') => (true, after, ""),
        _ => (false, authority, path),
    };
    let credentials = if credentials { format!("{HIDDEN}@") } else { String::new() };
    let query = if has_more { format!("?{HIDDEN}") } else { String::new() };
    format!("{scheme}://{credentials}{host}{path}{query}")
}

/// What the words before say of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing.
    Plain,
    /// It may be a sign, and then its value: `password`, with quotation marks around.
    Named,
    /// It is the value.
    Value,
    /// It is a value if it looks like one: `Bearer`.
    Perhaps,
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | '\\')
}

fn redact_word(word: &str, state: State) -> (String, State) {
    let is_scheme = ["bearer", "basic", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
    match state {
        State::Named if matches!(word, ":" | "=" | ":=" | "=>") => return (word.to_owned(), State::Value),
        State::Value if is_scheme => return (word.to_owned(), State::Value),
        State::Value => return (HIDDEN.to_owned(), State::Plain),
        State::Perhaps if word.len() >= 8 => return (HIDDEN.to_owned(), State::Plain),
        _ => {}
    }
    if word.eq_ignore_ascii_case("bearer") {
        return (word.to_owned(), State::Perhaps);
    }
    if word.contains("://") {
        return (redact_url(word), State::Plain);
    }
    if let Some(sign) = word.find(['=', ':']) {
        let (name, value) = word.split_at(sign);
        if is_secret_in_text(name) {
            let value = value.trim_start_matches(['=', ':', '>']);
            let shown = &word[..word.len() - value.len()];
            return match value {
                "" => (shown.to_owned(), State::Value),
                _ => (format!("{shown}{HIDDEN}"), State::Plain),
            };
        }
    }
    if is_secret_in_text(word) {
        return (word.to_owned(), State::Named);
    }
    (word.split_inclusive([',', ';']).map(hide_local_part).collect(), State::Plain)
}

fn hide_local_part(word: &str) -> String {
    let Some(at) = word.rfind('@') else { return word.to_owned() };
    let (local, domain) = (&word[..at], &word[at..]);
    // `to=ada@example.org`, `mailto:ada@example.org`
    let start = local.rfind(['=', ':']).map_or(0, |sign| sign + 1);
    if start == local.len() || !domain[1..].starts_with(char::is_alphanumeric) {
        return word.to_owned();
    }
    format!("{}{HIDDEN}{domain}", &local[..start])
}

/// What names contain that have secrets for values.
const SECRET: [&str; 8] =
    ["password", "passwd", "passphrase", "secret", "token", "authorization", "credential", "cookie"];

/// What is secret as a word of a name, but part of harmless ones as well.
const SECRET_WORDS: [&str; 12] =
    ["key", "keys", "apikey", "auth", "card", "pan", "cvc", "cvv", "iban", "pin", "pwd", "signature"];

fn is_secret_name(name: &str) -> bool {
    is_secret_in_text(name) || words(name).any(|word| SECRET_WORDS.contains(&word.as_str()))
}

/// In text, "key" and "card" are mostly what it is about.
fn is_secret_in_text(name: &str) -> bool {
    let lower: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    SECRET.iter().any(|secret| lower.contains(secret)) || lower.ends_with("apikey") || lower == "pwd"
}

/// `api_key`, `api-key` and `apiKey` are two words each.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
        spaced.push(if c.is_alphanumeric() { c.to_ascii_lowercase() } else { ' ' });
    }
    spaced.split_whitespace().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_values_of_secret_names_are_hidden_and_the_structure_stays() {
        let value = json!({
            "subject_id": "0190d1f2-0000-7000-8000-000000000000",
            "payment_token": "tok_ok",
            "apiKey": "k", "api-key": "k", "key": 7, "Password": "x", "cardNumber": 4242, "pin": null,
            "monkey": "banana", "keyboard": true, "discard": "no", "authors": ["Ada"],
            "secrets": {"one": "1", "many": ["2", null, true]},
            "lines": [{"access_token": "x", "quantity": 2}],
            "email": "ada@example.org",
            "callback": "https://ada:pw@example.org/hook?sig=1#frag",
        });
        let shown = json!({
            "subject_id": "0190d1f2-0000-7000-8000-000000000000",
            "payment_token": HIDDEN,
            "apiKey": HIDDEN, "api-key": HIDDEN, "key": HIDDEN, "Password": HIDDEN, "cardNumber": HIDDEN, "pin": null,
            "monkey": "banana", "keyboard": true, "discard": "no", "authors": ["Ada"],
            "secrets": {"one": HIDDEN, "many": [HIDDEN, null, true]},
            "lines": [{"access_token": HIDDEN, "quantity": 2}],
            "email": "[hidden]@example.org",
            "callback": "https://[hidden]@example.org/hook?[hidden]",
        });
        assert_eq!(redact(&value), shown);
    }

    #[test]
    fn secrets_in_text_are_hidden_and_the_rest_can_be_read() {
        for (text, shown) in [
            ("no route to host", "no route to host"),
            ("mail to <ada.l+x@example.org>: refused", "mail to <[hidden]@example.org>: refused"),
            ("to=ada@example.org,bob@example.org;", "to=[hidden]@example.org,[hidden]@example.org;"),
            ("mailto:ada@example.org", "mailto:[hidden]@example.org"),
            ("smtp://u:p@mail.example:25 is away", "smtp://[hidden]@mail.example:25 is away"),
            ("postgres://app:p/w@db:5432", "postgres://[hidden]@db:5432"),
            ("GET https://h.example/a?b=c: 500", "GET https://h.example/a?[hidden] 500"),
            ("(https://h.example/a/b)", "(https://h.example/a/b)"),
            ("password=hunter2 user=ada", "password=[hidden] user=ada"),
            ("password: hunter2, then", "password: [hidden] then"),
            ("{\"access_token\":\"abc\",\"n\":1}", "{\"access_token\":\"[hidden]\",\"n\":1}"),
            ("{\\\"secret\\\": \\\"abc\\\"}", "{\\\"secret\\\": \\\"[hidden]\\\"}"),
            ("Authorization: Bearer abc.def", "Authorization: Bearer [hidden]"),
            ("sent Bearer abcdefghij", "sent Bearer [hidden]"),
            ("the token is too old", "the token is too old"),
            ("duplicate key: jobs_unique", "duplicate key: jobs_unique"),
            ("x-api-key=abc", "x-api-key=[hidden]"),
            ("user@", "user@"),
            ("", ""),
            ("ü @ ß", "ü @ ß"),
        ] {
            assert_eq!(redact_text(text), shown, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_can_be_shown(text in "\\PC*") {
            redact_text(&text);
        }
    }
}
