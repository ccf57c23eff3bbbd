//! Who calls, and what they may do.
//!
//! A route is looked up first ([`Route::of`]), then the interceptor asks the directory of keys whether
//! the caller is let in.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, metadata::MetadataMap, service::Interceptor};

use crate::{
    access::model::Scope,
    directory::{Directory, Refused},
    error::Error,
    ids::{KeyId, TagId, TeamId},
    limits,
    quotas::{Class, Quotas},
    reasons,
    streams::{KeyLife, TeamShare},
};

/// What a path asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nothing: health, which Envoy keeps from the public; the page; the tap URL.
    Public,
    /// A key or a token, whatever it may do. Costs nothing.
    AnyKey,
    /// A key itself, not a token of one; the call costs one of this class.
    Own(Class),
    /// A key or a token with this scope; the call costs one of this class.
    Key(Scope, Class),
    /// The same; the method takes turns of its own: it takes long, or waits for what its caller sends.
    InTurn(Scope, Class),
    /// The same as `Key`, and a token that is limited to some tags is let in too: the method looks at
    /// [`Caller::tags`].
    ByTag(Scope, Class),
    /// A key; there is nothing to call at this path, and nobody learns so without one.
    Unknown,
}

/// The access table: every path that is served, and what it asks. A test walks the descriptor set and
/// fails on an RPC without a row.
const ROUTES: &[(&str, Route)] = &[
    ("/tap.v1.TapAnalytics/QueryTaps", Route::ByTag(Scope::TapsRead, Class::Query)),
    ("/tap.v1.TapAnalytics/RecordTaps", Route::Key(Scope::TapsWrite, Class::Write)),
    // Its batches cost one write each, besides.
    ("/tap.v1.TapAnalytics/IngestTaps", Route::Key(Scope::TapsWrite, Class::Stream)),
    // Fresh ones cost a query, besides.
    ("/tap.v1.TapAnalytics/StreamTaps", Route::ByTag(Scope::TapsRead, Class::Stream)),
    ("/tap.v1.TapAnalytics/WatchTaps", Route::ByTag(Scope::TapsRead, Class::Stream)),
    ("/tap.v1.Tags/CreateTag", Route::Key(Scope::TagsWrite, Class::Change)),
    ("/tap.v1.Tags/BatchCreateTags", Route::Key(Scope::TagsWrite, Class::Change)),
    ("/tap.v1.Tags/GetTag", Route::Key(Scope::TapsRead, Class::Read)),
    ("/tap.v1.Tags/ListTags", Route::Key(Scope::TapsRead, Class::Read)),
    ("/tap.v1.Tags/UpdateTag", Route::Key(Scope::TagsWrite, Class::Change)),
    ("/tap.v1.Tags/ArchiveTag", Route::Key(Scope::TagsWrite, Class::Change)),
    ("/tap.v1.Tags/GetTagQrCode", Route::Key(Scope::TapsRead, Class::Read)),
    ("/tap.v1.Events/CreateSession", Route::Key(Scope::EventsWrite, Class::Write)),
    ("/tap.v1.Events/GetSession", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/ListSessions", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/RecordEvents", Route::Key(Scope::EventsWrite, Class::Write)),
    ("/tap.v1.Events/GetReceipt", Route::Key(Scope::EventsWrite, Class::Read)),
    ("/tap.v1.Events/GetEvent", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/ListEvents", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/QueryEvents", Route::Key(Scope::EventsRead, Class::Query)),
    // Fresh ones cost a query, besides.
    ("/tap.v1.Events/StreamEvents", Route::Key(Scope::EventsRead, Class::Stream)),
    ("/tap.v1.Events/UpdateEvent", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/ReplaceEvent", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/DeleteEvent", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/ListEventErrors", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/GetEventError", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/GroupEventErrors", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/ReplayEventErrors", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/PutEventType", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/GetEventType", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/ListEventTypes", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/DeleteEventType", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Events/GetIngestLedger", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/GetEventSettings", Route::Key(Scope::EventsRead, Class::Read)),
    ("/tap.v1.Events/UpdateEventSettings", Route::Key(Scope::EventsWrite, Class::Change)),
    ("/tap.v1.Coupons/CreateCoupon", Route::Key(Scope::CouponsWrite, Class::Change)),
    ("/tap.v1.Coupons/BatchCreateCoupons", Route::Key(Scope::CouponsWrite, Class::Change)),
    ("/tap.v1.Coupons/GenerateCoupons", Route::Key(Scope::CouponsWrite, Class::Change)),
    ("/tap.v1.Coupons/GetCoupon", Route::Key(Scope::CouponsRead, Class::Read)),
    ("/tap.v1.Coupons/ListCoupons", Route::Key(Scope::CouponsRead, Class::Read)),
    ("/tap.v1.Coupons/UpdateCoupon", Route::Key(Scope::CouponsWrite, Class::Change)),
    ("/tap.v1.Coupons/DeleteCoupon", Route::Key(Scope::CouponsWrite, Class::Change)),
    ("/tap.v1.Coupons/CheckCoupon", Route::Key(Scope::CouponsRedeem, Class::Read)),
    ("/tap.v1.Coupons/RedeemCoupon", Route::Key(Scope::CouponsRedeem, Class::Write)),
    ("/tap.v1.Coupons/ReleaseRedemption", Route::Key(Scope::CouponsRedeem, Class::Write)),
    ("/tap.v1.Coupons/GetRedemption", Route::Key(Scope::CouponsWrite, Class::Read)),
    ("/tap.v1.Coupons/ListRedemptions", Route::Key(Scope::CouponsWrite, Class::Read)),
    ("/tap.v1.Coupons/QueryRedemptions", Route::Key(Scope::CouponsRead, Class::Query)),
    // It needs those of taps and events, besides.
    ("/tap.v1.Coupons/QueryFunnel", Route::Key(Scope::CouponsRead, Class::Query)),
    ("/tap.v1.Dialogs/RecordMessage", Route::Key(Scope::DialogsWrite, Class::Write)),
    ("/tap.v1.Dialogs/SetConsent", Route::Key(Scope::DialogsWrite, Class::Write)),
    ("/tap.v1.Dialogs/WithdrawConsent", Route::Key(Scope::DialogsWrite, Class::Write)),
    ("/tap.v1.Dialogs/ListMessages", Route::Key(Scope::DialogsRead, Class::Read)),
    ("/tap.v1.Dialogs/ListConsents", Route::Key(Scope::DialogsRead, Class::Read)),
    // It needs that to look, besides; and so does to change settings.
    ("/tap.v1.Dialogs/EraseCustomer", Route::Key(Scope::DialogsWrite, Class::Change)),
    ("/tap.v1.Dialogs/ExportCustomer", Route::Key(Scope::DialogsRead, Class::Read)),
    ("/tap.v1.Dialogs/ListErasures", Route::Key(Scope::DialogsRead, Class::Read)),
    ("/tap.v1.Dialogs/GetDialogSettings", Route::Key(Scope::DialogsRead, Class::Read)),
    ("/tap.v1.Dialogs/UpdateDialogSettings", Route::Key(Scope::DialogsWrite, Class::Change)),
    ("/tap.v1.Imports/UploadImport", Route::InTurn(Scope::ImportsWrite, Class::Write)),
    ("/tap.v1.Imports/GetImport", Route::Key(Scope::ImportsRead, Class::Read)),
    ("/tap.v1.Imports/ListImports", Route::Key(Scope::ImportsRead, Class::Read)),
    ("/tap.v1.Imports/WatchImport", Route::Key(Scope::ImportsRead, Class::Stream)),
    ("/tap.v1.Imports/ListImportRows", Route::Key(Scope::ImportsRead, Class::Read)),
    // It needs that to look, besides.
    ("/tap.v1.Imports/PatchImportRow", Route::InTurn(Scope::ImportsWrite, Class::Change)),
    ("/tap.v1.Imports/GetImportReport", Route::InTurn(Scope::ImportsRead, Class::Read)),
    // Tags need that to change them, besides; as to upload them.
    ("/tap.v1.Imports/CommitImport", Route::InTurn(Scope::ImportsWrite, Class::Change)),
    ("/tap.v1.Imports/CancelImport", Route::Key(Scope::ImportsWrite, Class::Change)),
    ("/tap.v1.Imports/ListUsers", Route::InTurn(Scope::ImportsRead, Class::Read)),
    ("/tap.v1.Imports/GetUser", Route::Key(Scope::ImportsRead, Class::Read)),
    ("/tap.v1.Imports/DeleteUser", Route::InTurn(Scope::ImportsWrite, Class::Change)),
    ("/tap.v1.ApiKeys/CreateApiKey", Route::Key(Scope::KeysManage, Class::Change)),
    ("/tap.v1.ApiKeys/ListApiKeys", Route::Key(Scope::KeysManage, Class::Read)),
    ("/tap.v1.ApiKeys/GetApiKey", Route::Key(Scope::KeysManage, Class::Read)),
    ("/tap.v1.ApiKeys/UpdateApiKey", Route::Key(Scope::KeysManage, Class::Change)),
    ("/tap.v1.ApiKeys/RotateApiKey", Route::Key(Scope::KeysManage, Class::Change)),
    ("/tap.v1.ApiKeys/RevokeApiKey", Route::Key(Scope::KeysManage, Class::Change)),
    ("/tap.v1.ApiKeys/ListKeyEvents", Route::Key(Scope::KeysManage, Class::Read)),
    ("/tap.v1.ApiKeys/IssueToken", Route::Own(Class::Change)),
    ("/tap.v1.ApiKeys/WhoAmI", Route::AnyKey),
    ("/tap.v1.ApiKeys/GetQuota", Route::AnyKey),
    ("/", Route::Public),
    ("/imports", Route::Public),
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
            Self::Own(class)
            | Self::Key(_, class)
            | Self::InTurn(_, class)
            | Self::ByTag(_, class) => Some(*class),
            Self::Public | Self::AnyKey | Self::Unknown => None,
        }
    }

    /// The scope that it asks for.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Key(scope, _) | Self::InTurn(scope, _) | Self::ByTag(scope, _) => Some(*scope),
            Self::Public | Self::AnyKey | Self::Own(_) | Self::Unknown => None,
        }
    }

    /// Whether a caller whose key is valid may call here. Methods may ask for another scope besides, by
    /// [`Caller::needs`].
    ///
    /// # Errors
    /// [`Error::ScopeMissing`], [`Error::Denied`] or [`Error::UnknownMethod`].
    pub fn check(&self, caller: &Caller) -> Result<(), Error> {
        if *self == Self::Unknown {
            return Err(Error::UnknownMethod);
        }
        if let Some(scope) = self.scope().filter(|scope| !caller.scopes.contains(scope)) {
            return Err(Error::ScopeMissing { scope: scope.as_str() });
        }
        let denied = match self {
            Self::Own(_) if caller.token.is_some() => "a token may not do this: use its key",
            Self::Key(..) | Self::InTurn(..) if caller.tags().is_some() => {
                "a token that is limited to some tags may only count and stream taps"
            }
            _ => return Ok(()),
        };
        Err(Error::Denied { reason: reasons::TOKEN_NOT_ENOUGH, message: denied.to_owned() })
    }

    /// Whether it redeems, or gives back, or takes what a customer says: one small thing, of which many come at a time.
    #[must_use]
    pub fn writes_little(self) -> bool {
        matches!(self, Self::Key(Scope::CouponsRedeem | Scope::DialogsWrite, Class::Write))
    }

    /// Whether an `EventSource` may call here, which can send a token by no header.
    fn by_event_source(self) -> bool {
        self.class() == Some(Class::Stream) && self.scope().is_some_and(Scope::reads)
    }
}

