//! Every key in memory: requests are let in or refused without a word to the database, also while it is
//! down.
//!
//! Loaded whole at the start, and again when a hint says so and every 15 seconds ([`crate::hints`]).

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tokio::{sync::Notify, time};
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;

use crate::{
    access::{
        key::{ApiKey, Hash},
        model::Scope,
        store::{self, LoadedKey},
        token::{BrowserToken, Signers, SigningSecret},
    },
    auth::{self, Caller, KeyAbout, Route, TokenLimits},
    clock::Clock,
    db::Db,
    error::Error,
    guesses::{Guesses, Peer, Peers},
    ids::{KeyId, TeamId},
    quotas::Quotas,
    streams::{EndReason, TeamShare},
};

/// How long loading the keys may take.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Every valid key, and what tokens are signed with.
#[derive(Debug)]
pub struct Directory {
    known: ArcSwap<Known>,
    /// Held while loading: an older state must not replace a newer one.
    loading: tokio::sync::Mutex<()>,
    /// How often was asked for the keys, and up to which of these they are loaded.
    asked: AtomicU64,
    loaded: AtomicU64,
    /// Keys have, or may have, changed.
    heard: Notify,
    guesses: Guesses,
    clock: Clock,
    /// In front of Envoy.
    proxies: usize,
}

#[derive(Debug, Default)]
struct Known {
    by_hash: HashMap<Hash, Arc<Entry>>,
    by_id: HashMap<KeyId, Arc<Entry>>,
    signers: Signers,
}

#[derive(Debug)]
struct Entry {
    caller: Caller,
    expires_at: Option<DateTime<Utc>>,
    usage: Arc<Usage>,
}

/// From where and when a key was used. Kept as long as the key is.
#[derive(Debug, Default)]
struct Usage {
    peers: Peers,
    /// Seconds since 1970; 0: not since we know it.
    used_at: AtomicI64,
    /// Up to which the store knows it.
    told_at: AtomicI64,
}

/// That a key was used.
#[derive(Debug)]
pub struct Use {
    pub team: TeamId,
    pub key: KeyId,
    pub at: DateTime<Utc>,
    usage: Arc<Usage>,
}

impl Use {
    /// The store knows it.
    pub fn noted(&self) {
        self.usage.told_at.fetch_max(self.at.timestamp(), Ordering::Relaxed);
    }
}

/// Who is not let in, and why.
#[derive(Debug)]
pub struct Refused {
    pub error: Error,
    /// Whose key it was, if it was one: quotas are shown to those too.
    pub caller: Option<Box<Caller>>,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, caller: None }
    }
}

