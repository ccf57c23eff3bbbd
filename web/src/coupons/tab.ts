// The tab of the coupons: its controls, what is drawn, and the session that brings it.
import type { Api } from "../api";
import { civilOf } from "../civil";
import { byId, setText } from "../dom";
import type { Condition } from "../follow";
import type { WhoAmIResponse } from "../gen/tap/v1/api_keys_pb";
import type { Coupon, QueryFunnelResponse } from "../gen/tap/v1/coupons_pb";
import { sentence, time } from "../names";
import type { SpanSettings } from "../range";
import { barredBy, barredProblem } from "../rights";
import { SpanFields, whenTyped } from "../span-fields";
import { trouble } from "../words";
import { FunnelChart } from "./chart";
import { FunnelView } from "./funnel";
import { CouponList } from "./list";
import type { FunnelPlan, FunnelSettings } from "./plan";
import { CouponSession, type Listener } from "./session";
import { funnelTitle } from "./words";

const SIGHT = { what: "coupons and what becomes of them", scopes: ["taps:read", "events:read", "coupons:read"] };

export type Above = Pick<Listener, "condition" | "lapsed" | "ended"> & {
  // What a tag is called, as far as it is known.
  nameOf(uid: string): string;
};

export class CouponsTab {
  readonly #above: Above;
  readonly #fields = new SpanFields("funnel-", (span) => this.#settle(span));
  readonly #tag = byId("funnel-tag", HTMLInputElement);
  readonly #all = byId("funnel-all", HTMLButtonElement);
  readonly #funnel = new FunnelView();
  readonly #chart = new FunnelChart();
  readonly #list = new CouponList({
    // Once more is back.
    choose: (coupon) => this.#choose(coupon.id === this.#coupon?.id ? undefined : coupon),
    list: (choice) => this.#session?.list(choice),
    more: () => void this.#session?.more(),
  });
  readonly #card = byId("funnel", HTMLElement);
  readonly #barred = byId("coupons-barred", HTMLParagraphElement);
  readonly #seen = byId("coupons-seen", HTMLDivElement);
  // The coupon that is chosen, in the place of a tag.
  #coupon: Coupon | undefined;
  #settings: FunnelSettings = { ...this.#fields.settings, tag: "", coupon: "" };
  #session: CouponSession | undefined;
  #plan: FunnelPlan | undefined;
  // Whether it was looked at since somebody was let in: only then does it wait for anything.
  #seenOnce = false;
  #listed: { coupons: Coupon[]; more: boolean } | undefined;

  // `above` is told what concerns the whole page.
  constructor(above: Above) {
    this.#above = above;
    whenTyped(this.#tag, () => this.#fields.changed(0));
    this.#all.addEventListener("click", () => {
      this.#choose(undefined);
      // The button goes away.
      this.#funnel.focus();
    });
    byId("funnel-refresh", HTMLButtonElement).addEventListener("click", () => this.#session?.refresh());
  }

  // For somebody who has just been let in. Nothing is asked before `look`.
  begin(api: Api, who: WhoAmIResponse): void {
    this.forget();
    const barred = barredBy(who, SIGHT);
    this.#bar(barred);
    if (barred !== undefined) return;
    this.#seenOnce = false;
    this.#session = new CouponSession(api, this.#settings, this.#list.choice, {
      ...this.#above,
      plan: (plan) => {
        this.#plan = plan;
        this.#fields.plan(plan.interval, plan.intervals);
      },
      funnel: (answer) => {
        if (answer) this.#bar(undefined);
        this.#counted(answer);
      },
      coupons: (listed) => {
        this.#listed = listed;
        if (listed) this.#drawList();
        else this.#list.ask();
      },
      trouble: (condition) => this.#list.say(condition ? this.#words(condition) : "", true),
      condition: (condition) => {
        this.#fields.say(this.#words(condition), true);
        this.#above.condition(condition);
      },
      refused: (what, failure) => {
        if (what === "list") return this.#list.say(sentence(failure.message));
        this.#fields.say(sentence(failure.message));
        this.#above.condition({ is: "over", failure });
      },
      barred: (failure) => this.#bar(barredProblem(failure, SIGHT)),
    });
  }

  // With another token of the same team.
  goOn(api: Api, who: WhoAmIResponse): void {
    if (!this.#session || barredBy(who, SIGHT) !== undefined) return this.begin(api, who);
    this.#session.goOn(api);
  }

  // Whether somebody looks at it.
  look(is: boolean): void {
    if (is && this.#session && !this.#seenOnce) {
      this.#seenOnce = true;
      this.#counted(undefined);
      this.#list.ask();
    }
    this.#session?.look(is);
  }

  focus(): void {
    this.#fields.focus();
  }

  passTime(): void {
    this.#chart.passTime();
  }

  // Everything of who was signed in.
  forget(): void {
    this.#session?.stop();
    this.#session = this.#coupon = this.#listed = undefined;
    this.#tag.value = "";
    this.#settings = { ...this.#settings, tag: "", coupon: "" };
    this.#titled();
    this.#funnel.clear();
    this.#list.clear();
    this.#fields.say("");
  }

  // Undefined: the whole team.
  #choose(coupon: Coupon | undefined): void {
    this.#coupon = coupon;
    this.#tag.value = "";
    this.#fields.changed(0);
  }

  #settle(span: SpanSettings): void {
    const tag = this.#tag.value.trim();
    if (tag) this.#coupon = undefined;
    const settings = { ...span, tag, coupon: this.#coupon?.id ?? "" };
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    const moved = settings.zone !== this.#settings.zone;
    this.#settings = settings;
    this.#titled();
    if (moved) this.#drawList();
    this.#session?.change(settings);
  }

  // Says what it is of.
  #titled(): void {
    const { tag, coupon } = this.#settings;
    this.#funnel.title(funnelTitle(tag && this.#above.nameOf(tag), this.#coupon));
    this.#all.hidden = !tag && !coupon;
    this.#list.mark(coupon);
  }

  #counted(answer: QueryFunnelResponse | undefined): void {
    this.#card.toggleAttribute("data-busy", !answer);
    if (!answer) return this.#funnel.ask();
    if (!this.#plan) return;
    this.#funnel.show({ answer, plan: this.#plan, zone: this.#settings.zone, at: Date.now() });
    this.#chart.show(answer, this.#plan.interval, this.#plan.span.ahead);
  }

  #drawList(): void {
    if (this.#listed) this.#list.show(this.#listed.coupons, this.#listed.more, this.#settings.zone);
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
