//! `StreamTaps` and `WatchTaps`: what is asked for, and the frames.

use chrono_tz::Tz;

use super::{class_value, classes, instant, number, tag_uids};
use crate::{
    error::Error,
    feeds::{
        Followed as _, follow,
        wire::{self as feeds, Part},
    },
    proto::{
        Encoded,
        tap_v1::{
            QueryTapsResponse, StreamTapsRequest, StreamTapsResponse, Tap, WatchTapsResponse,
            stream_taps_response, watch_taps_response,
        },
    },
    taps::{
        live::LiveTaps,
        model::{NamedTap, TapClass},
        watch,
    },
    wire::kind_value,
};

/// What to stream.
#[derive(Clone, Debug)]
pub struct StreamRequest {
    /// Sorted, each once. Empty: all.
    pub tag_uids: Vec<String>,
    /// `None`: from now on.
    pub resume_token: Option<String>,
    /// `None`: all.
    pub classes: Option<Vec<TapClass>>,
}

/// Checks a request.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn stream_request(request: StreamTapsRequest) -> Result<StreamRequest, Error> {
    let mut bad = Vec::new();
    let classes = classes(&request.include, &mut bad);
    let request = StreamRequest {
        tag_uids: tag_uids(request.tag_uids, &mut bad),
        resume_token: Some(request.resume_token).filter(|token| !token.is_empty()),
        classes: (classes.len() < TapClass::ALL.len()).then_some(classes),
    };
    if bad.is_empty() { Ok(request) } else { Err(Error::Invalid(bad)) }
}

/// A frame of a stream, with the token of the place after it.
#[must_use]
pub fn stream_frame(frame: follow::Frame<LiveTaps>, token: impl FnOnce() -> String) -> Encoded {
    use stream_taps_response::Frame;
    feeds::frame(frame, token, |part| {
        let frame = match part {
            Part::Hello(hello) => Frame::Hello(hello),
            Part::Item(named, token) => Frame::Tap(tap(named, token)),
            Part::Heartbeat(heartbeat) => Frame::Heartbeat(heartbeat),
            Part::End(end) => Frame::End(end),
        };
        Encoded::new(&StreamTapsResponse { frame: Some(frame) })
    })
}

/// A frame of a watch, with the token of what is counted in it.
#[must_use]
pub fn watch_frame(frame: watch::Frame, token: impl FnOnce() -> String) -> WatchTapsResponse {
    use watch_taps_response::Frame;
    let frame = match frame {
        watch::Frame::Answer(answer) => {
            Frame::Answer(QueryTapsResponse { resume_token: token(), ..*answer })
        }
        watch::Frame::Change(mut change) => {
            change.resume_token = token();
            Frame::Change(change)
        }
        watch::Frame::Heartbeat => Frame::Heartbeat(feeds::heartbeat(token())),
        watch::Frame::End(reason) => Frame::End(feeds::end(reason, LiveTaps::NAME)),
    };
    WatchTapsResponse { frame: Some(frame) }
}

fn tap(named: &NamedTap, resume_token: String) -> Tap {
    let stored = &named.stored;
    let tap = &stored.tap;
    Tap {
        tag_uid: named.tag_uid.to_string(),
        tag_label: named.tag_label.to_string(),
        tap_id: tap.tap_id.to_string(),
        tapped_at: instant(Tz::UTC, tap.tapped_at),
        received_at: instant(Tz::UTC, stored.received_at),
        count: number(tap.count.into()),
        kind: kind_value(tap.kind),
        class: class_value(tap.class).into(),
        country: tap.country.clone().unwrap_or_default(),
        device: tap.device.clone().unwrap_or_default(),
        attributes: tap
            .attributes
            .iter()
            // Envoy 1.40 ends, with everything that it does, over a pair without a value.
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        resume_token,
    }
}
