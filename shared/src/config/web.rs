//! Settings of the web front end.

use clap::{Args, ValueEnum};

use super::ConfigError;

/// Whether requests are rate-limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RateLimit {
    /// As documented.
    On,
    /// For load tests. Size limits stay.
    Off,
}

/// Settings of the web front end.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings of web")]
pub struct WebSettings {
    /// Address to listen on; port 0 takes any free one
    #[arg(long, env, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub http_addr: std::net::SocketAddr,
    /// Whether requests are rate-limited; off is for load tests
    #[arg(long, env, value_enum, default_value_t = RateLimit::On, value_name = "ON|OFF")]
    pub rate_limit: RateLimit,
    /// The most unfinished jobs of one customer; who has more is refused until some are done
    #[arg(long, env, default_value_t = 2_000, value_name = "N")]
    pub max_unfinished_per_customer: u32,
    /// The most unfinished jobs of all customers together
    #[arg(long, env, default_value_t = 100_000, value_name = "N")]
    pub max_unfinished: u32,
}

impl WebSettings {
    /// Checks what can be wrong.
    ///
    /// # Errors
    /// When nobody could have a job.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.max_unfinished_per_customer == 0 || self.max_unfinished == 0 {
            let setting =
                if self.max_unfinished == 0 { "MAX_UNFINISHED" } else { "MAX_UNFINISHED_PER_CUSTOMER" };
            return Err(ConfigError::new(setting, "must be at least 1"));
        }
        Ok(())
    }
}
