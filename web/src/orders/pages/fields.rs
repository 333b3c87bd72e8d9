//! The fields of the form for a new order. They are read into the same JSON that the API takes, so both follow one
//! set of rules.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The form's fields, as they were sent; names are unique but for those that a browser repeats.
pub type Fields = BTreeMap<String, String>;

/// What the form's key belongs to.
pub fn fingerprint(body: &Value) -> String {
    let hash = Sha256::digest(format!("POST /orders {body}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the API would have been sent.
pub fn order_json(fields: &Fields) -> Value {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let line = |row: usize| {
        let quantity = text(&format!("line-{row}-quantity"));
        json!({
            "photo_id": text(&format!("line-{row}-photo")),
            "product": text(&format!("line-{row}-product")),
            "quantity": quantity.parse::<i64>().map_or(Value::String(quantity), Value::from),
        })
    };
    json!({
        "email": text("email"),
        "payment_token": text("payment_token"),
        "express": fields.contains_key("express"),
        "lines": ticked_rows(fields).into_iter().map(line).collect::<Vec<_>>(),
    })
}

/// The numbers of the rows whose photo is ticked, in order.
pub fn ticked_rows(fields: &Fields) -> Vec<usize> {
    let number = |name: &String| name.strip_prefix("line-")?.strip_suffix("-photo")?.parse().ok();
    let mut rows: Vec<usize> = fields.keys().filter_map(number).collect();
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    pub fn ticked_rows_become_lines_in_their_order() {
        let fields: Fields = [
            ("line-10-photo", "b"),
            ("line-10-product", "print-10x15"),
            ("line-10-quantity", " 2 "),
            ("line-2-photo", "a"),
            ("line-2-quantity", "many"),
            ("line-3-product", "poster-50x70"),
            ("email", " ada@example.org "),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let body = order_json(&fields);
        assert_eq!(body["email"], "ada@example.org");
        assert_eq!(body["lines"][0], json!({"photo_id": "a", "product": "", "quantity": "many"}));
        assert_eq!(body["lines"][1]["quantity"], 2);
        assert_eq!(body["express"], false);
        assert_eq!(body["lines"].as_array().unwrap().len(), 2);
    }
}
