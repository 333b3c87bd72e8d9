//! Places where the program can be made to die in the middle of a saga, for tests.
//!
//! Only with the feature `crash-points`, which no release can have: what ends a program by a variable of its
//! environment must not be in reach of whoever may set one.

#[cfg(all(feature = "crash-points", not(debug_assertions)))]
compile_error!("crash-points is for tests: it must not be part of a program without debug assertions");

/// The moments around a commit.
pub const MOMENTS: [&str; 2] = ["before_commit", "after_commit"];

/// The name of a point: `undo.reserving_stock.before_commit`.
pub fn name(part: &str, of: &str, moment: &str) -> String {
    format!("{part}.{}.{moment}", of.replace(' ', "_"))
}

/// Dies here, as hard as by `kill -9`, if `FAILPOINTS` says so: `FAILPOINTS=undone.subject.before_commit=return`.
#[cfg(feature = "crash-points")]
pub fn pass(part: &str, of: &str, moment: &str) {
    let name = name(part, of, moment);
    fail::fail_point!(&name, |_| std::process::abort());
}

/// Nothing: this program has no crash points.
#[cfg(not(feature = "crash-points"))]
pub fn pass(_part: &str, _of: &str, _moment: &str) {}

/// Reads `FAILPOINTS`, for as long as the process lives.
#[cfg(feature = "crash-points")]
pub fn arm() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Nothing: this program has no crash points.
#[cfg(not(feature = "crash-points"))]
pub fn arm() {}
