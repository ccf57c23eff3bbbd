// Counts of events as they grow, put on top of one another, and the ledger.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { balance } from "../../src/events/account";
import { MOST_CATEGORIES, eventPlanOf } from "../../src/events/plan";
import { stack } from "../../src/events/stack";
import { Tally, categoryName } from "../../src/events/tally";
import { senderProblem, senderTypo } from "../../src/events/words";
import { QueryEventsResponseSchema } from "../../src/gen/tap/v1/events_pb";
import { Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";

function answer(groups: MessageInitShape<typeof QueryEventsResponseSchema>["groups"] = [
  { key: "order", total: 3, counts: [1, 2, 0] },
  { key: "page", total: 1, counts: [0, 1, 0] },
]) {
  return create(QueryEventsResponseSchema, {
    buckets: [
      { start: "2026-03-01T09:00:00+01:00", end: "2026-03-01T10:00:00+01:00", count: 1 },
      { start: "2026-03-01T10:00:00+01:00", end: "2026-03-01T11:00:00+01:00", count: 3 },
      { start: "2026-03-01T11:00:00+01:00", end: "2026-03-01T12:00:00+01:00", count: 0 },
    ],
    total: 4,
    groups,
  });
}

const state = ({ buckets, groups, total }: Tally) => ({
  buckets: buckets.map(({ count }) => count),
  groups: groups.map((group) => [categoryName(group), group.total, ...group.counts]),
  total,
});

test("an event is one more in the bucket in which it happened, in its category and in the total", () => {
  const given = answer();
  const tally = new Tally(given);
  assert.equal(tally.add({ occurredAt: "2026-03-01T10:20:00Z", category: "order" }), true);
  assert.equal(tally.add({ occurredAt: "2026-03-01T08:59:59.999Z", category: "page" }), true);
  assert.deepEqual(state(tally), {
    buckets: [2, 3, 1],
    groups: [["order", 4, 1, 2, 1], ["page", 2, 1, 1, 0]],
    total: 6,
  });
  // The answer is as it was.
  assert.deepEqual(given, answer());
});

test("a bucket begins with its start and ends before its end; what is in none is not counted", () => {
  const tally = new Tally(answer());
  const before = state(tally);
  for (const occurredAt of ["2026-03-01T07:59:59.999Z", "2026-03-01T11:00:00Z", "2027-01-01T00:00:00Z", "soon"]) {
    assert.equal(tally.add({ occurredAt, category: "order" }), false, occurredAt);
  }
  assert.deepEqual(state(tally), before);
  assert.equal(tally.add({ occurredAt: "2026-03-01T09:00:00Z", category: "order" }), true);
  assert.deepEqual(state(tally).buckets, [1, 4, 0]);
  const none = new Tally(create(QueryEventsResponseSchema));
  assert.equal(none.add({ occurredAt: "2026-03-01T09:00:00Z", category: "order" }), false);
});

test("a new category is the last, as long as there is room; then it is one of the others", () => {
  const tally = new Tally(answer());
  const now = "2026-03-01T10:30:00Z";
  const names = ["form", "chat", "video", "survey"];
  for (const category of [...names, "late", "later", "late"]) tally.add({ occurredAt: now, category });
  assert.equal(tally.groups.length, MOST_CATEGORIES + 1);
  assert.deepEqual(state(tally).groups.slice(2), [...names.map((name) => [name, 1, 0, 0, 1]), ["All others", 3, 0, 0, 3]]);
  assert.equal(tally.total, 11);

  // Where the answer has others, it may be one of them.
  const rest = new Tally(answer([{ key: "order", total: 3, counts: [1, 2, 0] }, { other: true, total: 1, counts: [0, 1, 0] }]));
  rest.add({ occurredAt: now, category: "page" });
  assert.deepEqual(state(rest).groups, [["order", 3, 1, 2, 0], ["All others", 2, 0, 1, 1]]);
  // One without a name of its own is not "other".
  rest.add({ occurredAt: now, category: "" });
  assert.equal(rest.groups.length, 2);
});

test("the sum of the buckets, of the categories and the total stay the same number", () => {
  const tally = new Tally(answer());
  for (let event = 0; event < 500; event++) {
    const occurredAt = new Date(Date.parse("2026-03-01T07:30:00Z") + event * 30_000).toISOString();
    tally.add({ occurredAt, category: `category ${event % 11}` });
  }
  const sum = (numbers: number[]) => numbers.reduce((one, other) => one + other, 0);
  assert.equal(sum(tally.buckets.map(({ count }) => count)), tally.total);
  assert.equal(sum(tally.groups.map(({ total }) => total)), tally.total);
  for (const { counts, total } of tally.groups) assert.equal(sum(counts), total);
});

test("layers are on top of one another", () => {
  const groups = [{ counts: [1, 2, 0, 4] }, { counts: [0, 1, 0, 1] }, { counts: [5, 0, 0, 2] }];
  // One place more than there are buckets, for the right edge.
  assert.deepEqual(stack(groups, 4, 5, true), [
    [1, 2, null, 4, null],
    [null, 3, null, 5, null],
    [6, null, null, 7, null],
  ]);
  assert.deepEqual(stack(groups, 3, 4, false), [
    [1, 2, 0, null],
    [1, 3, 0, null],
    [6, 3, 0, null],
  ]);
  assert.deepEqual(stack([], 3, 4, true), []);
});

test("events are asked for by the hour or wider", () => {
  const now = Date.parse("2026-03-01T10:30:00Z");
  const settings = { range: { preset: "today", from: "", to: "" }, interval: Interval.TOTAL, zone: "UTC" } as const;
  const today = eventPlanOf(settings, now);
  assert.deepEqual(today.query, {
    startDate: "2026-03-01", endDate: "2026-03-01", timeZone: "UTC", interval: Interval.HOUR, limit: MOST_CATEGORIES,
  });
  assert.deepEqual(today.intervals, [Interval.HOUR, Interval.DAY]);
  for (const preset of ["hour", "day", "week", "all"] as const) {
    const range = { ...settings.range, preset };
    assert.ok(eventPlanOf({ ...settings, range, interval: Interval.MINUTE }, now).interval >= Interval.HOUR);
  }
  const week = { ...settings, range: { ...settings.range, preset: "week" as const }, interval: Interval.DAY };
  assert.equal(eventPlanOf(week, now).interval, Interval.DAY);
});

test("the ledger adds up, or says that it does not", () => {
  const account = { received: 1204, stored: 1150, duplicate: 37, rejected: 16, pending: 1 };
  assert.deepEqual(balance(account), { text: "1,150 + 37 + 16 + 1 = 1,204", adds: true });
  assert.deepEqual(balance({ ...account, pending: 0 }), { text: "1,150 + 37 + 16 + 0 = 1,203, not 1,204", adds: false });
  assert.deepEqual(balance(undefined), { text: "", adds: true });
});

test("a key to send events with is told from others", () => {
  const key = `tap_7_${"a".repeat(30)}`;
  assert.equal(senderTypo(key, 7), "");
  assert.equal(senderTypo(key, undefined), "");
  assert.match(senderTypo("", 7), /events:write/);
  assert.match(senderTypo("secret", 7), /does not look like a key/);
  assert.match(senderTypo("tap_7_head.body.signature", 7), /token, which can only read/);
  for (const other of [70, 1, 77]) assert.equal(senderTypo(key, other), "This is a key of another team.");
  const failure = { kind: "scope", reason: "SCOPE_MISSING", message: "" } as const;
  assert.match(senderProblem(failure), /lacks the scope events:write/);
  assert.match(senderProblem({ kind: "key", reason: "API_KEY_INVALID", message: "" }), /not valid/);
  assert.equal(senderProblem({ kind: "refused", reason: "", message: "no such place" }), "The service refused: no such place.");
});
