//! The pages about orders: the list, one order, and the form for a new one.

pub mod callback;
pub mod choices;
pub mod fields;
pub mod form;
pub mod list;
pub mod order;
pub mod status;

use std::collections::HashMap;

use database::Conn;
use shared::db::orders::Order;
use shared::db::photos as photo_rows;
use shared::domain::PhotoId;
use uuid::Uuid;

use super::view::OrderView;
use crate::http::error::ApiError;
use crate::photos::view::PhotoView;
use crate::{orders, photos};

/// Orders with the photos of their lines.
struct Shown {
    orders: Vec<(Order, OrderView)>,
    photos: HashMap<Uuid, PhotoView>,
}

async fn load(conn: &mut Conn, list: Vec<Order>) -> Result<Shown, ApiError> {
    let views = orders::views(conn, &list).await?;
    let mut ids: Vec<PhotoId> =
        views.iter().flat_map(|view| view.lines.iter().map(|line| PhotoId(line.photo_id))).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = photo_rows::find_many(conn, &ids).await?;
    let photos = photos::views(conn, &found).await?.into_iter().map(|photo| (photo.id, photo)).collect();
    Ok(Shown { orders: list.into_iter().zip(views).collect(), photos })
}
