//! What a customer reads, in both forms.

use super::*;

fn thumb() -> Option<Thumb> {
    Some(Thumb { kind: ImageType::Jpeg, bytes: b"a picture".to_vec() })
}

fn order(outcome: Outcome) -> OrderMail {
    let line = |product: &str, quantity, price_cents, thumb| OrderMailLine {
        product: product.to_owned(),
        quantity,
        price_cents,
        thumb,
    };
    OrderMail {
        job: JobId::new(),
        to: "ada@example.org".parse().unwrap(),
        order_number: "A-1042".to_owned(),
        outcome,
        lines: vec![line("Matte 10×15", 12, 19, thumb()), line("Poster 30×40 & frame", 1, 2490, None)],
        total_cents: 2718,
        link: "https://prints.example/orders/1?expires=1&signature=x-y_z".to_owned(),
        link_expires_at: "2026-02-03T04:05:00Z".parse().unwrap(),
    }
}

const OUTCOMES: [Outcome; 4] =
    [Outcome::Confirmed, Outcome::Rejected(RejectReason::Declined), Outcome::Cancelled, Outcome::Review];

#[test]
fn the_plain_text_is_the_whole_mail() {
    let mail = compose(order(Outcome::Confirmed)).unwrap();
    let expected = "\
Your prints are on their way

Thank you for your order. It is paid, and your prints are on their way.

Order A-1042

  12 × Matte 10×15, € 0.19 each: € 2.28
  1 × Poster 30×40 & frame, € 24.90 each: € 24.90

  Total, paid: € 27.18

See your order:
https://prints.example/orders/1?expires=1&signature=x-y_z
This link is for you alone and opens until 3 February 2026, 04:05 UTC.

--\x20
Halftone. This mail was written by a machine; nobody reads the answers to it.";
    assert_eq!(mail.text.trim_end(), expected);
    assert_eq!(mail.subject, "Order A-1042: your prints are on their way");
}

#[test]
fn every_outcome_tells_the_same_in_text_and_html() {
    for outcome in OUTCOMES {
        let mail = compose(order(outcome)).unwrap();
        let common = ["A-1042", "Matte 10×15", "€ 2.28", "€ 24.90", "€ 27.18", "3 February 2026, 04:05 UTC"];
        for fact in common {
            assert!(mail.text.contains(fact), "{outcome:?}: {fact}");
            assert!(mail.html.contains(fact), "{outcome:?}: {fact}");
        }
        let undone = matches!(outcome, Outcome::Rejected(_) | Outcome::Cancelled);
        assert_eq!(mail.text.contains("You pay nothing"), undone);
        assert_eq!(mail.html.contains("You pay nothing"), undone);
    }
}

#[test]
fn a_refusal_says_why() {
    for reason in [RejectReason::PhotoRejected, RejectReason::OutOfStock, RejectReason::Declined] {
        let mail = compose(order(Outcome::Rejected(reason))).unwrap();
        assert!(mail.text.contains(reason.sentence()));
        assert!(mail.html.contains(reason.sentence()));
    }
}

#[test]
fn every_picture_that_the_html_shows_goes_with_it_and_none_comes_from_elsewhere() {
    let mail = compose(order(Outcome::Confirmed)).unwrap();
    let shown: Vec<&str> =
        mail.html.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let carried: Vec<String> =
        mail.inline.iter().map(|picture| format!("cid:{}", picture.content_id)).collect();
    assert_eq!(shown, carried);
    assert_eq!(carried.len(), 1);
    assert_eq!(mail.inline[0].content_type, "image/jpeg");
    assert!(!mail.html.contains("http://"));
}

#[test]
fn naughty_strings_stay_text_in_the_html() {
    let table = [
        "<script>alert(0)</script>",
        "'><script>alert(8)</script>",
        "\"><img src=x onerror=alert(1)>",
        "<a href=\"javascript:alert(1)\">test</a>",
        "ABC<div style=\"x:expression(alert(1))\">DEF",
        "--><!-- ---> <img src=xxx:x onerror=javascript:alert(1)> -->",
        "{{ 7 * 7 }}{% raw %}",
        "&lt;already&gt; & more",
    ];
    let plain = compose(order(Outcome::Confirmed)).unwrap().html;
    let tags = |html: &str| html.matches('<').count();
    for text in table {
        let mut order = order(Outcome::Confirmed);
        order.order_number = text.to_owned();
        order.lines[0].product = text.to_owned();
        order.link = format!("https://prints.example/{text}");
        let mail = compose(order).unwrap();
        assert_eq!(tags(&mail.html), tags(&plain), "{text:?}");
        assert!(!mail.html.contains("href=\"https://prints.example/\">"), "{text:?}");
        assert!(mail.text.contains(text), "{text:?}");
    }
}
