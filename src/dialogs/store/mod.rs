//! One function for each file of `sql/dialogs/`.

pub mod consents;
pub mod customers;
pub mod messages;
pub mod setup;
