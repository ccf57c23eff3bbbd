// The tab of the events: its controls, what is drawn, and the session that brings it.
import type { Api } from "../api";
import { civilOf } from "../civil";
import { byId, setText } from "../dom";
import type { Condition } from "../follow";
import type { WhoAmIResponse } from "../gen/tap/v1/api_keys_pb";
import type { EventErrorGroup } from "../gen/tap/v1/events_pb";
import { insist } from "../insist";
import { sentence, time } from "../names";
import type { SpanSettings } from "../range";
import { barredBy, barredProblem } from "../rights";
import { SpanFields } from "../span-fields";
import { trouble } from "../words";
import { EventChart } from "./chart";
import { ErrorGroups } from "./errors";
import { EventHeadline } from "./headline";
import { Ledger } from "./ledger";
import type { EventPlan } from "./plan";
import { ReplayDialog } from "./replay";
import { EventSession, type Listener } from "./session";
import { Tally } from "./tally";

const SIGHT = { what: "events", scopes: ["events:read"] };

export type Above = Pick<Listener, "condition" | "lapsed" | "ended">;

export class EventsTab {
  readonly #above: Above;
  readonly #fields = new SpanFields("event-", (settings) => this.#settle(settings));
  readonly #headline = new EventHeadline();
  readonly #chart = new EventChart();
  readonly #ledger = new Ledger();
  readonly #errors = new ErrorGroups({
    list: (fingerprint, most) => this.#list(fingerprint, most),
    replay: (group) => this.#replay(group),
  });
  readonly #dialog = new ReplayDialog(() => this.#session?.replayed(), () => this.#errors.focus());
  readonly #barred = byId("events-barred", HTMLParagraphElement);
  readonly #seen = byId("events-seen", HTMLDivElement);
  readonly #counts = byId("event-counts", HTMLElement);
  readonly #trouble = byId("account-trouble", HTMLParagraphElement);
  #settings = this.#fields.settings;
  #api: Api | undefined;
  #team: number | undefined;
  #session: EventSession | undefined;
  #plan: EventPlan | undefined;
  #tally: Tally | undefined;
  // Ends what was asked for a part of the page.
  #asking = new AbortController();

  // `above` is told what concerns the whole page.
  constructor(above: Above) {
    this.#above = above;
  }

  // For somebody who has just been let in. Nothing is asked before `look`.
  begin(api: Api, who: WhoAmIResponse): void {
    this.forget();
    this.#api = api;
    this.#team = who.team?.number;
    this.#asking = new AbortController();
    const barred = barredBy(who, SIGHT);
    this.#bar(barred);
    if (barred !== undefined) return;
    this.#session = new EventSession(api, this.#settings, {
      ...this.#above,
      plan: (plan) => this.#planned(plan),
      counts: (answer) => {
        if (answer) this.#bar(undefined);
        this.#counted(answer && new Tally(answer));
      },
      event: (event) => this.#tally?.add(event) && this.#draw(),
      account: (ledger, errors) => {
        const { zone } = this.#settings;
        this.#ledger.show(ledger, zone);
        this.#errors.show(errors, zone);
      },
      trouble: (condition) => setText(this.#trouble, condition ? this.#words(condition) : ""),
      condition: (condition) => {
        this.#fields.say(this.#words(condition), true);
        this.#above.condition(condition);
      },
      refused: ({ message }) => this.#fields.say(sentence(message)),
      barred: (failure) => this.#bar(barredProblem(failure, SIGHT)),
    });
  }

  // With another token of the same team.
  goOn(api: Api, who: WhoAmIResponse): void {
    if (!this.#session || barredBy(who, SIGHT) !== undefined) return this.begin(api, who);
    this.#api = api;
    this.#session.goOn(api);
  }

  // Whether somebody looks at it.
  look(is: boolean): void {
    this.#session?.look(is);
  }

  focus(): void {
    this.#fields.focus();
  }

  hurry(): void {
    this.#session?.hurry();
  }

  passTime(): void {
    this.#session?.passTime();
    this.#chart.passTime();
  }

  // Everything of who was signed in.
  forget(): void {
    this.#session?.stop();
    this.#asking.abort();
    this.#session = this.#api = this.#team = this.#tally = undefined;
    this.#dialog.close();
    this.#ledger.clear();
    this.#errors.clear();
    this.#fields.say("");
    setText(this.#trouble, "");
  }

  #settle(settings: SpanSettings): void {
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    this.#session?.change(settings);
  }

  #planned(plan: EventPlan): void {
    this.#plan = plan;
    this.#fields.plan(plan.interval, plan.intervals);
  }

  #counted(tally: Tally | undefined): void {
    this.#tally = tally;
    this.#counts.toggleAttribute("data-busy", !tally);
    if (tally) this.#draw();
    else this.#headline.ask();
  }

  #draw(): void {
    if (!this.#tally || !this.#plan) return;
    const { interval, span } = this.#plan;
    this.#headline.show(this.#tally, interval, this.#settings.zone, span.ahead);
    this.#chart.show(this.#tally, interval, span.ahead);
  }

  async #list(fingerprint: string, most: number) {
    const [api, { signal }] = [this.#api, this.#asking];
    if (!api) return undefined;
    const outcome = await insist(() => api.listErrors(fingerprint, most, signal), () => undefined, signal);
    if (outcome && "failure" in outcome) this.#session?.fail(outcome.failure);
    return outcome && "answer" in outcome ? outcome.answer : undefined;
  }

  #replay(group: EventErrorGroup): void {
    this.#dialog.open(group, this.#team);
  }

  // Says why nothing is to be seen, or shows it.
  #bar(why: string | undefined): void {
    setText(this.#barred, why ?? "");
    this.#barred.hidden = why === undefined;
    this.#seen.hidden = why !== undefined;
  }

  #words(condition: Condition): string {
    return trouble(condition, (moment) => time(civilOf(moment, this.#settings.zone)), Date.now());
  }
}