/// Who calls. In the extensions of every request past the interceptor.
#[derive(Clone, Debug)]
pub struct Caller {
    pub team: TeamId,
    /// The name of the team in addresses.
    pub team_slug: Arc<str>,
    pub key: KeyId,
    pub about: Arc<KeyAbout>,
    /// What the caller may do: the key, or the token of it that was sent.
    pub scopes: Arc<[Scope]>,
    /// Set when it is a token that was sent.
    pub token: Option<Arc<TokenLimits>>,
    /// The quotas of the key.
    pub quotas: Arc<Quotas>,
    /// How long the key lives, and what it has open.
    pub life: Arc<KeyLife>,
    /// What all keys of the team have under way together.
    pub share: Arc<TeamShare>,
}

/// What else is known of a key.
#[derive(Clone, Debug)]
pub struct KeyAbout {
    pub name: String,
    pub prefix: String,
    pub team_name: String,
    pub queries_per_hour: u32,
    pub expires_at: Option<DateTime<Utc>>,
}

/// What is special about a token.
#[derive(Clone, Debug)]
pub struct TokenLimits {
    pub expires_at: DateTime<Utc>,
    /// Cancelled when the secret that it is signed with is dropped.
    pub dropped: CancellationToken,
    /// `None`: all tags of the team.
    pub tags: Option<Vec<TagId>>,
}