impl Directory {
    /// A directory that knows nobody yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            known: ArcSwap::default(),
            loading: tokio::sync::Mutex::default(),
            asked: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            heard: Notify::new(),
            guesses: Guesses::default(),
            clock,
            proxies: 0,
        }
    }

    /// Behind this many proxies in front of Envoy.
    #[must_use]
    pub fn behind(self, proxies: u8) -> Self {
        Self { proxies: proxies.into(), ..self }
    }

    /// Keys have, or may have, changed.
    pub fn hear(&self) {
        self.heard.notify_one();
    }

    /// Loads the keys when it is heard that they have changed, and every 15 seconds, for ever. What could
    /// not be loaded is tried again each second.
    pub async fn run(self: Arc<Self>, db: Db) {
        loop {
            let _heard_or_not = time::timeout(REFRESH_INTERVAL, self.heard.notified()).await;
            while let Err(error) = self.refresh(&db).await {
                tracing::warn!(
                    cause = error.log_text(),
                    "cannot load the keys again; those that are known go on working"
                );
                time::sleep(RETRY_INTERVAL).await;
            }
        }
    }

    /// Loads the keys as they are now, or later. Whoever is still valid keeps what is left of the quotas.
    /// Those that wait for it together share one loading.
    ///
    /// # Errors
    /// When the store cannot be read; the directory stays as it was.
    pub async fn refresh(&self, db: &Db) -> Result<(), Error> {
        let mine = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let _alone = self.loading.lock().await;
        if self.loaded.load(Ordering::Acquire) >= mine {
            return Ok(());
        }
        let all = self.asked.load(Ordering::Acquire);
        // A store that is silent is a store that is down.
        let load =
            async { Ok::<_, Error>((store::load_keys(db).await?, store::load_signing(db).await?)) };
        let loaded = time::timeout(LOAD_TIMEOUT, load).await;
        let (keys, secrets) = loaded.map_err(Error::store_unavailable)??;
        self.put(keys, secrets);
        self.loaded.store(all, Ordering::Release);
        Ok(())
    }

    fn put(&self, loaded: Vec<LoadedKey>, secrets: Vec<SigningSecret>) {
        let known = self.known.load();
        let mut shares: HashMap<TeamId, Arc<TeamShare>> = known
            .by_hash
            .values()
            .map(|entry| (entry.caller.team, Arc::clone(&entry.caller.share)))
            .collect();
        let mut by_hash = HashMap::with_capacity(loaded.len());
        let mut by_id = HashMap::with_capacity(loaded.len());
        for key in loaded {
            let (hash, team) = (key.hash, key.team);
            let old = known.by_hash.get(&hash).map(Arc::as_ref);
            let entry = Arc::new(Entry::new(
                key,
                old,
                Arc::clone(shares.entry(team).or_default()),
                &self.clock,
            ));
            by_id.insert(entry.caller.key, Arc::clone(&entry));
            by_hash.insert(hash, entry);
        }
        metrics::gauge!("tap_keys").set(u32::try_from(by_hash.len()).unwrap_or(u32::MAX));
        // No longer valid: what they have open ends.
        for (_, gone) in known.by_hash.iter().filter(|(hash, _)| !by_hash.contains_key(*hash)) {
            gone.caller.life.end(EndReason::KeyRevoked);
        }
        let signers = known.signers.replaced(secrets);
        self.known.store(Arc::new(Known { by_hash, by_id, signers }));
    }

    /// Ends what keys have open that have expired.
    pub fn end_expired(&self) {
        let now = self.clock.now();
        for entry in self.known.load().by_hash.values().filter(|entry| entry.has_expired(now)) {
            entry.caller.life.end(EndReason::KeyExpired);
        }
    }

    /// The keys that were used since it was noted last, and when.
    pub fn used(&self) -> Vec<Use> {
        let known = self.known.load();
        let used = known.by_hash.values().filter_map(|entry| {
            let usage = &entry.usage;
            let used_at = usage.used_at.load(Ordering::Relaxed);
            let told_at = usage.told_at.load(Ordering::Relaxed);
            let at = DateTime::from_timestamp(used_at, 0).filter(|_| used_at > told_at)?;
            let (team, key) = (entry.caller.team, entry.caller.key);
            Some(Use { team, key, at, usage: Arc::clone(usage) })
        });
        used.collect()
    }

    /// Signs a token.
    ///
    /// # Errors
    /// [`Error::Internal`] when there is no secret.
    pub fn sign(&self, token: &BrowserToken) -> Result<String, Error> {
        self.known.load().signers.sign(token, self.clock.now()).map_err(Error::internal)
    }

    /// Lets a caller in, or says why not. `connected` is who is connected to us, most often Envoy.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`], [`Error::TooManyGuesses`], [`Error::ScopeMissing`], [`Error::Denied`] or
    /// [`Error::UnknownMethod`].
    pub fn admit(
        &self,
        metadata: &MetadataMap,
        connected: Option<SocketAddr>,
        route: Route,
    ) -> Result<Caller, Refused> {
        let credential = auth::presented(metadata, route)?;
        let peer = Peer::of(metadata, connected, self.proxies);
        let now = self.clock.now();
        let known = self.known.load();
        let found = known.find(credential);
        // Whoever tries keys must not learn that one was right.
        if let Some(wait) = self.guesses.refused(peer)
            && !found.as_ref().is_some_and(|(entry, _)| entry.usage.peers.contains(peer))
        {
            return Err(Error::TooManyGuesses { wait }.into());
        }
        let Some((entry, token)) = found else {
            // Nobody guesses a token: one that is no good any more is of a page that was left open.
            if is_token(credential) {
                return Err(auth::INVALID.into());
            }
            return Err(match self.guesses.failed(peer, credential) {
                Some(wait) => Error::TooManyGuesses { wait }.into(),
                None => auth::INVALID.into(),
            });
        };
        entry.usage.peers.add(peer);
        if entry.has_expired(now) {
            return Err(auth::EXPIRED.into());
        }
        let caller = match token {
            Some((token, _)) if token.expires_at <= now => {
                return Err(auth::TOKEN_EXPIRED.into());
            }
            Some((token, dropped)) => entry.by_token(token, dropped),
            None => entry.caller.clone(),
        };
        match route.check(&caller) {
            Ok(()) => {
                entry.usage.used_at.store(now.timestamp(), Ordering::Relaxed);
                Ok(caller)
            }
            Err(error) => Err(Refused { error, caller: Some(Box::new(caller)) }),
        }
    }
}

