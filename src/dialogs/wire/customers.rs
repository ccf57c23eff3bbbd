//! Erasing customers, and giving out what is held of them.

use uuid::Uuid;

use super::{check_id, consent, message};
use crate::{
    dialogs::{
        archive::{Export, ExportPlace},
        model::{Counts, Erasure, PAGE, PAGE_MAX, hex},
    },
    error::Error,
    ids::TeamId,
    paging::{Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        self, EraseCustomerRequest, EraseCustomerResponse, ErasedCounts, ExportCustomerRequest,
        ExportCustomerResponse,
    },
    wire::{instant, number, own_id},
};

/// Checks whom to erase; returns the id of the request, too.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn erase_request(request: &EraseCustomerRequest) -> Result<Option<Uuid>, Error> {
    let mut bad = Vec::new();
    check_id("customer_id", &request.customer_id, &mut bad);
    let request_id = own_id("request_id", &request.request_id, &mut bad);
    if bad.is_empty() { Ok(request_id) } else { Err(Error::Invalid(bad)) }
}

fn counts(counts: Counts) -> ErasedCounts {
    ErasedCounts {
        messages: number(counts.messages),
        pending_messages: number(counts.pending_messages),
        dialogs: number(counts.dialogs),
        consents: number(counts.consents),
    }
}

/// A receipt as answers have it.
#[must_use]
pub fn erasure(erasure: &Erasure) -> tap_v1::Erasure {
    tap_v1::Erasure {
        id: erasure.id.to_string(),
        number: number(erasure.number),
        erased_at: instant(erasure.erased_at),
        key_id: erasure.key.to_string(),
        customer_hash: hex(&erasure.customer.0),
        counts: Some(counts(erasure.counts)),
        previous_hash: hex(&erasure.previous_hash),
        hash: hex(&erasure.hash),
    }
}

/// What was erased.
#[must_use]
pub fn erase_response(erased: &Erasure) -> EraseCustomerResponse {
    EraseCustomerResponse { counts: Some(counts(erased.counts)), receipt: Some(erasure(erased)) }
}

/// What would be.
#[must_use]
pub fn count_response(counted: Counts) -> EraseCustomerResponse {
    EraseCustomerResponse { counts: Some(counts(counted)), receipt: None }
}

/// Checks of whom to give out what is held.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn export_request(
    request: ExportCustomerRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<String, ExportPlace>, Error> {
    let mut bad = Vec::new();
    check_id("customer_id", &request.customer_id, &mut bad);
    let asked = format!("ExportCustomer {:?}", request.customer_id);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_place, &mut bad);
    let filter = request.customer_id;
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

fn place(place: ExportPlace) -> String {
    let (of, after) = match place {
        ExportPlace::Consents(after) => ("c", after),
        ExportPlace::Messages(after) => ("m", after),
        ExportPlace::Pending(after) => ("p", after),
    };
    let after = after.map(|TimePlace { at, id }| time_place(at, id)).unwrap_or_default();
    format!("{of}{after}")
}

fn parse_place(text: &str) -> Option<ExportPlace> {
    let (of, after) = text.split_at_checked(1)?;
    let after = if after.is_empty() { None } else { Some(parse_time_place(after)?) };
    match of {
        "c" => Some(ExportPlace::Consents(after)),
        "m" => Some(ExportPlace::Messages(after)),
        "p" => Some(ExportPlace::Pending(after)),
        _ => None,
    }
}

/// A page of what is held.
#[must_use]
pub fn export_response(
    listing: &Listing<String, ExportPlace>,
    export: &Export,
    team: TeamId,
    pages: &Pages,
) -> ExportCustomerResponse {
    let next = export.next.map(|next| pages.next(team, &listing.asked, &place(next)));
    ExportCustomerResponse {
        consents: export.consents.iter().map(consent).collect(),
        messages: export.messages.iter().map(message).collect(),
        pending_messages: export.pending.iter().map(message).collect(),
        erased_at: export.erased_at.map(instant),
        next_page_token: next.unwrap_or_default(),
    }
}
