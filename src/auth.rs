//! Who calls, and what they may do.
//!
//! A route is looked up first ([`Route::of`]), then the interceptor finds the key in the directory,
//! which is in memory: a request is let in or refused without a word to the database, also while the
//! database is down.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tonic::{Request, Status, metadata::MetadataMap, service::Interceptor};

use crate::{
    access::{
        key::{ApiKey, Hash},
        model::Scope,
        store,
    },
    clock::Clock,
    db::Db,
    error::Error,
    ids::{KeyId, TeamId},
    quotas::{Class, Quotas},
    reasons,
    streams::KeyLife,
};

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nothing: health, which Envoy keeps from the public; the page; the tap URL.
    Public,
    /// A key, whatever it may do: reflection. Costs nothing.
    AnyKey,
    /// A key with this scope; the call costs one of this class.
    Key(Scope, Class),
    /// A key; there is nothing to call at this path, and nobody learns so without one.
    Unknown,
}

/// The access table: every path that is served, and what it asks. A test walks the descriptor set and
/// fails on an RPC without a row.
const ROUTES: &[(&str, Route)] = &[
    ("/tap.v1.TapAnalytics/QueryTaps", Route::Key(Scope::TapsRead, Class::Query)),
    ("/tap.v1.TapAnalytics/RecordTaps", Route::Key(Scope::TapsWrite, Class::Write)),
    // Its batches cost one write each, besides.
    ("/tap.v1.TapAnalytics/IngestTaps", Route::Key(Scope::TapsWrite, Class::Stream)),
    // Fresh ones cost a query, besides.
    ("/tap.v1.TapAnalytics/StreamTaps", Route::Key(Scope::TapsRead, Class::Stream)),
    ("/tap.v1.TapAnalytics/WatchTaps", Route::Key(Scope::TapsRead, Class::Stream)),
    ("/", Route::Public),
    ("/docs", Route::Public),
    ("/docs/", Route::Public),
    ("/docs/errors", Route::Public),
    ("/openapi.json", Route::Public),
    ("/grpc.health.v1.Health/Check", Route::Public),
    ("/grpc.health.v1.Health/Watch", Route::Public),
    ("/grpc.health.v1.Health/List", Route::Public),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Route::AnyKey),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Route::AnyKey),
];

/// Paths that go on: what the page is made of, and the tap URL.
const PREFIXES: &[(&str, Route)] = &[("/assets/", Route::Public), ("/t/", Route::Public)];

impl Route {
    /// What a path asks, and the path as a label: `other` for all that are not served.
    #[must_use]
    pub fn of(path: &str) -> (Self, &'static str) {
        let row = ROUTES.iter().find(|(served, _)| *served == path);
        let row = row.or_else(|| PREFIXES.iter().find(|(prefix, _)| path.starts_with(prefix)));
        row.map_or((Self::Unknown, "other"), |(served, route)| (*route, served))
    }

    /// What a call costs.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Key(_, class) => Some(*class),
            Self::Public | Self::AnyKey | Self::Unknown => None,
        }
    }

    /// The scope that it asks for.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Key(scope, _) => Some(*scope),
            Self::Public | Self::AnyKey | Self::Unknown => None,
        }
    }
}

/// Who calls. In the extensions of every request past the interceptor.
#[derive(Clone, Debug)]
pub struct Caller {
    pub team: TeamId,
    pub key: KeyId,
    /// The quotas of the key.
    pub quotas: Arc<Quotas>,
    /// How long the key lives, and what it has open.
    pub life: Arc<KeyLife>,
    pub expires_at: Option<DateTime<Utc>>,
}

impl Caller {
    /// The caller of a request that the interceptor let in.
    ///
    /// # Errors
    /// [`Error::Internal`] when a service was put outside the interceptor.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Error> {
        request.extensions().get::<Self>().cloned().ok_or_else(|| {
            Error::internal(anyhow::anyhow!("no caller: the interceptor was passed by"))
        })
    }
}

/// How long loading the keys may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Every valid key, by its hash.
#[derive(Debug)]
pub struct Directory {
    keys: ArcSwap<HashMap<Hash, Entry>>,
    clock: Clock,
}

#[derive(Debug)]
struct Entry {
    caller: Caller,
    scopes: Vec<Scope>,
    queries_per_hour: u32,
}

