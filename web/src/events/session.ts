// What is open for a token while somebody looks at events: the counts, which a query begins and a stream goes on
// with, and every ten seconds a look at the ledger and at what was refused.
import type {
  Event as TapEvent,
  GetIngestLedgerResponse,
  GroupEventErrorsResponse,
  QueryEventsResponse,
  StreamEventsResponse,
} from "../gen/tap/v1/events_pb";
import { type Api, signsOfEvents } from "../api";
import type { Failure } from "../failure";
import { type Condition, Follower, type Signs } from "../follow";
import { Poll } from "../poll";
import type { SpanSettings } from "../range";
import { type EventPlan, eventPlanOf } from "./plan";

export interface Listener {
  plan(plan: EventPlan): void;
  // Undefined while the answer to a new question is on its way.
  counts(answer: QueryEventsResponse | undefined): void;
  // One more than in the counts.
  event(event: TapEvent): void;
  // The ledger of the last hour, and what was refused and not sent again.
  account(ledger: GetIngestLedgerResponse, errors: GroupEventErrorsResponse): void;
  // How the stream stands.
  condition(condition: Condition): void;
  // What keeps the account from being fresh, or undefined.
  trouble(condition: Condition | undefined): void;
  // The question was refused: the controls must change.
  refused(failure: Failure): void;
  // Whoever has the token may not see events.
  barred(failure: Failure): void;
  // The token has ended: nothing is asked until `goOn`.
  lapsed(failure: Failure): void;
  // The key is no good.
  ended(failure: Failure): void;
}

const LOOK_EVERY_MS = 10_000;
// Events that were sent again are stored or refused within moments.
const SOON_MS = [500, 1500, 3000];

type Frame = StreamEventsResponse["frame"] | { case: "answer"; value: QueryEventsResponse };

export class EventSession {
  #api: Api;
  readonly #listener: Listener;
  readonly #account: Poll<[GetIngestLedgerResponse, GroupEventErrorsResponse]>;
  #settings: SpanSettings;
  #plan: EventPlan | undefined;
  #counts: Follower<Frame> | undefined;
  #looking = false;
  #ended = false;
  // Whether something else was chosen while nobody looked.
  #waits = true;

  // Nothing is asked before `look`.
  constructor(api: Api, settings: SpanSettings, listener: Listener) {
    this.#api = api;
    this.#settings = settings;
    this.#listener = listener;
    this.#account = new Poll(
      {
        call: (signal) => Promise.all([this.#api.ledger(signal), this.#api.groupErrors(signal)]),
        answer: ([ledger, errors]) => listener.account(ledger, errors),
        trouble: (condition) => listener.trouble(condition),
        refused: (failure) => this.fail(failure),
      },
      LOOK_EVERY_MS,
    );
  }

  change(settings: SpanSettings): void {
    this.#settings = settings;
    this.#ask();
  }

  // To be called now and then: what "today" means changes.
  passTime(): void {
    if (this.#looking && this.#plan && Date.now() >= this.#plan.span.until) this.#ask();
  }

  // Whether somebody looks at it. While nobody does, it costs nothing.
  look(is: boolean): void {
    if (is === this.#looking || this.#ended) return;
    this.#looking = is;
    if (!is) {
      this.#counts?.pause();
      this.#account.stop();
      return;
    }
    this.#account.start();
    if (this.#waits) return this.#ask();
    this.#counts?.resume();
    this.passTime();
  }

  // With another token of the same team.
  goOn(api: Api): void {
    this.#api = api;
  }

  hurry(): void {
    this.#counts?.hurry();
  }

  // Refused events were sent again.
  replayed(): void {
    this.#account.hurry(...SOON_MS);
  }

  // Something that was asked for a part of the page was refused.
  fail(failure: Failure): void {
    if (this.#ended) return;
    switch (failure.kind) {
      case "key":
        this.stop();
        return this.#listener.ended(failure);
      case "lapsed":
        this.look(false);
        return this.#listener.lapsed(failure);
      case "scope":
        this.look(false);
        this.#waits = true;
        return this.#listener.barred(failure);
      default:
        this.#listener.refused(failure);
    }
  }

  stop(): void {
    this.#ended = true;
    this.#counts?.stop();
    this.#account.stop();
  }

  #ask(): void {
    this.#waits = !this.#looking;
    if (this.#waits || this.#ended) return;
    const plan = (this.#plan = eventPlanOf(this.#settings, Date.now()));
    this.#listener.plan(plan);
    this.#listener.counts(undefined);
    this.#counts?.stop();
    const counts = (this.#counts = new Follower<Frame>({
      // The stream goes on from just what was counted, and costs nothing by that.
      open: (token, signal) => this.#open(plan, token, signal),
      signs: signsOf,
      frame: (frame) => {
        if (frame.case === "answer") this.#listener.counts(frame.value);
        else if (frame.case === "event" && frame.value.event) this.#listener.event(frame.value.event);
      },
      // Then the whole answer comes again.
      missed: () => undefined,
      condition: (condition) => {
        // One that was stopped has nothing to say any more.
        if (counts !== this.#counts) return;
        if (condition.is === "over" || condition.is === "lapsed") this.fail(condition.failure);
        else this.#listener.condition(condition);
      },
    }));
    counts.start();
  }

  async *#open({ query }: EventPlan, token: string, signal: AbortSignal): AsyncIterable<Frame> {
    let from = token;
    if (from === "") {
      const value = await this.#api.queryEvents(query, signal);
      yield { case: "answer", value };
      from = value.resumeToken;
    }
    for await (const { frame } of this.#api.streamEvents(from, signal)) yield frame;
  }
}

function signsOf(frame: Frame): Signs {
  return frame.case === "answer" ? { token: frame.value.resumeToken } : signsOfEvents({ frame });
}
