// Civil time: the calendar and the clock on the wall of a time zone. Pure.

// A moment as a calendar and a clock show it. `month` is 1 to 12.
export interface Civil {
  year: number;
  month: number;
  day: number;
  hour: number;
  minute: number;
  second: number;
}

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
export const MINUTE_MS = 60_000;

export const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
export const WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (!format) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "iso8601",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    formats.set(zone, format);
  }
  return format;
}

// What calendar and clock show in a zone. Throws a RangeError for a zone that is not known.
export function civilOf(instant: number, zone: string): Civil {
  const parts: Record<string, number> = {};
  for (const { type, value } of formatOf(zone).formatToParts(instant)) parts[type] = Number(value);
  return {
    year: parts["year"] ?? 0,
    month: parts["month"] ?? 1,
    day: parts["day"] ?? 1,
    hour: parts["hour"] ?? 0,
    minute: parts["minute"] ?? 0,
    second: parts["second"] ?? 0,
  };
}

// The same of an RFC 3339 text, by the offset that is written in it.
export function civilOfText(text: string): Civil {
  const match = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})/.exec(text);
  if (!match) return { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return {
    year: year ?? 0,
    month: month ?? 1,
    day: day ?? 1,
    hour: hour ?? 0,
    minute: minute ?? 0,
    second: second ?? 0,
  };
}

// The name of a zone as the service spells it, or undefined when there is none of that name.
export function zoneNamed(name: string): string | undefined {
  const wanted = name.trim();
  if (!/^[A-Za-z][A-Za-z0-9_+\-/]*$/.test(wanted)) return undefined;
  const known = zoneNames().find((name) => name.toLowerCase() === wanted.toLowerCase());
  if (known) return known;
  try {
    // Another name of a zone, such as Asia/Kathmandu where the browser lists Asia/Katmandu.
    return formatOf(wanted).resolvedOptions().timeZone;
  } catch {
    return undefined;
  }
}

// All zones that the browser knows.
export function zoneNames(): string[] {
  return ["UTC", ...Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC")];
}

// The zone of this browser.
export function ownZone(): string {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return (zone && zoneNamed(zone)) || "UTC";
}

// A calendar day as YYYY-MM-DD.
export function dateText({ year, month, day }: Pick<Civil, "year" | "month" | "day">): string {
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}`;
}

// The day that is so many days later.
export function addDays(date: string, days: number): string {
  const moved = new Date(`${date}T00:00:00Z`);
  moved.setUTCDate(moved.getUTCDate() + days);
  return moved.toISOString().slice(0, 10);
}

// From Monday, 0, to Sunday, 6.
export function weekday({ year, month, day }: Pick<Civil, "year" | "month" | "day">): number {
  return (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7;
}

// The first instant of a civil day: midnight, or later where the clock skips midnight.
export function startOfDay(date: string, zone: string): number {
  const [year = 0, month = 1, day = 1] = date.split("-").map(Number);
  const noon = Date.UTC(year, month - 1, day, 12);
  // Offsets are between -12 and +14 hours, so the first instant is in this range.
  let before = noon - 27 * HOUR_MS;
  let within = noon + 12 * HOUR_MS;
  while (within - before > 1000) {
    const middle = Math.floor((before + within) / 2000) * 1000;
    if (dateText(civilOf(middle, zone)) < date) before = middle;
    else within = middle;
  }
  return within;
}

export function two(number: number): string {
  return String(number).padStart(2, "0");
}

// 14:05
export function clock({ hour, minute }: Civil): string {
  return `${two(hour)}:${two(minute)}`;
}

// 7 Mar
export function dayMonth({ day, month }: Civil): string {
  return `${day} ${MONTHS[month - 1] ?? ""}`;
}

// 7 Mar 2026
export function fullDate(civil: Civil): string {
  return `${dayMonth(civil)} ${civil.year}`;
}
