//! `/api/products`: the catalogue, for everybody.

use actix_web::web::{Data, Json};
use serde::Serialize;
use utoipa::ToSchema;

use crate::App;
use crate::http::error::ApiError;
use crate::views::ProductView;

/// The catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductList {
    /// Everything that can be ordered, the cheapest first.
    pub products: Vec<ProductView>,
}

/// What can be ordered.
///
/// # Errors
/// Those of the database.
#[utoipa::path(get, path = "/api/products", operation_id = "list_products", tag = "orders", security(()), responses(
    (status = 200, description = "The catalogue", body = ProductList),
))]
pub async fn list(app: Data<App>) -> Result<Json<ProductList>, ApiError> {
    let products = app
        .db
        .run(|db| async move { Ok::<_, ApiError>(ProductView::all(&mut db.conn().await?).await?) })
        .await?;
    Ok(Json(ProductList { products }))
}
