//! `/api/products`: the catalogue, for everybody.

use actix_web::web::{Data, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::ProductView;
use crate::http::error::ApiError;
use crate::{App, products};

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
    Ok(Json(ProductList { products: products::list(&app).await? }))
}
