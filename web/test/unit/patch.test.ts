// From the rows of the dialog to a patch, and what its answer comes to.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toJson } from "@bufbuild/protobuf";
import { type PatchRows, patchOf, verdictOf } from "../../src/events/patch";
import { EventPatchSchema, ReplayEventErrorsResponseSchema, ReplayOutcome_Value as ReplayOutcome } from "../../src/gen/tap/v1/events_pb";

const rows = (set: [string, string][], remove: string[] = []): PatchRows => ({
  set: set.map(([path, value]) => ({ path, value })),
  remove,
});

const sent = (rows: PatchRows) => {
  const outcome = patchOf(rows);
  return "patch" in outcome ? toJson(EventPatchSchema, outcome.patch) : outcome;
};

test("rows become values of JSON by their place, and places to clear", () => {
  const set: [string, string][] = [
    [" session_id ", ' "6f1c0a52-7d8e-4c8a-9f37-0a6f6f5b1c11" '],
    ["data.count", "12.5"],
    ["data.paid", "true"],
    ["data.note", "null"],
    ["data.items", '[1, {"sku": "a"}]'],
    ["data", '{"a": {"b": []}}'],
  ];
  assert.deepEqual(sent(rows(set, ["data.extra", " data.extra ", "", "name"])), {
    set: {
      session_id: "6f1c0a52-7d8e-4c8a-9f37-0a6f6f5b1c11",
      "data.count": 12.5,
      "data.paid": true,
      "data.note": null,
      "data.items": [1, { sku: "a" }],
      data: { a: { b: [] } },
    },
    remove: ["data.extra", "name"],
  });
});

test("rows in which nothing is are no patch", () => {
  assert.deepEqual(sent(rows([["", ""], ["  ", " "]], ["", " "])), {});
  assert.deepEqual(sent(rows([])), {});
});

test("what makes no sense is told", () => {
  const wrong: [[string, string][], RegExp][] = [
    [[["plan", "gold"]], /^The value of plan is not JSON\. Text stands in double quotes/],
    [[["plan", ""]], /^The value of plan is not JSON/],
    [[["plan", "{"]], /not JSON/],
    [[["", '"gold"']], /^Say where "gold" goes/],
    [[["plan", "1"], ["plan ", "2"]], /^plan is set twice/],
  ];
  for (const [set, message] of wrong) {
    const outcome = patchOf(rows(set));
    assert.match("problem" in outcome ? outcome.problem : "", message);
  }
});

test("a path is no more than a name", () => {
  const outcome = patchOf(rows([["__proto__", '{"polluted": true}'], ["constructor", "1"]]));
  assert.ok("patch" in outcome);
  assert.deepEqual(Object.keys(outcome.patch.set), ["__proto__", "constructor"]);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test("a verdict counts what would be stored, and what would still be wrong", () => {
  const violation = (field: string) => ({ field, reason: "FIELD_REQUIRED", description: `${field} is missing` });
  const good = { outcome: ReplayOutcome.WOULD_BE_STORED };
  const bad = (...fields: string[]) => ({ outcome: ReplayOutcome.WOULD_BE_REJECTED, violations: fields.map(violation) });
  const verdict = verdictOf(
    create(ReplayEventErrorsResponseSchema, { results: [bad("name"), good, bad("category", "name"), good, good], remaining: 1200 }),
  );
  assert.equal(verdict.text, "3 events would be stored, 2 would be refused again. 1,200 more are left.");
  assert.deepEqual(verdict.wrong.map(({ count, violation }) => [count, violation.field]), [[2, "name"], [1, "category"]]);
  const all = verdictOf(create(ReplayEventErrorsResponseSchema, { results: [good] }));
  assert.deepEqual(all, { text: "1 event would be stored, none would be refused again.", wrong: [] });
});

test("a verdict counts what was sent", () => {
  const results = [1, 2, 3].map(() => ({ outcome: ReplayOutcome.SENT, receipt: "r" }));
  const text = (of: object) => verdictOf(create(ReplayEventErrorsResponseSchema, of)).text;
  assert.equal(text({ results }), "3 events were sent again.");
  assert.equal(text({ results: results.slice(2), remaining: 1 }), "1 event was sent again. 1 more is left.");
  assert.equal(text({}), "There are none left to send.");
});
