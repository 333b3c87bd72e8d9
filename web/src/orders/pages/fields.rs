//! The fields of the form for a new order. They are read into the same request that the API takes, so both follow one
//! set of rules.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use shared::intake::hex;

use crate::http::error::ApiError;
use crate::http::field::Field;
use crate::orders::request::{LineRequest, OrderRequest};

/// The form's fields, as they were sent; names are unique but for those that a browser repeats.
pub type Fields = BTreeMap<String, String>;

/// What the form's key belongs to: the order that it asks for, whatever else stands in the form.
///
/// # Errors
/// None that can happen: a request is plain.
pub fn order_hash(order: &OrderRequest) -> Result<String, ApiError> {
    // As a value its members are sorted: the same order has one text.
    let value = serde_json::to_value(order).map_err(|error| ApiError::Internal(error.to_string()))?;
    Ok(hex(&Sha256::digest(format!("POST /orders {value}"))))
}

/// What the API would have been sent.
pub fn order_of(fields: &Fields) -> OrderRequest {
    let text = |name: &str| fields.get(name).map(|text| text.trim().to_owned()).unwrap_or_default();
    let line = |row: usize| {
        let quantity = text(&format!("line-{row}-quantity"));
        Field::Sent(LineRequest {
            photo_id: Field::Sent(text(&format!("line-{row}-photo"))),
            product: Field::Sent(text(&format!("line-{row}-product"))),
            quantity: match quantity.parse() {
                Ok(number) => Field::Sent(number),
                Err(_) => Field::Wrong(Value::String(quantity)),
            },
            ..LineRequest::default()
        })
    };
    OrderRequest {
        email: Field::Sent(text("email")),
        payment_token: Field::Sent(text("payment_token")),
        express: Field::Sent(fields.contains_key("express")),
        lines: Field::Sent(ticked_rows(fields).into_iter().map(line).collect()),
        ..OrderRequest::default()
    }
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
    use serde_json::json;

    use super::*;

    #[test]
    fn ticked_rows_become_lines_in_their_order() {
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
        let body = serde_json::to_value(order_of(&fields)).unwrap();
        assert_eq!(body["email"], "ada@example.org");
        assert_eq!(body["lines"][0], json!({"photo_id": "a", "product": "", "quantity": "many"}));
        assert_eq!(body["lines"][1]["quantity"], 2);
        assert_eq!(body["express"], false);
        assert_eq!(body["lines"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_same_order_has_one_fingerprint_whatever_else_stands_in_the_form() {
        let fields = |more: &[(&str, &str)]| -> Fields {
            let ticked = [("line-0-photo", "a"), ("line-0-product", "b"), ("line-0-quantity", "2")];
            let all =
                ticked.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            all.collect()
        };
        let hash = |more: &[(&str, &str)]| order_hash(&order_of(&fields(more))).unwrap();
        // Kept under keys for a day: a release that computes another one refuses forms that are sent again.
        let text = r#"POST /orders {"email":"","express":false,"lines":[{"photo_id":"a","product":"b","quantity":2}],"payment_token":""}"#;
        assert_eq!(hash(&[]), hex(&Sha256::digest(text)));
        assert_eq!(hash(&[("line-1-product", "x")]), hash(&[]));
        assert_ne!(hash(&[("email", "x")]), hash(&[]));
    }
}
