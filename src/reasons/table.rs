//! The table of reasons: one each, with what is said of it wherever it comes up.

use tonic::Code::{
    Aborted, AlreadyExists, DeadlineExceeded, FailedPrecondition, Internal, InvalidArgument,
    NotFound, OutOfRange, PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable,
    Unimplemented,
};

use super::{
    Row, any, cell, end, envoy, envoy_others, event, field, file, line, reasons, service, tap,
};

const URL: &str = "it is not an address of `https://` or `http://` with a host, or it has spaces";
const TAG_UID: &str = "it is not 1 to 64 letters, digits, or `.` `_` `:` `-`";

reasons! {
    // Who calls.
    API_KEY_MISSING: service(Unauthenticated,
        "there is no key",
        "send it as `x-api-key` or `authorization: Bearer`");
    API_KEY_INVALID: service(Unauthenticated,
        "the key is mistyped, unknown, revoked, sent twice, or expired more than 90 days ago",
        "check it, or get a new one");
    API_KEY_EXPIRED: service(Unauthenticated,
        "the key expired in the last 90 days",
        "use a new one");
    TOKEN_EXPIRED: service(Unauthenticated,
        "the browser token has expired",
        "trade the key for a new one");
    TOO_MANY_WRONG_KEYS: service(ResourceExhausted,
        "one wrong key after another came from this address: 30, and then one in ten seconds",
        "wait as long as `retry-after` says; keys that were used from there before go on working");
    API_KEY_REVOKED: end(Unauthenticated,
        "the key was revoked while it had `IngestTaps` open",
        "use another key, and send again what was not answered");
    SCOPE_MISSING: service(PermissionDenied,
        "the key may not do this; `metadata.scope` says what it lacks",
        "use a key that may");
    TOKEN_NOT_ENOUGH: service(PermissionDenied,
        "a token may not do this: it is for keys, or the token is limited to some tags",
        "use the key");
    MORE_THAN_CALLER: service(PermissionDenied,
        "a key has, or would get, what the calling key does not have itself: a scope, a quota, a later end",
        "use a key that has it");

    // What is asked.
    INVALID_FIELDS: service(InvalidArgument,
        "one or more fields are wrong",
        "correct every field that the `BadRequest` names");
    MALFORMED_REQUEST:
        service(InvalidArgument,
            "the bytes are not a message of this method",
            "generate the client from the proto files"),
        envoy_others(InvalidArgument, 400,
            "the JSON cannot be read, a value has the wrong type, an enum value or a query parameter does not exist",
            "correct what the message names");
    TAG_NOT_FOUND: service(NotFound,
        "a uid is not one of the team's; the message names it. The same for a tag of another team",
        "correct the uid, or use that team's key");
    TAG_EXISTS: service(AlreadyExists,
        "the team has a tag that was to be made; the message names it",
        "take another uid, change that tag, or send `skip_existing`");
    TAG_LIMIT: service(ResourceExhausted,
        "the team has as many tags as `TAP_TEAM_TAGS_MAX` allows, archived ones included",
        "use a tag that is there, or have the limit raised");
    SESSION_NOT_FOUND: service(NotFound,
        "the team has no session of this id. The same for a session of another team",
        "make it, or correct the id");
    SESSION_EXISTS: service(AlreadyExists,
        "the session is there, and came from another tap",
        "take another id");
    RECEIPT_NOT_FOUND: service(NotFound,
        "the team was given no such receipt",
        "correct it");
    EVENT_NOT_FOUND: service(NotFound,
        "the team has no event of this id, or it was deleted. The same for an event of another team",
        "correct the id");
    EVENT_ERROR_NOT_FOUND: service(NotFound,
        "the team has no event error of this id. The same for one of another team",
        "correct the id");
    EVENT_TYPE_NOT_FOUND: service(NotFound,
        "the team has no event type of this category and name",
        "list the event types to see which there are");
    EVENT_TYPE_LIMIT: service(ResourceExhausted,
        "the team has 1,000 event types",
        "delete one");
    EVENT_BACKLOG: service(ResourceExhausted,
        "more events of the team wait to be stored than `TAP_EVENT_BACKLOG_MAX` allows; none of the call was taken",
        "send them again later");
    ETAG_MISMATCH: service(Aborted,
        "somebody else has changed the event, the event type or the coupon since the `etag` was read; nothing was changed",
        "read it again, and change that");
    COUPON_NOT_FOUND: service(NotFound,
        "the team has no coupon of this id. The same for a coupon of another team",
        "correct the id, or use that team's key");
    COUPONCODE_TAKEN: service(AlreadyExists,
        "a coupon of the team that is not archived has the code, whatever the case; the message names it",
        "take another code, or change that coupon");
    COUPON_LIMIT: service(ResourceExhausted,
        "the team has as many coupons as `TAP_TEAM_COUPONS_MAX` allows, archived ones included",
        "delete some that were never redeemed, or have the limit raised");
    CODES_USED_UP: service(FailedPrecondition,
        "too many of the codes that the pattern makes are in use",
        "take a longer pattern");
    COUPON_TERMS_FIXED: service(FailedPrecondition,
        "the coupon was redeemed, and a term of it was to be changed; the message names it",
        "make another coupon, and disable this one");
    COUPON_ARCHIVED: service(FailedPrecondition,
        "the coupon is archived: it can be neither redeemed nor changed",
        "make another one");
    COUPON_DISABLED: service(FailedPrecondition,
        "the coupon is disabled",
        "enable it, or tell whoever redeems it");
    COUPON_EXPIRED: service(FailedPrecondition,
        "the coupon has expired",
        "tell whoever redeems it");
    COUPON_SCHEDULED: service(FailedPrecondition,
        "the coupon cannot be redeemed yet",
        "ask CheckCoupon when it can");
    COUPON_EXHAUSTED: service(FailedPrecondition,
        "the coupon was redeemed as often as it may be",
        "tell whoever redeems it");
    SUBJECT_EXHAUSTED: service(FailedPrecondition,
        "the subject has redeemed the coupon as often as one may",
        "tell whoever redeems it");
    REDEMPTION_NOT_FOUND: service(NotFound,
        "the team has no redemption of this id. The same for one of another team",
        "correct the id");
    PUBLIC_URL_UNKNOWN: service(FailedPrecondition,
        "a QR code was asked for by no address that could be in it, and `TAP_PUBLIC_URL` is not set",
        "set it, or call by the address that people use");
    KEY_NOT_FOUND: service(NotFound,
        "the team has no key of this id. The same for a key of another team",
        "list the keys to see which there are");
    KEY_ENDED: service(FailedPrecondition,
        "the key is revoked, or, for RotateApiKey, has expired",
        "make a new one");
    REQUEST_ID_USED: service(AlreadyExists,
        "the `request_id` was used for another request, or by another key",
        "take a new one, or repeat that request as it was");
    PENDING_LIMIT: service(ResourceExhausted,
        "the messages of a dialog, of the team, or of all teams that wait for consent take as much memory as they may",
        "set consent, or wait until dialogs are idle for long enough");
    KEY_LIMIT: service(ResourceExhausted,
        "the team has 1,000 keys that work or have expired in the last 90 days",
        "revoke some");
    RESUME_TOKEN_EXPIRED: service(OutOfRange,
        "what follows the `resume_token` is gone, or it is of another history of the store, such as before a backup was restored",
        "query anew, and stream without a token or with that of the answer");
    UNKNOWN_METHOD: service(Unimplemented,
        "there is no such RPC",
        "see the proto files");
    UNSUPPORTED_ENCODING: service(Unimplemented,
        "the gRPC message is compressed",
        "send it uncompressed");
    UNKNOWN_PATH: envoy(NotFound, 404,
        "nothing is served at this path",
        "check the path");
    WRONG_CONTENT_TYPE: envoy(InvalidArgument, 415,
        "the body is no JSON, by its `content-type`",
        "send JSON, and `content-type: application/json`");
    WRONG_METHOD: envoy(Unimplemented, 405,
        "the path does not take this method",
        "use one that the header `allow` names");
    REQUEST_TOO_SLOW: envoy(DeadlineExceeded, 408,
        "the request did not arrive in time",
        "send it again");
    REQUEST_TOO_LARGE:
        service(OutOfRange,
            "a message is larger than 4 MiB",
            "ask for less, or send less, at a time"),
        envoy(OutOfRange, 413,
            "the body is larger than 1 MiB, or than 4 MiB for `/v1/taps`, `/v1/events` and `/v1/coupons:batchCreate`, or than 21 MiB for a file",
            "ask for less, or send less, at a time");
    HEADERS_TOO_LARGE: envoy(OutOfRange, 431,
        "the headers are larger than 60 KiB",
        "send fewer");

    // How much.
    QUOTA_EXCEEDED: service(ResourceExhausted,
        "the key is over its quota; `QuotaFailure` says which",
        "wait as long as `RetryInfo` or `retry-after` says");
    TOO_MANY_STREAMS: service(ResourceExhausted,
        "the key has 100 streams open",
        "close one, or use another key");

    // What stands in the way.
    QUERY_TOO_SLOW: service(DeadlineExceeded,
        "the query took longer than it may",
        "ask for a shorter range or fewer tags");
    DEADLINE_EXCEEDED: envoy(DeadlineExceeded, 504,
        "there was no answer in 30 s, or within the deadline of the call; or request and answer took 60 s",
        "ask for a shorter range or fewer tags");
    STORE_UNAVAILABLE: service(Unavailable,
        "PostgreSQL cannot be reached",
        "try again as `RetryInfo` says");
    TOO_BUSY: service(Unavailable,
        "more comes in than can be worked on; nothing was done",
        "try again as `RetryInfo` says, with larger batches");
    DRAINING: end(Unavailable,
        "the service stops while `IngestTaps` is open",
        "open it again, and send again what was not answered");
    SERVICE_UNAVAILABLE: envoy_others(Unavailable, 503,
        "no replica can be reached, or one went away as it answered",
        "try again in a few seconds");
    INTERNAL: service(Internal,
        "a fault of the service; the log has the cause",
        "report it with the `x-request-id`");
    UNKNOWN: any(
        "an error of the gRPC library that has no reason of its own",
        "go by the code");

    // Fields and columns.
    FIELD_COUNT: line("the line", "it has more or fewer fields than the header");
    REQUIRED:
        field("`start_date`, `end_date`, `taps`, `tag`, `tags`, `uid`, `id`, `name`, `scopes`, `coupons`, `title`, `couponcode`", "it is missing or empty"),
        field("`subject`", "it is missing where the coupon has `max_per_subject`"),
        field("`customer_id`, `dialog_id`, `text`, `language`, `granted`", "it is missing or empty"),
        field("`store.lat`, `store.long`, `near_lat`, `near_long`", "one is there without the other"),
        field("`metadata`", "a key or a value is empty"),
        tap("`tag_uid`", "it is missing or empty"),
        tap("`tapped_at`", "it is missing where there is a `tap_id`"),
        tap("`attributes`", "a key is empty"),
        event("`category`, `name`, `data`, `occurred_at`, `session_id`",
            "it is missing, null, blank or empty"),
        line("`id`", "it is missing, or longer than 200 bytes");
    MALFORMED_TAG_UID:
        field("`tag_uids[i]`, `tag_uid`, `uid`", TAG_UID),
        field("`uid` of a new tag", "it is `.` or `..`"),
        tap("`tag_uid`", TAG_UID),
        line("`tag_uid` of tags", TAG_UID),
        line("`tag_uid` of tags", "it is `.` or `..`"),
        cell("`uid` of tags", "it is not 1 to 64 letters, digits, or `.` `_` `:` `-`, or is `.` or `..`");
    UNKNOWN_TAG:
        tap("`tag_uid`", "it is not one of the team's; the same for a tag of another team"),
        line("`tag_uid` of taps", "it is not in the tags file"),
        line("`tagUids` of coupons", "it is not one of the team's");
    TAG_ARCHIVED: tap("`tag_uid`", "the tag is archived");
    DUPLICATE_TAG:
        field("`tags[i].uid`", "a tag before it in the batch has the same uid"),
        line("`tag_uid` of tags", "a line above gives it to another team");
    MALFORMED_NUMBER: line("`team_id`", "it is not a number from 1 to 2147483647");
    MALFORMED_TAP_ID: tap("`tap_id`", "it is not a UUID");
    DUPLICATE_CONFLICT:
        tap("`tap_id`", "another tap has this `tap_id` and `tapped_at`, and differs from this one"),
        event("`event_id`", "another event has this `event_id`, and differs from this one"),
        line("`id` of a coupon", "a coupon above has the same");
    CHECK_TOO_SLOW: event("`event`", "checking it and what was sent with it took more than ten seconds, by a schema that is made so");
    PROCESSING_FAILED: event("`event`", "it could not be stored in five tries; the log has the cause");
    MALFORMED_DATE:
        field("`start_date`, `end_date`, `after`, `before`",
            "it is neither a date such as `2023-01-01` nor an RFC 3339 instant"),
        field("`expires_at`, `published_at`, `expire_at`", "it is not an RFC 3339 instant"),
        tap("`tapped_at`", "it is not an RFC 3339 instant"),
        event("`occurred_at`",
            "it is not an instant in RFC 3339, with a `T` or a space, and with a zone or in UTC"),
        line("`created_at`", "it is not an instant");
    DATE_OUT_OF_RANGE:
        field("`start_date`, `end_date`", "it is not in the years 2000 to 2199"),
        field("`expires_at`", "it is not ahead of now, or by more than 100 years"),
        field("`published_at`, `expire_at`", "it is not in the years 1 to 9999");
    TIMESTAMP_IN_FUTURE:
        tap("`tapped_at`", "it is more than an hour ahead"),
        event("`occurred_at`", "it is more than 5 seconds ahead"),
        line("`created_at`", "it is more than an hour ahead");
    TIMESTAMP_TOO_OLD:
        tap("`tapped_at`", "it is before 2010, or older than `TAP_RETENTION_DAYS`"),
        line("`created_at`", "it is before 2010");
    END_NOT_AFTER_START: field("`end_date`", "the range is empty");
    EXPIRES_BEFORE_PUBLISHED:
        field("`expire_at`", "it is before `published_at`"),
        line("`expireAt`", "it is before `publishedAt`");
    UNKNOWN_TIME_ZONE:
        field("`time_zone`", "it is not an IANA name; these are told apart by case");
    UNKNOWN_VALUE:
        field("`interval`, `week_start`, `group_by`, `compare`, `include[i]`, `kind`, `state`, `order`",
            "the number is not one of the enum"),
        field("`reason` of ListImportRows", "no row of an import can have it"),
        tap("`kind`", "the number is not one of the enum"),
        line("`kind`", "it is not `nfc`, `qr` or `link`");
    COUNT_OUT_OF_RANGE:
        tap("`count`", "it is not from 1 to 1,000,000"),
        line("`count`", "it is not a whole number from 1 to 1,000,000");
    MALFORMED_COUNTRY: tap("`country`", "it is not two capital letters");
    MALFORMED_URL:
        field("`destination_url`", URL),
        line("`destination_url`", URL),
        cell("`destination_url` of tags", URL);
    CREDENTIALS_IN_URL:
        field("`destination_url`", "it has a user or a password in it"),
        line("`destination_url`", "it has a user or a password in it"),
        cell("`destination_url` of tags", "it has a user or a password in it");
    TOO_LONG:
        field("`name`, `label`, `text`, `title`, `merchant`, `subject`", "it is longer than 200 characters"),
        field("`couponcode`, `category`, `description`, `store`, `metadata`",
            "it is longer than 64, 100, 2,000 or 100 characters, or a key than 64 and a value than 500"),
        field("`destination_url`", "it is longer than 2,048 characters, as it is sent"),
        field("`purpose`, `policy_version`, `text` of RecordMessage", "it is longer than 200, 100 or 10,000 characters"),
        tap("`device`, `attributes`",
            "a device or a key is longer than 64 characters, or a value longer than 256"),
        event("`category`, `name`", "it is longer than 50 characters, or 150"),
        line("`label`", "it is longer than 200 characters"),
        line("`destination_url`", "it is longer than 2,048 characters, as it is sent"),
        cell("`names`, `email` of users", "it is longer than 200 characters, or 254 bytes"),
        cell("`label`, `destination_url` of tags", "it is longer than 200 characters, or 2,048 as it is sent");
    MALFORMED_TEXT:
        field("`name`, `label`, `text`, `purpose`, `policy_version`, and the texts of coupons", "it has control characters, or a code has spaces"),
        field("`text` of RecordMessage", "it has NUL characters in it, which cannot be stored"),
        line("`label`", "it has control characters"),
        tap("`device`, `attributes`", "it has control characters"),
        event("`category`, `name`", "it has control characters"),
        event("`data`", "it has NUL characters in it, which cannot be stored"),
        cell("`names` of users, `label` of tags", "it has control characters, or others that nobody sees");
    TOO_MANY_ATTRIBUTES:
        tap("`attributes`", "there are more than 16"),
        field("`metadata`", "there are more than 32");
    TOO_MANY_COUPONS:
        field("`coupons`", "more than 1,000 are to be made"),
        field("`coupon_ids`", "more than 100 are named");
    DUPLICATE_COUPONCODE:
        field("`coupons[i].couponcode`", "a coupon before it in the batch has the same, whatever the case"),
        line("`couponcode`", "a coupon above, or another coupon of the team, has the same, whatever the case");
    MALFORMED_PATTERN: field("`pattern`", "it has no `#`, or has spaces, or is longer than 64 characters");
    TOO_FEW_CODES: field("`pattern`", "it makes fewer than 1,000 codes for each that is asked for");
    TOO_MANY_TAGS:
        field("`tag_uids`", "more than 1,000 are named, or 100 for a token or a coupon"),
        field("`tags`", "more than 1,000 are to be made");
    MORE_VIOLATIONS:
        field("that of the last before it", "more than 20 things are wrong: this says how many more"),
        event("that of the last before it", "more than 50 things are wrong");
    NEGATIVE: field("`limit`, `page_size`", "it is below 0");
    OUT_OF_RANGE:
        field("`queries_per_hour`, `ttl`, `overlap`, `scopes`, `count`, `radius_km`, `max_redemptions`, `max_per_subject`, `store.lat`, `store.long`, `redact_after_days`, `delete_after_days`",
            "it is not in the range that the message names"),
        line("`store`, `maxRedemptions`, `maxPerSubject`", "it is not in the range that the message names");
    MALFORMED_ID: field("`customer_id`, `dialog_id`",
        "it is not 1 to 64 letters, digits, or `.` `_` `~` `-`, or is `.` or `..`");
    MALFORMED_LANGUAGE: field("`language`", "it is not a BCP 47 tag");
    MALFORMED_HASH: field("`policy_hash`", "it is not 32 to 128 hexadecimal digits");
    OTHER_CUSTOMER: field("`customer_id` of RecordMessage", "the dialog is with another customer");
    MALFORMED_UUID:
        field("`id`, `key_id`, `request_id`, `coupon_id`, `coupon_ids[i]`, `tap_id`, `patch.sessions`", "it is not a UUID"),
        event("`session_id`, `event_id`", "it is not a UUID, or it is the UUID of zeros");
    MALFORMED_PAGE_TOKEN:
        field("`page_token`", "it is not the `next_page_token` of the same request");
    UNKNOWN_SCOPE: field("`scopes[i]`", "there is no such scope");
    NOT_FOR_TOKENS: field("`scopes[i]`", "a token only reads");
    NOTHING_TO_CHANGE: field("`update_mask`, `purpose`", "neither is a field set nor does the mask name one");
    UNKNOWN_FIELD:
        field("`update_mask`", "it names what cannot be changed by this call"),
        field("`body` of SetConsent", "it has another member than `granted`, `purpose`, `policyVersion`, `policyHash`"),
        event("that field", "an event has no such field: it belongs into `data`");
    IMMUTABLE_FIELD:
        field("`update_mask`", "it names `uid` or `id`, which are never changed"),
        field("`coupon.id`", "it is another one than that of the coupon");
    TOO_MANY_BUCKETS: field("`interval`",
        "the range has more than 10,000 buckets; the message names the narrowest interval that fits");
    TOO_MANY_COUNTS:
        field("`limit`", "`limit` and one, times the buckets, is more than 100,000");
    MALFORMED_RESUME_TOKEN:
        field("`resume_token`", "it is not a token that this service made for this team");
    TOO_MANY_EVENTS:
        field("`events`", "a batch has more than 1,000"),
        field("`error_ids`", "more than 1,000 are named");
    MALFORMED_VALUE:
        field("`events[i]`", "it is no `google.protobuf.Value`, or has more than 32 levels"),
        field("`patch.set`", "an event would have more than 32 levels");
    MALFORMED_TYPE_NAME: field("`category`, `name` of an event type",
        "it has another character than letters, digits, spaces, or `.` `_` `:` `~` `-`, or is `.` or `..`");
    MALFORMED_FINGERPRINT: field("`filter.fingerprint`", "it is not 32 hexadecimal digits");
    TOO_NARROW: field("`interval` of QueryEvents", "it is `MINUTE`");
    TOO_MANY_TAPS: field("`taps`", "a batch has more than 5,000");
    OUT_OF_SEQUENCE: field("`sequence`", "it is not larger than that of the batch before");

    // Events.
    NOT_AN_OBJECT: event("`event`", "it is not an object");
    WRONG_TYPE:
        event("any", "it is not a text where one must be, or not an object"),
        field("`body`, `granted`, `purpose`, `policy_version`, `policy_hash` of SetConsent", "it is of another type than it must be"),
        line("any of a coupon", "it is of another type than it must be");
    CONFLICTING_FIELDS:
        event("`occurred_at`, `session_id`, `event_id`",
            "it is given in more than one way, and they differ"),
        field("`patch.set`", "two ways of writing one field are set"),
        field("`body` of SetConsent", "`granted` or `terms` is set, too"),
        field("`tag_uid` of QueryFunnel", "`coupon_id` is set, too"),
        field("`couponcode` of CheckCoupon and RedeemCoupon", "`id` is set, too"),
        field("`coupon.couponcode` of GenerateCoupons", "it is set: codes are made");
    TOO_LARGE: field("`patch.set`", "it has more than 65,536 bytes as JSON"), field("`coupons`, `count`", "the coupons take more than 1 MiB in all"), event("`event`", "it has more than 65,536 bytes as JSON, or more than 32 levels");
    SCHEMA_VIOLATION:
        event("`data`, or a place in it such as `data.items[3].price`",
            "it does not fit the schema of its event type");
    UNKNOWN_SESSION:
        event("`session_id`", "there is no such session, and the team does not have them made");
    UNKNOWN_EVENT_TYPE:
        event("`name`", "there is no such event type, and the team refuses what has none");
    MALFORMED_SCHEMA: field("`schema`", "it is not a JSON Schema of a draft that is known");
    SCHEMA_TOO_COMPLEX: field("`schema`",
        "it is larger than 64 KiB, or has more than 2,000 subschemas once every `$ref` is followed, or applies more than 300 of them to one value, or is nested too deep, or has patterns that are too large");
    SCHEMA_REF: field("`schema`",
        "a reference leads to itself, out of the schema, or to what is not a schema");
    MALFORMED_PATH: field("`patch.set`, `patch.remove`",
        "a path is not 1 to 10 names between dots, or longer than 200 characters");
    TOO_MANY_PLACES: field("`patch.set`, `patch.remove`, `patch.sessions`",
        "there are more than 50, or more than 1,000 sessions");

    // Imports.
    IMPORT_NOT_FOUND: service(NotFound,
        "the team has no such import: it was forgotten, as nobody came for it or the service was restarted; or it is another team's",
        "upload the file again");
    ROW_NOT_FOUND: service(NotFound, "the import has no row of this number", "correct the number");
    REPORT_NOT_FOUND: service(NotFound,
        "an import has no such file", "ask for `report.xlsx` or `report.csv`");
    USER_NOT_FOUND: service(NotFound,
        "the team has no such user", "correct the id, or use that team's key");
    IMPORT_STATE: service(FailedPrecondition,
        "the import is in a state in which this cannot be done; the message names it",
        "wait for the state that the message names, or upload the file again");
    IMPORT_BAD_ROWS: service(FailedPrecondition,
        "rows are bad, and all have to be good; the message says how many",
        "mend them, leave them out, or commit with `VALID_ONLY`");
    IMPORT_MEMORY:
        service(ResourceExhausted,
            "the imports that are held take as much memory as they may",
            "try again as `RetryInfo` says, or commit or cancel some"),
        file("the imports that are held took as much memory as they may, while it was read");
    IMPORT_TOO_LARGE:
        service(ResourceExhausted,
            "the file takes more memory than one import may", "split it"),
        file("it takes more memory than one import may");
    IMPORT_LIMIT: service(ResourceExhausted,
        "the team has 100 imports that are under way", "commit or cancel some");
    USER_LIMIT: service(ResourceExhausted,
        "the team has as many users as it may",
        "delete some, or ask whoever runs the service for more");
    UNKNOWN_REGION: field("`region`", "it is not two letters of a region of which phone numbers are known");
    MALFORMED_FORM: field("`file`", "it is no form, whatever its content type says");
    SEVERAL_FILES: field("`file`", "a form has more than one");
    UPLOAD_TOO_SLOW: service(Aborted, "the file did not come within five minutes", "send it again");
    NO_SUCH_COLUMN: field("`cells.x`", "the file has no such column");

    // Files that are imported.
    FILE_EMPTY: field("`file`", "there is nothing in it"), file("there is nothing in it");
    FILE_TOO_LARGE: field("`file`", "it has more than 20 MiB");
    IMPORT_INTERRUPTED: file("it did not come whole, or the service could not go on, or not ask the store");
    WRONG_EXTENSION: file("its name ends neither in `.xlsx` nor in `.csv`, or does not fit what is in it");
    PASSWORD_PROTECTED: file("it opens with a password only");
    OLD_FORMAT: file("it is a workbook of before 2007, or another file of that kind");
    UNKNOWN_FORMAT: file("it is neither a workbook nor text");
    BROKEN_FILE: file("it is cut off, or damaged, or is not what Excel writes");
    FILE_EXPANDS: file("it is small, and what is in it is far larger than a workbook may be");
    HAS_DTD: file("a part of it has a `DOCTYPE` or an `ENTITY`, which no workbook needs");
    NOT_UTF8: file("its text is in another encoding than UTF-8, or UTF-16 with a byte order mark");
    NO_SHEET: file("it has no sheet of the name that was asked for");
    NO_HEADER: file("none of its first rows has a title that is known");
    MISSING_COLUMN: file("a column that has to be there is not; the field is the name of the column");
    AMBIGUOUS_COLUMN: file("two columns have titles that mean the same; the description names them");
    TOO_MANY_COLUMNS: file("more than 200 columns have a title");
    NO_ROWS: file("there is nothing below the titles");

    // Cells of rows that are imported.
    EMPTY: cell("any that has to be there", "there is nothing in it");
    CELL_ERROR: cell("any", "it has an error of the spreadsheet in it, such as `#REF!`");
    FORMULA_WITHOUT_VALUE: cell("any", "it has a formula that was never calculated");
    WRONG_CELL_TYPE: cell("any", "it is stored as true or false, as a date or as a time");
    DIGITS_LOST: cell("`nid`, `phone` of users, `uid` of tags",
        "it is stored as a number that has lost digits: spreadsheets keep 15");
    STORED_AS_NUMBER: cell("`nid` of users, `uid` of tags",
        "a warning: it is stored as a number, by which digits or zeros may be lost");
    NO_LETTERS: cell("`names`", "there is no letter in it");
    LOOKS_LIKE_FORMULA: cell("`names`", "it begins with `=` `@` `+` or `-`");
    NOT_DIGITS: cell("`nid`, `phone`", "there is something else than digits and what stands between them");
    NID_LENGTH: cell("`nid`", "it has not 16 digits");
    NID_PREFIX: cell("`nid`", "it does not begin with 1, 2 or 3");
    NID_BIRTH_YEAR: cell("`nid`", "its second to fifth digit are not a year from 1900 to this one");
    MALFORMED_NID: cell("`nid` of another region than Rwanda", "it is not 4 to 32 letters from A to Z, digits, `-` or `/`");
    PHONE_LENGTH: cell("`phone`", "it has more or fewer digits than phone numbers have");
    UNKNOWN_PHONE: cell("`phone`", "it is not a number of the region, nor one of another country with `+`");
    SEVERAL_PHONES: cell("`phone`", "there is more than one number in it");
    ZEROS_LOST: cell("`phone`", "a warning: it is stored as a number, and was taken as if it had its leading zero");
    UNKNOWN_GENDER: cell("`gender`", "it is not a word for male, female or other");
    GENDER_GUESSED: cell("`gender`", "a warning: it is misspelled, and was guessed");
    GENDER_DIFFERS: cell("`gender`", "a warning: the sixth digit of the `nid` says another");
    MALFORMED_EMAIL: cell("`email`", "it is not one mail address");
    UNKNOWN_KIND: cell("`kind` of tags", "it is not `nfc`, `qr` or `link`");
    DUPLICATE_IN_FILE: cell("`nid`, `phone`, `email` of users, `uid` of tags",
        "other rows of the file have the same; the description names them");
    TAKEN: cell("`phone`, `email` of users", "somebody who is stored, with another national id, has it");
}
