//! Protobuf to domain and back: every field check, and every text of an answer. No error repeats what is in a cell.

pub mod commits;
pub mod imports;
pub mod rows;
pub mod uploads;
pub mod users;

use uuid::Uuid;

use super::kind::Kind;
use crate::{error::Error, proto::tap_v1::import_kind, wire::uuid};

/// The id of something.
///
/// # Errors
/// [`Error::Invalid`] when it is no UUID.
pub fn id(field: &str, text: &str) -> Result<Uuid, Error> {
    uuid(field, text).map_err(Error::from)
}

/// A kind as answers have it.
#[must_use]
pub fn kind_value(kind: Kind) -> i32 {
    let value = match kind {
        Kind::Users => import_kind::Value::Users,
        Kind::Tags => import_kind::Value::Tags,
    };
    value.into()
}