impl Directory {
    /// A directory that knows nobody yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self { keys: ArcSwap::default(), clock }
    }

    /// Loads the keys again. Whoever is still valid keeps what is left of the quotas.
    ///
    /// # Errors
    /// When the store cannot be read; the directory stays as it was.
    pub async fn refresh(&self, db: &Db) -> Result<(), Error> {
        // A store that is silent is a store that is down.
        let loading = tokio::time::timeout(LOAD_TIMEOUT, store::load_keys(db)).await;
        let loaded = loading.map_err(Error::store_unavailable)??;
        let known = self.keys.load();
        let keys = loaded.into_iter().map(|key| {
            let old = known.get(&key.hash);
            let kept = old.filter(|old| old.queries_per_hour == key.queries_per_hour);
            let quotas = kept.map_or_else(
                || Arc::new(Quotas::new(key.queries_per_hour)),
                |old| Arc::clone(&old.caller.quotas),
            );
            // One that ended, as by a clock that was wrong for a moment, begins anew.
            let life = old.map(|old| &old.caller.life).filter(|life| !life.ended.is_cancelled());
            let life = life.map_or_else(Arc::default, Arc::clone);
            let expires_at = key.expires_at;
            let entry = Entry {
                caller: Caller { team: key.team, key: key.id, quotas, life, expires_at },
                scopes: key.scopes.iter().filter_map(|scope| Scope::parse(scope)).collect(),
                queries_per_hour: key.queries_per_hour,
            };
            (key.hash, entry)
        });
        let keys: HashMap<Hash, Entry> = keys.collect();
        metrics::gauge!("tap_keys").set(u32::try_from(keys.len()).unwrap_or(u32::MAX));
        // No longer valid: what they have open ends.
        for (_, gone) in known.iter().filter(|(hash, _)| !keys.contains_key(*hash)) {
            gone.caller.life.ended.cancel();
        }
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// Ends what keys have open that have expired.
    pub fn end_expired(&self) {
        let now = self.clock.now();
        for Entry { caller, .. } in self.keys.load().values() {
            if caller.expires_at.is_some_and(|at| at <= now) {
                caller.life.ended.cancel();
            }
        }
    }

    /// Lets a caller in, or says why not.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::ScopeMissing`] or [`Error::UnknownMethod`].
    pub fn admit(&self, metadata: &MetadataMap, route: Route) -> Result<Caller, Error> {
        let key = presented(metadata)?;
        let key = ApiKey::parse(key).ok_or(INVALID)?;
        let keys = self.keys.load();
        let entry = keys.get(&key.hash()).ok_or(INVALID)?;
        if entry.caller.expires_at.is_some_and(|at| at <= self.clock.now()) {
            return Err(Error::Unauthenticated {
                reason: reasons::API_KEY_EXPIRED,
                message: "this API key has expired: use a new one",
            });
        }
        match route {
            Route::Unknown => Err(Error::UnknownMethod),
            Route::Key(scope, _) if !entry.scopes.contains(&scope) => {
                Err(Error::ScopeMissing { scope: scope.as_str() })
            }
            Route::Key(..) | Route::AnyKey | Route::Public => Ok(entry.caller.clone()),
        }
    }
}

/// The same for every key that is not valid, so that nothing can be learned by trying.
const INVALID: Error = Error::Unauthenticated {
    reason: reasons::API_KEY_INVALID,
    message: "this API key is not valid: it may be mistyped or revoked",
};

/// The key as the caller sent it: `x-api-key` wins over `authorization: Bearer`.
///
/// No more lenient than the patterns in envoy.yaml: a key that Envoy does not see as we do would let
/// its holder choose the replica, and have a quota on each.
fn presented(metadata: &MetadataMap) -> Result<&str, Error> {
    let mut keys = metadata.get_all("x-api-key").iter();
    if let Some(key) = keys.next() {
        let only = keys.next().is_none();
        return key.to_str().ok().filter(|_| only).ok_or(INVALID);
    }
    let mut values = metadata.get_all("authorization").iter();
    let value = values.next().filter(|_| values.next().is_none());
    let bearer = value
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| matches!(*scheme, "Bearer" | "bearer"));
    match bearer {
        Some((_, key)) => Ok(key),
        None => Err(Error::Unauthenticated {
            reason: reasons::API_KEY_MISSING,
            message: "an API key is needed: send it in the header x-api-key, or as authorization: Bearer",
        }),
    }
}

/// The tonic interceptor: lets requests in and notes who calls.
#[derive(Clone, Debug)]
pub struct Authenticate {
    pub directory: Arc<Directory>,
}

impl Interceptor for Authenticate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let route = request.extensions().get::<Route>().copied().unwrap_or(Route::Unknown);
        if route == Route::Public {
            return Ok(request);
        }
        let caller = self.directory.admit(request.metadata(), route)?;
        let span = tracing::Span::current();
        span.record("team", caller.team.0);
        span.record("key", tracing::field::display(caller.key));
        request.extensions_mut().insert(caller);
        Ok(request)
    }
}
