//! What every page of the operators shows around its content.

use crate::auth::operator::Operator;
use crate::pages::NavLink;

/// What every page shows around its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminShell {
    /// Who looks; nobody where somebody logs in, or where it is not known.
    pub operator: Option<String>,
    /// Whether they may look and not touch: buttons that change something are not shown.
    pub read_only: bool,
    /// The part of the operations that the page belongs to.
    pub section: AdminSection,
}

/// The parts of the operations, as in the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminSection {
    /// How everything is.
    Overview,
    /// Jobs of every kind and state.
    Jobs,
    /// What failed for good, and what could not be read.
    Dead,
    /// Queues, paused or not.
    Queues,
    /// What happens at set times.
    Schedule,
    /// Who did what.
    Audit,
    /// Operators, and the own account.
    Operators,
    /// None of them: the login, and errors.
    Elsewhere,
}

impl AdminShell {
    /// For a page that an operator sees.
    pub fn of(operator: &Operator, section: AdminSection) -> Self {
        Self { operator: Some(operator.name.clone()), read_only: operator.read_only, section }
    }

    /// For a page that anybody may see.
    pub fn of_nobody() -> Self {
        Self { operator: None, read_only: true, section: AdminSection::Elsewhere }
    }

    /// The navigation, with the page's own section marked.
    pub fn nav(&self) -> Vec<NavLink> {
        const SECTIONS: [(AdminSection, &str, &str); 7] = [
            (AdminSection::Overview, "/admin", "Overview"),
            (AdminSection::Jobs, "/admin/jobs", "Jobs"),
            (AdminSection::Dead, "/admin/dead", "Dead letters"),
            (AdminSection::Queues, "/admin/queues", "Queues"),
            (AdminSection::Schedule, "/admin/schedule", "Schedule"),
            (AdminSection::Audit, "/admin/audit", "Audit"),
            (AdminSection::Operators, "/admin/operators", "Operators"),
        ];
        let link = |(section, href, label)| NavLink { href, label, current: section == self.section };
        SECTIONS.map(link).to_vec()
    }
}
