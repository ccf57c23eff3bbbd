// A whole installation for a test: the service and Envoy on free ports, teams, tags and keys. The database,
// the program and Envoy come from scripts/browser-test.sh. What is started here ends with this process,
// however that ends.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);
const scripts = resolve(import.meta.dirname, "../../../scripts");

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run scripts/browser-test.sh`);
  return value;
}

// Runs the command line of the program, and gives what it prints.
export async function command(...args: string[]): Promise<string> {
  return (await run(setting("TAP_TEST_PROGRAM"), args)).stdout;
}

export interface Tag {
  uid: string;
  label?: string;
  kind?: "nfc" | "qr" | "link";
}

// A tap as POST /v1/taps takes it.
export interface NewTap {
  tagUid: string;
  tapId?: string;
  tappedAt?: string;
  country?: string;
  device?: string;
}

// An event as POST /v1/events takes it. What is left out is missing.
export interface NewEvent {
  category?: string;
  name?: string;
  data?: object;
  occurred_at?: string;
  session_id?: string;
  event_id?: string;
}

// A coupon as POST /v1/coupons takes it.
export interface NewCoupon {
  couponcode: string;
  title: string;
  publishedAt?: string;
  expireAt?: string;
  tagUids?: string[];
  maxRedemptions?: number;
  disabled?: boolean;
}

export interface Team {
  slug: string;
  number: string;
  reader: string;
  writer: string;
}

// Starts or stops the database that all tests share.
export async function database(what: "start" | "stop"): Promise<void> {
  await run(join(scripts, "postgres.sh"), [what, setting("TAP_TEST_CLUSTER")]);
}

let teams = 0;

// Makes a team with these tags, and a key for each end. Each test has a team and a quota of its own.
export async function makeTeam(tags: Tag[], name = ""): Promise<Team> {
  const slug = `page-${process.pid}-${++teams}`;
  const number = (await command("teams", "create", slug, "--name", name || slug)).trim();
  const lines = tags.map(({ uid, label = "", kind = "nfc" }) => [uid, number, "2022-01-01T00:00:00Z", label, kind]);
  await seed("tags", ["tag_uid", "team_id", "created_at", "label", "kind"], lines);
  const [reader, writer] = [await makeKey(slug, "reader"), await makeKey(slug, "writer")];
  // A new key works everywhere within a second.
  await sleep(1000);
  return { slug, number, reader, writer };
}

export async function makeKey(slug: string, preset: string, name = preset): Promise<string> {
  return (await command("keys", "create", "--team", slug, "--name", name, "--preset", preset)).trim();
}

// Revokes all keys of a team that may only read.
export async function revokeReaders(slug: string): Promise<void> {
  const keys = (await command("keys", "list", "--team", slug)).trim().split("\n");
  for (const key of keys.filter((line) => line.endsWith("\treader"))) {
    await command("keys", "revoke", "--team", slug, key.split("\t")[0] ?? "");
  }
}

// In how many seconds a token ends that a page goes on with for a while: enough on a slow machine.
export const SOON = 15;

// The token, but ending so many seconds from now, or before: the service gives none that ends within a minute.
export async function endingIn(token: string, seconds: number): Promise<string> {
  const [, team, head = "", body = ""] = /^(tap_\d+_)(.+)\.(.+)\..+$/.exec(token) ?? [];
  const read = (part: string): object => JSON.parse(Buffer.from(part, "base64url").toString());
  const write = (part: object) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const { kid } = read(head) as { kid: string };
  const secret = await sql(`select encode(secret, 'hex') from secrets where name = 'signing.${kid}'`);
  const signed = `${head}.${write({ ...read(body), exp: Math.floor(Date.now() / 1000) + seconds })}`;
  const signature = createHmac("sha256", Buffer.from(secret, "hex")).update(signed).digest("base64url");
  return `${team}${signed}.${signature}`;
}

// Does something in the database that the API does not, and gives what that answers.
export async function sql(text: string): Promise<string> {
  const options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"];
  return (await run("psql", [...options, "--command", text, setting("DATABASE_URL")])).stdout.trim();
}

// Loads a CSV file. Taps need the tags file again, to know whose they are.
export async function seed(what: "tags" | "taps", columns: string[], lines: string[][], tags?: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tap-page-"));
  try {
    const file = join(folder, `${what}.csv`);
    const quoted = [columns, ...lines].map((line) => line.map((cell) => `"${cell.replaceAll('"', '""')}"`).join(","));
    await writeFile(file, `${quoted.join("\n")}\n`);
    const other = join(folder, "more-tags.csv");
    if (tags !== undefined) await writeFile(other, tags);
    const more = tags === undefined ? [] : ["--tags", other];
    return await command("seed", ...more, `--${what}`, file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export class Installation {
  readonly url: string;
  readonly #folder: string;
  readonly #ports: { grpc: number; admin: number };
  #service: ChildProcess | undefined;
  #envoy: ChildProcess | undefined;

  private constructor(folder: string, http: number, grpc: number, admin: number) {
    this.url = `http://127.0.0.1:${http}`;
    this.#folder = folder;
    this.#ports = { grpc, admin };
  }

  static async start(): Promise<Installation> {
    const folder = await mkdtemp(join(tmpdir(), "tap-page-"));
    const [http = 0, grpc = 0, admin = 0, envoyAdmin = 0] = await freePorts(4);
    const installation = new Installation(folder, http, grpc, admin);
    await installation.startService();
    const { stdout: descriptors } = await run(setting("TAP_TEST_PROGRAM"), ["descriptors"], { encoding: "buffer" });
    await writeFile(join(folder, "tap.binpb"), descriptors);
    const render = ["render", http, grpc, envoyAdmin, join(folder, "tap.binpb")].map(String);
    const { stdout: config } = await run(join(scripts, "envoy.sh"), render);
    await writeFile(join(folder, "envoy.yaml"), config);
    installation.#envoy = await installation.#start("envoy", setting("TAP_TEST_ENVOY"), [
      "-c", join(folder, "envoy.yaml"), "--disable-hot-restart", "--log-level", "warning",
    ]);
    await installation.#until("Envoy takes requests", `${installation.url}/`);
    return installation;
  }

  async startService(): Promise<void> {
    const { grpc, admin } = this.#ports;
    this.#service = await this.#start("service", setting("TAP_TEST_PROGRAM"), ["serve"], {
      TAP_HOST: "127.0.0.1",
      TAP_GRPC_PORT: String(grpc),
      TAP_ADMIN_PORT: String(admin),
      NO_COLOR: "1",
    });
    await this.#until("the service is ready", `http://127.0.0.1:${admin}/readyz`);
  }

  // At once, without a word to those who are connected.
  async killService(): Promise<void> {
    await end(this.#service, "SIGKILL");
  }

  // In an orderly way.
  async stopService(): Promise<void> {
    await end(this.#service, "SIGTERM");
  }

  async end(): Promise<void> {
    await end(this.#envoy, "SIGKILL");
    await end(this.#service, "SIGKILL");
    await rm(this.#folder, { recursive: true });
  }

  // Records taps, in this order. Throws when they were not all taken.
  async record(key: string, taps: NewTap[]): Promise<void> {
    const answer = await this.call<Record<string, number>>("POST", "/v1/taps", key, { taps });
    if ((answer["accepted"] ?? 0) + (answer["duplicates"] ?? 0) !== taps.length) throw new Error(JSON.stringify(answer));
  }

  // Makes a session, which came from a tap where that is named, and gives its id.
  async session(key: string, tapId = ""): Promise<string> {
    return (await this.call<{ session: { id: string } }>("POST", "/v1/sessions", key, tapId ? { tapId } : {})).session.id;
  }

  // Makes a coupon, and gives its id.
  async coupon(key: string, coupon: NewCoupon): Promise<string> {
    return (await this.call<{ id: string }>("POST", "/v1/coupons", key, coupon)).id;
  }

  // Redeems a coupon, which a tag handed out where that is named.
  async redeem(key: string, coupon: string, subject: string, tagUid = ""): Promise<void> {
    await this.call("POST", `/v1/coupons/${coupon}:redeem`, key, tagUid ? { subject, tagUid } : { subject });
  }

  // Sends events, and waits until each is stored or refused.
  async send(key: string, events: NewEvent[]): Promise<void> {
    const { receipts } = await this.call<{ receipts: string[] }>("POST", "/v1/events", key, { events });
    if (receipts.length !== events.length) throw new Error(`${receipts.length} receipts for ${events.length} events`);
    for (const receipt of receipts) {
      for (const end = Date.now() + 10_000; !(await this.#settled(key, receipt)); await sleep(20)) {
        if (Date.now() > end) throw new Error(`${receipt} is neither stored nor refused`);
      }
    }
  }

  // The total of a range.
  async total(key: string, startDate: string, endDate: string): Promise<number> {
    return (await this.call<{ total: number }>("POST", "/v1/taps:query", key, { startDate, endDate })).total;
  }

  // A token of a key, as a backend would get it for its page.
  async token(key: string, asked: { tagUids?: string[] } = {}): Promise<string> {
    return (await this.call<{ token: string }>("POST", "/v1/tokens", key, asked)).token;
  }

  // The id of a key.
  async keyId(key: string): Promise<string> {
    return (await this.call<{ keyId: string }>("GET", "/v1/whoami", key)).keyId;
  }

  // Uploads a file to be imported, and waits until it was checked.
  async upload(key: string, kind: "users" | "tags", filename: string, content: string): Promise<string> {
    const path = `/v1/imports/${kind}:upload?filename=${encodeURIComponent(filename)}`;
    const answer = await fetch(this.url + path, { method: "POST", headers: { "x-api-key": key, "content-type": "text/csv" }, body: content });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    const { id } = JSON.parse(text) as { id: string };
    for (const end = Date.now() + 10_000; ; await sleep(20)) {
      const { state } = await this.call<{ state: string }>("GET", `/v1/imports/${id}`, key);
      if (state !== "UPLOADING" && state !== "CHECKING") return id;
      if (Date.now() > end) throw new Error(`${filename} is ${state}`);
    }
  }

  // How many streams a key has open.
  async openStreams(key: string): Promise<number> {
    return (await this.call<{ openStreams: number }>("GET", "/v1/quota", key)).openStreams;
  }

  async call<Answer>(method: string, path: string, key: string, body?: object): Promise<Answer> {
    const headers = { "content-type": "application/json", "x-api-key": key };
    const request = { method, headers, signal: AbortSignal.timeout(5000) };
    const answer = await fetch(this.url + path, body ? { ...request, body: JSON.stringify(body) } : request);
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
    return JSON.parse(text) as Answer;
  }

  async #settled(key: string, receipt: string): Promise<boolean> {
    const { state } = await this.call<{ state?: string }>("GET", `/v1/eventReceipts/${receipt}`, key);
    return state === "STORED" || state === "REJECTED";
  }

  async #start(name: string, program: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
    const log = await open(join(this.#folder, `${name}.log`), "a");
    const away = ["--pdeathsig", "KILL", "--", program, ...args];
    const child = spawn("setpriv", away, { stdio: ["ignore", log.fd, log.fd], env: { ...process.env, ...env } });
    child.on("error", (error) => console.error(error));
    await log.close();
    return child;
  }

  async #until(what: string, url: string): Promise<void> {
    for (const end = Date.now() + 30_000; Date.now() < end; await sleep(50)) {
      const answer = await fetch(url).catch(() => undefined);
      await answer?.text();
      if (answer?.ok) return;
    }
    for (const name of ["service", "envoy"]) {
      const log = await readFile(join(this.#folder, `${name}.log`), "utf8").catch(() => "");
      console.error(`${name}:\n${log.split("\n").slice(-20).join("\n")}`);
    }
    throw new Error(`after 30 s still not: ${what}`);
  }
}

async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill(signal);
  await gone;
}

// Ports that nobody listens on: none of those that the system gives to connections.
async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = 20_000 + Math.floor(Math.random() * 10_000); ports.length < count; port++) {
    if (await isFree(port)) ports.push(port);
  }
  return ports;
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (free) await new Promise((resolve) => server.close(resolve));
  return free;
}
