// What the page says about failures and about how its streams stand. Pure.
import type { Failure } from "./failure";
import type { Condition } from "./follow";
import { duration } from "./names";

// Why a key does not open the page, or no longer keeps it open.
export function keyProblem({ kind, reason, message }: Failure, used: boolean): string {
  if (kind === "scope") return "This key may not read taps: it lacks the scope taps:read. Make one with --preset reader.";
  switch (reason) {
    case "API_KEY_REVOKED":
      return "This key was revoked. Enter another one.";
    case "API_KEY_EXPIRED":
      return "This key has expired. Enter another one.";
  }
  if (kind !== "key") return `The service refused: ${message}`;
  return used
    ? "This key does not work any more: it was revoked or replaced. Enter another one."
    : "This key is not valid. Check that it is complete, or get a new one.";
}

// What keeps the page from being live, or nothing. `at` writes a moment as a time of day.
export function trouble(condition: Condition, at: (moment: number) => string, now: number): string {
  if (condition.is === "waiting") {
    const { until, failure } = condition;
    if (failure.reason !== "QUOTA_EXCEEDED") {
      return `The service asks to wait: ${failure.message}. Next try at ${at(until)}.`;
    }
    return `This key has used up its queries. The next one is free in ${duration(until - now)}, at ${at(until)}: the page goes on by itself then.`;
  }
  if (condition.is !== "reconnecting" || !condition.failure) return "";
  return condition.failure.reason === "STORE_UNAVAILABLE"
    ? "The service does not reach its database. Trying again."
    : "The service cannot be reached. Trying again.";
}

// How the page stands, in a word or two.
export function state(condition: Condition): string {
  switch (condition.is) {
    case "opening":
      return "Connecting";
    case "live":
      return "Live";
    case "reconnecting":
      return "Reconnecting";
    case "waiting":
      return condition.failure.reason === "QUOTA_EXCEEDED" ? "Out of queries" : "Waiting";
    case "paused":
      return "Paused";
    case "over":
      return "Stopped";
  }
}

// What is wrong with what was entered as a key, or nothing.
export function keyTypo(key: string): string {
  if (key === "") return "Enter a key.";
  return /^tap_[0-9]+_[!-~]+$/.test(key) ? "" : "This does not look like a key: one begins with tap_ and a number.";
}
