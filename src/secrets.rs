//! The secret of the service, which all replicas read from the store, and what is made of it.

use std::fmt;

use crate::{
    db::{self, Db},
    error::Error,
    sql,
};

/// The secret under resume tokens, page tokens and keys that are made by request. Not shown by `{:?}`.
#[derive(Clone)]
pub struct Secrets {
    root: [u8; 32],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}

impl Secrets {
    /// Of this secret.
    #[must_use]
    pub fn new(root: [u8; 32]) -> Self {
        Self { root }
    }

    /// Loads it.
    ///
    /// # Errors
    /// As [`db::query`].
    pub async fn load(db: &Db) -> Result<Self, Error> {
        let rows = db::query(&db.system().await?, sql!("db/load_secret"), &[]).await?;
        let secret: &[u8] = rows.first().map(|row| row.get("secret")).unwrap_or_default();
        Ok(Self::new(secret.try_into().map_err(Error::internal)?))
    }

    /// The secret itself: what resume tokens are signed with.
    #[must_use]
    pub fn root(&self) -> [u8; 32] {
        self.root
    }

    /// A secret for one purpose, which says nothing about those of others.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.root)
    }
}
