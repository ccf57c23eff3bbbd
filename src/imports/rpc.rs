//! The service `tap.v1.Imports`: who, what, do, answer.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Request, Response, Status, Streaming, metadata::MetadataValue};

use super::{
    archive::{Archive, Known},
    commit::Committer,
    kind::Kind,
    model::State,
    report::{self, As, Report},
    review,
    shelf::{Import, New, wrong_state},
    upload::Uploader,
    watch::Watcher,
    wire::{self, commits, imports, rows, users},
};
use crate::{
    access::model::Scope,
    auth::Caller,
    error::Error,
    ids::TeamId,
    paging::Pages,
    proto::{
        HttpBody,
        tap_v1::{
            self, CancelImportRequest, CommitImportRequest, CommitImportResponse,
            DeleteUserRequest, DeleteUserResponse, GetImportReportRequest, GetImportRequest,
            GetUserRequest, ImportRow, ListImportRowsRequest, ListImportRowsResponse,
            ListImportsRequest, ListImportsResponse, ListUsersRequest, ListUsersResponse,
            PatchImportRowRequest, UploadImportRequest, User, WatchImportRequest,
            WatchImportResponse,
        },
        tap_v1_server::imports_server,
    },
    streams::{self, Streams},
    transcoded::{is_http, say_http},
};

/// Bytes of a report that are sent at a time.
const PIECE: usize = 256 * 1024;

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Imports {
    pub uploader: Uploader,
    pub committer: Committer,
    pub archive: Archive,
    pub pages: Pages,
    pub streams: Streams,
    /// Held by whoever makes a report: it keeps a core busy.
    pub reports: Arc<Semaphore>,
    /// Held by whoever looks at users: the store may have to look at all of them.
    pub searches: Arc<Semaphore>,
}

