// Calling until there is an answer or a refusal.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Code, ConnectError } from "@connectrpc/connect";
import { insist } from "../../src/insist";

// Answers with these in turn; time passes at once, and is kept.
function play(steps: (ConnectError | string)[], signal = new AbortController().signal) {
  const log: string[] = [];
  let now = 0;
  const time = {
    now: () => now,
    random: () => 0,
    sleep: async (milliseconds: number) => {
      log.push(`wait ${milliseconds}`);
      now += milliseconds;
    },
  };
  const call = async () => {
    const step = steps.shift() ?? "nothing more";
    if (step instanceof Error) throw step;
    return step;
  };
  const outcome = insist(call, ({ is }) => log.push(is), signal, time);
  return { log, outcome };
}

const cut = new ConnectError("cut", Code.Unavailable);

test("what passes is waited for, longer each time", async () => {
  const { log, outcome } = play([cut, cut, new TypeError("network") as ConnectError, "answer"]);
  assert.deepEqual(await outcome, { answer: "answer" });
  assert.deepEqual(log, ["reconnecting", "wait 500", "reconnecting", "wait 1000", "reconnecting", "wait 2000"]);
});

test("for a quota it waits as long as it is told", async () => {
  const over = new ConnectError("over", Code.ResourceExhausted, { "retry-after": "9" });
  const { log, outcome } = play([over, "answer"]);
  assert.deepEqual(await outcome, { answer: "answer" });
  assert.deepEqual(log, ["waiting", "wait 9000"]);
});

test("a refusal is the end of it", async () => {
  for (const code of [Code.Unauthenticated, Code.PermissionDenied, Code.InvalidArgument]) {
    const { log, outcome } = play([new ConnectError("no", code), "answer"]);
    const refused = await outcome;
    assert.ok(refused && "failure" in refused && refused.failure.message === "no");
    assert.deepEqual(log, []);
  }
});

test("nothing comes of it once it was stopped", async () => {
  const stop = new AbortController();
  const { outcome } = play(["answer"], stop.signal);
  stop.abort();
  assert.equal(await outcome, undefined);
});
