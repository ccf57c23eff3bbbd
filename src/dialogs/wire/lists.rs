//! Lists of messages, decisions and receipts.

use super::{consent, customers::erasure, language, message, moment, wanted_id};
use crate::{
    dialogs::{
        archive::place_of,
        model::{Consent, Erasure, Filter, Hashes, Listed as Message, PAGE, PAGE_MAX},
    },
    error::Error,
    ids::TeamId,
    paging::{Listed, Listing, Paged, Pages, TimePlace, parse_time_place, time_place},
    proto::tap_v1::{
        ListConsentsRequest, ListConsentsResponse, ListErasuresRequest, ListErasuresResponse,
        ListMessagesRequest, ListMessagesResponse,
    },
};

/// Checks which messages to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn messages_request(
    request: ListMessagesRequest,
    team: TeamId,
    hashes: &Hashes,
    pages: &Pages,
) -> Result<Listing<Filter, TimePlace>, Error> {
    let mut bad = Vec::new();
    let bound = ListMessagesRequest { page_size: 0, page_token: String::new(), ..request.clone() };
    let asked = format!("ListMessages {bound:?}");
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_time_place, &mut bad);
    let wanted = Some(request.language.as_str()).filter(|tag| !tag.is_empty());
    let filter = Filter {
        language: wanted.map(|tag| language(tag, &mut bad)),
        customer: wanted_id("customer_id", request.customer_id, &mut bad)
            .map(|customer| hashes.of(team, &customer)),
        dialog: wanted_id("dialog_id", request.dialog_id, &mut bad),
        after: moment("after", &request.after, &mut bad),
        before: moment("before", &request.before, &mut bad),
    };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of messages.
#[must_use]
pub fn messages_response(
    listing: &Listing<Filter, TimePlace>,
    listed: &Listed<Message>,
    team: TeamId,
    pages: &Pages,
) -> ListMessagesResponse {
    let place = |last: &Message| {
        let TimePlace { at, id } = place_of(last);
        time_place(at, id)
    };
    ListMessagesResponse {
        messages: listed.entries.iter().map(message).collect(),
        next_page_token: listing.next(pages, team, listed, place),
    }
}

/// Which decisions to list.
#[derive(Clone, Debug)]
pub struct Consents {
    pub dialog: Option<String>,
    pub customer: Option<String>,
}

/// Checks which decisions to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn consents_request(
    request: ListConsentsRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Consents, TimePlace>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListConsents {:?} {:?}", request.dialog_id, request.customer_id);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(parse_time_place, &mut bad);
    let filter = Consents {
        dialog: wanted_id("dialog_id", request.dialog_id, &mut bad),
        customer: wanted_id("customer_id", request.customer_id, &mut bad),
    };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of decisions.
#[must_use]
pub fn consents_response(
    listing: &Listing<Consents, TimePlace>,
    listed: &Listed<Consent>,
    team: TeamId,
    pages: &Pages,
) -> ListConsentsResponse {
    ListConsentsResponse {
        consents: listed.entries.iter().map(consent).collect(),
        next_page_token: listing
            .next(pages, team, listed, |last| time_place(last.decided_at, last.id)),
    }
}

/// Checks which receipts to list.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn erasures_request(
    request: ListErasuresRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<Option<String>, i64>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListErasures {:?}", request.customer_id);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let paged = Paged { team, pages, asked: &asked, token, size, default: PAGE, max: PAGE_MAX };
    let page = paged.page(|text| text.parse().ok(), &mut bad);
    let filter = wanted_id("customer_id", request.customer_id, &mut bad);
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of receipts.
#[must_use]
pub fn erasures_response(
    listing: &Listing<Option<String>, i64>,
    listed: &Listed<Erasure>,
    team: TeamId,
    pages: &Pages,
) -> ListErasuresResponse {
    ListErasuresResponse {
        erasures: listed.entries.iter().map(erasure).collect(),
        next_page_token: listing.next(pages, team, listed, |last| last.number.to_string()),
    }
}
