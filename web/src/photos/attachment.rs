//! The name that a download gets.

/// A `Content-Disposition` for downloads (RFC 6266): plain ASCII for old clients, UTF-8 for the others.
pub fn attachment(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// What RFC 8187 §3.2.1 lets stand as it is.
    const ATTRIBUTE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' })
        .collect();
    format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{}", utf8_percent_encode(name, &ATTRIBUTE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_has_a_name_that_breaks_no_header() {
        let header = attachment("Grüße \"x\";\\y.png");
        assert_eq!(
            header,
            "attachment; filename=\"Gr__e _x_;_y.png\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%22x%22%3B%5Cy.png"
        );
    }
}
