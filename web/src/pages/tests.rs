//! Rules for every page, held on ordinary and on hostile data.

use std::collections::BTreeSet;

use super::Section;
use super::error::ErrorPage;
use super::samples::{html, id, shell};
use crate::http::problem::FieldError;
use crate::{admin, mailbox, orders, photos};

/// Every page, by a name; `text` stands wherever somebody else's words do.
fn all(text: &str) -> Vec<(String, String)> {
    let mut pages = photos::samples::all(text);
    pages.extend(orders::samples::all(text));
    pages.extend(mailbox::samples::all(text));
    for status in [400, 401, 403, 404, 405, 409, 410, 413, 415, 418, 422, 429, 500, 503] {
        pages.push((format!("error-{status}"), html(&error(text, status))));
    }
    pages.extend(admin::samples::all(text));
    pages
}

fn error(text: &str, status: u16) -> ErrorPage {
    ErrorPage {
        shell: shell(Section::Elsewhere),
        status,
        title: text.to_owned(),
        detail: text.to_owned(),
        errors: vec![FieldError::new("lines[0].quantity", text)],
        request_id: (status != 404).then(|| id(400)),
    }
}

/// Words that have broken pages before: markup, ends of attributes and elements, templates, directions
/// of writing, characters that combine, are invisible or control, and lengths.
fn hostile() -> Vec<String> {
    let mut strings: Vec<String> = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></textarea></select></iframe></template><h1>",
        "<!-- --!> <![CDATA[ ]]> <?xml ?>",
        "&lt;b&gt; &amp; &#60;i&#62; &notanentity",
        "{{ 7 * 7 }} {% include \"x\" %} ${7*7} #{7*7}",
        "javascript:alert(1)",
        "`backtick` \\u003cb\\u003e \\\" \\'",
        "\u{202e}gpj.yrtnuoc\u{202c} \u{2066}isolated",
        "שלום עולם, צילום.jpg",
        "صورة العائلة (٣).png",
        "👩‍👩‍👧‍👦🏳️‍🌈 👍🏿 🇺🇳",
        "Z\u{351}\u{36b}\u{343}a\u{329}\u{34e}l\u{34d}g\u{31e}o\u{327} t\u{321}e\u{360}xt",
        "\u{0}\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{200b}x",
        "写真　テスト ﷽ 𒐫 ﾟ･✿ヾ╲(｡◕‿◕｡)╱✿･ﾟ",
        "DROP TABLE photos; -- ' OR '1'='1",
        "line\r\none\tmore",
    ]
    .map(str::to_owned)
    .to_vec();
    strings.push("unbroken".repeat(500));
    strings.push("W ".repeat(2_000));
    strings
}

/// A start tag, as far as these tests need one.
#[derive(Debug, PartialEq, Eq)]
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

impl Tag {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The tags of a page, end tags with their slash. Reads what the templates write: lower case, values
/// in double quotes.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let name_end = rest.find(|c: char| c == '>' || c.is_whitespace()).unwrap();
        let name = rest[..name_end].to_owned();
        rest = &rest[name_end..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            let key_end = rest.find(|c: char| c == '=' || c == '>' || c.is_whitespace()).unwrap();
            let key = rest[..key_end].to_owned();
            rest = &rest[key_end..];
            let mut value = String::new();
            if let Some(after) = rest.strip_prefix("=\"") {
                let end = after.find('"').unwrap();
                value = after[..end].to_owned();
                rest = &after[end + 1..];
            }
            attributes.push((key, value));
        }
        tags.push(Tag { name, attributes });
    }
    tags
}

/// The tags and the names of their attributes: what a page is made of, whatever it says.
fn structure(html: &str) -> Vec<(String, Vec<String>)> {
    let keys = |tag: &Tag| tag.attributes.iter().map(|(key, _)| key.clone()).collect();
    tags(html).iter().map(|tag| (tag.name.clone(), keys(tag))).collect()
}

fn every_page(check: impl Fn(&str, &[Tag], &str)) {
    for text in ["Ada", "\"><script>alert(1)</script>"] {
        for (name, html) in all(text) {
            check(&name, &tags(&html), &html);
        }
    }
}

#[test]
fn hostile_text_never_changes_what_a_page_is_made_of() {
    let plain = all("Ada");
    for text in hostile() {
        for ((name, expected), (_, html)) in plain.iter().zip(all(&text)) {
            assert_eq!(structure(&html), structure(expected), "{name} with {text:?}");
        }
    }
}

#[test]
fn no_page_needs_more_than_the_content_security_policy_gives() {
    every_page(|page, tags, _| {
        for tag in tags {
            assert_ne!(tag.name, "style", "{page}");
            assert!(tag.name != "script" || tag.get("src").is_some(), "{page}: {tag:?}");
            for (key, value) in &tag.attributes {
                assert!(key != "style" && !key.starts_with("on"), "{page}: {tag:?}");
                assert!(!value.trim_start().to_lowercase().starts_with("javascript:"), "{page}: {tag:?}");
            }
            let loaded = if tag.name == "link" { tag.get("href") } else { tag.get("src") };
            assert!(loaded.is_none_or(|url| url.starts_with('/')), "{page}: {tag:?}");
            assert!(tag.get("action").is_none_or(|url| url.starts_with('/')), "{page}: {tag:?}");
        }
    });
}

#[test]
fn every_asset_that_a_page_names_exists() {
    every_page(|page, tags, _| {
        let urls = tags.iter().flat_map(|tag| [tag.get("src"), tag.get("href")]).flatten();
        for url in urls.filter(|url| url.starts_with("/static/")) {
            assert!(url.contains("?v="), "{page}: {url}");
        }
    });
}

