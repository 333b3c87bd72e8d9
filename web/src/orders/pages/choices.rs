//! What can be chosen in the form for a new order.

use crate::pages::format;
use crate::photos::picture::{self, Picture, pictures};
use crate::photos::view::PhotoView;
use crate::products::ProductView;

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
    /// Of a photo that is not ticked yet.
    pub fn of(photo: &PhotoView, product: &str) -> Self {
        Self {
            photo_id: photo.id.to_string(),
            photo_name: photo.file_name.clone().unwrap_or_default(),
            pictures: pictures(photo),
            chosen: false,
            product: product.to_owned(),
            quantity: "1".to_owned(),
        }
    }

    /// What to call the photo.
    pub fn label(&self) -> &str {
        picture::photo_label(&self.photo_name)
    }

    /// For `srcset`.
    pub fn srcset(&self) -> String {
        picture::srcset(&self.pictures)
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
    /// Of the catalogue.
    pub fn of(product: &ProductView, catalogue: &[ProductView]) -> Self {
        let name_of =
            |id: &String| catalogue.iter().find(|other| other.id == *id).map(|other| other.name.clone());
        Self {
            id: product.id.clone(),
            name: product.name.clone(),
            price_cents: product.price_cents,
            stock: u32::try_from(product.stock).unwrap_or_default(),
            also_bought: product.also_bought.iter().filter_map(name_of).collect(),
        }
    }

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
