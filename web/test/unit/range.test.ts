// What the controls offer, and what is asked for it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Compare_Value as Compare, GroupBy_Value as GroupBy, Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";
import { planOf, same } from "../../src/plan";
import { type Preset, bestInterval, intervalsFor, rangeProblem, spanOf } from "../../src/range";

const NOW = Date.parse("2026-11-22T18:20:30Z");
const span = (preset: Preset, zone = "Europe/Berlin", now = NOW) => spanOf({ preset, from: "", to: "" }, zone, now);
const iso = (instant: number) => new Date(instant).toISOString().slice(0, 16);

test("ranges as they are asked for", () => {
  const asked = (preset: Preset) => [span(preset).startDate, span(preset).endDate];
  assert.deepEqual(asked("hour"), ["2026-11-22T17:20:00Z", "2026-11-22T18:25:00Z"]);
  assert.deepEqual(asked("day"), ["2026-11-21T19:00:00Z", "2026-11-22T19:00:00Z"]);
  assert.deepEqual(asked("today"), ["2026-11-22", "2026-11-22"]);
  assert.deepEqual(asked("week"), ["2026-11-16", "2026-11-22"]);
  assert.deepEqual(asked("month"), ["2026-10-24", "2026-11-22"]);
  assert.deepEqual(asked("year"), ["2025-12-01", "2026-11-30"]);
  assert.deepEqual(asked("all"), ["2022-01-01", "2026-11-22"]);
});

test("the present is always inside, until the range is another", () => {
  for (const preset of ["hour", "day", "today", "week", "month", "year", "all"] as const) {
    const { start, end, until } = span(preset);
    assert.ok(start < NOW && NOW < until && until <= end, preset);
    assert.ok(span(preset, "Europe/Berlin", until).until > until, preset);
  }
  assert.equal(iso(span("today").until), "2026-11-22T23:00");
  assert.equal(span("today", "Europe/Berlin", span("today").until).startDate, "2026-11-23");
});

test("the last 24 hours end with an hour of the clock on the wall", () => {
  // 00:05 in Kathmandu, whose hours begin at a quarter past.
  const { start, end } = span("day", "Asia/Kathmandu");
  assert.deepEqual([iso(start), iso(end)], ["2026-11-21T19:15", "2026-11-22T19:15"]);
});

test("custom days, with what is to come", () => {
  const custom = spanOf({ preset: "custom", from: "2026-03-28", to: "2026-03-29" }, "Europe/Berlin", NOW);
  assert.deepEqual([iso(custom.start), iso(custom.end)], ["2026-03-27T23:00", "2026-03-29T22:00"]);
  assert.equal(custom.until, Infinity);
  assert.equal(custom.ahead, true);
});

test("days that make no range", () => {
  const problem = (from: string, to: string) => rangeProblem({ preset: "custom", from, to });
  assert.equal(problem("2026-01-01", "2026-01-01"), undefined);
  for (const [from, to] of [["", "2026-01-01"], ["2026-01-02", "2026-01-01"], ["1999-12-31", "2026-01-01"]] as const) {
    assert.ok(problem(from, to));
  }
  assert.equal(rangeProblem({ preset: "week", from: "", to: "" }), undefined);
});

test("intervals that suit a range", () => {
  assert.deepEqual(intervalsFor(span("hour")), [Interval.MINUTE, Interval.HOUR]);
  assert.deepEqual(intervalsFor(span("week")), [Interval.HOUR, Interval.DAY, Interval.WEEK]);
  assert.deepEqual(intervalsFor(span("year")), [Interval.DAY, Interval.WEEK, Interval.MONTH, Interval.QUARTER, Interval.YEAR]);
  const best = (["hour", "day", "today", "week", "month", "year", "all"] as const).map((preset) => bestInterval(span(preset)));
  assert.deepEqual(best, [
    Interval.MINUTE, Interval.HOUR, Interval.HOUR, Interval.HOUR, Interval.DAY, Interval.WEEK, Interval.MONTH,
  ]);
});

const settings = {
  range: { preset: "week" as Preset, from: "", to: "" },
  interval: Interval.TOTAL,
  zone: "Europe/Berlin",
  tag: "",
  compare: Compare.PREVIOUS_PERIOD,
};

test("two queries: the counts by tag, and the hours of the week", () => {
  const { counts, hours } = planOf(settings, NOW);
  assert.deepEqual(counts, {
    startDate: "2026-11-16", endDate: "2026-11-22", timeZone: "Europe/Berlin", tagUids: [],
    interval: Interval.HOUR, compare: Compare.PREVIOUS_PERIOD, groupBy: GroupBy.TAG, limit: 10,
  });
  assert.deepEqual(hours, {
    startDate: "2026-11-16", endDate: "2026-11-22", timeZone: "Europe/Berlin", tagUids: [], groupBy: GroupBy.HOUR_OF_WEEK,
  });
});

test("one tag is split by how it was read", () => {
  const { counts, hours } = planOf({ ...settings, tag: "a" }, NOW);
  assert.deepEqual([counts.tagUids, counts.groupBy, hours.tagUids], [["a"], GroupBy.KIND, ["a"]]);
});

test("an interval that does not suit the range gives way", () => {
  assert.equal(planOf({ ...settings, interval: Interval.MINUTE }, NOW).interval, Interval.HOUR);
  assert.equal(planOf({ ...settings, interval: Interval.DAY }, NOW).interval, Interval.DAY);
});

test("the hours of the week are not asked again for another interval or comparison", () => {
  const one = planOf(settings, NOW);
  const other = planOf({ ...settings, interval: Interval.DAY, compare: Compare.NONE }, NOW + 60_000);
  assert.ok(same(one.hours, other.hours));
  assert.ok(!same(one.counts, other.counts));
  assert.ok(!same(undefined, one.counts));
});