#[test]
fn every_page_has_one_title_one_main_and_one_first_heading() {
    every_page(|page, tags, html| {
        for name in ["title", "main", "h1", "html", "body"] {
            assert_eq!(outside_pictures(tags).filter(|tag| tag.name == name).count(), 1, "{page}: {name}");
        }
        let html_tag = tags.iter().find(|tag| tag.name == "html").unwrap();
        assert_eq!(html_tag.get("lang"), Some("en"), "{page}");
        assert!(html.starts_with("<!doctype html>"), "{page}");
        assert!(!html.contains("<title> "), "{page}: an empty title");
    });
}

/// The tags that are not inside of an inline SVG, which may have a title of its own.
fn outside_pictures(tags: &[Tag]) -> impl Iterator<Item = &Tag> {
    let mut inside = false;
    tags.iter().filter(move |tag| {
        inside = (inside || tag.name == "svg") && tag.name != "/svg";
        !inside
    })
}

#[test]
fn every_picture_that_is_drawn_says_what_it_shows() {
    every_page(|page, tags, _| {
        let mut rest = tags;
        while let Some(start) = rest.iter().position(|tag| tag.name == "svg") {
            let hidden = rest[start].get("aria-hidden") == Some("true");
            let titled = rest[start].get("role") == Some("img") && rest[start + 1].name == "title";
            assert!(hidden || titled, "{page}: {:?}", rest[start]);
            rest = &rest[start + 1..];
        }
    });
}

#[test]
fn every_control_has_a_label() {
    every_page(|page, tags, _| {
        let labelled: BTreeSet<&str> =
            tags.iter().filter(|tag| tag.name == "label").filter_map(|tag| tag.get("for")).collect();
        let mut in_label = false;
        for tag in tags {
            match tag.name.as_str() {
                "label" => in_label = true,
                "/label" => in_label = false,
                "input" | "select" | "textarea" if tag.get("type") != Some("hidden") => {
                    let by_id = tag.get("id").is_some_and(|id| labelled.contains(id));
                    assert!(by_id || in_label, "{page}: {tag:?}");
                }
                "img" => assert!(tag.get("alt").is_some(), "{page}: {tag:?}"),
                "iframe" => assert!(tag.get("title").is_some(), "{page}: {tag:?}"),
                "nav" => assert!(tag.get("aria-label").is_some(), "{page}: {tag:?}"),
                _ => {}
            }
        }
    });
}

#[test]
fn ids_are_unique_and_every_reference_to_one_leads_somewhere() {
    every_page(|page, tags, _| {
        let mut ids = BTreeSet::new();
        for id in tags.iter().filter_map(|tag| tag.get("id")) {
            assert!(ids.insert(id), "{page}: {id} twice");
        }
        for tag in tags {
            for key in ["for", "aria-describedby", "aria-labelledby"] {
                for id in tag.get(key).unwrap_or_default().split_whitespace() {
                    assert!(ids.contains(id), "{page}: {key} of {tag:?}");
                }
            }
            let fragment = tag.get("href").and_then(|href| href.strip_prefix('#'));
            assert!(fragment.is_none_or(|id| ids.contains(id)), "{page}: {tag:?}");
        }
    });
}

#[test]
fn headings_never_skip_a_level() {
    every_page(|page, tags, _| {
        let mut deepest = 0;
        for tag in tags {
            let level = tag.name.strip_prefix('h').and_then(|digits| digits.parse::<u32>().ok());
            if let Some(level) = level {
                assert!(level <= deepest + 1, "{page}: h{level} after h{deepest}");
                deepest = level;
            }
        }
    });
}

#[test]
fn only_pages_that_change_by_themselves_reload_without_javascript() {
    let live = [
        "photos",
        "photos-older",
        "photos-problem",
        "photo-processing",
        "order-read-only",
        "order-received",
        "order-awaiting_photos",
        "order-reserved",
        "order-paid",
        "order-rendering",
    ];
    every_page(|page, tags, _| {
        let reloads = tags.iter().any(|tag| tag.get("http-equiv") == Some("refresh"));
        assert_eq!(reloads, live.contains(&page), "{page}");
    });
}

#[test]
fn the_mailed_links_page_offers_no_action() {
    let pages = all("Ada");
    let (_, html) = pages.iter().find(|(name, _)| name == "order-read-only").unwrap();
    assert!(tags(html).iter().all(|tag| tag.name != "form" && tag.get("data-job").is_none()));
}

#[test]
fn a_mails_html_runs_in_a_frame_without_scripts_or_origin() {
    let pages = all("Ada");
    let (_, html) = pages.iter().find(|(name, _)| name == "mail").unwrap();
    let frame = tags(html).into_iter().find(|tag| tag.name == "iframe").unwrap();
    let sandbox = frame.get("sandbox").unwrap();
    assert!(!sandbox.contains("allow-scripts") && !sandbox.contains("allow-same-origin"), "{sandbox}");
}

/// Writes every page and the assets below `target/pages`, to be served by any file server at `/`.
#[test]
#[ignore = "writes files to look at: target/pages"]
fn write_the_pages_to_look_at() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/pages");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, html) in all("Ada’s garden.jpg") {
        std::fs::write(directory.join(format!("{name}.html")), html).unwrap();
    }
    for (number, text) in hostile().iter().enumerate() {
        for (name, html) in all(text) {
            std::fs::write(directory.join(format!("{name}-hostile-{number}.html")), html).unwrap();
        }
    }
    let assets = directory.join("static");
    std::fs::create_dir_all(&assets).unwrap();
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/static")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), assets.join(file.file_name())).unwrap();
    }
}
