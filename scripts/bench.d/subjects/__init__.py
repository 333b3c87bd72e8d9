"""One subject a file: `run(bench)` gives what was measured, `ABOUT` says what that is."""
