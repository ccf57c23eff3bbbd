// The list of live taps: newest first, of bounded length. Pure.
import type { Tap } from "./gen/tap/v1/tap_analytics_pb";

// A tap, or a word about the list itself. `id` grows with each row and never comes twice.
export type Row = { id: number } & ({ tap: Tap } | { note: string });

export interface Ticker {
  rows: readonly Row[];
  // The id of the next row.
  next: number;
}

export const MOST_ROWS = 200;

export const emptyTicker: Ticker = { rows: [], next: 1 };

// Adds taps, which come in the order in which they were stored.
export function addTaps({ rows, next }: Ticker, taps: readonly Tap[]): Ticker {
  const added: Row[] = [];
  for (const tap of taps) added.push({ id: next++, tap });
  return { rows: [...added.reverse(), ...rows].slice(0, MOST_ROWS), next };
}

// Adds a word about what comes after it, or is missing before it.
export function addNote({ rows, next }: Ticker, note: string): Ticker {
  const first = rows[0];
  if (first && "note" in first && first.note === note) return { rows, next };
  return { rows: [{ id: next, note }, ...rows].slice(0, MOST_ROWS), next: next + 1 };
}

// From now on only the taps of one tag come, or of all when `tag` is empty: drops what does not belong,
// and says so where the list would look whole but is not.
export function narrow(ticker: Ticker, from: string, to: string): Ticker {
  if (to === "") return ticker.rows.length > 0 ? addNote(ticker, "All tags from here on") : ticker;
  const rows = ticker.rows.filter((row) => "tap" in row && row.tap.tagUid === to);
  return { rows: from === "" ? rows : [], next: ticker.next };
}
