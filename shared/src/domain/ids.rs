//! Identifiers: one newtype a noun, so that a photo's id can't be passed where an order's is meant.
//!
//! All are UUIDs of version 7 (RFC 9562): they sort by the time they were made, which keeps index
//! pages warm and makes "newest id first" a usable lock order.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = crate::db::sql_types::Id)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id, later in order than every id made before it by this process.
            #[expect(clippy::new_without_default, reason = "a default id would be a different one each time")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

id!(
    /// A row of `jobs`.
    JobId
);
id!(
    /// A customer, anonymous: known by a token only.
    CustomerId
);
id!(
    /// An uploaded photo.
    PhotoId
);
id!(
    /// An order of prints.
    OrderId
);
id!(
    /// One start of a worker process: new each time, so that a restarted one owns no old lease.
    WorkerId
);
id!(
    /// Somebody who may operate the system.
    OperatorId
);
id!(
    /// A row of the audit.
    AuditId
);
id!(
    /// One start of a program; a worker's is its [`WorkerId`].
    ProcessId
);

impl From<WorkerId> for ProcessId {
    fn from(worker: WorkerId) -> Self {
        Self(worker.0)
    }
}

id!(
    /// An operator's token for programs.
    OperatorTokenId
);

impl OrderId {
    /// The end of the id: enough to tell one's own orders apart. (The beginning of a UUIDv7 is its time.)
    pub fn short(&self) -> String {
        self.0.simple().to_string()[24..].to_owned()
    }
}
