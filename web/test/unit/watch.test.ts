// An answer after each frame of its watch.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { QueryTapsResponseSchema, WatchTapsResponseSchema } from "../../src/gen/tap/v1/tap_analytics_pb";
import { OutOfStep, applyFrame, begun, differenceOf } from "../../src/watch";

const HOURS = ["08", "09", "10", "11"];
const START = Date.parse("2026-03-01T08:00:00Z");

function answer(change: MessageInitShape<typeof QueryTapsResponseSchema> = {}) {
  return create(QueryTapsResponseSchema, {
    buckets: HOURS.map((hour, index) => ({
      start: `2026-03-01T${hour}:00:00Z`,
      end: `2026-03-01T${HOURS[index + 1] ?? "12"}:00:00Z`,
      count: index,
    })),
    total: 6,
    groups: [
      { key: "a", total: 4, counts: [0, 1, 1, 2] },
      { key: "", other: true, total: 2, counts: [0, 0, 1, 1] },
    ],
    resumeToken: "1",
    ...change,
  });
}

const frame = (one: MessageInitShape<typeof WatchTapsResponseSchema>["frame"]) =>
  create(WatchTapsResponseSchema, one ? { frame: one } : {});

test("an answer replaces all before it", () => {
  const next = answer({ total: 9 });
  assert.equal(applyFrame(answer(), frame({ case: "answer", value: next }))?.total, 9);
});

test("a change puts buckets in the place of those with their start, and groups by their index", () => {
  const before = answer();
  const after = applyFrame(
    before,
    frame({
      case: "change",
      value: {
        buckets: [
          { start: "2026-03-01T09:00:00Z", end: "2026-03-01T10:00:00Z", count: 5 },
          { start: "2026-03-01T11:00:00Z", end: "2026-03-01T12:00:00Z", count: 7 },
        ],
        total: 14,
        groups: [{ index: 1, total: 10, counts: [{ index: 3, count: 9 }] }],
        resumeToken: "2",
      },
    }),
  );
  assert.deepEqual(after?.buckets.map(({ count }) => count), [0, 5, 2, 7]);
  assert.equal(after.total, 14);
  assert.deepEqual(after.groups.map(({ total, counts }) => [total, counts]), [
    [4, [0, 1, 1, 2]],
    [10, [0, 0, 1, 9]],
  ]);
  assert.equal(after.resumeToken, "2");
  // What came before is as it was.
  assert.deepEqual(before, answer());
});

test("groups of the hours of the week have no counts", () => {
  const before = answer({ groups: [{ key: "0", total: 3 }] });
  const after = applyFrame(before, frame({ case: "change", value: { total: 7, groups: [{ index: 0, total: 4 }] } }));
  assert.equal(after?.groups[0]?.total, 4);
});

test("a comparison follows from the total", () => {
  const before = answer({ comparison: { counts: [1, 1, 1, 1], total: 4, change: 2, changeRatio: 0.5 } });
  const after = applyFrame(before, frame({ case: "change", value: { total: 8 } }));
  assert.equal(after?.comparison?.change, 4);
  assert.equal(after.comparison.changeRatio, 1);
  const nothing = answer({ comparison: { counts: [0, 0, 0, 0] } });
  assert.equal(applyFrame(nothing, frame({ case: "change", value: { total: 8 } }))?.comparison?.changeRatio, undefined);
});

test("heartbeats, the end and frames that are not known change nothing", () => {
  const before = answer();
  assert.equal(applyFrame(before, frame({ case: "heartbeat", value: {} })), before);
  assert.equal(applyFrame(before, frame({ case: "end", value: {} })), before);
  assert.equal(applyFrame(before, frame(undefined)), before);
});

test("a change that does not fit is an error", () => {
  const bucket = { start: "2026-03-02T08:00:00Z", end: "2026-03-02T09:00:00Z" };
  for (const value of [
    { buckets: [bucket] },
    { groups: [{ index: 2 }] },
    { groups: [{ index: 0, counts: [{ index: 4, count: 1 }] }] },
  ]) {
    assert.throws(() => applyFrame(answer(), frame({ case: "change", value })), OutOfStep);
  }
  assert.throws(() => applyFrame(undefined, frame({ case: "change", value: {} })), OutOfStep);
});

test("a range that is over is compared whole", () => {
  const over = answer({ comparison: { counts: [1, 1, 1, 1], total: 4, change: 2, changeRatio: 0.5 } });
  const end = START + 4 * 3_600_000;
  assert.deepEqual(differenceOf(over, end), { before: 4, change: 2, ratio: 0.5, soFar: false });
  assert.equal(differenceOf(answer(), end), undefined);
});

test("one that goes on is compared with the same time before", () => {
  const going = answer({ comparison: { counts: [4, 4, 4, 4], total: 16 } });
  const half = START + 1.5 * 3_600_000;
  assert.deepEqual(differenceOf(going, half), { before: 6, change: 0, ratio: 0, soFar: true });
  assert.equal(differenceOf(going, START)?.ratio, undefined);
});

test("buckets that have begun", () => {
  const { buckets } = answer();
  assert.deepEqual([-1, 0, 1, 3_600_000, 9e9].map((later) => begun(buckets, START + later)), [0, 1, 1, 2, 4]);
});
