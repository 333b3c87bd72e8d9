//! Settings of the watched folder.

use std::time::Duration;

use clap::Args;

use super::ConfigError;
use platform::signing::Token;

/// Settings of the watched folder.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of worker")]
pub struct IncomingSettings {
    /// Token of the customer whose photos the files in the blob store's folder incoming/ become. Unset: nobody
    /// watches it
    #[arg(long, env, hide_env_values = true, value_name = "TOKEN")]
    pub incoming_token: Option<String>,
    /// How often the folder is looked at. A file in a folder is taken when it did not change between two looks
    #[arg(long, env, default_value_t = 5, value_name = "SECONDS")]
    pub incoming_seconds: u64,
}

/// Who gets the files of the watched folder.
#[derive(Clone)]
pub struct Incoming {
    /// The customer's token.
    pub token: Token,
    /// How often to look.
    pub every: Duration,
}

impl IncomingSettings {
    /// The settings, checked; `None` where nobody is to watch.
    ///
    /// # Errors
    /// When the token can't be one, or the folder is looked at too often or hardly ever.
    pub fn check(&self) -> Result<Option<Incoming>, ConfigError> {
        if !(1..=3600).contains(&self.incoming_seconds) {
            return Err(ConfigError::new("INCOMING_SECONDS", "must be between 1 and 3600"));
        }
        let token = self.incoming_token.as_deref().map(str::parse).transpose();
        let token = token.map_err(|error| ConfigError::new("INCOMING_TOKEN", error))?;
        Ok(token.map(|token| Incoming { token, every: Duration::from_secs(self.incoming_seconds) }))
    }
}
