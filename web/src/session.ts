// What is open for a token: a watch of the counts, a watch of the hours of the week, a stream of taps.
// They change with the controls and with the time, and never more of them than needed: each costs.
import type { StreamTapsResponse, Tap, WatchTapsResponse } from "./gen/tap/v1/tap_analytics_pb";
import { type Api, signsOfStream, signsOfWatch } from "./api";
import type { Failure } from "./failure";
import { type Condition, Follower } from "./follow";
import { type Plan, type Query, type Settings, planOf, same } from "./plan";
import { type Answer, applyFrame } from "./watch";

// What a session tells the page.
export interface Listener {
  plan(plan: Plan): void;
  // Undefined while the answer to a new question is on its way.
  counts(answer: Answer | undefined): void;
  hours(answer: Answer | undefined): void;
  tap(tap: Tap): void;
  // Some taps will not come.
  missed(): void;
  // The worst of how its streams stand.
  condition(condition: Condition): void;
  // The question was refused: the controls must change.
  refused(what: "counts" | "hours", failure: Failure): void;
  // The token has ended: nothing is open until `goOn`.
  lapsed(failure: Failure): void;
  // The key is no good: the session has ended.
  ended(failure: Failure): void;
}

const GRAVITY: Condition["is"][] = ["live", "paused", "opening", "reconnecting", "waiting", "lapsed", "over"];

export class Session {
  #api: Api;
  readonly #listener: Listener;
  #settings: Settings;
  #plan: Plan | undefined;
  // The plan of which all is open.
  #asked: Plan | undefined;
  #counts: Watch | undefined;
  #hours: Watch | undefined;
  #stream: Follower<StreamTapsResponse> | undefined;
  #streamed = "";
  #paused = false;
  #lapsed = false;
  #ended = false;
  // Whether there was something to ask while it was paused.
  #waits = false;
  readonly #conditions = new Map<"counts" | "hours" | "stream", Condition>();

  constructor(api: Api, settings: Settings, listener: Listener) {
    this.#api = api;
    this.#settings = settings;
    this.#listener = listener;
    this.#ask();
  }

  change(settings: Settings): void {
    this.#settings = settings;
    this.#ask();
  }

  // To be called now and then: what "today" means changes.
  passTime(): void {
    if (!this.#paused && this.#plan && Date.now() >= this.#plan.span.until) this.#ask();
  }

  // While nobody looks, connections are for others: a browser has few.
  pause(): void {
    this.#paused = true;
    for (const follower of this.#followers()) follower.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#lapsed) return;
    for (const follower of this.#followers()) follower.resume();
    if (this.#waits) this.#ask();
    else this.passTime();
  }

  // With another token of the same team: from where it was, for what the controls say by now.
  goOn(api: Api): void {
    this.#api = api;
    this.#lapsed = false;
    for (const [name, { is }] of this.#conditions) {
      if (is === "paused" || is === "lapsed") this.#conditions.set(name, { is: "opening" });
    }
    this.#tell();
    if (!this.#paused) for (const follower of this.#followers()) follower.resume();
    this.#ask();
  }

  hurry(): void {
    for (const follower of this.#followers()) follower.hurry();
  }

  stop(): void {
    this.#ended = true;
    for (const follower of this.#followers()) follower.stop();
  }

  #followers() {
    return [this.#counts?.follower, this.#hours?.follower, this.#stream].filter((follower) => follower !== undefined);
  }

  #ask(): void {
    this.#waits = this.#paused;
    if (this.#ended || this.#lapsed || this.#paused) return;
    const plan = (this.#plan = planOf(this.#settings, Date.now()));
    this.#listener.plan(plan);
    if (this.#hours && !same(this.#hours.query, plan.hours)) {
      // It answers an earlier question. It stays open, for this one may be refused and that one come back.
      this.#hours.listener = () => undefined;
      this.#listener.hours(undefined);
    }
    this.#counts = this.#watch("counts", this.#counts, plan.counts, (answer) => {
      this.#listener.counts(answer);
      // The others wait for this one: then a bad key or a bad question fails once, and the stream goes
      // on from the counts, which costs nothing.
      if (answer) this.#askMore(plan, answer.resumeToken);
    });
  }

  #askMore(plan: Plan, token: string): void {
    if (plan !== this.#plan || plan === this.#asked) return;
    this.#asked = plan;
    this.#hours = this.#watch("hours", this.#hours, plan.hours, (answer) => this.#listener.hours(answer));
    const { tag } = this.#settings;
    if (this.#stream && this.#streamed === tag) return;
    // Another tag: from where the stream before it was.
    const from = this.#stream?.token || token;
    this.#stream?.stop();
    this.#streamed = tag;
    this.#stream = this.#streamFrom(from, tag);
  }

  #streamFrom(token: string, tag: string): Follower<StreamTapsResponse> {
    return new Follower<StreamTapsResponse>(
      {
        open: (token, signal) => this.#api.stream(tag ? [tag] : [], token, signal),
        signs: signsOfStream,
        frame: ({ frame }) => {
          if (frame.case === "tap") this.#listener.tap(frame.value);
        },
        missed: () => this.#listener.missed(),
        condition: (condition) => this.#condition("stream", condition),
      },
      token,
    ).start();
  }

  #watch(
    name: "counts" | "hours",
    before: Watch | undefined,
    query: Query,
    listener: (answer: Answer | undefined) => void,
  ): Watch {
    if (before && !before.over && same(before.query, query)) {
      before.listener = listener;
      if (before.answer) listener(before.answer);
      return before;
    }
    before?.follower.stop();
    listener(undefined);
    const open = (token: string, signal: AbortSignal) => this.#api.watch(query, token, signal);
    const watch = new Watch(open, query, listener, (condition) => this.#condition(name, condition));
    watch.follower.start();
    return watch;
  }

  #condition(name: "counts" | "hours" | "stream", condition: Condition): void {
    if (this.#ended) return;
    this.#conditions.set(name, condition);
    if (condition.is === "lapsed" && !this.#lapsed) {
      this.#lapsed = true;
      for (const follower of this.#followers()) follower.pause();
      return this.#listener.lapsed(condition.failure);
    }
    if (this.#lapsed) return;
    if (condition.is === "over") {
      if (condition.failure.kind !== "refused") {
        this.stop();
        return this.#listener.ended(condition.failure);
      }
      if (name !== "stream") this.#listener.refused(name, condition.failure);
    }
    this.#tell();
  }

  #tell(): void {
    const rank = ({ is }: Condition) => GRAVITY.indexOf(is);
    const worst = [...this.#conditions.values()].reduce((one, other) => (rank(other) > rank(one) ? other : one));
    this.#listener.condition(worst);
  }
}

// One watch, and its answer as it is now.
class Watch {
  answer: Answer | undefined;
  over = false;
  readonly follower: Follower<WatchTapsResponse>;

  constructor(
    open: (token: string, signal: AbortSignal) => AsyncIterable<WatchTapsResponse>,
    readonly query: Query,
    public listener: (answer: Answer | undefined) => void,
    condition: (condition: Condition) => void,
  ) {
    this.follower = new Follower<WatchTapsResponse>({
      open,
      signs: signsOfWatch,
      frame: (frame) => {
        const answer = applyFrame(this.answer, frame);
        if (answer === this.answer) return;
        this.answer = answer;
        this.listener(answer);
      },
      // The whole answer comes first: nothing is missing then.
      missed: () => undefined,
      condition: (next) => {
        this.over = next.is === "over";
        condition(next);
      },
    });
  }
}
