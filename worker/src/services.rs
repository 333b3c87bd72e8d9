//! Everything that handlers use of the outside world. Cheap to clone.

use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use database::Db;
use platform::EmailAddress;
use platform::mail::Mailer;
use platform::signing::SecretKeys;
use shared::blobs::Blobs;
use shared::config::Keep;
use shared::intake::IntakeLimits;
use shared::payments::Gateway;
use url::Url;

use crate::imaging::pool::ImagingPool;
use runtime::breaker::Breakers;
use runtime::outcome::Dependency;

/// The payment gateway, as breakers and logs name it.
pub const PAYMENTS: Dependency = Dependency::new("payments");
/// The mail server.
pub const MAIL_SERVER: Dependency = Dependency::new("mail");

/// What may be away for a while, though the engine goes on.
pub const DEPENDENCIES: &[Dependency] = &[Dependency::BLOBS, PAYMENTS, MAIL_SERVER];

/// What handlers of the shop use. The engine keeps it as `application` of its own `Services`, and
/// hands it through.
#[derive(Clone)]
pub struct Services {
    /// The database.
    pub db: Db,
    /// The message broker.
    pub broker: Broker,
    /// The blob store.
    pub blobs: Blobs,
    /// Where mail goes.
    pub mailer: Arc<Mailer>,
    /// Who takes the money.
    pub gateway: Arc<Gateway>,
    /// Where pictures are decoded.
    pub imaging: Arc<ImagingPool>,
    /// One circuit breaker a dependency.
    pub breakers: Breakers,
    /// Signs the links in mail.
    pub keys: Arc<SecretKeys>,
    /// The site's address, for the links in mail.
    pub base_url: Url,
    /// How long after the confirmation of an order its customer is asked for a review, if at all.
    pub review_after: Option<Duration>,
    /// What a picture may be that comes in.
    pub intake: IntakeLimits,
    /// Who gets the daily sales report, if anybody does.
    pub operator_email: Option<EmailAddress>,
    /// How long things are kept that nobody needs any more.
    pub keep: Keep,
}