type Reply<T> = Result<Response<T>, Status>;
type Frames<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl imports_server::Imports for Imports {
    type WatchImportStream = Frames<WatchImportResponse>;
    type GetImportReportStream = Frames<HttpBody>;

    async fn upload_import(
        &self,
        request: Request<Streaming<UploadImportRequest>>,
    ) -> Reply<tap_v1::Import> {
        let caller = Caller::of(&request)?;
        let by_http = is_http(request.metadata());

        let _turn = streams::turn_of_team(&caller.share.uploads).await?;
        let allowed = |new: &New| changes(&caller, new.kind);
        let show = |import: &Import| self.shown(import);
        let pieces = request.into_inner();
        let shown = self.uploader.upload(caller.team, pieces, allowed, show).await?;

        let location = format!("/v1/imports/{}", shown.id);
        let mut response = Response::new(shown);
        if by_http {
            let metadata = response.metadata_mut();
            say_http(metadata, "201");
            metadata.insert("location", location.parse().map_err(Error::internal)?);
        }
        Ok(response)
    }

    async fn get_import(&self, request: Request<GetImportRequest>) -> Reply<tap_v1::Import> {
        let Caller { team, .. } = Caller::of(&request)?;
        let id = wire::id("import_id", &request.into_inner().import_id)?;

        let known = self.archive.get(team, id).await?;

        Ok(Response::new(imports::known_import(&known, self.archive.shelf.idle)))
    }

    async fn list_imports(
        &self,
        request: Request<ListImportsRequest>,
    ) -> Reply<ListImportsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let listing = imports::list_request(&request.into_inner(), team, &self.pages)?;

        let listed = self.archive.list(team, &listing.page).await?;

        let idle = self.archive.shelf.idle;
        Ok(Response::new(imports::list_response(&listing, &listed, idle, team, &self.pages)))
    }

    async fn watch_import(
        &self,
        request: Request<WatchImportRequest>,
    ) -> Reply<Self::WatchImportStream> {
        let caller = Caller::of(&request)?;
        let id = wire::id("import_id", &request.into_inner().import_id)?;

        let frames: Self::WatchImportStream = match self.archive.get(caller.team, id).await? {
            Known::Held(import) => {
                let lifeline = self.streams.open(&caller, "import")?;
                let watcher = Watcher::new(import, self.archive.shelf.idle, lifeline);
                Box::pin(stream::unfold(watcher, |mut watcher| async move {
                    let frame = watcher.next().await?;
                    Some((Ok(frame), watcher))
                }))
            }
            Known::Stored(committed) => {
                let frame = imports::frame(imports::stored_import(&committed));
                let end = imports::end(crate::streams::EndReason::Done);
                Box::pin(stream::iter([Ok(frame), Ok(end)]))
            }
        };

        Ok(Response::new(frames))
    }

    async fn list_import_rows(
        &self,
        request: Request<ListImportRowsRequest>,
    ) -> Reply<ListImportRowsResponse> {
        let Caller { team, .. } = Caller::of(&request)?;
        let (id, listing) = rows::list_request(request.into_inner(), team, &self.pages)?;
        let import = self.held(team, id).await?;

        let listed = review::list(&import, &listing.filter, &listing.page)?;

        let kind = import.new.kind;
        Ok(Response::new(rows::list_response(&listing, &listed, kind, team, &self.pages)))
    }

    async fn patch_import_row(&self, request: Request<PatchImportRowRequest>) -> Reply<ImportRow> {
        let caller = Caller::of(&request)?;
        // It shows the row.
        caller.needs(Scope::ImportsRead)?;
        let change = rows::patch_request(request.into_inner())?;
        let import = self.held(caller.team, change.import).await?;
        let patch = change.of(import.new.kind)?;

        let turns = &caller.share.patches;
        let shown = review::patch(&self.committer.compare, &import, turns, patch).await?;

        Ok(Response::new(rows::row(import.new.kind, &shown)))
    }

    async fn get_import_report(
        &self,
        request: Request<GetImportReportRequest>,
    ) -> Reply<Self::GetImportReportStream> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let (id, as_file) = rows::report_request(&request)?;
        let import = self.held(caller.team, id).await?;

        // That of the team is held until the report is read.
        let of_team = streams::turn_of_team(&caller.share.reports).await?;
        let turn = Arc::clone(&self.reports).acquire_owned().await.map_err(Error::internal)?;
        let reserved = self.archive.shelf.budget.open_report(caller.team);
        let write = move || {
            let _turn = turn;
            report::write(&import, as_file, request.all, reserved)
        };
        let report = tokio::task::spawn_blocking(write).await.map_err(Error::internal)??;

        Ok(download(report, as_file, of_team))
    }

    async fn commit_import(
        &self,
        request: Request<CommitImportRequest>,
    ) -> Reply<CommitImportResponse> {
        let caller = Caller::of(&request)?;
        let request = request.into_inner();
        let wanted = commits::request(&caller, &request)?;

        if let Known::Held(import) = self.archive.get(caller.team, wanted.import).await? {
            changes(&caller, import.new.kind)?;
        }

        let turn = streams::turn_of_team(&caller.share.commits).await?;
        let outcomes = if request.validate_only {
            self.committer.plan(wanted).await?
        } else {
            self.committer.commit(wanted, turn).await?
        };

        Ok(Response::new(commits::response(&outcomes, self.archive.shelf.idle)))
    }

    async fn cancel_import(&self, request: Request<CancelImportRequest>) -> Reply<tap_v1::Import> {
        let Caller { team, .. } = Caller::of(&request)?;
        let id = wire::id("import_id", &request.into_inner().import_id)?;
        let known = self.archive.get(team, id).await?;

        if let Known::Held(import) = &known
            && !import.end(State::Cancelled, Vec::new())
            && import.held().state == State::Committing
        {
            return Err(wrong_state(State::Committing, "wait until it is stored").into());
        }

        Ok(Response::new(imports::known_import(&known, self.archive.shelf.idle)))
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Reply<ListUsersResponse> {
        let caller = Caller::of(&request)?;
        let team = caller.team;
        let listing = users::list_request(request.into_inner(), team, &self.pages)?;

        let _of_team = streams::turn_of_team(&caller.share.searches).await?;
        let _turn = streams::turn_of_all(&self.searches).await?;
        let listed = self.archive.list_users(team, &listing.filter, &listing.page).await?;

        Ok(Response::new(users::list_response(&listing, &listed, team, &self.pages)))
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Reply<User> {
        let Caller { team, .. } = Caller::of(&request)?;
        let id = wire::id("user_id", &request.into_inner().user_id)?;

        let user = self.archive.get_user(team, id).await?;

        Ok(Response::new(users::user(&user)))
    }

    async fn delete_user(&self, request: Request<DeleteUserRequest>) -> Reply<DeleteUserResponse> {
        let caller = Caller::of(&request)?;
        let by_http = is_http(request.metadata());
        let id = wire::id("user_id", &request.into_inner().user_id)?;

        let _turn = streams::turn_of_team(&caller.share.commits).await?;
        self.archive.delete_user(caller.team, id).await?;

        let mut response = Response::new(DeleteUserResponse {});
        if by_http {
            say_http(response.metadata_mut(), "204");
        }
        Ok(response)
    }
}

impl Imports {
    fn shown(&self, import: &Import) -> tap_v1::Import {
        imports::held_import(import, self.archive.shelf.idle)
    }

    /// An import that is held here, with its rows.
    async fn held(&self, team: TeamId, id: uuid::Uuid) -> Result<Arc<Import>, Error> {
        match self.archive.get(team, id).await? {
            Known::Held(import) => Ok(import),
            // It was committed before a restart, or nobody came for it since.
            Known::Stored(_) => Err(wrong_state(State::Committed, "its rows are held no longer")),
        }
    }
}

/// Whoever uploads or commits what is of another area needs the scope of that area, besides.
fn changes(caller: &Caller, kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Users => Ok(()),
        Kind::Tags => caller.needs(Scope::TagsWrite),
    }
}

/// A report as an answer that is sent piece by piece, and saved as a file. Its turn and its memory are held until it is
/// read, or nobody reads it any more.
fn download(report: Report, file: As, turn: OwnedSemaphorePermit) -> Response<Frames<HttpBody>> {
    let size = report.bytes.len();
    let pieces = (0..size.max(1)).step_by(PIECE).map(move |from| {
        let _held = &turn;
        let data = report.bytes.slice(from..(from + PIECE).min(size));
        Ok(HttpBody { content_type: report.content_type.to_owned(), data })
    });
    let frames: Frames<HttpBody> = stream::iter(pieces).boxed();
    let mut response = Response::new(frames);
    let metadata = response.metadata_mut();
    metadata.insert("cache-control", MetadataValue::from_static("no-store"));
    let name = match file {
        As::Csv => "attachment; filename=\"report.csv\"",
        As::Xlsx => "attachment; filename=\"report.xlsx\"",
    };
    metadata.insert("content-disposition", MetadataValue::from_static(name));
    response
}
