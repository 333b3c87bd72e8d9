//! The sales report as a mail: HTML, plain text, and a table for a spreadsheet.

use std::collections::BTreeMap;

use askama::Template;
use chrono::NaiveDate;
use model::JobId;
use platform::EmailAddress;
use platform::mail::{Attachment, OutgoingMail};
use shared::domain::money::euros;
use shared::domain::sales::{Sales, Sums};

/// What is reported, and to whom.
#[derive(Debug)]
pub struct Report<'a> {
    /// The job that sends the mail.
    pub job: JobId,
    /// The operator.
    pub to: EmailAddress,
    /// The first day.
    pub first: NaiveDate,
    /// The last day.
    pub last: NaiveDate,
    /// What was sold.
    pub sales: &'a Sales,
    /// The products' names, by their ids.
    pub names: &'a BTreeMap<String, String>,
}

/// The report can't be written; with these inputs that does not happen.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The text.
    #[error(transparent)]
    Template(#[from] askama::Error),
    /// The table.
    #[error(transparent)]
    Csv(#[from] csv::Error),
    /// The table's last bytes.
    #[error("the table is not whole: {0}")]
    Unwritten(String),
}

/// What the templates see.
struct View {
    title: String,
    total: Block,
    /// Only when there is more than one.
    days: Vec<Block>,
}

struct Block {
    name: String,
    counts: Vec<(String, i64)>,
    products: Vec<Product>,
    revenue: String,
}

struct Product {
    name: String,
    units: i64,
    revenue: String,
}

#[derive(Template)]
#[template(path = "mail/report.html")]
struct Html<'a>(&'a View);

#[derive(Template)]
#[template(path = "mail/report.txt")]
struct Text<'a>(&'a View);

/// Writes the mail.
///
/// # Errors
/// [`ComposeError`].
pub fn compose(report: &Report<'_>) -> Result<OutgoingMail, ComposeError> {
    let days = match report.first == report.last {
        true => report.first.to_string(),
        false => format!("{} to {}", report.first, report.last),
    };
    let view = View {
        title: format!("Sales, {days}"),
        total: block("Total".to_owned(), &report.sales.total(), report.names),
        days: match report.sales.0.len() {
            0 | 1 => Vec::new(),
            _ => {
                report.sales.0.iter().map(|(day, sums)| block(day.to_string(), sums, report.names)).collect()
            }
        },
    };
    let file_name = match report.first == report.last {
        true => format!("sales-{}.csv", report.first),
        false => format!("sales-{}-to-{}.csv", report.first, report.last),
    };
    let bytes = table(report.sales, report.names)?;
    Ok(OutgoingMail {
        message_id_of: report.job.0,
        to: report.to.clone(),
        subject: view.title.clone(),
        text: Text(&view).render()?,
        html: Html(&view).render()?,
        inline: Vec::new(),
        attachments: vec![Attachment {
            file_name,
            content_type: "text/csv; charset=utf-8".to_owned(),
            bytes,
        }],
    })
}

fn block(name: String, sums: &Sums, names: &BTreeMap<String, String>) -> Block {
    let products = sums.products.iter().map(|(id, sold)| Product {
        name: names.get(id).unwrap_or(id).clone(),
        units: sold.units,
        revenue: euros(sold.revenue_cents),
    });
    Block { name, counts: counts(sums), products: products.collect(), revenue: euros(sums.revenue_cents()) }
}

/// How many orders came in, and what became of them.
fn counts(sums: &Sums) -> Vec<(String, i64)> {
    let mut counts = vec![("orders".to_owned(), sums.orders), ("confirmed".to_owned(), sums.confirmed)];
    let rejected = sums.rejected.iter();
    counts
        .extend(rejected.map(|(reason, count)| (format!("rejected: {}", reason.replace('_', " ")), *count)));
    counts.push(("cancelled".to_owned(), sums.cancelled));
    counts.push(("unfinished".to_owned(), sums.unfinished));
    counts
}

