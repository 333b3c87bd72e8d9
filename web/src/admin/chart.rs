//! Small charts as inline SVG, drawn here so that they need no script: a queue's last day, what was done as columns
//! and how much was due as a line above them.
//!
//! Colours come from the style sheet, by class; the words in the `title` say the same as the picture.

use operations::overview::Point;

/// The chart's own units; the style sheet says how large it is shown.
const WIDTH: usize = 288;

/// The height of both parts.
const HEIGHT: usize = 48;

/// The columns end below this, so that a line on top is not cut off.
const TOP: usize = 2;

/// What is drawn of a queue's last hours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chart {
    /// The line: a path for each stretch that somebody looked at.
    pub depth: String,
    /// Columns of what was done.
    pub done: Vec<Column>,
    /// Columns of what failed for good, from the ground up.
    pub failed: Vec<Column>,
    /// The same in words.
    pub words: String,
}

/// A column of a chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// From the left.
    pub x: usize,
    /// From the top.
    pub y: usize,
    /// How wide.
    pub width: usize,
    /// How high.
    pub height: usize,
}

impl Chart {
    /// The part of the plane that it takes, for `viewBox`.
    pub fn view_box(&self) -> String {
        format!("0 0 {WIDTH} {HEIGHT}")
    }

    /// Draws a queue's last hours.
    pub fn of(queue: &str, points: &[Point]) -> Self {
        let width = (WIDTH / points.len().max(1)).max(1);
        let deepest = points.iter().filter_map(|point| point.depth).max().unwrap_or(0);
        let busiest = points.iter().map(|point| point.done + point.failed).max().unwrap_or(0);
        let column = |number: usize, below: usize, height: usize| Column {
            x: number * width,
            y: HEIGHT - below - height,
            width,
            height,
        };
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (number, point) in points.iter().enumerate() {
            let below = height_of(point.failed, busiest);
            if below > 0 {
                failed.push(column(number, 0, below));
            }
            // Above what failed, and never higher than there is room.
            let height = height_of(point.done, busiest).min(HEIGHT - TOP - below);
            if height > 0 {
                done.push(column(number, below, height));
            }
        }
        Self { depth: line(points, deepest, width), done, failed, words: words(queue, points, deepest) }
    }
}

/// Something is never shown as nothing.
fn height_of(value: i64, largest: i64) -> usize {
    if value <= 0 || largest <= 0 {
        return 0;
    }
    let room = (HEIGHT - TOP) as f64;
    ((value as f64 / largest as f64 * room).round() as usize).max(1)
}

/// Stretches that nobody looked at are left out. A stretch of one point is a short dash.
fn line(points: &[Point], deepest: i64, width: usize) -> String {
    let mut path = String::new();
    let mut before = false;
    for (number, point) in points.iter().enumerate() {
        if let Some(depth) = point.depth {
            let (x, y) = (number * width, HEIGHT - 1 - height_of(depth, deepest).min(HEIGHT - TOP));
            let step = if before { format!("L{x} {y}h{width}") } else { format!("M{x} {y}h{width}") };
            path.push_str(&step);
        }
        before = point.depth.is_some();
    }
    path
}

fn words(queue: &str, points: &[Point], deepest: i64) -> String {
    let done: i64 = points.iter().map(|point| point.done).sum();
    let failed: i64 = points.iter().map(|point| point.failed).sum();
    let hours = (points.len() / 6).max(1);
    format!("{queue}, the last {hours} h: {done} done, {failed} failed, at most {deepest} due at a time")
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn points(values: &[(Option<i64>, i64, i64)]) -> Vec<Point> {
        let at = Timestamp(chrono::DateTime::UNIX_EPOCH);
        values
            .iter()
            .map(|(depth, done, failed)| Point { at, depth: *depth, done: *done, failed: *failed })
            .collect()
    }

    #[test]
    fn what_was_done_and_what_failed_stand_on_each_other_and_fit() {
        let chart = Chart::of(
            "images",
            &points(&[(None, 0, 0), (Some(0), 30, 10), (Some(4), 1, 0), (Some(2), 0, 1)]),
        );
        assert_eq!(chart.done.len(), 2);
        assert_eq!(chart.failed.len(), 2);
        let (done, failed) = (chart.done[0], chart.failed[0]);
        assert_eq!(done.x, failed.x);
        assert_eq!(done.y + done.height, failed.y, "one on top of the other");
        assert_eq!(failed.y + failed.height, HEIGHT);
        assert!(chart.done.iter().chain(&chart.failed).all(|column| column.height > 0 && column.x < WIDTH));
        assert_eq!(chart.done[1].height, 1, "one of forty is seen");
    }

    #[test]
    fn a_day_fits_into_its_width() {
        let chart = Chart::of("images", &points(&[(Some(9), 9, 9); 144]));
        let last = chart.done.last().unwrap();
        assert!(last.x + last.width <= WIDTH);
        assert_eq!(chart.words, "images, the last 24 h: 1296 done, 1296 failed, at most 9 due at a time");
    }

    #[test]
    fn the_line_has_a_gap_where_nobody_looked() {
        let line =
            Chart::of("mail", &points(&[(Some(0), 0, 0), (None, 0, 0), (Some(2), 0, 0), (Some(1), 0, 0)]))
                .depth;
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert_eq!(line.matches('L').count(), 1, "{line}");
        assert!(line.starts_with("M0 47h72"), "nothing is on the ground: {line}");
    }

    #[test]
    fn of_nothing_there_is_an_empty_chart() {
        let chart = Chart::of("mail", &[]);
        assert_eq!((chart.depth.as_str(), chart.done.len(), chart.failed.len()), ("", 0, 0));
        assert!(Chart::of("mail", &points(&[(None, 0, 0); 144])).depth.is_empty());
    }
}
