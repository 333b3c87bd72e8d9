//! The settings that `web` works by, checked and in the units that it needs.

use std::time::Duration;

use model::Program;
use platform::callbacks::CallbackPolicy;
use platform::mail::FileMailer;
use platform::signing::MachineTokens;
use shared::config::{Common, RateLimit, WebSettings};
use shared::domain::photo::PictureLimits;
use url::Url;

/// See the [module's](self) words.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which program this is: some pages are only for the all-in-one.
    pub program: Program,
    /// The site's address as its visitors know it. With https, cookies are `Secure`.
    pub base_url: Option<Url>,
    /// The largest upload, in bytes.
    pub max_upload_bytes: u64,
    /// Whether requests are rate-limited.
    pub rate_limits_on: bool,
    /// The most unfinished jobs of one customer.
    pub max_unfinished_per_customer: u32,
    /// The most unfinished jobs in all.
    pub max_unfinished: u32,
    /// What a picture may measure.
    pub picture_limits: PictureLimits,
    /// How long the whole program may take to stop.
    pub shutdown: Duration,
    /// The mail that was written to files, where visitors may look at it.
    pub mailbox: Option<FileMailer>,
    /// Whether payments go to the sandbox, which knows four tokens only.
    pub sandbox_payments: bool,
    /// Where callbacks may go.
    pub callbacks: CallbackPolicy,
    /// The programs that may start tasks.
    pub machines: MachineTokens,
}

impl Config {
    /// From the settings of the program.
    pub fn new(common: &Common, web: &WebSettings, sandbox_payments: bool) -> Self {
        Self {
            program: common.program,
            base_url: common.base_url.clone(),
            max_upload_bytes: common.max_upload_bytes,
            rate_limits_on: web.rate_limit == RateLimit::On,
            max_unfinished_per_customer: web.max_unfinished_per_customer,
            max_unfinished: web.max_unfinished,
            picture_limits: common.picture_limits,
            shutdown: common.shutdown,
            mailbox: None,
            sandbox_payments,
            callbacks: common.callbacks,
            machines: common.machines.clone(),
        }
    }

    /// Whether visitors come by https.
    pub fn https(&self) -> bool {
        self.base_url.as_ref().is_some_and(|url| url.scheme() == "https")
    }
}
