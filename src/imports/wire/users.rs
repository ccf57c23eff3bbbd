//! Users.

use uuid::Uuid;

use crate::{
    error::Error,
    ids::TeamId,
    imports::{
        archive::UserFilter,
        model::{PAGE_USERS, PAGE_USERS_MAX, SEARCH_CHARS_MAX, User},
    },
    paging::{Listed, Listing, Paged, Pages},
    proto::tap_v1::{self, ListUsersRequest, ListUsersResponse},
    reasons,
    wire::{instant, optional_uuid, or_none},
};

/// Checks which users to list. No error repeats whom was looked for.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn list_request(
    request: ListUsersRequest,
    team: TeamId,
    pages: &Pages,
) -> Result<Listing<UserFilter, Uuid>, Error> {
    let mut bad = Vec::new();
    let asked = format!("ListUsers {:?} {:?}", request.text, request.import_id);
    let (token, size) = (request.page_token.as_str(), request.page_size);
    let (default, max) = (PAGE_USERS, PAGE_USERS_MAX);
    let paged = Paged { team, pages, asked: &asked, token, size, default, max };
    let page = paged.page(|text| text.parse().ok(), &mut bad);
    if request.text.chars().nth(SEARCH_CHARS_MAX).is_some() {
        let text = format!("is longer than {SEARCH_CHARS_MAX} characters");
        bad.push(crate::error::Violation::new("text", reasons::TOO_LONG, text));
    } else if request.text.chars().any(char::is_control) {
        let text = "has control characters: leave them out";
        bad.push(crate::error::Violation::new("text", reasons::MALFORMED_TEXT, text));
    }
    let import = or_none(optional_uuid("import_id", &request.import_id), &mut bad);
    let filter = UserFilter { text: request.text, import };
    if bad.is_empty() { Ok(Listing { filter, page, asked }) } else { Err(Error::Invalid(bad)) }
}

/// A page of users.
#[must_use]
pub fn list_response(
    listing: &Listing<UserFilter, Uuid>,
    listed: &Listed<User>,
    team: TeamId,
    pages: &Pages,
) -> ListUsersResponse {
    ListUsersResponse {
        users: listed.entries.iter().map(user).collect(),
        next_page_token: listing.next(pages, team, listed, |last| last.id.to_string()),
    }
}

/// A user as answers have them.
#[must_use]
pub fn user(user: &User) -> tap_v1::User {
    tap_v1::User {
        id: user.id.to_string(),
        names: user.names.clone(),
        nid: user.nid.clone(),
        phone: user.phone.clone(),
        gender: user.gender.clone(),
        email: user.email.clone(),
        import_id: user.import.to_string(),
        created_at: instant(user.created_at),
        updated_at: instant(user.updated_at),
    }
}
