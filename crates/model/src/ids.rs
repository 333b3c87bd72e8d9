//! Identifiers: one newtype a noun, so that a job's id can't be passed where its owner's is meant. An application
//! makes its own by [`id!`](crate::id).
//!
//! All are UUIDs of version 7 (RFC 9562): they sort by the time they were made, which keeps index
//! pages warm and makes "newest id first" a usable lock order.

/// A newtype of a UUID, with a column type for both databases.
#[macro_export]
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
        #[diesel(sql_type = $crate::sql_types::Id)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A fresh id, later in order than every id made before it by this process.
            #[expect(clippy::new_without_default, reason = "a default id would be a different one each time")]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                uuid::Uuid::parse_str(text).map(Self)
            }
        }

        $crate::uuid_column!($name);
    };
}

id!(
    /// A row of `jobs`.
    JobId
);
id!(
    /// Whose a job is. What an owner is, the application knows.
    OwnerId
);
id!(
    /// One start of a worker process: new each time, so that a restarted one owns no old lease.
    WorkerId
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
