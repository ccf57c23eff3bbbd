// What the ledger says about a time. Pure.
import type { LedgerMinute } from "../gen/tap/v1/events_pb";
import { number } from "../names";

export type Account = Pick<LedgerMinute, (typeof COLUMNS)[number]>;

// What came in, and then what became of it.
export const COLUMNS = ["received", "stored", "duplicate", "rejected", "pending"] as const;

// The sum, written out.
export function balance(account: Account | undefined): { text: string; adds: boolean } {
  if (!account) return { text: "", adds: true };
  const { received, stored, duplicate, rejected, pending } = account;
  const parts = [stored, duplicate, rejected, pending];
  const sum = parts.reduce((one, other) => one + other);
  const adds = sum === received;
  return { text: `${parts.map(number).join(" + ")} = ${number(sum)}${adds ? "" : `, not ${number(received)}`}`, adds };
}
