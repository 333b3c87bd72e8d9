//! What can be chosen in the form for a new order.

use crate::pages::format;

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
