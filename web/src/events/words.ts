// What the page says about refused events. Pure.
import { isToken } from "../access";
import type { Failure } from "../failure";
import { keyTypo } from "../words";

// What is wrong with what was entered as the key to send events with, or nothing. `team` is the number of the
// team whose events they are: what is refused of another team may look the same.
export function senderTypo(key: string, team: number | undefined): string {
  if (key === "") return "Enter a key with the scope events:write.";
  if (isToken(key)) return "This is a token, which can only read. Enter a key with the scope events:write.";
  const typo = keyTypo(key);
  if (typo) return typo;
  return team === undefined || key.startsWith(`tap_${team}_`) ? "" : "This is a key of another team.";
}

// Why that key does not send them.
export function senderProblem({ kind, reason, message }: Failure): string {
  switch (reason) {
    case "SCOPE_MISSING":
      return "This key may not send events: it lacks the scope events:write. Make one with --preset writer.";
    case "API_KEY_REVOKED":
      return "This key was revoked. Enter another one.";
    case "API_KEY_EXPIRED":
      return "This key has expired. Enter another one.";
  }
  if (kind === "key") return "This key is not valid. Check that it is complete, or get a new one.";
  return message ? `The service refused: ${message}.` : "The service refused this.";
}
