// What the page says about coupons. Pure.
import { civilOf, clock, fullDate } from "../civil";
import { type Coupon, CouponState_Value as CouponState } from "../gen/tap/v1/coupons_pb";
import { counted, number } from "../names";

export const STATES: Record<CouponState, string> = {
  [CouponState.SCHEDULED]: "Scheduled",
  [CouponState.ACTIVE]: "Active",
  [CouponState.EXPIRED]: "Expired",
  [CouponState.EXHAUSTED]: "Exhausted",
  [CouponState.DISABLED]: "Disabled",
};

// 3 of 100 redeemed
export function redeemedWords({ redeemed, maxRedemptions }: Pick<Coupon, "redeemed" | "maxRedemptions">): string {
  return maxRedemptions === undefined ? `${number(redeemed)} redeemed` : `${number(redeemed)} of ${number(maxRedemptions)} redeemed`;
}

// expires 7 Mar 2026, 14:05
export function expiryWords({ expireAt }: Pick<Coupon, "expireAt">, zone: string, now: number): string {
  if (expireAt === undefined) return "never expires";
  const moment = Date.parse(expireAt);
  const civil = civilOf(moment, zone);
  return `${moment <= now ? "expired" : "expires"} ${fullDate(civil)}, ${clock(civil)}`;
}

// How many are listed.
export function listedWords(count: number, more: boolean): string {
  return `${counted(count, "coupon")}${more ? ", and more" : ""}`;
}

// What the funnel is of: `tag` as it is called, or empty.
export function funnelTitle(tag: string, coupon: Pick<Coupon, "couponcode" | "title"> | undefined): string {
  if (coupon) return `From taps to redemptions: coupon ${coupon.couponcode}, ${coupon.title}`;
  return tag ? `From taps to redemptions: tag ${tag}` : "From taps to redemptions: the whole team";
}
