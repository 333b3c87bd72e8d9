//! The document that lists every setting, made from what `--help` is made from.

use clap::{Args, Command};
use shared::config::{CommonSettings, WebSettings, WorkerSettings};

/// `docs/settings.md`.
pub fn document() -> String {
    let mut text = "# Settings\n\n\
        Environment variables or flags: `DATA_DIR` is `--data-dir`.\n\
        `web` knows the first two tables and `PAYMENT_URL`, `worker` the first and the third, the all-in-one all of \
        them.\n\
        This page is made from the fields in `shared/src/config/`: change them, not it.\n"
        .to_owned();
    let tables = [
        ("Settings of every program", CommonSettings::augment_args(Command::new(""))),
        ("Settings of web", WebSettings::augment_args(Command::new(""))),
        ("Settings of worker", WorkerSettings::augment_args(Command::new(""))),
    ];
    for (title, command) in tables {
        text += &format!("\n## {title}\n\n| variable | default | meaning |\n| --- | --- | --- |\n");
        for argument in command.get_arguments() {
            // What is a flag alone is no setting.
            let Some(variable) = argument.get_env() else { continue };
            let default = argument.get_default_values().iter().map(|value| value.to_string_lossy());
            let default = default.map(|value| format!("`{value}`")).next().unwrap_or_else(|| "unset".into());
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            text +=
                &format!("| `{}` | {default} | {} |\n", variable.to_string_lossy(), help.replace('\n', " "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_what_the_settings_say() {
        crate::document_is("docs/settings.md", &document());
    }
}
