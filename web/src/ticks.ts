// Where the labels under the chart go. Pure.
import { Interval_Value as Interval } from "./gen/tap/v1/tap_analytics_pb";
import { MONTHS, type Civil, clock, dayMonth } from "./civil";

export interface Tick {
  // The place of the bucket at whose start it is.
  index: number;
  label: string;
}

// A way to cut time: the number of the piece that a moment is in, and what the piece is called.
interface Level {
  piece(civil: Civil): number;
  label(civil: Civil): string;
}

const dayNumber = ({ year, month, day }: Civil) => Date.UTC(year, month - 1, day) / 86_400_000;

const minutes = (step: number): Level => ({
  piece: (civil) => Math.floor((dayNumber(civil) * 1440 + civil.hour * 60 + civil.minute) / step),
  label: (civil) => (civil.hour === 0 && civil.minute === 0 ? dayMonth(civil) : clock(civil)),
});

const days = (step: number): Level => ({
  // Day 4 of 1970 was a Monday, a Thursday three days before.
  piece: (civil) => Math.floor((dayNumber(civil) + (step % 7 === 0 ? 3 : 0)) / step),
  label: dayMonth,
});

const months = (step: number): Level => ({
  piece: ({ year, month }) => Math.floor((year * 12 + month - 1) / step),
  label: ({ year, month }) => (month === 1 ? String(year) : (MONTHS[month - 1] ?? "")),
});

const years = (step: number): Level => ({
  piece: ({ year }) => Math.floor(year / step),
  label: ({ year }) => String(year),
});

const MINUTES = [1, 2, 5, 10, 15, 30].map(minutes);
const HOURS = [60, 120, 180, 360, 720].map(minutes);
const DAYS = [1, 2, 7, 14].map(days);
const MONTHLY = [1, 2].map(months);
const QUARTERLY = [3, 6].map(months);
const YEARS = [1, 2, 5, 10, 25, 50, 100].map(years);

// From the finest that makes sense for an interval.
function levelsFor(interval: Interval): Level[] {
  const levels: [Interval, Level[]][] = [
    [Interval.MINUTE, MINUTES],
    [Interval.HOUR, HOURS],
    [Interval.WEEK, DAYS],
    [Interval.MONTH, MONTHLY],
    [Interval.QUARTER, QUARTERLY],
    [Interval.YEAR, YEARS],
  ];
  return levels.flatMap(([coarsest, some]) => (interval <= coarsest ? some : []));
}

// At most `room` ticks, at the starts of the finest pieces of which there are no more.
export function ticksOf(starts: Civil[], interval: Interval, room: number): Tick[] {
  for (const level of levelsFor(interval)) {
    const ticks = ticksAt(level, starts);
    if (ticks.length > 0 && ticks.length <= room) return ticks;
  }
  const first = starts[0];
  return first ? [{ index: 0, label: dayMonth(first) }] : [];
}

function ticksAt(level: Level, starts: Civil[]): Tick[] {
  const ticks: Tick[] = [];
  let before: number | undefined;
  for (const [index, civil] of starts.entries()) {
    const piece = level.piece(civil);
    // The first bucket only where a piece begins with it.
    const begins = before === undefined ? level.piece(minuteBefore(civil)) !== piece : piece !== before;
    if (begins) ticks.push({ index, label: level.label(civil) });
    before = piece;
  }
  return ticks;
}

function minuteBefore({ year, month, day, hour, minute }: Civil): Civil {
  const moved = new Date(Date.UTC(year, month - 1, day, hour, minute - 1));
  return {
    year: moved.getUTCFullYear(),
    month: moved.getUTCMonth() + 1,
    day: moved.getUTCDate(),
    hour: moved.getUTCHours(),
    minute: moved.getUTCMinutes(),
    second: 0,
  };
}
