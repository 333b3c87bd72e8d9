//! Amounts, as people read them.

/// An amount in euro cents: `€ 12.50`, `−€ 3.00`, `€ 1,234.00`. The space does not break.
pub fn euros(cents: i64) -> String {
    let sign = if cents < 0 { "\u{2212}" } else { "" };
    let whole = (cents.unsigned_abs() / 100).to_string();
    // Groups of three digits, counted from the right.
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}€\u{a0}{grouped}.{:02}", cents.unsigned_abs() % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_become_euros() {
        let table = [
            (0, "€\u{a0}0.00"),
            (5, "€\u{a0}0.05"),
            (1_250, "€\u{a0}12.50"),
            (123_456_789, "€\u{a0}1,234,567.89"),
            (-300, "\u{2212}€\u{a0}3.00"),
            (i64::MIN, "\u{2212}€\u{a0}92,233,720,368,547,758.08"),
        ];
        for (cents, text) in table {
            assert_eq!(euros(cents), text);
        }
    }
}
