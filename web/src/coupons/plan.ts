// From what is chosen to what is asked about coupons. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  CouponFilter_Value as CouponFilter,
  CouponOrder_Value as CouponOrder,
  type ListCouponsRequestSchema,
  type QueryFunnelRequestSchema,
} from "../gen/tap/v1/coupons_pb";
import { Interval_Value as Interval } from "../gen/tap/v1/tap_analytics_pb";
import { type Span, type SpanSettings, intervalOf, spanOf } from "../range";

export type FunnelQuery = MessageInitShape<typeof QueryFunnelRequestSchema>;
export type CouponPage = MessageInitShape<typeof ListCouponsRequestSchema>;

// What the funnel is of, and of which time: a tag by its uid, a coupon by its id, or, with neither, the team.
export interface FunnelSettings extends SpanSettings {
  tag: string;
  coupon: string;
}

export interface FunnelPlan {
  span: Span;
  interval: Interval;
  // The intervals that suit the range.
  intervals: Interval[];
  query: FunnelQuery;
}

// Which coupons are listed, and how.
export interface ListChoice {
  state: CouponFilter;
  order: CouponOrder;
}

// So many coupons at a time, and no more at once.
export const PAGE_SIZE = 50;
const MOST_AT_ONCE = 1000;

export function funnelPlanOf({ range, interval: chosen, zone: timeZone, tag, coupon }: FunnelSettings, now: number): FunnelPlan {
  const span = spanOf(range, timeZone, now);
  // Few minutes have coupons in them.
  const { interval, intervals } = intervalOf(span, chosen, Interval.HOUR);
  const { startDate, endDate } = span;
  const query = { startDate, endDate, timeZone, interval, ...(coupon ? { couponId: coupon } : tag ? { tagUid: tag } : {}) };
  return { span, interval, intervals, query };
}

// The first page, with as many as were shown before, so that none of them goes away.
export function firstPage(choice: ListChoice, shown: number): CouponPage {
  return { ...choice, pageSize: Math.min(MOST_AT_ONCE, Math.max(PAGE_SIZE, shown)) };
}

export function nextPage(choice: ListChoice, pageToken: string): CouponPage {
  return { ...choice, pageSize: PAGE_SIZE, pageToken };
}
