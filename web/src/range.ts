// Ranges of time and widths of buckets: what the controls offer, and what it means now. Pure.
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { DAY_MS, HOUR_MS, MINUTE_MS, addDays, civilOf, dateText, startOfDay } from "./civil";

export const PRESETS = ["hour", "day", "today", "week", "month", "year", "all", "custom"] as const;
export type Preset = (typeof PRESETS)[number];

// A chosen range. `from` and `to` are the days of "custom", both included.
export interface RangeChoice {
  preset: Preset;
  from: string;
  to: string;
}

// What is chosen of time. An `interval` of TOTAL means: the one that suits the range.
export interface SpanSettings {
  range: RangeChoice;
  interval: Interval;
  zone: string;
}

// A range as it is asked for, and as instants.
export interface Span {
  // As the request has them: days, or instants.
  startDate: string;
  endDate: string;
  start: number;
  end: number;
  // From this moment on the choice means another range.
  until: number;
  // Whether to show the part that is still to come.
  ahead: boolean;
}

const FIRST_DAY = "2022-01-01";
// The last hour is asked for with a little of what is to come, so that it is not asked again each minute.
const HOUR_AHEAD_MS = 5 * MINUTE_MS;

// What a choice means at this moment in this zone.
export function spanOf(choice: RangeChoice, zone: string, now: number): Span {
  const civil = civilOf(now, zone);
  const today = dateText(civil);
  switch (choice.preset) {
    case "hour": {
      const minute = Math.floor(now / MINUTE_MS) * MINUTE_MS;
      return instants(minute - HOUR_MS, minute + HOUR_AHEAD_MS);
    }
    case "day": {
      const second = Math.floor(now / 1000) * 1000;
      const hour = second - (civil.minute * 60 + civil.second) * 1000;
      return instants(hour - 23 * HOUR_MS, hour + HOUR_MS);
    }
    case "today":
      return days(today, today, zone, now, true);
    case "week":
      return days(addDays(today, -6), today, zone, now, false);
    case "month":
      return days(addDays(today, -29), today, zone, now, false);
    case "year": {
      const first = new Date(Date.UTC(civil.year, civil.month - 12, 1)).toISOString().slice(0, 10);
      const last = new Date(Date.UTC(civil.year, civil.month, 0)).toISOString().slice(0, 10);
      return days(first, last, zone, now, false);
    }
    case "all":
      return days(FIRST_DAY, today, zone, now, false);
    case "custom":
      return { ...days(choice.from, choice.to, zone, now, true), until: Infinity };
  }
}

function instants(start: number, end: number): Span {
  const text = (instant: number) => new Date(instant).toISOString().replace(".000", "");
  return { startDate: text(start), endDate: text(end), start, end, until: end, ahead: false };
}

function days(first: string, last: string, zone: string, now: number, ahead: boolean): Span {
  const tomorrow = startOfDay(addDays(dateText(civilOf(now, zone)), 1), zone);
  return {
    startDate: first,
    endDate: last,
    start: startOfDay(first, zone),
    end: startOfDay(addDays(last, 1), zone),
    until: tomorrow,
    ahead,
  };
}

// What is wrong with the days of a custom range, or undefined.
export function rangeProblem({ preset, from, to }: RangeChoice): string | undefined {
  if (preset !== "custom") return undefined;
  const day = /^\d{4}-\d{2}-\d{2}$/;
  if (!day.test(from) || !day.test(to)) return "Choose both days.";
  if (from < "2000-01-01" || to > "2199-12-31") return "Choose days of the years 2000 to 2199.";
  if (from > to) return "The first day must not be after the last.";
  return undefined;
}

// Widths of buckets, about: a month has 30 days here.
const WIDTHS: [Interval, number][] = [
  [Interval.MINUTE, MINUTE_MS],
  [Interval.HOUR, HOUR_MS],
  [Interval.DAY, DAY_MS],
  [Interval.WEEK, 7 * DAY_MS],
  [Interval.MONTH, 30 * DAY_MS],
  [Interval.QUARTER, 91 * DAY_MS],
  [Interval.YEAR, 365 * DAY_MS],
];

// More buckets than this cannot be told apart in a chart.
const MOST_BUCKETS = 2000;

// The intervals that suit a range.
export function intervalsFor(span: Span): Interval[] {
  const length = span.end - span.start;
  const fit = WIDTHS.filter(([, width]) => width <= length && length / width <= MOST_BUCKETS);
  return fit.map(([interval]) => interval);
}

// The interval that is meant by what was chosen, and those that there are to choose from. `least` is the narrowest
// that is counted by.
export function intervalOf(span: Span, chosen: Interval, least = Interval.MINUTE): { interval: Interval; intervals: Interval[] } {
  const intervals = intervalsFor(span).filter((one) => one >= least);
  return { interval: intervals.includes(chosen) ? chosen : Math.max(least, bestInterval(span)), intervals };
}

// The interval that shows a range best.
export function bestInterval(span: Span): Interval {
  const length = span.end - span.start;
  if (length <= 3 * HOUR_MS) return Interval.MINUTE;
  if (length <= 8 * DAY_MS) return Interval.HOUR;
  if (length <= 100 * DAY_MS) return Interval.DAY;
  if (length <= 800 * DAY_MS) return Interval.WEEK;
  if (length <= 15 * 365 * DAY_MS) return Interval.MONTH;
  return Interval.YEAR;
}
