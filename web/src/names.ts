// How numbers, intervals and times are written. Pure.
import {
  type Bucket,
  Interval_Value as Interval,
  Kind_Value as Kind,
} from "./gen/tap/v1/tap_analytics_pb";
import { MONTHS, WEEKDAYS, type Civil, civilOfText, clock, dayMonth, fullDate, two, weekday } from "./civil";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });

export function number(value: number): string {
  return whole.format(value);
}

// 12K, for axes.
export function shortNumber(value: number): string {
  return value < 10_000 ? whole.format(value) : short.format(value);
}

export function share(part: number, of: number): string {
  return of > 0 ? percent.format(part / of) : "";
}

// 1 tap, 1,204 taps
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function taps(count: number): string {
  return counted(count, "tap");
}

export function events(count: number): string {
  return counted(count, "event");
}

// What the service says about a question, as a sentence.
export function sentence(message: string): string {
  return message ? `${message[0]?.toUpperCase() ?? ""}${message.slice(1)}.` : "The service refused this question.";
}

// +12.5%
export function signed(ratio: number): string {
  const size = Math.abs(ratio);
  const text = size >= 10 ? `${number(size * 100)}%` : percent.format(size);
  return `${ratio < 0 ? "−" : "+"}${text}`;
}

export const INTERVALS: Record<Interval, string> = {
  [Interval.TOTAL]: "Total",
  [Interval.MINUTE]: "Minute",
  [Interval.HOUR]: "Hour",
  [Interval.DAY]: "Day",
  [Interval.WEEK]: "Week",
  [Interval.MONTH]: "Month",
  [Interval.QUARTER]: "Quarter",
  [Interval.YEAR]: "Year",
};

// by day
export function byInterval(interval: Interval): string {
  return interval === Interval.TOTAL ? "" : `by ${INTERVALS[interval].toLowerCase()}`;
}

export const KINDS: Record<Kind, string> = {
  [Kind.UNSET]: "",
  [Kind.NFC]: "NFC",
  [Kind.QR]: "QR code",
  [Kind.LINK]: "Link",
};

// Sun 22 Nov
function day(civil: Civil): string {
  return `${WEEKDAYS[weekday(civil)] ?? ""} ${dayMonth(civil)}`;
}

// What a bucket is called. `start` and `end` carry the offset of their zone.
export function bucketName({ start, end }: Pick<Bucket, "start" | "end">, interval: Interval): string {
  const first = civilOfText(start);
  const after = civilOfText(end);
  switch (interval) {
    case Interval.MINUTE:
      return `${day(first)}, ${clock(first)}`;
    case Interval.HOUR:
      return `${day(first)}, ${clock(first)}–${clock(after)}`;
    case Interval.DAY:
      return `${day(first)} ${first.year}`;
    case Interval.WEEK:
      return days(first, dayBefore(after));
    case Interval.MONTH:
      return `${MONTHS[first.month - 1] ?? ""} ${first.year}`;
    case Interval.QUARTER:
      return `Q${Math.ceil(first.month / 3)} ${first.year}`;
    case Interval.YEAR:
      return String(first.year);
    default:
      return `${fullDate(first)}, ${clock(first)} – ${fullDate(after)}, ${clock(after)}`;
  }
}

// The last day before an instant: the day before, at midnight.
function dayBefore(civil: Civil): Civil {
  const back = civil.hour === 0 && civil.minute === 0 && civil.second === 0 ? 1 : 0;
  const moved = new Date(Date.UTC(civil.year, civil.month - 1, civil.day - back));
  return { ...civil, year: moved.getUTCFullYear(), month: moved.getUTCMonth() + 1, day: moved.getUTCDate() };
}

function days(first: Civil, last: Civil): string {
  if (first.year !== last.year) return `${fullDate(first)} – ${fullDate(last)}`;
  if (first.month !== last.month) return `${dayMonth(first)} – ${fullDate(last)}`;
  if (first.day !== last.day) return `${first.day} – ${fullDate(last)}`;
  return fullDate(first);
}

// From where to where, of two civil times. `open` when the end is not reached yet.
export function spanName(first: Civil, after: Civil, open: boolean): string {
  const wholeDays = first.hour + first.minute + after.hour + after.minute === 0;
  if (wholeDays) return open && first.day !== dayBefore(after).day ? `since ${fullDate(first)}` : days(first, dayBefore(after));
  if (open) return `since ${day(first)}, ${clock(first)}`;
  return `${day(first)}, ${clock(first)} – ${day(after)}, ${clock(after)}`;
}

// 14:05:09
export function time(civil: Civil): string {
  return `${clock(civil)}:${two(civil.second)}`;
}

// The hour of the week, from 0: Mon 08:00–09:00.
export function hourName(hour: number): string {
  const of = hour % 24;
  return `${WEEKDAYS[Math.floor(hour / 24)] ?? ""} ${two(of)}:00–${two(of + 1)}:00`;
}

// In how long: 36 seconds, 5 minutes.
export function duration(milliseconds: number): string {
  const seconds = Math.max(1, Math.ceil(milliseconds / 1000));
  if (seconds < 100) return seconds === 1 ? "1 second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}
