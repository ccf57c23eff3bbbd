// From what is chosen to what is asked about events. Pure.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { QueryEventsRequestSchema } from "../gen/tap/v1/events_pb";
import { Interval_Value as Interval } from "../gen/tap/v1/tap_analytics_pb";
import { type Span, type SpanSettings, intervalOf, spanOf } from "../range";

export type EventQuery = MessageInitShape<typeof QueryEventsRequestSchema>;

export interface EventPlan {
  span: Span;
  interval: Interval;
  // The intervals that suit the range.
  intervals: Interval[];
  query: EventQuery;
}

// So many can be told apart by colour; the rest is one.
export const MOST_CATEGORIES = 6;

export function eventPlanOf({ range, interval: chosen, zone: timeZone }: SpanSettings, now: number): EventPlan {
  const span = spanOf(range, timeZone, now);
  // Events are not counted by the minute.
  const { interval, intervals } = intervalOf(span, chosen, Interval.HOUR);
  const { startDate, endDate } = span;
  return { span, interval, intervals, query: { startDate, endDate, timeZone, interval, limit: MOST_CATEGORIES } };
}
