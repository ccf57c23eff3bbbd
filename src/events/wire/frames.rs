//! `StreamEvents`: what is asked for, and the frames.

use super::events;
use crate::{
    error::Error,
    events::{
        live::{LiveEvents, Wanted},
        model::{CATEGORY_CHARS_MAX, NAME_CHARS_MAX},
    },
    feeds::{
        follow,
        wire::{self as feeds, Part},
    },
    proto::{
        Encoded,
        tap_v1::{
            StreamEventsRequest, StreamEventsResponse, StreamedEvent, stream_events_response,
        },
    },
    wire::{own_id, wanted},
};

/// Checks what to stream, and from where on: `None`, from now on.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn stream_request(request: StreamEventsRequest) -> Result<(Wanted, Option<String>), Error> {
    let mut bad = Vec::new();
    let what = Wanted {
        category: wanted("category", request.category, CATEGORY_CHARS_MAX, &mut bad),
        name: wanted("name", request.name, NAME_CHARS_MAX, &mut bad),
        session_id: own_id("session_id", &request.session_id, &mut bad),
    };
    let token = Some(request.resume_token).filter(|token| !token.is_empty());
    if bad.is_empty() { Ok((what, token)) } else { Err(Error::Invalid(bad)) }
}

/// A frame of a stream, with the token of the place after it.
#[must_use]
pub fn stream_frame(frame: follow::Frame<LiveEvents>, token: impl FnOnce() -> String) -> Encoded {
    use stream_events_response::Frame;
    feeds::frame(frame, token, |part| {
        let frame = match part {
            Part::Hello(hello) => Frame::Hello(hello),
            Part::Item(event, resume_token) => {
                Frame::Event(StreamedEvent { event: Some(events::event(event)), resume_token })
            }
            Part::Heartbeat(heartbeat) => Frame::Heartbeat(heartbeat),
            Part::End(end) => Frame::End(end),
        };
        Encoded::new(&StreamEventsResponse { frame: Some(frame) })
    })
}
