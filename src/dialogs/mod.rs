//! Dialogs: what customers say to a chatbot, kept only with their consent.
//!
//! Tables: `messages`, `dialogs`, `consents`, `customers`, `erasures`, `dialog_settings`. RPCs: all of `Dialogs`.
//!
//! ```text
//! RecordMessage -> record -> pending (memory)                before there is consent
//!                        \-> keep -> messages                while there is
//! SetConsent -> consent -> consents, dialogs; pending -> messages, or nowhere
//! ```
//!
//! Invariants:
//! * a message is in the store only while its dialog has consent, and is with its customer: by a foreign key, so that no
//!   statement can do otherwise;
//! * the text of a message goes to the store only once consent is there, and is in no log, metric or error;
//! * what becomes of messages and decisions is as if they came one after another: on a replica they do ([`turns`]), and
//!   between replicas the rows of the dialog and the customer are locked, the customer first;
//! * what a replica holds of a dialog that was decided on by another is gone, or stored, within seconds ([`follow`]);
//! * nothing of a customer who was erased is stored again.

pub mod archive;
pub mod consent;
pub mod erase;
pub mod follow;
pub mod keep;
pub mod model;
pub mod parts;
pub mod pending;
pub mod record;
pub mod redact;
pub mod replica;
pub mod retention;
pub mod rpc;
pub mod setup;
pub mod store;
pub mod turns;
pub mod wire;
