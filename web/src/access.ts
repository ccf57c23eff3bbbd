// What lets the page in: a token. A key is only what a token is traded for.
import { failureOf } from "./failure";

// What the page does takes these scopes. Without the first it shows nothing.
const SCOPES = ["taps:read", "events:read", "coupons:read"] as const;

// Asks for a token that may do what the page does, and no more; or, where the key may not do all of it, as much as
// it may.
export async function asMuchAsItMay<T>(ask: (scopes: string[]) => Promise<T>): Promise<T> {
  for (let scopes: string[] = [...SCOPES]; ; ) {
    try {
      return await ask(scopes);
    } catch (error) {
      const { lacks } = failureOf(error);
      if (lacks === undefined || lacks === SCOPES[0] || !scopes.includes(lacks)) throw error;
      scopes = scopes.filter((scope) => scope !== lacks);
    }
  }
}

// A key has no dot, a token has two.
export function isToken(text: string): boolean {
  return text.includes(".");
}

const PLACE = "tap-analytics-token";

// The token of this tab, so that it is still signed in when it is loaded again: the key is not kept, and who
// has it at hand every time keeps it in a bad place. Only pages of this origin get at the storage of a tab, no
// request carries it, and it goes with the tab. What is in it only reads, ends after an hour, and with its
// key. A script that could take it from here could take it from the memory of the page as well: none but our
// own runs here.
export function remembered(): string | undefined {
  try {
    return sessionStorage.getItem(PLACE) ?? undefined;
  } catch {
    return undefined;
  }
}

// Undefined: forgets it.
export function remember(token: string | undefined): void {
  try {
    if (token === undefined) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, token);
  } catch {
    // Where sites may store nothing, it is in memory only.
  }
}
