// How things are written: buckets, ranges, labels of the axis, failures.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { create } from "@bufbuild/protobuf";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../src/gen/google/rpc/error_details_pb";
import { BucketSchema, Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";
import { isToken } from "../../src/access";
import { civilOfText } from "../../src/civil";
import { failureOf } from "../../src/failure";
import { bucketName, duration, hourName, signed, spanName } from "../../src/names";
import { ticksOf } from "../../src/ticks";
import { keyProblem, keyTypo, lapsed, trouble } from "../../src/words";

const name = (start: string, end: string, interval: Interval) => bucketName(create(BucketSchema, { start, end }), interval);

test("names of buckets", () => {
  assert.equal(name("2026-11-22T14:05:00Z", "2026-11-22T14:06:00Z", Interval.MINUTE), "Sun 22 Nov, 14:05");
  assert.equal(name("2026-11-22T14:00:00Z", "2026-11-22T15:00:00Z", Interval.HOUR), "Sun 22 Nov, 14:00–15:00");
  assert.equal(name("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", Interval.DAY), "Sun 22 Nov 2026");
  assert.equal(name("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", Interval.WEEK), "16 – 22 Nov 2026");
  assert.equal(name("2026-11-30T00:00:00Z", "2026-12-07T00:00:00Z", Interval.WEEK), "30 Nov – 6 Dec 2026");
  assert.equal(name("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z", Interval.MONTH), "Nov 2026");
  assert.equal(name("2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z", Interval.QUARTER), "Q4 2026");
});

test("names of ranges", () => {
  const range = (start: string, end: string, open: boolean) => spanName(civilOfText(start), civilOfText(end), open);
  assert.equal(range("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", true), "since 16 Nov 2026");
  assert.equal(range("2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z", false), "16 – 22 Nov 2026");
  assert.equal(range("2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z", true), "22 Nov 2026");
  assert.equal(range("2026-11-22T17:20:00Z", "2026-11-22T18:25:00Z", true), "since Sun 22 Nov, 17:20");
});

test("numbers in words", () => {
  assert.deepEqual([0.1234, -0.5, 12].map(signed), ["+12.3%", "−50%", "+1,200%"]);
  assert.deepEqual([10, 36_000, 5_400_000].map(duration), ["1 second", "36 seconds", "90 minutes"]);
  assert.equal(hourName(167), "Sun 23:00–24:00");
});

const hours = (count: number, from = Date.UTC(2026, 10, 16)) =>
  Array.from({ length: count }, (_, hour) => civilOfText(new Date(from + hour * 3_600_000).toISOString()));

test("labels of the axis are at the starts of days, months, years", () => {
  const day = ticksOf(hours(24), Interval.HOUR, 12);
  assert.deepEqual([day.length, day[0], day[1]], [12, { index: 0, label: "16 Nov" }, { index: 2, label: "02:00" }]);
  const week = ticksOf(hours(168), Interval.HOUR, 12);
  assert.deepEqual(week.map(({ index }) => index), [0, 24, 48, 72, 96, 120, 144]);
  const months = Array.from({ length: 24 }, (_, month) => civilOfText(new Date(Date.UTC(2025, month)).toISOString()));
  assert.deepEqual(ticksOf(months, Interval.MONTH, 4).map(({ label }) => label), ["2025", "Jul", "2026", "Jul"]);
  assert.deepEqual(ticksOf(months, Interval.MONTH, 2).map(({ label }) => label), ["2025", "2026"]);
});

test("a range that begins in the middle has no label there", () => {
  const ticks = ticksOf(hours(24, Date.UTC(2026, 10, 16, 5)), Interval.HOUR, 5);
  assert.deepEqual(ticks.map(({ label }) => label), ["06:00", "12:00", "18:00", "17 Nov"]);
});

test("a range of one bucket has a label", () => {
  assert.equal(ticksOf(hours(1, Date.UTC(2026, 10, 16, 5, 30)), Interval.DAY, 5)[0]?.label, "16 Nov");
});

const failure = (code: Code, reason = "", more: { seconds?: number; calls?: string } = {}) => {
  const error = new ConnectError("said", code);
  if (reason) error.details.push({ desc: ErrorInfoSchema, value: { reason } });
  if (more.seconds) error.details.push({ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(more.seconds) } } });
  const violations = [{ quotaMetric: `tap-analytics/${more.calls ?? ""}` }];
  if (more.calls) error.details.push({ desc: QuotaFailureSchema, value: { violations } });
  return failureOf(error);
};

