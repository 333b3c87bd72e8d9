//! Values as people read them. Pure; nothing here knows a page.

use std::time::Duration;

pub use shared::domain::money::euros as money;

/// A file's length: `812 bytes`, `48 kB`, `2.4 MB` (powers of 1000, as in file managers).
pub fn file_size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        // In tenths, rounded up, without a detour through floating point.
        _ => {
            let tenths = bytes.div_ceil(100_000);
            format!("{}.{} MB", tenths / 10, tenths % 10)
        }
    }
}

/// A time of RFC 3339 in UTC as text: `2026-03-05T14:03:22Z` becomes `5 March 2026, 14:03 UTC`.
///
/// Anything else, another offset too, is given back as it is: better odd than wrong.
pub fn readable_time(rfc3339: &str) -> String {
    parse_time(rfc3339).unwrap_or_else(|| rfc3339.to_owned())
}

fn parse_time(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let in_utc = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = in_utc.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    let year: u16 = year.parse().ok()?;
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day: u8 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let (hour, rest) = time.split_once(':')?;
    let minute = rest.get(..2)?;
    let hour: u8 = hour.parse().ok().filter(|hour| *hour < 24)?;
    let minute: u8 = minute.parse().ok().filter(|minute| *minute < 60)?;
    Some(format!("{day} {month} {year}, {hour:02}:{minute:02} UTC"))
}

/// How long something took or is ago, in one unit: `12 ms`, `1.4 s`, `75 s`, `12 min`, `5 h`, `3 days`.
pub fn span(span: Duration) -> String {
    let (seconds, millis) = (span.as_secs(), span.subsec_millis());
    match seconds {
        0 => format!("{millis} ms"),
        1..10 => format!("{seconds}.{} s", millis / 100),
        10..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A count with its noun: `1 print`, `3 prints`. For nouns that form the plural with an s.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A stretch of plain text, or a link in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextPart {
    /// What is read.
    pub text: String,
    /// Whether the text is a URL to be linked; `http` and `https` only, never `javascript:` or others.
    pub link: bool,
}

/// Cuts plain text at its `http` and `https` URLs, so that a page can link them. The parts together are
/// the text, unchanged.
pub fn linkify(text: &str) -> Vec<TextPart> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = [rest.find("https://"), rest.find("http://")].into_iter().flatten().min() {
        let (before, from_link) = rest.split_at(start);
        let ends_link = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"');
        let whole = from_link.split(ends_link).next().unwrap_or(from_link);
        // Punctuation at the end belongs to the sentence, not to the URL.
        let url = whole.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '\'']);
        push(&mut parts, before, false);
        push(&mut parts, url, true);
        rest = from_link.strip_prefix(url).unwrap_or_default();
    }
    push(&mut parts, rest, false);
    parts
}

fn push(parts: &mut Vec<TextPart>, text: &str, link: bool) {
    if !text.is_empty() {
        parts.push(TextPart { text: text.to_owned(), link });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_sizes_are_short() {
        let table = [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1 kB"),
            (48_100, "49 kB"),
            (2_400_000, "2.4 MB"),
            (20_971_520, "21.0 MB"),
        ];
        for (bytes, expected) in table {
            assert_eq!(file_size(bytes), expected);
        }
    }

    #[test]
    fn times_in_utc_are_readable_and_others_untouched() {
        assert_eq!(readable_time("2026-03-05T14:03:22Z"), "5 March 2026, 14:03 UTC");
        assert_eq!(readable_time("2026-12-31T23:59:59.123456+00:00"), "31 December 2026, 23:59 UTC");
        for odd in
            ["", "yesterday", "2026-13-05T14:03:22Z", "2026-03-05T14:03:22+02:00", "2026-03-05T1é:é3:22Z"]
        {
            assert_eq!(readable_time(odd), odd);
        }
    }

    #[test]
    fn spans_are_short_and_never_of_two_units() {
        let table = [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (5_049, "5.0 s"),
            (12_900, "12 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_199_000, "119 min"),
            (7_200_000, "2 h"),
            (172_800_000, "2 days"),
        ];
        for (millis, expected) in table {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn one_print_is_singular() {
        assert_eq!(count(1, "print"), "1 print");
        assert_eq!(count(0, "print"), "0 prints");
    }

    #[test]
    fn links_in_text_end_before_the_full_stop() {
        let parts = linkify("See http://shop.example/orders/1?sig=a_b. Or write.\nhttps://b.example/");
        let links: Vec<&str> = parts.iter().filter(|part| part.link).map(|part| part.text.as_str()).collect();
        assert_eq!(links, ["http://shop.example/orders/1?sig=a_b", "https://b.example/"]);
    }

    #[test]
    fn linkify_keeps_every_character() {
        for text in
            ["", "http://", "a https://é\u{202e}x. javascript:alert(1) http://a\"b", "https://https://."]
        {
            let joined: String = linkify(text).into_iter().map(|part| part.text).collect();
            assert_eq!(joined, text);
        }
        assert!(linkify("javascript:alert(1) ftp://a.example").iter().all(|part| !part.link));
    }
}
