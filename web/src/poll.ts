// Asks the same again and again, as long as somebody looks.
import type { Failure } from "./failure";
import { type Condition, realTime } from "./follow";
import { insist } from "./insist";

export interface Polled<T> {
  call(signal: AbortSignal): Promise<T>;
  answer(answer: T): void;
  // What is being waited for, and undefined once it has come.
  trouble(condition: Condition | undefined): void;
  // It is not asked again before it is started, or renewed.
  refused(failure: Failure): void;
}

export class Poll<T> {
  readonly #polled: Polled<T>;
  readonly #every: number;
  readonly #time: typeof realTime;
  #running = new AbortController();
  #looking = false;
  // Until then what was answered is good enough.
  #due = 0;

  // `every` is in milliseconds, from an answer to the next question.
  constructor(polled: Polled<T>, every: number, time = realTime) {
    this.#polled = polled;
    this.#every = every;
    this.#time = time;
    this.#running.abort();
  }

  start(): void {
    this.#looking = true;
    if (this.#running.signal.aborted) void this.#run([]);
  }

  // As `start`, but what was answered less than `every` ago is not asked again before its time.
  resume(): void {
    this.#looking = true;
    if (this.#running.signal.aborted) void this.#run([], this.#due);
  }

  // What was answered is no answer any more: asks at once, or when it is resumed.
  renew(): void {
    this.#due = 0;
    this.hurry();
  }

  stop(): void {
    this.#looking = false;
    this.#running.abort();
  }

  // Asks at once, and, for what takes a moment, again after each of these waits before it goes on as usual.
  hurry(...waits: number[]): void {
    if (this.#looking) void this.#run(waits);
  }

  async #run(waits: number[], due = 0): Promise<void> {
    this.#running.abort();
    const running = (this.#running = new AbortController());
    const { signal } = running;
    const early = due - this.#time.now();
    if (early > 0) await this.#time.sleep(early, signal);
    while (!signal.aborted) {
      const outcome = await insist(() => this.#polled.call(signal), this.#polled.trouble, signal, this.#time);
      if (!outcome || signal.aborted) return;
      if ("failure" in outcome) {
        running.abort();
        return this.#polled.refused(outcome.failure);
      }
      this.#polled.trouble(undefined);
      this.#polled.answer(outcome.answer);
      const wait = waits.shift() ?? this.#every;
      this.#due = this.#time.now() + wait;
      await this.#time.sleep(wait, signal);
    }
  }
}
