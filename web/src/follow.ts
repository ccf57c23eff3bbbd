// Keeps a stream open: reads it, notices when it was cut, and opens it again with the last token.
import { EndReason_Value as EndReason } from "./gen/tap/v1/tap_analytics_pb";
import { type Failure, failureOf } from "./failure";

// How a stream stands.
export type Condition =
  | { is: "opening" }
  | { is: "live" }
  // Answered, by what is asked again now and then in place of a stream.
  | { is: "fresh" }
  // `failure` is missing when the stream just ended.
  | { is: "reconnecting"; failure?: Failure }
  // Until the quota allows the next try, in milliseconds since 1970.
  | { is: "waiting"; until: number; failure: Failure }
  | { is: "paused" }
  // Paused, as the token of the page has ended: until there is another one.
  | { is: "lapsed"; failure: Failure }
  // It will not be opened again.
  | { is: "over"; failure: Failure };

// What a frame says about its stream.
export interface Signs {
  token?: string;
  heartbeatSeconds?: number;
  end?: EndReason;
}

export interface Followed<Frame> {
  open(token: string, signal: AbortSignal): AsyncIterable<Frame>;
  signs(frame: Frame): Signs;
  // A frame has come. If this throws, the stream is opened again.
  frame(frame: Frame): void;
  condition(condition: Condition): void;
  // What came after the last frame is gone: the stream begins anew.
  missed(): void;
}

// Time, for tests to replace.
export interface Time {
  now(): number;
  // Resolves after so many milliseconds, or earlier when the signal says so.
  sleep(milliseconds: number, signal: AbortSignal): Promise<void>;
  random(): number;
}

export const realTime: Time = {
  now: Date.now,
  random: Math.random,
  sleep: (milliseconds, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      signal.addEventListener("abort", done);
    }),
};

const HEARTBEAT_SECONDS = 15;
const LONGEST_WAIT_MS = 15_000;
const WAIT_WITHOUT_ADVICE_MS = 36_000;
// A stream that was live for so long was not cut because it is refused.
const STEADY_MS = 10_000;
// After a longer pause the taps in between are too many to catch up with.
const LONGEST_PAUSE_MS = 600_000;

// How long to wait before a try: 0.5 to 1 second at first, 7.5 to 15 in the end.
export function backoff(tries: number, random: number): number {
  const most = Math.min(LONGEST_WAIT_MS, 1000 * 2 ** Math.min(tries, 10));
  return (most / 2) * (1 + random);
}

// How the caller of something stands that has failed and is tried again.
export function standing(failure: Failure, now: number): Condition {
  if (failure.kind !== "quota") return { is: "reconnecting", failure };
  return { is: "waiting", until: now + (failure.wait ?? WAIT_WITHOUT_ADVICE_MS), failure };
}

// How long to wait before that try.
export function waitAfter(failure: Failure | undefined, tries: number, random: number): number {
  // Not all who wait for a quota may come at the same moment.
  if (failure?.kind === "quota") return (failure.wait ?? WAIT_WITHOUT_ADVICE_MS) + random * 1000;
  return Math.max(backoff(tries, random), Math.min(failure?.wait ?? 0, LONGEST_WAIT_MS));
}

export class Follower<Frame> {
  readonly #followed: Followed<Frame>;
  readonly #time: Time;
  #token: string;
  #tries = 0;
  #backingOff = false;
  #stopped = false;
  #pausedAt: number | undefined;
  // Ends the stream that is open.
  #stream = new AbortController();
  // Ends what is being waited for.
  #waiting = new AbortController();

  constructor(followed: Followed<Frame>, token = "", time = realTime) {
    this.#followed = followed;
    this.#token = token;
    this.#time = time;
  }

  // The last token that was seen.
  get token(): string {
    return this.#token;
  }

  start(): this {
    void this.#run();
    return this;
  }

  // For ever.
  stop(): void {
    this.#stopped = true;
    this.#stream.abort();
    this.#waiting.abort();
  }

