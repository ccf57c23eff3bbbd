//! Coupons in visits: which there are, and redeeming them.
//!
//! They are an extra: without coupons, or where the key may not read or redeem them, visits go on without.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::watch, time};
use tonic::{
    Code, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt as _;

use super::{
    calls::Calls,
    coupon::{Coupon, Look},
    progress::Progress,
    visit::Tapped,
};
use crate::proto::tap_v1::{
    ListCouponsRequest, RedeemCouponRequest, coupon_filter, coupons_client::CouponsClient,
};

/// How often the coupons are looked up, and how many: as many as there are on a page.
const LOOK_UP: Duration = Duration::from_mins(1);
const COUPONS_MAX: i32 = 1_000;

/// The coupons of the team, and what became of them.
pub(super) struct Coupons {
    service: CouponsClient<Channel>,
    calls: Calls,
    progress: Progress,
    /// Nothing can be redeemed in the past: what would have been before is left out.
    started: DateTime<Utc>,
    shown: watch::Sender<Vec<Coupon>>,
    tally: watch::Sender<Tally>,
}

/// What became of coupons so far.
#[derive(Clone, Debug, Default)]
struct Tally {
    seen: u64,
    redeemed: u64,
    /// How many redemptions were refused for each reason, such as that all are redeemed.
    refused: BTreeMap<String, u64>,
    /// Redemptions that have no answer yet.
    under_way: u64,
    /// The key may not redeem.
    forbidden: bool,
}

impl fmt::Debug for Coupons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coupons").field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl Coupons {
    pub(super) fn new(
        channel: Channel,
        key: MetadataValue<Ascii>,
        progress: &Progress,
        started: DateTime<Utc>,
    ) -> Self {
        Self {
            service: CouponsClient::new(channel),
            calls: Calls::new(key, progress.clone(), "no coupons are redeemed"),
            progress: progress.clone(),
            started,
            shown: watch::Sender::default(),
            tally: watch::Sender::default(),
        }
    }

    /// Looks the coupons up, and says if there are none.
    pub(super) async fn find_first(&self) {
        let why = match self.find().await {
            Ok(()) if !self.shown.borrow().is_empty() => return,
            Ok(()) => "the team has none that are valid".to_owned(),
            Err(refusal) => refusal.message().to_owned(),
        };
        self.progress.say(&format!("no coupons are seen in visits: {why}"));
    }

    /// Looks the coupons up now and then, for ever.
    pub(super) async fn find_again(&self) {
        loop {
            time::sleep(LOOK_UP).await;
            // Where that is refused, those of before stay.
            let _refused = self.find().await;
        }
    }

    async fn find(&self) -> Result<(), Status> {
        let request = ListCouponsRequest {
            page_size: COUPONS_MAX,
            state: coupon_filter::Value::Valid.into(),
            ..ListCouponsRequest::default()
        };
        let list = |mut service: CouponsClient<Channel>, request| async move {
            service.list_coupons(request).await
        };
        let found = self.calls.call(&self.service, request, list).await?.coupons;
        let usable = found.into_iter().filter(|coupon| !coupon.disabled);
        self.shown.send_replace(usable.map(Coupon::from).collect());
        Ok(())
    }

    /// What a visitor sees after a tap of this tag.
    pub(super) fn look(&self, tapped: &Tapped, uid: &str) -> Option<Look> {
        Look::after(tapped, uid, &self.shown.borrow())
    }

    /// Counts that a coupon was seen.
    pub(super) fn count_seen(&self) {
        self.tally.send_modify(|tally| tally.seen += 1);
    }

    /// When a coupon is redeemed that was looked at, if it is.
    pub(super) fn redeems_at(&self, look: &Look) -> Option<DateTime<Utc>> {
        look.redeems_at.filter(|at| *at >= self.started && !self.tally.borrow().forbidden)
    }

    /// Redeems a coupon, in the background: what was begun gets its answer, whatever becomes of the visit.
    pub(super) fn redeem(self: &Arc<Self>, request: RedeemCouponRequest) {
        self.tally.send_modify(|tally| tally.under_way += 1);
        let coupons = Arc::clone(self);
        tokio::spawn(async move {
            let redeem = |mut service: CouponsClient<Channel>, request| async move {
                service.redeem_coupon(request).await
            };
            let answer = coupons.calls.call(&coupons.service, request, redeem).await;
            coupons.note(answer.err());
        });
    }

    fn note(&self, refusal: Option<Status>) {
        let mut say = None;
        self.tally.send_modify(|tally| {
            tally.under_way -= 1;
            match refusal {
                None => tally.redeemed += 1,
                Some(refusal) if is_forbidden(&refusal) => {
                    say = Some(refusal).filter(|_| !tally.forbidden);
                    tally.forbidden = true;
                }
                Some(refusal) => *tally.refused.entry(reason(&refusal)).or_default() += 1,
            }
        });
        if let Some(refusal) = say {
            self.progress.say(&format!("no coupons are redeemed: {}", refusal.message()));
        }
    }

    /// Waits for answers.
    pub(super) async fn end(&self) {
        let mut tally = self.tally.subscribe();
        let _gone = tally.wait_for(|tally| tally.under_way == 0).await;
    }
}

fn is_forbidden(refusal: &Status) -> bool {
    matches!(refusal.code(), Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented)
}

fn reason(refusal: &Status) -> String {
    let details = refusal.get_error_details();
    details.error_info().map_or_else(|| format!("{:?}", refusal.code()), |info| info.reason.clone())
}

impl fmt::Display for Coupons {
    /// Nothing, where no coupon was seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { seen, redeemed, refused, .. } = &*self.tally.borrow();
        if *seen == 0 {
            return Ok(());
        }
        let all: u64 = refused.values().sum();
        write!(f, ", {seen} coupons seen, {redeemed} redeemed, {all} refused")?;
        if all > 0 {
            let reasons: Vec<String> =
                refused.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            write!(f, " ({})", reasons.join(", "))?;
        }
        Ok(())
    }
}
