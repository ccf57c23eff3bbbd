//! Imports: many people, or tags, from a file: checked, looked at, mended, and stored all at once.
//!
//! Tables: `users`, `imports`, `user_books`. RPCs: all of `Imports`.
//!
//! ```text
//! UploadImport -> upload -> shelf (memory) -> check -> sheet (rows) -> kind (rules) -> twins -> compare (store)
//! ListImportRows, PatchImportRow, GetImportReport -> review, report -> shelf
//! CommitImport -> commit -> compare -> users, or tags
//! ```
//!
//! Invariants:
//! * nothing of a file is on a disk, or sent to the store, before it is committed: until then the store is asked by
//!   keyed hashes;
//! * what a row is, is a function of its cells, of the rows that are like it and of the store, and is found in one way,
//!   whoever asks;
//! * an import is committed once, or not at all;
//! * what imports hold is within a budget, whatever is uploaded ([`budget`]).

/// Shows what has something of people in it by its name alone.
macro_rules! says_nothing {
    ($($type:ident $(<$life:lifetime>)?),+) => {
        $(
            impl std::fmt::Debug for $type $(<$life>)? {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(stringify!($type))
                }
            }
        )+
    };
}

pub mod archive;
pub mod budget;
pub mod cells;
pub mod check;
pub mod command;
pub mod commit;
pub mod compare;
mod forms;
pub mod kind;
pub mod model;
pub mod parts;
pub mod people;
pub mod report;
pub mod review;
pub mod rpc;
pub mod sample;
pub mod sheet;
pub mod shelf;
pub mod store;
pub mod tag_rows;
pub mod tag_rules;
pub mod twins;
pub mod upload;
pub mod watch;
pub mod wire;
