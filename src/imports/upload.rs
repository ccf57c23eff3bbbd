//! Takes a file as it comes: as it is, or in a form. It is held in memory, and nowhere else.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use multer::{Constraints, Multipart, SizeLimit};
use tokio::time;
use tonic::{Code, Status};

use super::{
    check::Checker,
    model::{FILE_BYTES_MAX, FILENAME_CHARS_MAX, State},
    shelf::{Import, New, Shelf},
    wire::uploads::{self, First},
};
use crate::{error::Error, ids::TeamId, proto::tap_v1::UploadImportRequest, reasons};

/// How long an upload may take.
const TIMEOUT: Duration = Duration::from_mins(5);
/// What a form has around its file.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Memory is reserved in pieces of so many bytes.
const PIECE: usize = 1024 * 1024;

/// Takes uploads, and has them checked.
#[derive(Clone, Debug)]
pub struct Uploader {
    pub shelf: Shelf,
    pub checker: Checker,
}

impl Uploader {
    /// Takes a file, and shows it as it is before it is checked: that begins then, and goes on after this has returned.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::LimitReached`]; what ended the stream.
    pub async fn upload<T>(
        &self,
        team: TeamId,
        pieces: impl Stream<Item = Result<UploadImportRequest, Status>> + Send + Unpin + 'static,
        show: impl FnOnce(&Import) -> T,
    ) -> Result<T, Status> {
        let received = time::timeout(TIMEOUT, self.receive(team, pieces)).await;
        let (import, file) = received.map_err(|_| too_slow())??;
        let begun = import.change(|held| {
            let begun = held.state == State::Uploading;
            if begun {
                (held.state, held.progress) = (State::Checking, 0.0);
            }
            begun
        });
        let shown = show(&import);
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
        file: Vec<u8>,
    ) -> Result<Arc<Import>, Error> {
        let import = self.shelf.begin(team, new, filename)?;
        import.change(|held| {
            held.reserved.grow(file.len())?;
            (held.state, held.file_bytes) = (State::Checking, file.len());
            Ok::<_, Error>(())
        })?;
        let checker = self.checker.clone();
        tokio::spawn({
            let import = Arc::clone(&import);
            async move { checker.check(import, file).await }
        });
        Ok(import)
    }

    async fn receive(
        &self,
        team: TeamId,
        mut pieces: impl Stream<Item = Result<UploadImportRequest, Status>> + Send + Unpin + 'static,
    ) -> Result<(Arc<Import>, Vec<u8>), Status> {
        let first = pieces.next().await.transpose()?.unwrap_or_default();
        let First { new, filename, boundary, data } = uploads::first(first)?;
        let rest = pieces.map(|piece| piece.map(|piece| piece.file.unwrap_or_default().data));
        let bytes = stream::iter([Ok(data)]).chain(rest);
        let import = self.shelf.begin(team, new, filename)?;
        let unfinished = Unfinished { shelf: &self.shelf, import: Some(&import) };
        let (name, file) = match boundary {
            None => (None, collect(&import, bytes).await?),
            Some(boundary) => form(&import, boundary, bytes).await?,
        };
        if file.is_empty() {
            return Err(uploads::empty().into());
        }
        unfinished.finished();
        // A form says what its file is called.
        if let Some(name) = name {
            let mut held = import.held();
            if held.filename.is_empty() {
                held.filename = name;
            }
        }
        Ok((import, file))
    }
}

/// Gathers the bytes of a file.
async fn collect(
    import: &Import,
    mut bytes: impl Stream<Item = Result<Bytes, Status>> + Unpin,
) -> Result<Vec<u8>, Status> {
    let mut file = Vec::new();
    while let Some(piece) = bytes.next().await {
        take(import, &mut file, &piece?)?;
    }
    Ok(file)
}

/// Adds to a file what came of it.
fn take(import: &Import, file: &mut Vec<u8>, piece: &[u8]) -> Result<(), Error> {
    let size = file.len() + piece.len();
    if size > FILE_BYTES_MAX {
        return Err(uploads::too_large());
    }
    if import.gone.is_cancelled() {
        return Err(super::shelf::wrong_state(State::Cancelled, "upload the file again"));
    }
    if size > file.capacity() {
        // While it grows it is there twice.
        let more = (file.capacity() / 2).max(PIECE).max(piece.len());
        import.held().reserved.grow(more)?;
        file.reserve_exact(more);
    }
    file.extend_from_slice(piece);
    import.change(|held| held.file_bytes = size);
    Ok(())
}

/// Gathers the one file of a form, and what it is called there.
async fn form(
    import: &Import,
    boundary: String,
    bytes: impl Stream<Item = Result<Bytes, Status>> + Send + Unpin + 'static,
) -> Result<(Option<String>, Vec<u8>), Status> {
    let most = (FILE_BYTES_MAX + FORM_BYTES_MAX) as u64;
    let limit = SizeLimit::new().whole_stream(most).per_field(most);
    let constraints = Constraints::new().size_limit(limit);
    let bytes = bytes.map_err(std::io::Error::other);
    let mut parts = Multipart::with_constraints(bytes, boundary, constraints);
    let mut found: Option<(Option<String>, Vec<u8>)> = None;
    while let Some(mut part) = parts.next_field().await.map_err(form_error)? {
        let Some(name) = part.file_name().map(str::to_owned) else { continue };
        if found.is_some() {
            return Err(uploads::several_files().into());
        }
        let mut file = Vec::new();
        while let Some(piece) = part.chunk().await.map_err(form_error)? {
            take(import, &mut file, &piece)?;
        }
        let name = Some(name).filter(|name| name.chars().count() <= FILENAME_CHARS_MAX);
        found = Some((name, file));
    }
    found.ok_or_else(|| uploads::no_file().into())
}

/// What is wrong with a form; or with the stream that it came by.
fn form_error(error: multer::Error) -> Status {
    match error {
        multer::Error::StreamSizeExceeded { .. } | multer::Error::FieldSizeExceeded { .. } => {
            uploads::too_large().into()
        }
        multer::Error::StreamReadFailed(cause) => {
            let status = cause
                .downcast::<std::io::Error>()
                .ok()
                .and_then(|cause| cause.into_inner())
                .and_then(|cause| cause.downcast::<Status>().ok());
            status.map_or_else(|| Status::new(Code::Cancelled, "the upload was cut off"), |s| *s)
        }
        _ => uploads::no_form().into(),
    }
}

fn too_slow() -> Status {
    Error::invalid(
        "file",
        reasons::UPLOAD_TOO_SLOW,
        "did not come within five minutes: send it again",
    )
    .into()
}

/// Forgets an import of which the file did not come.
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
        if let Some(import) = self.import {
            self.shelf.remove(import);
        }
    }
}
