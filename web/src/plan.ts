// From what is chosen to what is asked: the two watches of the page. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import {
  Compare_Value as Compare,
  GroupBy_Value as GroupBy,
  type Interval_Value as Interval,
  type QueryTapsRequestSchema,
} from "./gen/tap/v1/tap_analytics_pb";
import { type Span, type SpanSettings, intervalOf, spanOf } from "./range";

export type Query = MessageInitShape<typeof QueryTapsRequestSchema>;

// Everything that the controls say.
export interface Settings extends SpanSettings {
  tag: string;
  compare: Compare;
}

export interface Plan {
  span: Span;
  interval: Interval;
  // For the total, the chart, and the busiest tags; or, with one tag, how it was read.
  counts: Query;
  // For the hours of the week.
  hours: Query;
}

const TOP_TAGS = 10;

export function planOf(settings: Settings, now: number): Plan {
  const { zone: timeZone, tag, compare } = settings;
  const span = spanOf(settings.range, timeZone, now);
  const { interval } = intervalOf(span, settings.interval);
  const { startDate, endDate } = span;
  const tagUids = tag ? [tag] : [];
  return {
    span,
    interval,
    counts: {
      startDate,
      endDate,
      timeZone,
      tagUids,
      interval,
      compare,
      ...(tag ? { groupBy: GroupBy.KIND } : { groupBy: GroupBy.TAG, limit: TOP_TAGS }),
    },
    hours: { startDate, endDate, timeZone, tagUids, groupBy: GroupBy.HOUR_OF_WEEK },
  };
}

// Whether two queries ask the same.
export function same(one: Query | undefined, other: Query): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
