//! Takes a file as it comes: as it is, or in a form. It is held in memory, and nowhere else.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use multer::Multipart;
use tokio::{sync::Semaphore, time};
use tonic::Status;

use super::{
    budget::Reserved,
    check::Checker,
    model::{FILE_BYTES_MAX, State},
    shelf::{Import, New, Shelf, wrong_state},
    wire::uploads::{self, First},
};
use crate::{error::Error, ids::TeamId, proto::tap_v1::UploadImportRequest, reasons, streams};

/// Files that come at a time, of all teams.
pub const AT_A_TIME: usize = 64;
/// How long an upload may take.
const TIMEOUT: Duration = Duration::from_mins(5);
/// What a form has around its file.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Memory is reserved in pieces of so many bytes.
const PIECE: usize = 1024 * 1024;

/// A file, and the memory that it takes.
pub struct File {
    pub bytes: Vec<u8>,
    pub reserved: Reserved,
}
says_nothing!(File);

/// Takes uploads, and has them checked.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub shelf: Shelf,
    pub checker: Checker,
    /// Held by each file that comes.
    pub turns: Arc<Semaphore>,
}

impl Uploader {
    /// Takes a file. It is checked after this has returned, and an import says how it is before that.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::LimitReached`], [`Error::Busy`]; what ended the stream.
    pub async fn upload<T>(
        &self,
        team: TeamId,
        pieces: impl Stream<Item = Result<UploadImportRequest, Status>> + Send + Unpin,
        allowed: impl FnOnce(&New) -> Result<(), Error>,
        shown: impl FnOnce(&Import) -> T,
    ) -> Result<T, Status> {
        let turn = streams::turn_of_all(&self.turns).await?;
        let received = time::timeout(TIMEOUT, self.receive(team, pieces, allowed)).await;
        let (import, file) = received.map_err(|_| too_slow())??;
        drop(turn);
        let begun = import.change(|held| {
            let begun = held.state == State::Uploading;
            if begun {
                (held.state, held.progress) = (State::Checking, 0.0);
            }
            begun
        });
        let shown = shown(&import);
        if begun {
            let checker = self.checker.clone();
            tokio::spawn(async move { checker.check(import, file).await });
        }
        Ok(shown)
    }

    /// A file that is here already. It is checked after this has returned.
    ///
    /// # Errors
    /// [`Error::LimitReached`].
    pub fn check(
        &self,
        team: TeamId,
        new: New,
        filename: String,
        bytes: Vec<u8>,
    ) -> Result<Arc<Import>, Error> {
        let import = self.shelf.begin(team, new, filename)?;
        let mut reserved = self.shelf.budget.open(team);
        reserved.grow(bytes.len())?;
        import.change(|held| (held.state, held.file_bytes) = (State::Checking, bytes.len()));
        let (checker, checked) = (self.checker.clone(), Arc::clone(&import));
        let file = File { bytes, reserved };
        tokio::spawn(async move { checker.check(checked, file).await });
        Ok(import)
    }

    async fn receive(
        &self,
        team: TeamId,
        mut pieces: impl Stream<Item = Result<UploadImportRequest, Status>> + Send + Unpin,
        allowed: impl FnOnce(&New) -> Result<(), Error>,
    ) -> Result<(Arc<Import>, File), Status> {
        let first = pieces.next().await.transpose()?.unwrap_or_default();
        let First { new, filename, boundary, data } = uploads::first(first)?;
        allowed(&new)?;
        let rest = pieces.map(|piece| piece.map(|piece| piece.file.unwrap_or_default().data));
        let pieces = stream::iter([Ok(data)]).chain(rest);
        let import = self.shelf.begin(team, new, filename)?;
        let unfinished = Unfinished { shelf: &self.shelf, import: Some(&import) };
        let reserved = self.shelf.budget.open(team);
        let most = FILE_BYTES_MAX + if boundary.is_some() { FORM_BYTES_MAX } else { 0 };
        let given_up = import.gone.cancelled();
        let mut file = tokio::select! {
            file = collect(&import, pieces, File { bytes: Vec::new(), reserved }, most) => file?,
            () = given_up => return Err(wrong_state(State::Cancelled, "upload the file again").into()),
        };
        if let Some(boundary) = boundary {
            let (name, bytes) = form(boundary, &mut file).await?;
            // A form says what its file is called.
            let mut held = import.held();
            held.file_bytes = bytes.len();
            if let Some(name) = name.filter(|_| held.filename.is_empty()) {
                held.filename = uploads::filename(&name)?;
            }
            file.bytes = bytes;
        }
        if file.bytes.is_empty() {
            return Err(uploads::empty().into());
        }
        unfinished.finished();
        Ok((import, file))
    }
}

/// Gathers what comes.
async fn collect(
    import: &Import,
    mut pieces: impl Stream<Item = Result<Bytes, Status>> + Unpin,
    mut file: File,
    most: usize,
) -> Result<File, Status> {
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let size = file.bytes.len() + piece.len();
        if size > most {
            return Err(uploads::too_large().into());
        }
        if size > file.bytes.capacity() {
            let more = (file.bytes.capacity() / 2).max(PIECE).max(piece.len());
            file.reserved.grow(more)?;
            file.bytes.reserve_exact(more);
        }
        file.bytes.extend_from_slice(&piece);
        import.change(|held| held.file_bytes = size);
    }
    Ok(file)
}

/// The one file of a form that has come, and what it is called there.
async fn form(boundary: String, file: &mut File) -> Result<(Option<String>, Vec<u8>), Error> {
    // It is copied while its parts are looked for.
    file.reserved.grow(file.bytes.len())?;
    let whole = Bytes::from(std::mem::take(&mut file.bytes));
    let whole = stream::iter([Ok::<_, std::convert::Infallible>(whole)]);
    let mut parts = Multipart::new(whole, boundary);
    let mut found: Option<(Option<String>, Vec<u8>)> = None;
    while let Some(part) = parts.next_field().await.map_err(|_| uploads::no_form())? {
        let Some(name) = part.file_name().map(str::to_owned) else { continue };
        if found.is_some() {
            return Err(uploads::several_files());
        }
        let bytes = part.bytes().await.map_err(|_| uploads::no_form())?;
        if bytes.len() > FILE_BYTES_MAX {
            return Err(uploads::too_large());
        }
        found = Some((Some(name).filter(|name| !name.is_empty()), bytes.to_vec()));
    }
    let (name, bytes) = found.ok_or_else(uploads::no_file)?;
    file.reserved.shrink_to(bytes.len());
    Ok((name, bytes))
}

fn too_slow() -> Status {
    Error::Aborted {
        reason: reasons::UPLOAD_TOO_SLOW,
        message: "the file did not come within five minutes: send it again".to_owned(),
    }
    .into()
}

/// Ends and forgets an import of which the file did not come.
struct Unfinished<'a> {
    shelf: &'a Shelf,
    import: Option<&'a Arc<Import>>,
}

impl Unfinished<'_> {
    fn finished(mut self) {
        self.import = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let Some(import) = self.import else { return };
        // One that was cancelled is still to be seen; whoever watches another is told its end.
        if import.held().state != State::Cancelled {
            import.end(State::Failed, vec![uploads::cut_off()]);
            self.shelf.remove(import);
        }
    }
}
