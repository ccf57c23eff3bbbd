// What the tab of the coupons asks, and when: as little as it can.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type { Api } from "../../src/api";
import type { CouponPage, FunnelQuery } from "../../src/coupons/plan";
import { CouponSession } from "../../src/coupons/session";
import type { Time } from "../../src/follow";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import {
  CouponFilter_Value as CouponFilter,
  CouponOrder_Value as CouponOrder,
  ListCouponsResponseSchema,
  QueryFunnelResponseSchema,
} from "../../src/gen/tap/v1/coupons_pb";
import { Interval_Value as Interval } from "../../src/gen/tap/v1/tap_analytics_pb";

const settings = { range: { preset: "week", from: "", to: "" }, interval: Interval.TOTAL, zone: "UTC", tag: "", coupon: "" } as const;
const choice = { state: CouponFilter.ANY, order: CouponOrder.EXPIRING_FIRST };
const MINUTE = 60_000;

// Time that passes when it is told to.
class Clock implements Time {
  #now = Date.parse("2026-03-01T10:30:00Z");
  readonly #sleepers = new Set<{ until: number; wake: () => void }>();

  now = () => this.#now;
  random = () => 0;
  sleep = (milliseconds: number, signal: AbortSignal) =>
    new Promise<void>((resolve) => {
      const sleeper = { until: this.#now + milliseconds, wake: resolve };
      this.#sleepers.add(sleeper);
      signal.addEventListener("abort", () => {
        this.#sleepers.delete(sleeper);
        resolve();
      });
    });

  async pass(milliseconds: number): Promise<void> {
    this.#now += milliseconds;
    for (const sleeper of [...this.#sleepers].filter(({ until }) => until <= this.#now)) {
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await sleep(5);
  }
}

// An API that notes what is asked of it. There are 120 coupons.
function play() {
  const log: string[] = [];
  const clock = new Clock();
  let failing: ConnectError | undefined;
  const asked = async <T>(what: string, answer: T): Promise<T> => {
    log.push(what);
    await sleep(1);
    if (failing) throw failing;
    return answer;
  };
  const api = {
    queryFunnel: ({ interval, tagUid, couponId }: FunnelQuery) =>
      asked(`funnel ${interval} ${tagUid ?? couponId ?? "team"}`, create(QueryFunnelResponseSchema, { total: { taps: 1 } })),
    listCoupons: ({ state, pageSize = 0, pageToken = "" }: CouponPage) => {
      const from = Number(pageToken || 0);
      const to = Math.min(120, from + pageSize);
      const coupons = Array.from({ length: to - from }, (_, at) => ({ id: String(from + at) }));
      const nextPageToken = to < 120 ? String(to) : "";
      return asked(`list ${state} ${from}-${to}`, create(ListCouponsResponseSchema, { coupons, nextPageToken }));
    },
  } as unknown as Api;
  const session = new CouponSession(
    api,
    settings,
    choice,
    {
      plan: () => undefined,
      funnel: (answer) => log.push(answer ? `answer ${answer.total?.taps}` : "answer?"),
      coupons: (list) => log.push(list ? `coupons ${list.coupons.length}${list.more ? "+" : ""}` : "coupons?"),
      condition: ({ is }) => log.push(is),
      trouble: (condition) => condition && log.push(`list ${condition.is}`),
      refused: (what, { message }) => log.push(`refused ${what}: ${message}`),
      barred: ({ lacks }) => log.push(`barred ${lacks}`),
      lapsed: () => log.push("lapsed"),
      ended: () => log.push("ended"),
    },
    clock,
  );
  return {
    session,
    api,
    clock,
    fail: (error?: ConnectError) => (failing = error),
    // What was asked and told since the last time.
    next: async () => {
      await sleep(20);
      return log.splice(0);
    },
  };
}

const questions = (log: string[]) => log.filter((line) => /^(funnel|list) \d/.test(line)).sort();

test("nothing is asked before somebody looks; then a query and a read, and no more for five minutes", async () => {
  const { session, next, clock } = play();
  session.change({ ...settings, interval: Interval.DAY });
  session.list({ ...choice, state: CouponFilter.VALID });
  session.refresh();
  await session.more();
  assert.deepEqual(questions(await next()), []);
  session.look(true);
  const log = await next();
  assert.deepEqual(questions(log), ["funnel 3 team", "list 1 0-50"]);
  assert.deepEqual(log.filter((line) => /^(answer|coupons|fresh)/.test(line)).sort(), ["answer 1", "coupons 50+", "fresh"]);
  await clock.pass(4.9 * MINUTE);
  assert.deepEqual(await next(), []);
  await clock.pass(0.2 * MINUTE);
  assert.deepEqual(questions(await next()), ["funnel 3 team", "list 1 0-50"]);
  session.stop();
});

test("who looks away and back asks nothing before it is time", async () => {
  const { session, next, clock } = play();
  session.look(true);
  await next();
  for (let times = 0; times < 5; times++) {
    session.look(false);
    await clock.pass(0.5 * MINUTE);
    session.look(true);
  }
  assert.deepEqual(await next(), []);
  await clock.pass(2.6 * MINUTE);
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.look(false);
  await clock.pass(60 * MINUTE);
  assert.deepEqual(await next(), []);
  session.look(true);
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.stop();
});

test("another choice is one query, also one that was made while nobody looked; the list is not asked for that", async () => {
  const { session, next, clock } = play();
  session.look(true);
  await next();
  session.change({ ...settings, tag: "a" });
  assert.deepEqual(await next(), ["opening", "answer?", "funnel 2 a", "fresh", "answer 1"]);
  session.look(false);
  session.change({ ...settings, coupon: "c" });
  assert.deepEqual(questions(await next()), []);
  session.look(true);
  assert.deepEqual(questions(await next()), ["funnel 2 c"]);
  // From then on five minutes, again.
  await clock.pass(4.9 * MINUTE);
  assert.deepEqual(questions(await next()), []);
  session.stop();
});

test("other coupons are a read, and no query; another page comes after those that are there", async () => {
  const { session, next, clock } = play();
  session.look(true);
  await next();
  session.list({ ...choice, state: CouponFilter.INVALID });
  assert.deepEqual(await next(), ["coupons?", "list 2 0-50", "coupons 50+"]);
  void session.more();
  void session.more();
  assert.deepEqual(await next(), ["list 2 50-100", "coupons 100+"]);
  await session.more();
  await session.more();
  assert.deepEqual(await next(), ["list 2 100-120", "coupons 120"]);
  // What is shown comes again at once.
  await clock.pass(5.1 * MINUTE);
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 2 0-120"]);
  session.stop();
});

test("to count again is a query, but not while one is being answered", async () => {
  const { session, next } = play();
  session.look(true);
  session.refresh();
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.refresh();
  session.refresh();
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.stop();
});

test("without queries left it waits as long as it is told, and goes on by itself", async () => {
  const { session, next, clock, fail } = play();
  fail(new ConnectError("over", Code.ResourceExhausted, { "retry-after": "36" }));
  session.look(true);
  const log = await next();
  assert.ok(log.includes("waiting") && log.includes("list waiting"), log.join());
  fail();
  await clock.pass(35_000);
  assert.deepEqual(await next(), []);
  await clock.pass(1_000);
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.stop();
});

test("a token that ends is told, and nothing is tried before there is another", async () => {
  const { session, api, next, fail, clock } = play();
  session.look(true);
  await next();
  const over = new ConnectError("over", Code.Unauthenticated);
  over.details.push({ desc: ErrorInfoSchema, value: { reason: "TOKEN_EXPIRED" } });
  fail(over);
  session.change({ ...settings, tag: "a" });
  assert.deepEqual((await next()).slice(-1), ["lapsed"]);
  fail();
  await clock.pass(10 * MINUTE);
  assert.deepEqual(await next(), []);
  session.goOn(api);
  session.look(true);
  assert.deepEqual(questions(await next()), ["funnel 2 a", "list 0 0-50"]);
  session.stop();
});

test("who may not see coupons is told so, and nothing is tried any more before somebody looks again", async () => {
  const { session, next, fail, clock } = play();
  const refusal = new ConnectError("no", Code.PermissionDenied);
  refusal.details.push({ desc: ErrorInfoSchema, value: { reason: "SCOPE_MISSING", metadata: { scope: "coupons:read" } } });
  fail(refusal);
  session.look(true);
  assert.ok((await next()).includes("barred coupons:read"));
  await clock.pass(10 * MINUTE);
  assert.deepEqual(await next(), []);
  fail();
  session.look(true);
  assert.deepEqual(questions(await next()), ["funnel 2 team", "list 0 0-50"]);
  session.stop();
});

test("a bad question is told, and not asked again; a bad key ends it", async () => {
  const { session, next, fail, clock } = play();
  session.look(true);
  await next();
  fail(new ConnectError("there is no such tag", Code.NotFound));
  session.change({ ...settings, tag: "nobody" });
  assert.deepEqual((await next()).slice(-1), ["refused funnel: there is no such tag"]);
  fail();
  await clock.pass(4 * MINUTE);
  assert.deepEqual(await next(), []);
  session.change(settings);
  assert.ok((await next()).includes("answer 1"));
  fail(new ConnectError("no", Code.Unauthenticated));
  session.refresh();
  assert.ok((await next()).includes("ended"));
  fail();
  session.look(true);
  session.change({ ...settings, tag: "a" });
  assert.deepEqual(questions(await next()), []);
});