/// A key has no dot, a token has two.
fn is_token(credential: &str) -> bool {
    credential.contains('.')
}

/// A key, and the token of it that was sent, with what ends that before its time.
type Found<'a> = (&'a Entry, Option<(BrowserToken, CancellationToken)>);

impl Known {
    /// The key that was sent, or that of the token that was.
    fn find(&self, credential: &str) -> Option<Found<'_>> {
        if is_token(credential) {
            let (token, dropped) = self.signers.read(credential)?;
            let entry = self.by_id.get(&token.key)?;
            return (entry.caller.team == token.team).then_some((entry, Some((token, dropped))));
        }
        let key = ApiKey::parse(credential)?;
        Some((self.by_hash.get(&key.hash())?, None))
    }
}

impl Entry {
    fn new(key: LoadedKey, old: Option<&Self>, share: Arc<TeamShare>, clock: &Clock) -> Self {
        let scopes: Vec<Scope> = key.scopes.iter().filter_map(|text| Scope::parse(text)).collect();
        let quotas = match old {
            Some(old) if old.caller.about.queries_per_hour == key.queries_per_hour => {
                Arc::clone(&old.caller.quotas)
            }
            Some(old) => Arc::new(old.caller.quotas.with_queries_per_hour(key.queries_per_hour)),
            None => Arc::new(Quotas::new(key.queries_per_hour, clock)),
        };
        let lost = |old: &Self| old.caller.scopes.iter().any(|scope| !scopes.contains(scope));
        if let Some(old) = old.filter(|old| lost(old)) {
            old.caller.life.end(EndReason::KeyChanged);
        }
        // One that ended, as by a clock that was wrong for a moment, begins anew.
        let life = old.map(|old| &old.caller.life).filter(|life| !life.ended.is_cancelled());
        let life = life.map_or_else(Arc::default, Arc::clone);
        let about = KeyAbout {
            name: key.name,
            prefix: key.prefix,
            team_name: key.team_name,
            queries_per_hour: key.queries_per_hour,
            expires_at: key.expires_at,
        };
        Self {
            caller: Caller {
                team: key.team,
                team_slug: key.team_slug.into(),
                key: key.id,
                about: Arc::new(about),
                scopes: scopes.into(),
                token: None,
                quotas,
                life,
                share,
            },
            expires_at: key.expires_at,
            usage: old.map_or_else(Arc::default, |old| Arc::clone(&old.usage)),
        }
    }

    fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The key, narrowed to what a token of it says.
    fn by_token(&self, token: BrowserToken, dropped: CancellationToken) -> Caller {
        let scopes = self.caller.scopes.iter().copied();
        let scopes = scopes.filter(|scope| scope.reads() && token.scopes.contains(scope));
        let scopes = scopes.collect();
        let limits = TokenLimits { expires_at: token.expires_at, dropped, tags: token.tags };
        Caller { scopes, token: Some(Arc::new(limits)), ..self.caller.clone() }
    }
}
