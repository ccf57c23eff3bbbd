//! What the service of tags is put together of.

use std::sync::Arc;

use super::{address::Addresses, directory::TagDirectory, registry::Registry, rpc::Tags};
use crate::{clock::Clock, db::Db, paging::Pages};

/// The service over this store.
#[must_use]
pub fn service(
    db: &Db,
    directory: &Arc<TagDirectory>,
    clock: &Clock,
    tags_max: usize,
    addresses: Addresses,
    pages: &Pages,
) -> Tags {
    let (db, directory) = (db.clone(), Arc::clone(directory));
    let registry = Registry { db, directory, clock: clock.clone(), tags_max };
    Tags { registry, addresses, pages: pages.clone(), clock: clock.clone() }
}
