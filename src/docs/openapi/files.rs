//! Files: what is sent and answered as it is, and is no JSON.

use prost_reflect::MessageDescriptor;
use serde_json::json;

use crate::docs::json::Object;

/// A workbook.
pub(super) const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// How curl sends one.
pub(super) const DATA: &str = "--data-binary @users.csv";

/// Whether a message is a file.
pub(super) fn is_file(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}

/// What a body can be that is a file: the file, of whatever type it says to be, or a form with it.
pub(super) fn content() -> Object {
    let form = json!({
        "type": "object",
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
        },
        "required": ["file"],
    });
    Object::new()
        .with("application/octet-stream", Object::new())
        .with(XLSX, Object::new())
        .with("text/csv", Object::new().with("schema", json!({"type": "string"})))
        .with("multipart/form-data", Object::new().with("schema", form))
}
