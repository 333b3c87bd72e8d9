//! Identifiers of what operators have.

use model::id;

id!(
    /// Somebody who may operate the system.
    OperatorId
);
id!(
    /// A row of the audit.
    AuditId
);
id!(
    /// An operator's token for programs.
    OperatorTokenId
);
