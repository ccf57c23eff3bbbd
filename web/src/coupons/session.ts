// What is asked with a token while somebody looks at coupons: the funnel, which costs a query, and the list. Each is
// asked for once when something else is chosen, and then every five minutes.
import type { Coupon, ListCouponsResponse, QueryFunnelResponse } from "../gen/tap/v1/coupons_pb";
import type { Api } from "../api";
import type { Failure } from "../failure";
import { type Condition, realTime } from "../follow";
import { insist } from "../insist";
import { Poll } from "../poll";
import { type FunnelPlan, type FunnelSettings, type ListChoice, firstPage, funnelPlanOf, nextPage } from "./plan";

export interface Listener {
  plan(plan: FunnelPlan): void;
  // Undefined while the answer to a new question is on its way.
  funnel(answer: QueryFunnelResponse | undefined): void;
  // All that were read so far, and whether there are more. Undefined as above.
  coupons(list: { coupons: Coupon[]; more: boolean } | undefined): void;
  // How the funnel stands.
  condition(condition: Condition): void;
  // What keeps the list from being there, or undefined.
  trouble(condition: Condition | undefined): void;
  // The question was refused: the controls must change.
  refused(what: "funnel" | "list", failure: Failure): void;
  // Whoever has the token may not see coupons.
  barred(failure: Failure): void;
  // The token has ended: nothing is asked until `goOn`.
  lapsed(failure: Failure): void;
  // The key is no good.
  ended(failure: Failure): void;
}

const EVERY_MS = 300_000;

export class CouponSession {
  #api: Api;
  readonly #listener: Listener;
  readonly #time: typeof realTime;
  readonly #funnel: Poll<QueryFunnelResponse>;
  readonly #list: Poll<ListCouponsResponse>;
  #settings: FunnelSettings;
  #choice: ListChoice;
  #coupons: Coupon[] = [];
  // Where the next page begins. Empty: there is none.
  #next = "";
  // Ends what is asked for the next page.
  #paging = new AbortController();
  // Whether the answer to a new question is on its way.
  #asking = true;
  #looking = false;
  #ended = false;

  // Nothing is asked before `look`.
  constructor(api: Api, settings: FunnelSettings, choice: ListChoice, listener: Listener, time = realTime) {
    this.#api = api;
    this.#settings = settings;
    this.#choice = choice;
    this.#listener = listener;
    this.#time = time;
    this.#paging.abort();
    this.#funnel = new Poll(
      {
        call: (signal) => {
          // What "today" means may have changed.
          const plan = funnelPlanOf(this.#settings, time.now());
          listener.plan(plan);
          return this.#api.queryFunnel(plan.query, signal);
        },
        answer: (answer) => {
          this.#asking = false;
          listener.funnel(answer);
        },
        trouble: (condition) => listener.condition(condition ?? { is: "fresh" }),
        refused: (failure) => {
          this.#asking = false;
          this.#fail("funnel", failure);
        },
      },
      EVERY_MS,
      time,
    );
    this.#list = new Poll(
      {
        call: (signal) => this.#api.listCoupons(firstPage(this.#choice, this.#coupons.length), signal),
        answer: ({ coupons, nextPageToken }) => {
          const paging = !this.#paging.signal.aborted;
          this.#paging.abort();
          this.#listed(coupons, nextPageToken);
          // The page that was asked for came after another list.
          if (paging) void this.more();
        },
        trouble: (condition) => listener.trouble(condition),
        refused: (failure) => this.#fail("list", failure),
      },
      EVERY_MS,
      time,
    );
  }

  change(settings: FunnelSettings): void {
    this.#settings = settings;
    this.#ask();
  }

  // Other coupons are to be listed.
  list(choice: ListChoice): void {
    this.#choice = choice;
    this.#coupons = [];
    this.#next = "";
    this.#paging.abort();
    this.#listener.coupons(undefined);
    this.#list.renew();
  }

  async more(): Promise<void> {
    if (this.#next === "" || !this.#looking || !this.#paging.signal.aborted) return;
    const paging = (this.#paging = new AbortController());
    const { signal } = paging;
    const page = nextPage(this.#choice, this.#next);
    const call = () => this.#api.listCoupons(page, signal);
    const outcome = await insist(call, (condition) => this.#listener.trouble(condition), signal, this.#time);
    // Nothing is waited for any more.
    if (!outcome) return this.#listener.trouble(undefined);
    paging.abort();
    if ("failure" in outcome) return this.#fail("list", outcome.failure);
    this.#listener.trouble(undefined);
    this.#listed([...this.#coupons, ...outcome.answer.coupons], outcome.answer.nextPageToken);
  }

  // Somebody wants to know by now.
  refresh(): void {
    if (this.#asking || !this.#looking) return;
    this.#ask();
    this.#list.renew();
  }

  // Whether somebody looks at it. While nobody does, nothing is asked.
  look(is: boolean): void {
    if (is === this.#looking || this.#ended) return;
    this.#looking = is;
    if (is) {
      this.#funnel.resume();
      this.#list.resume();
    } else {
      this.#funnel.stop();
      this.#list.stop();
      this.#paging.abort();
    }
  }

  // With another token of the same team.
  goOn(api: Api): void {
    this.#api = api;
  }

  stop(): void {
    this.look(false);
    this.#ended = true;
  }

  #ask(): void {
    if (this.#ended) return;
    this.#asking = true;
    this.#listener.condition({ is: "opening" });
    this.#listener.funnel(undefined);
    this.#funnel.renew();
  }

  #listed(coupons: Coupon[], next: string): void {
    this.#coupons = coupons;
    this.#next = next;
    this.#listener.coupons({ coupons, more: next !== "" });
  }

  #fail(what: "funnel" | "list", failure: Failure): void {
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
        return this.#listener.barred(failure);
      default:
        this.#listener.refused(what, failure);
    }
  }
}
