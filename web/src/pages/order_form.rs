//! The form for a new order: what it shows, the names of its fields, and its errors.

use askama::Template;
use shared::domain::order::Quantity;

use super::{Picture, Shell, format};

/// `GET /orders/new`, and the answer 422 to `POST /orders`.
///
/// The form is flat (`application/x-www-form-urlencoded`) and works without JavaScript:
///
/// | field | value |
/// | --- | --- |
/// | `idempotency_key` | made with the form, so that sending it twice makes one order |
/// | `line-N-photo` | a photo's id; only there when the photo is ticked |
/// | `line-N-product` | a product's id; there for every row, to be ignored without `line-N-photo` |
/// | `line-N-quantity` | digits, as typed; likewise |
/// | `email` | as typed |
/// | `payment_token` | one of [`PAYMENTS`] |
/// | `express` | only there when it is ticked |
///
/// `N` is the row's number, from 0. The lines of the order are the ticked rows in their order;
/// [`OrderNewPage::show_error`] brings errors about them back to their rows.
#[derive(Debug, Template)]
#[template(path = "order_new.html")]
pub struct OrderNewPage {
    /// Around the content.
    pub shell: Shell,
    /// Goes back with the form.
    pub idempotency_key: String,
    /// One row a photo.
    pub rows: Vec<OrderRowInput>,
    /// What can be bought.
    pub products: Vec<ProductChoice>,
    /// Where the mail goes, as typed.
    pub email: String,
    /// The chosen test card.
    pub payment_token: String,
    /// Whether express is ticked.
    pub express: bool,
    /// The errors, first those of the form as a whole. Fill it by [`OrderNewPage::show_error`].
    pub errors: Vec<FormError>,
}

/// One photo that can be ordered, with what was chosen for it.
#[derive(Debug, Clone, Default)]
pub struct OrderRowInput {
    /// The photo's id.
    pub photo_id: String,
    /// Its file name; may be empty.
    pub photo_name: String,
    /// Its sizes, the smallest first; empty while it is being made.
    pub pictures: Vec<Picture>,
    /// Whether it is ticked.
    pub chosen: bool,
    /// The chosen product's id, or anything else for none.
    pub product: String,
    /// The number of prints, as typed.
    pub quantity: String,
}

impl OrderRowInput {
    /// What to call the photo.
    pub fn label(&self) -> &str {
        super::photo_label(&self.photo_name)
    }

    /// For `srcset`.
    pub fn srcset(&self) -> String {
        super::srcset(&self.pictures)
    }
}

/// A product to choose.
#[derive(Debug, Clone)]
pub struct ProductChoice {
    /// The product's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The price of one print, in cents.
    pub price_cents: i64,
    /// How many are left.
    pub stock: u32,
    /// Names of what is often ordered together with it.
    pub also_bought: Vec<String>,
}

impl ProductChoice {
    /// `10 × 15 cm · € 0.29 · 12 left`.
    pub fn label(&self) -> String {
        let stock = match self.stock {
            0 => "sold out".to_owned(),
            stock => format!("{stock} left"),
        };
        format!("{} · {} · {stock}", self.name, format::money(self.price_cents))
    }
}

/// A test card of the payment sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentChoice {
    /// The token that stands for it.
    pub token: &'static str,
    /// Its name.
    pub label: &'static str,
    /// What will happen.
    pub hint: &'static str,
}

/// The test cards.
pub const PAYMENTS: [PaymentChoice; 4] = [
    PaymentChoice { token: "tok_ok", label: "Good card", hint: "is charged at once" },
    PaymentChoice { token: "tok_slow", label: "Slow card", hint: "takes five seconds, then works" },
    PaymentChoice { token: "tok_flaky", label: "Flaky bank", hint: "is out of reach twice, then works" },
    PaymentChoice { token: "tok_declined", label: "Declined card", hint: "says no; the order is undone" },
];

/// Something wrong with the form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormError {
    /// The id of the control that it is about, where the summary's link leads.
    pub control: String,
    /// A sentence.
    pub message: String,
}

impl OrderNewPage {
    /// Shows an error of the API's vocabulary (`email`, `lines`, `lines[1].quantity`, …) at its control.
    ///
    /// The order's line `i` is the `i`-th ticked row. What has no control here is shown at the photos.
    pub fn show_error(&mut self, field: &str, message: &str) {
        let control = self.control_of(field).unwrap_or_else(|| "photos".to_owned());
        self.errors.push(FormError { control, message: message.to_owned() });
    }

    fn control_of(&self, field: &str) -> Option<String> {
        match field {
            "email" => return Some("email".to_owned()),
            "payment_token" => return Some(format!("payment-{}", PAYMENTS.first()?.token)),
            _ => {}
        }
        let (line, part) = field.strip_prefix("lines[")?.split_once(']')?;
        let (row, _) = self.rows.iter().enumerate().filter(|(_, row)| row.chosen).nth(line.parse().ok()?)?;
        let part = match part.strip_prefix('.') {
            Some("product") => "product",
            Some("quantity") => "quantity",
            _ => "photo",
        };
        Some(format!("line-{row}-{part}"))
    }

    /// The message at a control.
    pub fn error_at(&self, control: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.control == control).map(|error| error.message.as_str())
    }

    /// The message at the control `line-{row}-{part}`.
    pub fn row_error(&self, row: &usize, part: &str) -> Option<&str> {
        self.error_at(&format!("line-{row}-{part}"))
    }

    /// The message at the group of test cards.
    pub fn payment_error(&self) -> Option<&str> {
        PAYMENTS.iter().find_map(|payment| self.error_at(&format!("payment-{}", payment.token)))
    }

    /// Whether a test card is the chosen one.
    pub fn is_chosen_payment(&self, payment: &PaymentChoice) -> bool {
        self.payment_token == payment.token
    }

    /// The fewest prints of a line.
    pub fn least(&self) -> i64 {
        *Quantity::RANGE.start()
    }

    /// The most prints of a line.
    pub fn most(&self) -> i64 {
        *Quantity::RANGE.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::samples;

    #[test]
    fn an_error_about_a_line_is_shown_at_the_ticked_row() {
        let mut page = samples::order_new();
        page.rows = [false, true, false, true]
            .map(|chosen| OrderRowInput { chosen, ..OrderRowInput::default() })
            .to_vec();
        let table = [
            ("lines[0].quantity", "line-1-quantity"),
            ("lines[1].product", "line-3-product"),
            ("lines[1].photo_id", "line-3-photo"),
            ("lines[1]", "line-3-photo"),
            ("lines[2].quantity", "photos"),
            ("lines[x].quantity", "photos"),
            ("lines", "photos"),
            ("", "photos"),
            ("email", "email"),
            ("payment_token", "payment-tok_ok"),
        ];
        for (field, control) in table {
            page.errors.clear();
            page.show_error(field, "is wrong");
            assert_eq!(page.error_at(control), Some("is wrong"), "{field}");
        }
    }
}
