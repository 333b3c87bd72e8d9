//! What people see: one view struct a page, named `…Page`, and the template that it fills.
//!
//! The structs hold what is shown and nothing else: plain values, already allowed to be seen by the
//! visitor. Handlers make them; templates (`templates/`) lay them out, and escape every value.
//! Helpers here are pure: text out of values.
//!
//! Rules that the tests of this module hold, on ordinary and on hostile data: nothing a visitor wrote
//! is unescaped, there is no inline script, style or event handler (the content security policy
//! forbids them), each page has one `h1`, each control a label, each id is unique.

pub mod error;
pub mod format;
pub mod mailbox;
pub mod order_form;
pub mod orders;
pub mod photos;
pub mod serve;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;

/// What every page shows around its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shell {
    /// Whether the browser sent a valid session cookie. Scripts that talk to the API get one first if not.
    pub session: bool,
    /// Whether this set-up has a mailbox to look into.
    pub mailbox: bool,
    /// The part of the shop that the page belongs to.
    pub section: Section,
}

/// The parts of the shop, as in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Upload and gallery.
    Photos,
    /// Orders, placed and new.
    Orders,
    /// The demo's mail.
    Mailbox,
    /// None of them: errors, and what is reached by a mailed link.
    Elsewhere,
}

/// One entry of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NavLink {
    /// A path.
    pub href: &'static str,
    /// What is read.
    pub label: &'static str,
    /// Whether the page belongs to it.
    pub current: bool,
}

impl Shell {
    /// The navigation, with the page's own section marked.
    pub fn nav(&self) -> Vec<NavLink> {
        let entry = |section, href, label| NavLink { href, label, current: self.section == section };
        let mut links =
            vec![entry(Section::Photos, "/", "Photos"), entry(Section::Orders, "/orders", "Orders")];
        if self.mailbox {
            links.push(entry(Section::Mailbox, "/mailbox", "Mailbox"));
        }
        links
    }

    /// For the page's scripts: `open`, or `none` when a session must be made before the first API call.
    pub fn session_name(&self) -> &'static str {
        if self.session { "open" } else { "none" }
    }
}

/// A picture that can be fetched: one size of a photo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// The size's name: `thumb`, `medium`, `large`.
    pub name: String,
    /// Its path; with a signature where the page is read without a session.
    pub url: String,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Length of the file.
    pub bytes: u64,
}

impl Picture {
    /// The file's length, readable.
    pub fn size(&self) -> String {
        format::file_size(self.bytes)
    }
}

/// The sizes as a `srcset` with widths (HTML §2.5.6): the browser picks what its screen needs.
///
/// URLs must hold no white space and no comma at their ends, which paths of photos never do.
fn srcset(pictures: &[Picture]) -> String {
    let candidates: Vec<String> =
        pictures.iter().map(|picture| format!("{} {}w", picture.url, picture.width)).collect();
    candidates.join(", ")
}

/// What to call a photo in text: its file name, or a stand-in for one that came without.
fn photo_label(name: &str) -> &str {
    if name.trim().is_empty() { "Untitled photo" } else { name }
}
