// What the page says about failures and about how its streams stand. Pure.
import type { Failure } from "./failure";
import type { Condition } from "./follow";
import { duration } from "./names";

// What was sent that is refused: a key, a token that somebody entered, or the token that the page has had.
export type Given = "key" | "token" | "earlier";

// Why that does not open the page, or no longer keeps it open.
export function keyProblem({ kind, reason, message }: Failure, given: Given): string {
  switch (reason) {
    case "SCOPE_MISSING":
      return "This key may not read taps: it lacks the scope taps:read. Make one with --preset reader.";
    case "API_KEY_REVOKED":
      return "This key was revoked. Enter another one.";
    case "API_KEY_EXPIRED":
      return "This key has expired. Enter another one.";
  }
  if (kind === "lapsed") {
    return given === "token"
      ? "This token has ended. Enter a key, or a token that has not."
      : "Your time to be signed in is over. Enter the key again.";
  }
  if (kind !== "key") return `The service refused: ${message}`;
  switch (given) {
    case "key":
      return "This key is not valid. Check that it is complete, or get a new one.";
    case "token":
      return "This token is not valid. Check that it is complete, or enter a key.";
    case "earlier":
      return "The key does not work any more: it was revoked or replaced. Enter another one.";
  }
}

// That the token has ended; `until` as a time of day.
export function lapsed(until: string): string {
  const over = until ? `You were signed in until ${until}.` : "Your time to be signed in is over.";
  return `${over} Enter the key again, and the page goes on where it was.`;
}

// What keeps the page from being live, or nothing. `at` writes a moment as a time of day.
export function trouble(condition: Condition, at: (moment: number) => string, now: number): string {
  if (condition.is === "waiting") {
    const { until, failure } = condition;
    if (failure.reason === "TOO_MANY_WRONG_KEYS") {
      return `Too many wrong keys came from your network: the service looks at no more before ${at(until)}. The page tries this one again then.`;
    }
    if (!outOfQueries(failure)) {
      return `The service asks to wait: ${failure.message}. Next try at ${at(until)}.`;
    }
    return `This key has used up its queries. The next one is free in ${duration(until - now)}, at ${at(until)}: the page goes on by itself then.`;
  }
  if (condition.is !== "reconnecting" || !condition.failure) return "";
  return condition.failure.reason === "STORE_UNAVAILABLE"
    ? "The service does not reach its database. Trying again."
    : "The service cannot be reached. Trying again.";
}

function outOfQueries({ reason, calls = "query" }: Failure): boolean {
  return reason === "QUOTA_EXCEEDED" && calls === "query";
}

// How the page stands, in a word or two.
export function state(condition: Condition): string {
  switch (condition.is) {
    case "opening":
      return "Connecting";
    case "live":
      return "Live";
    case "fresh":
      return "Up to date";
    case "reconnecting":
      return "Reconnecting";
    case "waiting":
      return outOfQueries(condition.failure) ? "Out of queries" : "Waiting";
    case "paused":
      return "Paused";
    case "lapsed":
    case "over":
      return "Stopped";
  }
}

// What is wrong with what was entered as a key, or nothing.
export function keyTypo(key: string): string {
  if (key === "") return "Enter a key.";
  return /^tap_[0-9]+_[!-~]+$/.test(key) ? "" : "This does not look like a key: one begins with tap_ and a number.";
}
