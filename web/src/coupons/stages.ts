// The stages from a tap to a redemption: how many, and how large a share of the stage before. Pure.
import type { FunnelCounts } from "../gen/tap/v1/coupons_pb";
import { counted, share } from "../names";

export type Counts = Pick<FunnelCounts, (typeof STAGES)[number]["key"]>;

export const STAGES = [
  { key: "taps", name: "Taps", one: "tap", many: "taps" },
  { key: "sessions", name: "Sessions", one: "session", many: "sessions" },
  { key: "couponViews", name: "Coupon views", one: "coupon view", many: "coupon views" },
  { key: "redemptions", name: "Redemptions", one: "redemption", many: "redemptions" },
] as const;

export interface Stage {
  count: number;
  // Of the stage before, in words: a dash where that has none. Empty for the first.
  share: string;
  // Of the largest stage, 0 to 1: how long its bar is.
  length: number;
}

// There can be more of a stage than of the one before: each is counted when it happened.
export function stagesOf(counts: Counts): Stage[] {
  const most = Math.max(1, ...STAGES.map(({ key }) => counts[key]));
  return STAGES.map(({ key }, at) => {
    const count = counts[key];
    const before = STAGES[at - 1];
    const part = before && share(count, counts[before.key]);
    return { count, share: before ? (part ? `${part} of ${before.many}` : "—") : "", length: count / most };
  });
}

// 12 taps, 1 session, 0 coupon views, 0 redemptions
export function stageWords(counts: Counts): string[] {
  return STAGES.map(({ key, one, many }) => counted(counts[key], one, many));
}
