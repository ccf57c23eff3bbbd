// What a key may do: which token it is traded for, and what is said where it is not enough for a tab.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { asMuchAsItMay } from "../../src/access";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import { WhoAmIResponseSchema } from "../../src/gen/tap/v1/api_keys_pb";
import { barredBy, barredProblem } from "../../src/rights";

const [TAPS, EVENTS, COUPONS] = ["taps:read", "events:read", "coupons:read"];

// The service, asked with a key that has these scopes: what it was asked for, and what came of it.
async function trade(...has: string[]): Promise<{ asked: string[][]; got: string[] | string }> {
  const asked: string[][] = [];
  const ask = async (scopes: string[]) => {
    asked.push(scopes);
    const scope = scopes.find((scope) => !has.includes(scope));
    if (scope === undefined) return scopes;
    const refusal = new ConnectError(`lacks ${scope}`, Code.PermissionDenied);
    refusal.details.push({ desc: ErrorInfoSchema, value: { reason: "SCOPE_MISSING", metadata: { scope } } });
    throw refusal;
  };
  try {
    return { asked, got: await asMuchAsItMay(ask) };
  } catch (error) {
    return { asked, got: (error as ConnectError).rawMessage };
  }
}

test("a key is traded for as much as it may do, in as few requests as that takes", async () => {
  const all = [TAPS, EVENTS, COUPONS];
  assert.deepEqual(await trade(TAPS, EVENTS, COUPONS, "keys:manage"), { asked: [all], got: all });
  assert.deepEqual(await trade(TAPS, EVENTS), { asked: [all, [TAPS, EVENTS]], got: [TAPS, EVENTS] });
  assert.deepEqual(await trade(TAPS, COUPONS), { asked: [all, [TAPS, COUPONS]], got: [TAPS, COUPONS] });
  assert.deepEqual(await trade(TAPS), { asked: [all, [TAPS, COUPONS], [TAPS]], got: [TAPS] });
  // Without taps there is nothing to see.
  assert.deepEqual(await trade(EVENTS, COUPONS), { asked: [all], got: "lacks taps:read" });
  assert.deepEqual(await trade(), { asked: [all], got: "lacks taps:read" });
});

test("other refusals are not asked around", async () => {
  let asked = 0;
  const ask = () => {
    asked++;
    return Promise.reject(new ConnectError("no", Code.Unauthenticated));
  };
  await assert.rejects(asMuchAsItMay(ask), /no/);
  assert.equal(asked, 1);
});

test("what keeps somebody from a tab is said, all of it", () => {
  const sight = { what: "coupons", scopes: [TAPS, EVENTS, COUPONS] };
  const who = (scopes: string[], tagUids?: string[]) => create(WhoAmIResponseSchema, { scopes, ...(tagUids ? { token: { tagUids } } : {}) });
  assert.equal(barredBy(who([TAPS, EVENTS, COUPONS], []), sight), undefined);
  assert.equal(
    barredBy(who([TAPS, EVENTS], []), sight),
    "This key may not read coupons: it lacks the scope coupons:read. Make one with --preset reader, and sign in with that.",
  );
  assert.match(barredBy(who([TAPS]), sight) ?? "", /lacks the scopes events:read and coupons:read\./);
  assert.match(barredBy(who([]), sight) ?? "", /lacks the scopes taps:read, events:read and coupons:read\./);
  // A token that is limited may not, whatever it has.
  assert.match(barredBy(who([TAPS, EVENTS, COUPONS], ["a"]), sight) ?? "", /limited to some tags.* may not see coupons\.$/);

  assert.match(barredProblem({ reason: "SCOPE_MISSING", lacks: COUPONS }, sight), /lacks the scope coupons:read\./);
  assert.match(barredProblem({ reason: "SCOPE_MISSING" }, { what: "events", scopes: [EVENTS] }), /^This key may not read events: it lacks the scope events:read\./);
  assert.match(barredProblem({ reason: "TOKEN_NOT_ENOUGH" }, sight), /limited to some tags/);
});
