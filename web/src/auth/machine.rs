//! Machines: programs that may start tasks, known by a secret of the setting `MACHINE_TOKENS`.

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};

use super::bearer::Bearer;
use super::customer;
use crate::App;
use crate::http::error::ApiError;
use crate::http::extract::Extracting;

/// A program that may start tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its name in the setting.
    pub name: String,
}

impl Machine {
    /// The machine that asks; `None` when it is somebody else.
    pub fn of(request: &HttpRequest) -> Option<Self> {
        let app: &Data<App> = request.app_data()?;
        let secret = Bearer::of(request).token()?;
        app.config.machines.identify(secret).map(|name| Self { name: name.to_owned() })
    }
}

impl FromRequest for Machine {
    type Error = ApiError;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            match (Self::of(&request), customer::identify(&request).await) {
                (Some(machine), _) => Ok(machine),
                (None, Ok(Some(_))) => {
                    Err(ApiError::Forbidden("Tasks are started with a machine token, not with a customer's."))
                }
                (None, Ok(None) | Err(ApiError::Unauthenticated)) => Err(ApiError::UnknownMachine),
                (None, Err(fault)) => Err(fault),
            }
        })
    }
}
