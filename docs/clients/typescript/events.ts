// Sends events to tap-analytics: buffers, batches, retries, and outlives restarts of the service.
//
//     const events = new Events("http://localhost:3000", key);
//     const eventId = await events.send({ session, category: "shop", name: "order_placed", data: { total: 12.5 } });
//     await events.close();
//
// For Node.js 20 or later and for browsers, with fetch alone. See ../README.md for what it guarantees, and what not.

const EVENT_BYTES_MAX = 64 * 1024; // what the service takes
const BATCH_EVENTS_MAX = 1000;
const BATCH_BYTES_MAX = 512 * 1024; // half of what Envoy takes

export interface Event {
  session: string;
  category: string;
  name: string;
  data: Record<string, unknown>;
  // Otherwise it is of the moment at which it is sent.
  occurredAt?: Date;
  // A UUID by which it is stored once. Otherwise a new one.
  id?: string;
}

export interface Options {
  bufferEvents: number;
  bufferBytes: number;
  // In milliseconds, as the next ones: how long an event waits for others to go with it.
  linger: number;
  // How long to wait before a call is made again: at first, and at most.
  retryMin: number;
  retryMax: number;
  deadline: number;
  // Is told of each call that failed, and of the event that was given up for it, if one was.
  onProblem: (problem: string, dropped?: unknown) => void;
}

// Counts of events, but for `retried`, which are calls: sent = accepted + dropped + waiting.
export interface Stats {
  sent: number;
  accepted: number;
  dropped: number;
  waiting: number;
  retried: number;
}

// An event as it is sent, each time.
interface Waiting {
  json: string;
  bytes: number;
  since: number;
}

interface Answer {
  status: number;
  // What the service asks for, in milliseconds.
  wait: number;
  problem: string;
}

export class Events {
  readonly #url: string;
  readonly #key: string;
  readonly #options: Options;
  // Also those of the call that is under way.
  readonly #waiting: Waiting[] = [];
  #bytes = 0;
  #hurry = 0;
  #closed = false;
  #sending = false;
  readonly #counts = { sent: 0, accepted: 0, dropped: 0, retried: 0 };
  // Whoever waits for anything looks again after each change.
  #waiters: (() => void)[] = [];