test("failures by what there is to do", () => {
  assert.equal(failure(Code.Unauthenticated, "API_KEY_INVALID").kind, "key");
  assert.equal(failure(Code.PermissionDenied).kind, "scope");
  assert.equal(failure(Code.NotFound, "TAG_NOT_FOUND").kind, "refused");
  assert.equal(failure(Code.OutOfRange, "RESUME_TOKEN_EXPIRED").kind, "token");
  assert.equal(failure(Code.DeadlineExceeded).kind, "passing");
  assert.equal(failure(Code.DeadlineExceeded, "QUERY_TOO_SLOW").kind, "refused");
  assert.equal(failure(Code.Aborted).kind, "passing");
  assert.equal(failure(Code.Aborted, "ETAG_MISMATCH").kind, "refused");
  assert.equal(failure(Code.AlreadyExists, "REQUEST_ID_USED").kind, "refused");
  assert.equal(failure(Code.ResourceExhausted, "USER_LIMIT").kind, "refused");
  assert.equal(failureOf(new TypeError("network error")).kind, "passing");
  const quota = failure(Code.ResourceExhausted, "QUOTA_EXCEEDED", { seconds: 36 });
  assert.deepEqual([quota.kind, quota.wait], ["quota", 36_000]);
  const header = new ConnectError("said", Code.ResourceExhausted, { "retry-after": "5" });
  assert.equal(failureOf(header).wait, 5000);
});

test("a refusal names every field", () => {
  const error = new ConnectError("said", Code.InvalidArgument);
  const fieldViolations = [{ description: "one" }, { description: "two" }];
  error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  assert.equal(failureOf(error).message, "one; two");
});

test("what is said about a key", () => {
  assert.equal(keyTypo("tap_1_abc_def"), "");
  for (const wrong of ["", "abc", "tap_x", "tap_1_ä", "tap_1_a b"]) assert.ok(keyTypo(wrong), wrong);
  assert.match(keyProblem(failure(Code.Unauthenticated, "API_KEY_INVALID"), "key"), /not valid/);
  assert.match(keyProblem(failure(Code.Unauthenticated, "API_KEY_INVALID"), "earlier"), /not work any more/);
  assert.match(keyProblem(failure(Code.PermissionDenied, "SCOPE_MISSING"), "key"), /taps:read/);
});

test("what is said about a token", () => {
  assert.equal(keyTypo("tap_1_eyJ0.eyJp.c2ln"), "");
  assert.deepEqual(["tap_1_abc_def", "tap_1_eyJ0.eyJp.c2ln"].map(isToken), [false, true]);
  assert.match(keyProblem(failure(Code.Unauthenticated, "API_KEY_INVALID"), "token"), /^This token is not valid/);
  const ended = failure(Code.Unauthenticated, "TOKEN_EXPIRED");
  assert.equal(ended.kind, "lapsed");
  assert.match(keyProblem(ended, "token"), /^This token has ended/);
  assert.match(keyProblem(ended, "earlier"), /^Your time to be signed in is over\. Enter the key again/);
  assert.match(lapsed("14:05"), /^You were signed in until 14:05\. Enter the key again/);
  assert.match(lapsed(""), /Enter the key again/);
  // Whose fault a refusal is that has other reasons is not known.
  assert.equal(keyProblem(failure(Code.PermissionDenied, "TOKEN_NOT_ENOUGH"), "token"), "The service refused: said");
});

test("only when queries were too many it is the queries that are used up", () => {
  for (const [calls, words] of [["query", /used up its queries/], ["change", /^The service asks to wait: said/]] as const) {
    const over = failure(Code.ResourceExhausted, "QUOTA_EXCEEDED", { calls });
    assert.equal(over.calls, calls);
    assert.match(trouble({ is: "waiting", until: 1000, failure: over }, () => "14:05:10", 0), words);
  }
});

test("what is said while it is not live", () => {
  const at = () => "14:05:10";
  const quota = failure(Code.ResourceExhausted, "QUOTA_EXCEEDED");
  assert.match(trouble({ is: "waiting", until: 36_000, failure: quota }, at, 0), /in 36 seconds, at 14:05:10/);
  const guesses = failure(Code.ResourceExhausted, "TOO_MANY_WRONG_KEYS");
  assert.match(trouble({ is: "waiting", until: 9000, failure: guesses }, at, 0), /^Too many wrong keys .* before 14:05:10/);
  const store = failure(Code.Unavailable, "STORE_UNAVAILABLE");
  assert.match(trouble({ is: "reconnecting", failure: store }, at, 0), /database/);
  assert.equal(trouble({ is: "reconnecting" }, at, 0), "");
  assert.equal(trouble({ is: "live" }, at, 0), "");
});
