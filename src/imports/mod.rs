//! Imports: many people, or tags, from a file: checked, looked at, mended, and stored all at once.
//!
//! Tables: `users`, `imports`, `user_books`. RPCs: all of `Imports`.
//!
//! ```text
//! UploadImport -> upload -> shelf (memory) -> check -> sheet (rows) -> kind (rules) -> twins
//! ListImportRows, PatchImportRow, GetImportReport -> review -> shelf
//! CommitImport -> commit -> users, or tags
//! ```
//!
//! Invariants:
//! * nothing of a file is on a disk, or sent to the store, before it is committed; the store is asked by keyed hashes;
//! * what a row is, is a function of its cells, of the rows that are like it and of the store: by one way of checking,
//!   whoever asks;
//! * an import is committed once, or not at all;
//! * what imports hold is within a budget, whatever is uploaded.

pub mod cells;
pub mod kind;
pub mod people;
pub mod sheet;
pub mod tag_rules;
