//! `QueryRedemptions` and `QueryFunnel`: what is asked, and the answers.

use chrono::{DateTime, Utc};

use crate::{
    coupons::{
        count::Question,
        funnel::{Funnel, Of, Stages},
        model::{QUERY_COUPONS_MAX, Split},
    },
    error::{Error, Violation},
    proto::tap_v1::{
        FunnelBucket, FunnelCounts, QueryFunnelRequest, QueryFunnelResponse,
        QueryRedemptionsRequest, QueryRedemptionsResponse, QueryTapsRequest, group_by,
        redemption_group_by,
    },
    reasons,
    taps::{
        self,
        model::{Counts, Query},
    },
    wire::{check_tag_uid, number, optional_uuid, or_none, unknown_value, uuid},
};

/// Checks what redemptions to count.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn redemptions(request: QueryRedemptionsRequest) -> Result<Question, Error> {
    use redemption_group_by::Value;
    let mut bad = Vec::new();
    let split = match Value::try_from(request.group_by) {
        Ok(Value::None) => Split::None,
        Ok(Value::Coupon) => Split::Coupon,
        Ok(Value::Tag) => Split::Tag,
        Err(_) => {
            bad.push(unknown_value("group_by", request.group_by, "NONE, COUPON or TAG"));
            Split::None
        }
    };
    let mut coupons = Vec::new();
    if request.coupon_ids.len() > QUERY_COUPONS_MAX {
        let text = format!(
            "names {} coupons: at most {QUERY_COUPONS_MAX} are allowed",
            request.coupon_ids.len()
        );
        bad.push(Violation::new("coupon_ids", reasons::TOO_MANY_COUPONS, text));
    } else {
        for (at, text) in request.coupon_ids.iter().enumerate() {
            coupons.extend(or_none(uuid(&format!("coupon_ids[{at}]"), text).map(Some), &mut bad));
        }
    }
    coupons.sort_unstable();
    coupons.dedup();
    // Ranges, buckets and how many groups are named are those of taps.
    let group_by = if split == Split::None { group_by::Value::None } else { group_by::Value::Tag };
    let query = query(
        QueryTapsRequest {
            start_date: request.start_date,
            end_date: request.end_date,
            interval: request.interval,
            time_zone: request.time_zone,
            week_start: request.week_start,
            tag_uids: request.tag_uids,
            group_by: group_by.into(),
            limit: request.limit,
            compare: request.compare,
            ..QueryTapsRequest::default()
        },
        bad,
    )?;
    Ok(Question { query, coupons, split })
}

/// Checks a query of taps, in which something else is wrong already.
fn query(request: QueryTapsRequest, mut bad: Vec<Violation>) -> Result<Query, Error> {
    match taps::wire::query(request) {
        Ok(query) if bad.is_empty() => Ok(query),
        Err(Error::Invalid(more)) => {
            bad.splice(0..0, more);
            Err(Error::Invalid(bad))
        }
        Ok(_) => Err(Error::Invalid(bad)),
        Err(error) => Err(error),
    }
}

/// What was counted.
#[must_use]
pub fn redemptions_response(
    asked: &Question,
    counts: &Counts,
    now: DateTime<Utc>,
) -> QueryRedemptionsResponse {
    let answer = taps::wire::answer(&asked.query, counts, now);
    QueryRedemptionsResponse {
        buckets: answer.buckets,
        total: answer.total,
        groups: answer.groups,
        comparison: answer.comparison,
    }
}

/// Checks whose funnel to count.
///
/// # Errors
/// [`Error::Invalid`] with everything that is wrong.
pub fn funnel(request: QueryFunnelRequest) -> Result<(Query, Of), Error> {
    let mut bad = Vec::new();
    let coupon = or_none(optional_uuid("coupon_id", &request.coupon_id), &mut bad);
    if !request.coupon_id.is_empty() && !request.tag_uid.is_empty() {
        let text = "is of a coupon or of a tag: send one of them";
        bad.push(Violation::new("tag_uid", reasons::CONFLICTING_FIELDS, text));
    }
    let mut tag_uids = Vec::new();
    if !request.tag_uid.is_empty() {
        let before = bad.len();
        check_tag_uid("tag_uid", &request.tag_uid, &mut bad);
        tag_uids.extend(Some(request.tag_uid).filter(|_| bad.len() == before));
    }
    let query = query(
        QueryTapsRequest {
            start_date: request.start_date,
            end_date: request.end_date,
            interval: request.interval,
            time_zone: request.time_zone,
            week_start: request.week_start,
            tag_uids,
            ..QueryTapsRequest::default()
        },
        bad,
    )?;
    Ok((query, coupon.map_or(Of::Tags, Of::Coupon)))
}

/// A funnel as answers have it.
#[must_use]
pub fn funnel_response(query: &Query, funnel: &Funnel, now: DateTime<Utc>) -> QueryFunnelResponse {
    // Bounds and states are those of a query of taps.
    let counts = Counts {
        bounds: funnel.bounds.clone(),
        counts: funnel.stages.iter().map(|stages| stages.taps).collect(),
        groups: Vec::new(),
        comparison: None,
        revision: 0,
    };
    let buckets = taps::wire::answer(query, &counts, now).buckets;
    let mut total = Stages::default();
    for stages in &funnel.stages {
        total.taps += stages.taps;
        total.sessions += stages.sessions;
        total.views += stages.views;
        total.redemptions += stages.redemptions;
    }
    let bucket = |(bucket, stages): (crate::proto::tap_v1::Bucket, &Stages)| FunnelBucket {
        start: bucket.start,
        end: bucket.end,
        state: bucket.state,
        counts: Some(shown(stages)),
    };
    QueryFunnelResponse {
        buckets: buckets.into_iter().zip(&funnel.stages).map(bucket).collect(),
        total: Some(shown(&total)),
    }
}

fn shown(stages: &Stages) -> FunnelCounts {
    FunnelCounts {
        taps: number(stages.taps),
        sessions: number(stages.sessions),
        coupon_views: number(stages.views),
        redemptions: number(stages.redemptions),
    }
}
