//! Lists, a page at a time: newest first, `?before=` the last id that was seen.

use std::str::FromStr;

use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::error::ApiError;

/// How many a page has unless asked otherwise, and at most.
const DEFAULT: i64 = 20;
const MAX: i64 = 100;

/// Which page.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Only what is older than the one of this id.
    pub before: Option<Uuid>,
    /// How many, 1 to 100; 20 if not said.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<i64>,
}

impl Paging {
    /// How many.
    ///
    /// # Errors
    /// [`ApiError::Malformed`] outside 1 to 100.
    pub fn limit(&self) -> Result<i64, ApiError> {
        match self.limit.unwrap_or(DEFAULT) {
            limit @ 1..=MAX => Ok(limit),
            _ => Err(ApiError::Malformed("limit is 1 to 100.".into())),
        }
    }

    /// Cuts a list that was read with one too many, and tells the path of the next page.
    pub fn cut<T>(&self, path: &str, limit: i64, list: &mut Vec<T>, id: fn(&T) -> Uuid) -> Option<String> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        if list.len() <= limit {
            return None;
        }
        list.truncate(limit);
        let size = self.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        list.last().map(|last| format!("{path}?before={}{size}", id(last)))
    }
}

/// Where a page for people begins. An id that is none is no reason to show nothing: the list then begins at its
/// beginning.
#[derive(Debug, Clone, Deserialize)]
pub struct Cursor {
    before: Option<String>,
}

impl Cursor {
    /// Only what is older than this.
    pub fn id<T: FromStr>(&self) -> Option<T> {
        self.before.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_only_if_there_is_more() {
        let ids: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
        let paging = Paging { before: None, limit: Some(2) };
        let mut list = ids.clone();
        let next = paging.cut("/api/photos", 2, &mut list, |id| *id);
        assert_eq!(next, Some(format!("/api/photos?before={}&limit=2", ids[1])));
        assert_eq!(paging.cut("/api/photos", 2, &mut list, |id| *id), None);
        assert!(Paging { before: None, limit: Some(0) }.limit().is_err());
        assert!(Paging { before: None, limit: Some(101) }.limit().is_err());
    }
}