/// A row a day and figure, as RFC 4180 has it.
fn table(sales: &Sales, names: &BTreeMap<String, String>) -> Result<Vec<u8>, ComposeError> {
    let mut table = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    table.write_record(["day", "figure", "product_id", "product", "count", "revenue_eur"])?;
    let total = ("total".to_owned(), &sales.total());
    for (day, sums) in sales.0.iter().map(|(day, sums)| (day.to_string(), sums)).chain([total]) {
        for (figure, count) in counts(sums) {
            table.write_record([&day, &figure, "", "", &count.to_string(), ""])?;
        }
        for (id, sold) in &sums.products {
            let name = names.get(id).unwrap_or(id);
            let (units, revenue) = (sold.units.to_string(), decimal(sold.revenue_cents));
            table.write_record([&day, "sold", &harmless(id), &harmless(name), &units, &revenue])?;
        }
        table.write_record([&day, "revenue", "", "", "", &decimal(sums.revenue_cents())])?;
    }
    table.into_inner().map_err(|error| ComposeError::Unwritten(error.to_string()))
}

/// An amount as a spreadsheet reads it; sums of sales are never below zero.
fn decimal(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// A spreadsheet takes a cell that begins like this for a formula, and runs it; an apostrophe in front makes it
/// text (OWASP, "CSV Injection").
fn harmless(cell: &str) -> String {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use model::Timestamp;
    use shared::domain::OrderId;
    use shared::domain::order::OrderStatus;
    use shared::domain::sales::CountedOrder;

    use super::*;

    fn mail(name: &str) -> OutgoingMail {
        let mut sales = Sales::default();
        for day in ["2026-03-01T10:00:00Z", "2026-03-02T10:00:00Z"] {
            sales.count(&CountedOrder {
                id: OrderId::new(),
                created_at: Timestamp(day.parse().unwrap()),
                status: OrderStatus::Confirmed,
                reason: None,
                lines: vec![("p".to_owned(), 2, 1205)],
            });
        }
        compose(&Report {
            job: JobId::new(),
            to: "op@example.org".parse().unwrap(),
            first: NaiveDate::from_ymd_opt(2026, 3, 1).unwrap(),
            last: NaiveDate::from_ymd_opt(2026, 3, 2).unwrap(),
            sales: &sales,
            names: &BTreeMap::from([("p".to_owned(), name.to_owned())]),
        })
        .unwrap()
    }

    #[test]
    fn no_name_becomes_a_formula_a_row_or_markup() {
        let table = [
            ("=cmd|'/c calc'!A0", "'=cmd|'/c calc'!A0"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(1)", "'@SUM(1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("a\"b,c", "\"a\"\"b,c\""),
            ("a\r\nb", "\"a\r\nb\""),
            ("Größe 10 × 15 <b>", "Größe 10 × 15 <b>"),
        ];
        for (name, cell) in table {
            let mail = mail(name);
            let csv = String::from_utf8(mail.attachments[0].bytes.clone()).unwrap();
            assert!(csv.contains(&format!("2026-03-01,sold,p,{cell},2,24.10\r\n")), "{csv}");
            assert!(!mail.html.contains("<b>"), "{}", mail.html);
        }
    }

    #[test]
    fn all_three_forms_have_each_day_and_the_total() {
        let mail = mail("Print");
        assert_eq!(mail.subject, "Sales, 2026-03-01 to 2026-03-02");
        for text in [&mail.text, &mail.html] {
            assert!(
                text.contains("2026-03-02") && text.contains("24.10") && text.contains("48.20"),
                "{text}"
            );
        }
        let csv = String::from_utf8(mail.attachments[0].bytes.clone()).unwrap();
        assert!(csv.ends_with("total,sold,p,Print,4,48.20\r\ntotal,revenue,,,,48.20\r\n"), "{csv}");
        assert_eq!(mail.attachments[0].file_name, "sales-2026-03-01-to-2026-03-02.csv");
    }
}