  // Lets go of the connection until `resume`.
  pause(): void {
    if (this.#pausedAt !== undefined) return;
    this.#pausedAt = this.#time.now();
    this.#stream.abort();
    this.#waiting.abort();
  }

  resume(): void {
    if (this.#pausedAt === undefined) return;
    if (this.#time.now() - this.#pausedAt > LONGEST_PAUSE_MS) this.#beginAnew();
    this.#pausedAt = undefined;
    this.#waiting.abort();
  }

  // Tries at once, if the next try is being waited for and nobody said how long.
  hurry(): void {
    if (!this.#backingOff) return;
    this.#tries = 0;
    this.#waiting.abort();
  }

  async #run(): Promise<void> {
    this.#followed.condition({ is: "opening" });
    while (!this.#stopped) {
      if (this.#pausedAt !== undefined) {
        this.#followed.condition({ is: "paused" });
        await this.#wait(Infinity);
        continue;
      }
      const failure = await this.#read();
      if (this.#stopped || this.#pausedAt !== undefined) continue;
      switch (failure?.kind) {
        case "key":
        case "scope":
        case "refused":
          this.#stopped = true;
          this.#followed.condition({ is: "over", failure });
          break;
        case "lapsed":
          this.pause();
          this.#followed.condition({ is: "lapsed", failure });
          break;
        case "token":
          this.#beginAnew();
          await this.#backOff(failure);
          break;
        case "quota":
          this.#followed.condition(standing(failure, this.#time.now()));
          await this.#wait(waitAfter(failure, 0, this.#time.random()));
          break;
        default:
          await this.#backOff(failure);
      }
    }
  }

  async #backOff(failure?: Failure): Promise<void> {
    this.#followed.condition(failure ? standing(failure, this.#time.now()) : { is: "reconnecting" });
    this.#backingOff = true;
    await this.#wait(waitAfter(failure, this.#tries++, this.#time.random()));
    this.#backingOff = false;
  }

  async #wait(milliseconds: number): Promise<void> {
    this.#waiting = new AbortController();
    if (milliseconds !== Infinity) return this.#time.sleep(milliseconds, this.#waiting.signal);
    const { signal } = this.#waiting;
    return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
  }

  #beginAnew(): void {
    if (this.#token !== "") this.#followed.missed();
    this.#token = "";
  }

  // Opens the stream and reads it to its end. Undefined when it was cut.
  async #read(): Promise<Failure | undefined> {
    const stream = (this.#stream = new AbortController());
    let heard = new AbortController();
    let silence = HEARTBEAT_SECONDS * 2000;
    // Somebody who is not heard for two heartbeats is gone.
    const listen = () => {
      heard.abort();
      const { signal } = (heard = new AbortController());
      void this.#time.sleep(silence, signal).then(() => signal.aborted || stream.abort());
    };
    let liveSince: number | undefined;
    try {
      listen();
      for await (const frame of this.#followed.open(this.#token, stream.signal)) {
        if (stream.signal.aborted) break;
        const { token, heartbeatSeconds, end } = this.#followed.signs(frame);
        if (heartbeatSeconds) silence = heartbeatSeconds * 2000;
        listen();
        if (end !== undefined) return endOf(end);
        this.#followed.frame(frame);
        if (token) this.#token = token;
        if (liveSince === undefined) {
          liveSince = this.#time.now();
          this.#followed.condition({ is: "live" });
        }
      }
      return undefined;
    } catch (error) {
      return failureOf(error);
    } finally {
      heard.abort();
      stream.abort();
      if (liveSince !== undefined && this.#time.now() - liveSince >= STEADY_MS) this.#tries = 0;
    }
  }
}

function endOf(reason: EndReason): Failure | undefined {
  switch (reason) {
    case EndReason.API_KEY_REVOKED:
      return { kind: "key", reason: "API_KEY_REVOKED", message: "" };
    case EndReason.API_KEY_EXPIRED:
      return { kind: "key", reason: "API_KEY_EXPIRED", message: "" };
    case EndReason.ACCESS_TOKEN_EXPIRED:
      return { kind: "lapsed", reason: "TOKEN_EXPIRED", message: "" };
    case EndReason.RESUME_TOKEN_EXPIRED:
      return { kind: "token", reason: "RESUME_TOKEN_EXPIRED", message: "" };
    default:
      // Draining, failed, the key was changed, or not known here: open it again.
      return undefined;
  }
}