  constructor(url: string, key: string, options: Partial<Options> = {}) {
    this.#url = `${url.replace(/\/+$/, "")}/v1/events`;
    this.#key = key;
    this.#options = {
      bufferEvents: 10_000,
      bufferBytes: 16 * 1024 * 1024,
      linger: 200,
      retryMin: 200,
      retryMax: 10_000,
      deadline: 10_000,
      onProblem: (problem, dropped) =>
        console.warn(dropped ? "an event was dropped:" : "events are sent again:", problem),
      ...options,
    };
  }

  // Takes an event and gives its id. If the buffer is full this waits. Throws for what can never be sent.
  async send(event: Event): Promise<string> {
    const [id, waiting] = ready(event);
    while (!this.#put(waiting)) await this.#change();
    return id;
  }

  // The same, but it gives undefined if the buffer is full.
  trySend(event: Event): string | undefined {
    const [id, waiting] = ready(event);
    return this.#put(waiting) ? id : undefined;
  }

  // Waits until all that was sent before is answered: for as long as the service is away.
  async flush(): Promise<void> {
    const sent = (this.#hurry = this.#counts.sent);
    this.#changed();
    while (this.#settled() < sent) await this.#change();
  }

  // Takes no more events, and flushes. What is not sent when the program or the page ends is lost.
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
  }

  get stats(): Stats {
    return { ...this.#counts, waiting: this.#waiting.length };
  }

  // Whether there was room for it.
  #put(waiting: Waiting): boolean {
    if (this.#closed) throw new Error("closed");
    const { bufferEvents, bufferBytes } = this.#options;
    const { length } = this.#waiting;
    if (length > 0 && (length >= bufferEvents || this.#bytes + waiting.bytes > bufferBytes)) return false;
    this.#waiting.push(waiting);
    this.#bytes += waiting.bytes;
    this.#counts.sent += 1;
    this.#changed();
    if (!this.#sending) void this.#send();
    return true;
  }

  #settled(): number {
    return this.#counts.accepted + this.#counts.dropped;
  }

  #change(): Promise<void> {
    return new Promise((look) => this.#waiters.push(look));
  }

  #changed(): void {
    for (const look of this.#waiters.splice(0)) look();
  }

  // Goes on for as long as something waits.
  async #send(): Promise<void> {
    this.#sending = true;
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      await this.#othersCome(first.since + this.#options.linger - performance.now());
      await this.#deliver(this.#batch());
    }
    this.#sending = false;
  }

  async #othersCome(within: number): Promise<void> {
    let over = false;
    const timer = setTimeout(() => ((over = true), this.#changed()), within);
    const full = () => this.#waiting.length >= BATCH_EVENTS_MAX || this.#bytes >= BATCH_BYTES_MAX;
    while (!over && !this.#closed && this.#settled() >= this.#hurry && !full()) await this.#change();
    clearTimeout(timer);
  }

  #batch(): Waiting[] {
    let bytes = 0;
    const fits = (event: Waiting, place: number) => (bytes += event.bytes + 1) <= BATCH_BYTES_MAX || place === 0;
    const end = this.#waiting.slice(0, BATCH_EVENTS_MAX).findIndex((event, place) => !fits(event, place));
    return this.#waiting.slice(0, end < 0 ? BATCH_EVENTS_MAX : end);
  }

  // Sends a batch until it is answered. One that cannot be taken goes in halves, to find what is bad.
  async #deliver(batch: Waiting[]): Promise<void> {
    const { retryMin, retryMax } = this.#options;
    for (let failures = 0; ; failures++) {
      const { status, wait, problem } = await this.#call(batch);
      if (status === 200) return this.#settle("accepted", batch.length);
      if (status === 400 || status === 413) {
        const [first] = batch;
        if (first && batch.length === 1) {
          this.#tell(problem, JSON.parse(first.json));
          return this.#settle("dropped", 1);
        }
        await this.#deliver(batch.slice(0, batch.length >> 1));
        return this.#deliver(batch.slice(batch.length >> 1));
      }
      // Everything else may pass, also a wrong key: people can mend that.
      this.#tell(problem);
      const own = Math.min(retryMax, retryMin * 2 ** failures) * (0.5 + Math.random() / 2);
      const pause = wait && status === 429 ? wait * (1 + Math.random() / 10) : Math.max(wait, own);
      await new Promise((over) => setTimeout(over, pause));
      this.#counts.retried += 1;
    }
  }

  async #call(batch: Waiting[]): Promise<Answer> {
    const headers = { "content-type": "application/json", "x-api-key": this.#key };
    const body = `{"events":[${batch.map(({ json }) => json).join(",")}]}`;
    const signal = AbortSignal.timeout(this.#options.deadline);
    try {
      // The key goes to the address that was given, and to no other.
      const answer = await fetch(this.#url, { method: "POST", headers, body, signal, redirect: "error" });
      const text = await answer.text();
      const wait = 1000 * (Number(answer.headers.get("retry-after")) || 0);
      if (!answer.ok) return { status: answer.status, wait, problem: `${answer.status} ${text}` };
      const { receipts } = JSON.parse(text) as { receipts?: string[] };
      if (receipts?.length === batch.length) return { status: 200, wait, problem: "" };
      return { status: 0, wait, problem: "this is not tap-analytics" };
    } catch (error) {
      return { status: 0, wait: 0, problem: String(error) };
    }
  }

  #settle(how: "accepted" | "dropped", events: number): void {
    for (const { bytes } of this.#waiting.splice(0, events)) this.#bytes -= bytes;
    this.#counts[how] += events;
    this.#changed();
  }

  #tell(problem: string, dropped?: unknown): void {
    try {
      this.#options.onProblem(problem, dropped);
    } catch (error) {
      console.error(error);
    }
  }
}

// An event as it is sent, each time, and its id.
function ready(given: Event): [string, Waiting] {
  const { session, category, name, data, occurredAt = new Date(), id = crypto.randomUUID() } = given;
  const event = { event_id: id, session_id: session, category, name, occurred_at: occurredAt.toISOString(), data };
  const json = JSON.stringify(event);
  const bytes = new TextEncoder().encode(json).length;
  if (bytes > EVENT_BYTES_MAX) throw new RangeError(`an event of ${bytes} bytes is larger than the service takes`);
  return [id, { json, bytes, since: performance.now() }];
}
