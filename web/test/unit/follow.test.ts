// Keeping a stream open: cuts, ends, silence, quotas, pauses, tokens that end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb";
import { EndReason_Value as EndReason } from "../../src/gen/tap/v1/tap_analytics_pb";
import { type Signs, Follower, backoff } from "../../src/follow";

// A frame is what it says, and what there is to show.
type Frame = Signs & { shows?: string };
// What a stream does: frames, then an error, silence, or its end.
type Script = (Frame | Error | "silence" | "forever")[];

// Streams that follow a script, one after the other, and time that passes when nobody has anything to do.
function play(scripts: Script[], act: (follower: Follower<Frame>, log: string[], pass: (ms: number) => void) => void = () => {}) {
  const log: string[] = [];
  const sleepers: { until: number; wake: () => void }[] = [];
  let now = 0;
  const time = {
    now: () => now,
    random: () => 0,
    sleep: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const sleeper = { until: now + ms, wake: resolve };
        sleepers.push(sleeper);
        signal.addEventListener("abort", () => {
          sleepers.splice(0, Infinity, ...sleepers.filter((other) => other !== sleeper));
          resolve();
        });
      }),
  };
  const aborted = (signal: AbortSignal) =>
    new Promise<void>((resolve) => (signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve())));
  let opened = 0;
  const follower: Follower<Frame> = new Follower<Frame>(
    {
      async *open(token, signal): AsyncIterable<Frame> {
        log.push(`open ${token}`.trim());
        const script = scripts[opened++];
        if (!script) {
          follower.stop();
          return;
        }
        for (const step of script) {
          if (step instanceof Error) throw step;
          if (step === "silence" || step === "forever") {
            if (step === "forever") act(follower, log, pass);
            await aborted(signal);
            throw new ConnectError("aborted", Code.Canceled);
          }
          yield step;
        }
      },
      signs: (frame) => frame,
      frame: ({ shows }) => {
        if (shows === "throw") throw new Error("does not fit");
        if (shows) log.push(shows);
      },
      condition: (condition) => {
        log.push("failure" in condition && condition.failure ? `${condition.is} ${condition.failure.kind}` : condition.is);
        if (condition.is === "lapsed") act(follower, log, pass);
      },
      missed: () => log.push("missed"),
    },
    "",
    time,
  );
  function pass(ms: number) {
    now += ms;
  }
  const started = performance.now();
  async function run() {
    follower.start();
    while (opened <= scripts.length && performance.now() - started < 5000) {
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setImmediate(resolve));
      const next = sleepers.sort((one, other) => one.until - other.until).shift();
      if (log.at(-1)?.startsWith("over")) return;
      if (!next) continue;
      now = Math.max(now, next.until);
      next.wake();
    }
  }
  return { log, run, clock: () => now };
}

const cut = new ConnectError("cut", Code.Unavailable);
const coded = (code: Code, reason: string) => {
  const error = new ConnectError("said", code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason } });
  return error;
};

test("after a cut it goes on from the last token", async () => {
  const { log, run } = play([
    [{ token: "1" }, { token: "2", shows: "a" }, cut],
    [{ token: "2" }, { token: "3", shows: "b" }],
  ]);
  await run();
  assert.deepEqual(log, [
    "opening", "open", "live", "a", "reconnecting passing",
    "open 2", "live", "b", "reconnecting", "open 3",
  ]);
});

test("an end is not an end when it says to come back", async () => {
  for (const end of [EndReason.DRAINING, EndReason.FAILED, EndReason.API_KEY_CHANGED, EndReason.UNSET]) {
    const { log, run } = play([[{ token: "1" }, { end }]]);
    await run();
    assert.deepEqual(log, ["opening", "open", "live", "reconnecting", "open 1"]);
  }
});

test("a key that is no good ends it", async () => {
  for (const end of [EndReason.API_KEY_REVOKED, EndReason.API_KEY_EXPIRED]) {
    const { log, run } = play([[{ token: "1" }, { end }], []]);
    await run();
    assert.deepEqual(log, ["opening", "open", "live", "over key"]);
  }
  const { log, run } = play([[new ConnectError("no", Code.Unauthenticated)], []]);
  await run();
  assert.deepEqual(log, ["opening", "open", "over key"]);
});

test("a token that has expired: it begins anew, and says that something was missed", async () => {
  for (const last of [coded(Code.OutOfRange, "RESUME_TOKEN_EXPIRED"), { end: EndReason.RESUME_TOKEN_EXPIRED }]) {
    const { log, run } = play([[{ token: "1" }, cut], [last], [{ token: "9" }]]);
    await run();
    assert.deepEqual(log.slice(4), ["open 1", "missed", "reconnecting token", "open", "live", "reconnecting", "open 9"]);
  }
});

test("when the token of the page has ended it waits for another, and goes on from the last place", async () => {
  for (const last of [coded(Code.Unauthenticated, "TOKEN_EXPIRED"), { end: EndReason.ACCESS_TOKEN_EXPIRED }]) {
    for (const [length, expected] of [[60_000, ["open 1"]], [700_000, ["missed", "open"]]] as const) {
      const { log, run } = play([[{ token: "1" }, last]], (follower, _, pass) => {
        setTimeout(() => {
          pass(length);
          follower.resume();
        }, 20);
      });
      await run();
      assert.deepEqual(log, ["opening", "open", "live", "lapsed lapsed", "paused", ...expected]);
    }
  }
});

test("over quota it waits as long as it is told", async () => {
  const quota = new ConnectError("over", Code.ResourceExhausted, { "retry-after": "36" });
  const { log, run, clock } = play([[quota]]);
  await run();
  assert.deepEqual(log, ["opening", "open", "waiting quota", "open"]);
  assert.ok(clock() >= 36_000);
});

test("silence for two heartbeats is a cut", async () => {
  const { log, run, clock } = play([[{ token: "1", heartbeatSeconds: 5 }, "silence"]]);
  await run();
  assert.deepEqual(log, ["opening", "open", "live", "reconnecting passing", "open 1"]);
  assert.ok(clock() >= 10_000 && clock() < 12_000, String(clock()));
});

test("silence from the start too", async () => {
  const { log, run, clock } = play([["silence"]]);
  await run();
  assert.deepEqual(log, ["opening", "open", "reconnecting passing", "open"]);
  assert.ok(clock() >= 30_000);
});

test("a frame that does not fit: it opens again with the token before", async () => {
  const { log, run } = play([[{ token: "1" }, { token: "2", shows: "throw" }]]);
  await run();
  assert.deepEqual(log, ["opening", "open", "live", "reconnecting passing", "open 1"]);
});

test("after a pause it goes on, and begins anew after a long one", async () => {
  for (const [length, expected] of [[60_000, ["open 1"]], [700_000, ["missed", "open"]]] as const) {
    const { log, run } = play([[{ token: "1" }, "forever"]], (follower, _, pass) => {
      queueMicrotask(() => follower.pause());
      setTimeout(() => {
        pass(length);
        follower.resume();
      }, 20);
    });
    await run();
    assert.deepEqual(log, ["opening", "open", "live", "paused", ...expected]);
  }
});

test("tries come at longer and longer intervals", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 99].map((tries) => backoff(tries, 0)), [500, 1000, 2000, 4000, 7500, 7500, 7500]);
  assert.deepEqual([0, 4, 99].map((tries) => backoff(tries, 1)), [1000, 15_000, 15_000]);
});
