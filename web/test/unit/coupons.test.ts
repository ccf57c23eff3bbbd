// The stages from a tap to a redemption, what is asked for them, and what is said about coupons.
import assert from "node:assert/strict";
import { test } from "node:test";
import { firstPage, funnelPlanOf, nextPage } from "../../src/coupons/plan";
import { stageWords, stagesOf } from "../../src/coupons/stages";
import { STATES, expiryWords, funnelTitle, listedWords, redeemedWords } from "../../src/coupons/words";
import { CouponFilter_Value as CouponFilter, CouponOrder_Value as CouponOrder } from "../../src/gen/tap/v1/coupons_pb";
import { Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";

const counts = (taps: number, sessions: number, couponViews: number, redemptions: number) => ({ taps, sessions, couponViews, redemptions });

test("a stage has its share of the stage before, and a bar by the largest", () => {
  assert.deepEqual(stagesOf(counts(1000, 500, 250, 31)), [
    { count: 1000, share: "", length: 1 },
    { count: 500, share: "50% of taps", length: 0.5 },
    { count: 250, share: "50% of sessions", length: 0.25 },
    { count: 31, share: "12.4% of coupon views", length: 0.031 },
  ]);
});

test("of none there is no share", () => {
  const shares = (...args: Parameters<typeof counts>) => stagesOf(counts(...args)).map(({ share }) => share);
  assert.deepEqual(shares(0, 0, 0, 0), ["", "—", "—", "—"]);
  assert.deepEqual(shares(5, 0, 0, 2), ["", "0% of taps", "—", "—"]);
  assert.deepEqual(shares(0, 3, 0, 0), ["", "—", "0% of sessions", "—"]);
  assert.deepEqual(stagesOf(counts(0, 0, 0, 0)).map(({ length }) => length), [0, 0, 0, 0]);
});

test("there may be more of a stage than of the one before: no bar is longer than its place", () => {
  const stages = stagesOf(counts(2, 1, 8, 4));
  assert.deepEqual(stages.map(({ share }) => share), ["", "50% of taps", "800% of sessions", "50% of coupon views"]);
  assert.deepEqual(stages.map(({ length }) => length), [0.25, 0.125, 1, 0.5]);
});

test("stages in words", () => {
  assert.deepEqual(stageWords(counts(1204, 1, 0, 2)), ["1,204 taps", "1 session", "0 coupon views", "2 redemptions"]);
  assert.deepEqual(stageWords(counts(1, 2, 1, 1)), ["1 tap", "2 sessions", "1 coupon view", "1 redemption"]);
});

test("the funnel is asked for by the hour or wider, of a coupon, of a tag, or of the team", () => {
  const now = Date.parse("2026-03-01T10:30:00Z");
  const settings = { range: { preset: "today", from: "", to: "" }, interval: Interval.TOTAL, zone: "UTC", tag: "", coupon: "" } as const;
  const query = { startDate: "2026-03-01", endDate: "2026-03-01", timeZone: "UTC", interval: Interval.HOUR };
  const today = funnelPlanOf(settings, now);
  assert.deepEqual(today.query, query);
  assert.deepEqual(today.intervals, [Interval.HOUR, Interval.DAY]);
  assert.deepEqual(funnelPlanOf({ ...settings, tag: "a" }, now).query, { ...query, tagUid: "a" });
  assert.deepEqual(funnelPlanOf({ ...settings, coupon: "c" }, now).query, { ...query, couponId: "c" });
  // Both at once would be refused.
  assert.deepEqual(funnelPlanOf({ ...settings, tag: "a", coupon: "c" }, now).query, { ...query, couponId: "c" });
  for (const preset of ["hour", "day", "week", "all"] as const) {
    const range = { ...settings.range, preset };
    assert.ok(funnelPlanOf({ ...settings, range, interval: Interval.MINUTE }, now).interval >= Interval.HOUR);
  }
  assert.equal(funnelPlanOf({ ...settings, interval: Interval.DAY }, now).interval, Interval.DAY);
});

test("coupons come fifty at a time; those that are shown come again at once", () => {
  const choice = { state: CouponFilter.VALID, order: CouponOrder.EXPIRING_FIRST };
  assert.deepEqual(firstPage(choice, 0), { ...choice, pageSize: 50 });
  assert.deepEqual(firstPage(choice, 130), { ...choice, pageSize: 130 });
  assert.deepEqual(firstPage(choice, 4000), { ...choice, pageSize: 1000 });
  assert.deepEqual(nextPage(choice, "there"), { ...choice, pageSize: 50, pageToken: "there" });
});

test("what is said of a coupon", () => {
  assert.deepEqual(Object.values(STATES), ["Scheduled", "Active", "Expired", "Exhausted", "Disabled"]);
  assert.equal(redeemedWords({ redeemed: 3, maxRedemptions: 1000 }), "3 of 1,000 redeemed");
  assert.equal(redeemedWords({ redeemed: 1204 }), "1,204 redeemed");
  const now = Date.parse("2026-03-07T12:00:00Z");
  const expiry = (expireAt?: string) => expiryWords(expireAt === undefined ? {} : { expireAt }, "Europe/Berlin", now);
  assert.equal(expiry(), "never expires");
  assert.equal(expiry("2026-03-07T13:05:00.000Z"), "expires 7 Mar 2026, 14:05");
  assert.equal(expiry("2026-03-07T12:00:00.000Z"), "expired 7 Mar 2026, 13:00");
  assert.equal(expiry("9999-12-31T12:00:00.000Z"), "expires 31 Dec 9999, 13:00");
  assert.equal(expiry("0001-01-02T12:00:00.000Z").startsWith("expired "), true);
  assert.deepEqual([listedWords(1, false), listedWords(50, true), listedWords(0, false)], ["1 coupon", "50 coupons, and more", "0 coupons"]);
});

test("what the funnel is of", () => {
  assert.match(funnelTitle("", undefined), /: the whole team$/);
  assert.match(funnelTitle("Counter", undefined), /: tag Counter$/);
  assert.match(funnelTitle("", { couponcode: "SUMMER", title: "A free espresso" }), /: coupon SUMMER, A free espresso$/);
});
