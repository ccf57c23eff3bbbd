//! What frames of every stream have in common: the first one, heartbeats, the last one, and that what
//! goes to many is encoded once.

use super::{Followed, follow::Frame, live::Live};
use crate::{
    proto::{
        Encoded,
        tap_v1::{End, Heartbeat, Hello, end_reason},
    },
    streams::{EndReason, HEARTBEAT},
};

/// What an area puts into a response of its own.
#[derive(Debug)]
pub enum Part<'a, T> {
    Hello(Hello),
    /// An item, with the token of the place after it.
    Item(&'a T, String),
    Heartbeat(Heartbeat),
    End(End),
}

/// A frame of a stream, with the token of the place after it.
pub fn frame<K: Followed>(
    frame: Frame<K>,
    token: impl FnOnce() -> String,
    encode: impl FnOnce(Part<'_, K::Item>) -> Encoded,
) -> Encoded {
    match frame {
        Frame::Hello => encode(Part::Hello(hello(token()))),
        // Of many readers the first makes it.
        Frame::Live(place) => {
            let Some(Live { item, encoded }) = place.live() else {
                return Encoded::default();
            };
            let make = || encode(Part::Item(item, token())).into();
            encoded.get_or_init(make).clone().into()
        }
        Frame::Replayed(item) => encode(Part::Item(&item, token())),
        Frame::Heartbeat => encode(Part::Heartbeat(heartbeat(token()))),
        Frame::End(reason) => encode(Part::End(end(reason, K::NAME))),
    }
}

/// The first frame.
#[must_use]
pub fn hello(resume_token: String) -> Hello {
    let heartbeat_seconds = i32::try_from(HEARTBEAT.as_secs()).unwrap_or(i32::MAX);
    Hello { resume_token, heartbeat_seconds }
}

/// A frame for when there is nothing else to send.
#[must_use]
pub fn heartbeat(resume_token: String) -> Heartbeat {
    Heartbeat { resume_token }
}

/// The last frame of a stream of what is called so.
#[must_use]
pub fn end(reason: EndReason, name: &str) -> End {
    use end_reason::Value;
    let (reason, message) = match reason {
        EndReason::Draining => (
            Value::Draining,
            "the service stops or moves: open the stream again with the last token",
        ),
        EndReason::KeyRevoked => (Value::ApiKeyRevoked, "this API key was revoked: use another"),
        EndReason::KeyExpired => (Value::ApiKeyExpired, "this API key has expired: use a new one"),
        EndReason::KeyChanged => (
            Value::ApiKeyChanged,
            "what this API key may do was changed: open the stream again with the last token",
        ),
        EndReason::AccessTokenExpired => (
            Value::AccessTokenExpired,
            "the token that opened this stream has expired: trade the key for a new one",
        ),
        EndReason::TokenExpired => {
            let message = format!(
                "{name} that this stream had yet to send are gone: begin anew without a token"
            );
            return End { reason: Value::ResumeTokenExpired.into(), message };
        }
        EndReason::Done => {
            (Value::Done, "nothing more will happen by itself: there is no need to come back")
        }
        EndReason::Failed => {
            (Value::Failed, "the service cannot go on: open the stream again with the last token")
        }
    };
    End { reason: reason.into(), message: message.to_owned() }
}
