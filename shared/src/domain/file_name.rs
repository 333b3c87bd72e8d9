//! File names: something that a stranger typed, which we show and give back.

/// The longest name that is kept, in bytes: the most that file systems take.
const MAX_BYTES: usize = 255;

/// What is kept of a file's name: the last part of the path, without characters that can't be seen or
/// that turn the text around; `None` when nothing is left.
pub fn sanitise(name: &str) -> Option<String> {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: String = last.chars().filter(|c| !c.is_control() && !is_format(*c)).collect();
    let trimmed = visible.trim().trim_start_matches('.').trim();
    let mut end = trimmed.len().min(MAX_BYTES);
    while !trimmed.is_char_boundary(end) {
        end -= 1;
    }
    let kept = trimmed[..end].trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Marks of direction and of width zero: `gpj.exe` must not look like `exe.jpg`.
fn is_format(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_loses_what_is_dangerous_and_keeps_the_rest() {
        let table = [
            ("me.jpg", Some("me.jpg")),
            ("Grüße aus Köln.png", Some("Grüße aus Köln.png")),
            ("../../etc/passwd", Some("passwd")),
            ("C:\\Users\\ada\\me.jpg", Some("me.jpg")),
            ("a\r\nSet-Cookie: x.jpg", Some("aSet-Cookie: x.jpg")),
            ("\u{202e}gpj.exe", Some("gpj.exe")),
            ("...", None),
            (" ", None),
            ("", None),
            ("a/", None),
        ];
        for (name, expected) in table {
            assert_eq!(sanitise(name).as_deref(), expected, "{name:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes_and_whole_characters() {
        let name = sanitise(&"ü".repeat(300)).unwrap();
        assert_eq!(name.len(), 254);
    }
}
