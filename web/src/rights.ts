// Who may see which tab. Pure.
import type { Failure } from "./failure";
import type { WhoAmIResponse } from "./gen/tap/v1/api_keys_pb";

// What is to be seen, and the scopes that it takes, all of them.
export interface Sight {
  what: string;
  scopes: readonly string[];
}

const list = new Intl.ListFormat("en-GB");

// Why somebody may not see it, as far as that is known, or undefined.
export function barredBy({ scopes, token }: Pick<WhoAmIResponse, "scopes" | "token">, sight: Sight): string | undefined {
  if (token && token.tagUids.length > 0) return limited(sight);
  const lacking = sight.scopes.filter((scope) => !scopes.includes(scope));
  return lacking.length > 0 ? lacks(sight, lacking) : undefined;
}

// Why somebody may not see it, as the service has it.
export function barredProblem(failure: Pick<Failure, "reason" | "lacks">, sight: Sight): string {
  if (failure.reason === "TOKEN_NOT_ENOUGH") return limited(sight);
  return lacks(sight, failure.lacks === undefined ? sight.scopes : [failure.lacks]);
}

function limited({ what }: Sight): string {
  return `You are signed in with a token that is limited to some tags, and such a token may not see ${what}.`;
}

function lacks({ what }: Sight, scopes: readonly string[]): string {
  const named = `the ${scopes.length === 1 ? "scope" : "scopes"} ${list.format(scopes)}`;
  return `This key may not read ${what}: it lacks ${named}. Make one with --preset reader, and sign in with that.`;
}