impl Caller {
    /// The tags that the caller may count and stream; `None`: all of the team.
    #[must_use]
    pub fn tags(&self) -> Option<&[TagId]> {
        self.token.as_ref()?.tags.as_deref()
    }

    /// Asks for another scope, besides that of the path.
    ///
    /// # Errors
    /// [`Error::ScopeMissing`].
    pub fn needs(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Error::ScopeMissing { scope: scope.as_str() })
    }

    /// The caller of a request that the interceptor let in.
    ///
    /// # Errors
    /// [`Error::Internal`] when a service was put outside the interceptor.
    ///
    /// [`Error::Unauthenticated`] when the key has ended, or may do less, since then: the rest of a request
    /// may come long after its head.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Error> {
        let caller = request.extensions().get::<Self>().cloned().ok_or_else(|| {
            Error::internal(anyhow::anyhow!("no caller: the interceptor was passed by"))
        })?;
        if caller.life.ended.is_cancelled() {
            return Err(INVALID);
        }
        Ok(caller)
    }
}

/// The same for every key that is not valid, so that nothing can be learned by trying.
pub(crate) const INVALID: Error = Error::Unauthenticated {
    reason: reasons::API_KEY_INVALID,
    message: "this API key is not valid: it may be mistyped, revoked, or sent twice; check it, or get a new one",
};
pub(crate) const EXPIRED: Error = Error::Unauthenticated {
    reason: reasons::API_KEY_EXPIRED,
    message: "this API key has expired: use a new one",
};
pub(crate) const TOKEN_EXPIRED: Error = Error::Unauthenticated {
    reason: reasons::TOKEN_EXPIRED,
    message: "this token has expired: trade the key for a new one",
};
const NOT_A_TOKEN: Error = Error::Unauthenticated {
    reason: reasons::API_KEY_INVALID,
    message: "access_token takes one token, and no key: trade the key at POST /v1/tokens. Rotate a key that was in an address: it may be kept there",
};
const MISSING: Error = Error::Unauthenticated {
    reason: reasons::API_KEY_MISSING,
    message: "an API key is needed: send it in the header x-api-key, or as authorization: Bearer KEY",
};

