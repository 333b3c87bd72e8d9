//! Callbacks: an address of the customer's own that is told how their job goes on (Standard Webhooks).
//!
//! A customer makes us send requests, so that we don't become their way into somebody's network (SSRF):
//! - [`CallbackUrl`]: what may be asked for at all; parsed when it is given and again when it is used.
//! - [`may_reach`]: which addresses may be connected to. Pure, a table.
//! - [`CallbackClient`]: resolves a name, checks *every* address, and connects to one that it checked. It
//!   follows no redirect, knows no proxy, and reads nothing of the answer but its head.
//!
//! How it is signed: `signing/webhooks.rs`. When a change is told, the crate `jobs` knows.

mod address;
mod client;
mod hosts;
mod url;

use clap::ValueEnum;

pub use address::may_reach;
pub use client::{Answer, CallbackClient, DeliveryError, InvalidClient, Message};
pub use url::{CallbackUrl, InvalidCallbackUrl};

/// Where callbacks may go: the setting `CALLBACKS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CallbackPolicy {
    /// By https to public addresses
    Https,
    /// By http, too, and to this machine: for development
    Any,
    /// Nowhere
    Off,
}

impl CallbackPolicy {
    /// Whether this machine may be called: a receiver that is being developed.
    fn loopback(self) -> bool {
        self == Self::Any
    }
}

/// Which changes a callback is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallbackOn {
    /// Each new status.
    EveryChange,
    /// Only the last one.
    End,
}

impl CallbackOn {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::EveryChange => "every_change",
            Self::End => "end",
        }
    }

    /// The inverse of [`CallbackOn::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::EveryChange, Self::End].into_iter().find(|on| on.name() == name)
    }
}

/// What a customer asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// Where to.
    pub url: CallbackUrl,
    /// When.
    pub on: CallbackOn,
}
