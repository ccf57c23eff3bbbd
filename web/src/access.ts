// What lets the page in: a token. A key is only what a token is traded for.

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