/// The key or token as the caller sent it: `x-api-key` wins over `authorization: Bearer`, and, where an
/// `EventSource` may call, this over `?access_token=`.
///
/// No more lenient than the patterns in envoy.yaml: a key that Envoy does not see as we do would let
/// its holder choose the replica, and have a quota on each.
///
/// # Errors
/// [`Error::Unauthenticated`] when there is none, or one that cannot be read.
pub fn presented(metadata: &MetadataMap, route: Route) -> Result<&str, Error> {
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
        // Envoy goes by a header that is there, whatever is in it.
        None if route.by_event_source() && !metadata.contains_key("authorization") => {
            access_token(metadata)
        }
        None => Err(MISSING),
    }
}

/// The token in the query of the path that Envoy was called by. A key does not belong there: it would be
/// in the history of browsers, and it does not end by itself.
fn access_token(metadata: &MetadataMap) -> Result<&str, Error> {
    let path = metadata.get("x-envoy-original-path").and_then(|path| path.to_str().ok());
    let (_, query) = path.and_then(|path| path.split_once('?')).ok_or(MISSING)?;
    let mut tokens = query.split('&').filter_map(|pair| pair.strip_prefix("access_token="));
    let token = tokens.next().ok_or(MISSING)?;
    if tokens.next().is_none() && token.contains('.') { Ok(token) } else { Err(NOT_A_TOKEN) }
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
        let span = tracing::Span::current();
        let note = |caller: &Caller| {
            span.record("team", caller.team.0);
            span.record("key", tracing::field::display(caller.key));
        };
        match self.directory.admit(request.metadata(), request.remote_addr(), route) {
            Ok(caller) => {
                note(&caller);
                request.extensions_mut().insert(caller);
                Ok(request)
            }
            Err(Refused { error, caller }) => {
                let mut status = Status::from(error);
                if let Some(caller) = caller {
                    note(&caller);
                    limits::show_any(status.metadata_mut(), &caller, route.class());
                }
                Err(status)
            }
        }
    }
}
