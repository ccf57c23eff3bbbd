// From the rows of the dialog to a patch of refused events, and from the answer to words. Pure.
import { type JsonValue, create, fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { type EventPatch, EventPatchSchema, type ReplayEventErrorsResponse, ReplayOutcome_Value as ReplayOutcome } from "../gen/tap/v1/events_pb";
import type { Violation } from "../gen/tap/v1/tap_analytics_pb";
import { events, number } from "../names";

// What somebody wrote: places and values to set, and places to clear. Rows in which nothing is are left out.
export interface PatchRows {
  set: { path: string; value: string }[];
  remove: string[];
}

// The patch, or what is wrong with the rows.
export function patchOf({ set, remove }: PatchRows): { patch: EventPatch } | { problem: string } {
  const values = new Map<string, ReturnType<typeof valueOf>>();
  for (const { path: written, value: text } of set) {
    const path = written.trim();
    if (path === "" && text.trim() === "") continue;
    if (path === "") return { problem: `Say where ${text.trim()} goes, such as session_id or data.plan.` };
    if (values.has(path)) return { problem: `${path} is set twice.` };
    const value = valueOf(text);
    if (value === undefined) {
      return { problem: `The value of ${path} is not JSON. Text stands in double quotes, such as "gold".` };
    }
    values.set(path, value);
  }
  const cleared = new Set(remove.map((path) => path.trim()).filter((path) => path !== ""));
  const patch = create(EventPatchSchema, { remove: [...cleared] });
  // Whatever a path is called, it is no more than a name.
  patch.set = Object.fromEntries(values) as EventPatch["set"];
  return { patch };
}

function valueOf(text: string) {
  try {
    return fromJson(ValueSchema, JSON.parse(text) as JsonValue);
  } catch {
    return undefined;
  }
}

// What would become of refused events, or has.
export interface Verdict {
  text: string;
  // What would still be wrong, the most frequent first, each with how many.
  wrong: { count: number; violation: Violation }[];
}

const MOST_WRONG = 8;

export function verdictOf({ results, remaining }: ReplayEventErrorsResponse): Verdict {
  const count = (wanted: ReplayOutcome) => results.filter(({ outcome }) => outcome === wanted).length;
  const [sent, good, bad] = [ReplayOutcome.SENT, ReplayOutcome.WOULD_BE_STORED, ReplayOutcome.WOULD_BE_REJECTED].map(count);
  const rest = remaining > 0 ? ` ${number(remaining)} more ${remaining === 1 ? "is" : "are"} left.` : "";
  if (results.length === 0) return { text: "There are none left to send.", wrong: [] };
  if (sent) {
    return { text: `${events(sent)} ${sent === 1 ? "was" : "were"} sent again.${rest}`, wrong: [] };
  }
  const stored = `${events(good ?? 0)} would be stored`;
  const refused = bad ? `${number(bad)} would be refused again` : "none would be refused again";
  return { text: `${stored}, ${refused}.${rest}`, wrong: wrongOf(results.flatMap(({ violations }) => violations)) };
}

function wrongOf(violations: Violation[]): Verdict["wrong"] {
  const counted = new Map<string, { count: number; violation: Violation }>();
  for (const violation of violations) {
    const id = JSON.stringify([violation.field, violation.reason, violation.description]);
    const known = counted.get(id);
    if (known) known.count++;
    else counted.set(id, { count: 1, violation });
  }
  return [...counted.values()].sort((one, other) => other.count - one.count).slice(0, MOST_WRONG);
}
