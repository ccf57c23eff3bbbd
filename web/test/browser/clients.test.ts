// The client for applications that send events, as docs/clients/typescript has it: what it sends is stored once.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Events } from "../../../docs/clients/typescript/events";
import { Installation, type Team, makeTeam } from "./installation";

const example = resolve(import.meta.dirname, "../../../docs/clients/typescript/example.ts");

let installation: Installation;

before(async () => {
  installation = await Installation.start();
});

after(async () => {
  await installation?.end();
});

async function makeSession(team: Team): Promise<string> {
  const made = await installation.call<{ session: { id: string } }>("POST", "/v1/sessions", team.writer, {});
  return made.session.id;
}

interface Page {
  events: { eventId: string; data: Record<string, unknown> }[];
  nextPageToken: string;
}

// All events of the team.
async function stored(team: Team): Promise<Page["events"]> {
  const events = [];
  let token = "";
  do {
    const query = new URLSearchParams({ pageSize: "1000", pageToken: token });
    const page = await installation.call<Page>("GET", `/v1/events?${query}`, team.reader);
    events.push(...page.events);
    token = page.nextPageToken;
  } while (token);
  return events;
}

type Ledger = Record<"received" | "stored" | "duplicate" | "rejected" | "pending", number>;

async function ledger(team: Team): Promise<Ledger> {
  const { total } = await installation.call<{ total: Ledger }>("GET", "/v1/eventLedger", team.reader);
  return total;
}

// Waits until all that was taken is settled: these events are there, each once, and nothing else.
async function assertStoredOnce(team: Team, ids: string[]): Promise<void> {
  let total = await ledger(team);
  for (const end = Date.now() + 20_000; total.pending > 0 && Date.now() < end; await sleep(50)) total = await ledger(team);
  assert.deepEqual((await stored(team)).map(({ eventId }) => eventId).sort(), ids.toSorted());
  assert.deepEqual([total.stored, total.rejected, total.pending], [ids.length, 0, 0]);
  assert.equal(total.received, total.stored + total.duplicate);
}

class Example {
  readonly ids: string[] = [];
  problems = "";
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  constructor(key: string) {
    const env = { ...process.env, TAP_URL: installation.url, TAP_API_KEY: key };
    const child = spawn(process.execPath, ["--import", "tsx", example], { env, stdio: "pipe" });
    child.stderr.on("data", (text: Buffer) => (this.problems += text.toString()));
    createInterface({ input: child.stdout }).on("line", (id) => this.ids.push(id));
    this.#child = child;
    this.#ended = new Promise((over) => child.once("close", over));
  }

  write(event: object): void {
    this.#child.stdin?.write(`${JSON.stringify(event)}\n`);
  }

  // Waits until it ends by itself: how it did.
  async end(): Promise<number | null> {
    this.#child.stdin?.end();
    return this.#ended;
  }

  // How often it has said that it tries again.
  get retried(): number {
    return this.problems.split("again soon").length;
  }

  // The counts that it prints last.
  get stats(): Record<string, number> {
    return JSON.parse(this.problems.trim().split("\n").at(-1) ?? "") as Record<string, number>;
  }
}

test("its example outlives a service that is killed again and again", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const session = await makeSession(team);
  const sending = new Example(team.writer);
  let lines = 0;
  let enough = false;
  // There is something to send all the time.
  const writer = (async () => {
    for (; lines < 3000 || !enough; await sleep(10)) {
      for (const end = lines + 20; lines < end; lines++) {
        sending.write({ session, category: "test", name: "made", data: { line: lines } });
      }
    }
  })();
  for (let kill = 0; kill < 3; kill++) {
    const { received } = await ledger(team);
    for (const end = Date.now() + 20_000; (await ledger(team)).received < received + 200; await sleep(20)) {
      assert.ok(Date.now() < end, `nothing more comes after ${kill} kills: ${sending.problems}`);
    }
    const retried = sending.retried;
    await installation.killService();
    for (const end = Date.now() + 20_000; sending.retried === retried; await sleep(20)) {
      assert.ok(Date.now() < end, `it is not missed: ${sending.problems}`);
    }
    await installation.startService();
    // Envoy has to find it again.
    for (const end = Date.now() + 20_000; Date.now() < end; await sleep(50)) {
      if (await ledger(team).then(() => true, () => false)) break;
    }
  }
  enough = true;
  await writer;
  assert.equal(await sending.end(), 0, sending.problems);
  assert.ok(!sending.problems.includes(team.writer));
  const { accepted, dropped, waiting } = sending.stats;
  assert.deepEqual({ accepted, dropped, waiting }, { accepted: lines, dropped: 0, waiting: 0 });
  assert.equal(sending.ids.length, lines);
  await assertStoredOnce(team, sending.ids);
  const numbers = (await stored(team)).map(({ data }) => data["line"]);
  assert.equal(new Set(numbers).size, lines);
});

test("one event that cannot be read does not keep the others out", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const session = await makeSession(team);
  const dropped: unknown[] = [];
  const events = new Events(installation.url, team.writer, { onProblem: (_, event) => dropped.push(event) });
  let deep: unknown = "deep";
  for (let level = 0; level < 60; level++) deep = [deep];
  const ids = [];
  for (let number = 0; number < 10; number++) {
    const data = number === 7 ? { deep } : { number };
    ids.push(await events.send({ session, category: "test", name: "made", data }));
  }
  await events.close();
  const [refused] = ids.splice(7, 1);
  assert.deepEqual(dropped.map((event) => (event as { event_id: string }).event_id), [refused]);
  assert.deepEqual(events.stats, { sent: 10, accepted: 9, dropped: 1, waiting: 0, retried: 0 });
  await assertStoredOnce(team, ids);
});

test("while the service is away the buffer is bounded", async () => {
  const team = await makeTeam([{ uid: "a" }]);
  const session = await makeSession(team);
  await installation.killService();
  const options = { bufferEvents: 3, retryMax: 300, onProblem: () => undefined };
  const events = new Events(installation.url, team.writer, options);
  const event = { session, category: "test", name: "made", data: { a: 1 } };
  const ids = [1, 2, 3].map(() => events.trySend(event) ?? "");
  assert.equal(events.trySend(event), undefined);
  let sent = false;
  const waits = [4, 5].map(() => events.send(event).finally(() => (sent = true)));
  while (events.stats.retried < 2) await sleep(20);
  assert.equal(sent, false);
  assert.equal(events.stats.waiting, 3);
  await installation.startService();
  ids.push(...(await Promise.all(waits)));
  await events.close();
  await assert.rejects(events.send(event), /closed/);
  await assertStoredOnce(team, ids);
});
