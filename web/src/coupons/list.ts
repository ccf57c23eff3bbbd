// The coupons of the team: each with how it stands, to be chosen for the funnel.
import type { Coupon } from "../gen/tap/v1/coupons_pb";
import { CouponState_Value as CouponState } from "../gen/tap/v1/coupons_pb";
import { byId, make, setText } from "../dom";
import { REST_MS } from "../span-fields";
import type { ListChoice } from "./plan";
import { STATES, expiryWords, listedWords, redeemedWords } from "./words";

export interface Errands {
  choose(coupon: Coupon): void;
  // Other coupons are to be listed.
  list(choice: ListChoice): void;
  more(): void;
}

export class CouponList {
  readonly #card = byId("coupons-card", HTMLElement);
  readonly #count = byId("coupons-count", HTMLParagraphElement);
  readonly #list = byId("coupons", HTMLOListElement);
  readonly #empty = byId("coupons-empty", HTMLParagraphElement);
  readonly #message = byId("coupons-message", HTMLParagraphElement);
  readonly #more = byId("coupons-more", HTMLButtonElement);
  readonly #filter = byId("coupon-filter", HTMLSelectElement);
  readonly #order = byId("coupon-order", HTMLSelectElement);
  readonly #errands: Errands;
  // By id, so that a row with the focus keeps it.
  #rows = new Map<string, Row>();
  #chosen = "";
  #rest = 0;

  constructor(errands: Errands) {
    this.#errands = errands;
    this.#more.addEventListener("click", () => errands.more());
    for (const field of [this.#filter, this.#order]) field.addEventListener("change", () => this.#changed());
  }

  get choice(): ListChoice {
    return { state: Number(this.#filter.value), order: Number(this.#order.value) };
  }

  // Others were asked for.
  ask(): void {
    this.#card.setAttribute("data-busy", "");
  }

  show(coupons: Coupon[], more: boolean, zone: string): void {
    this.#card.removeAttribute("data-busy");
    const [inRows, onMore] = [this.#list.contains(document.activeElement), document.activeElement === this.#more];
    const rows = new Map<string, Row>();
    for (const coupon of coupons) {
      const row = this.#rows.get(coupon.id) ?? new Row((coupon) => this.#errands.choose(coupon));
      rows.set(coupon.id, row);
      row.show(coupon, zone);
      row.mark(coupon.id === this.#chosen);
    }
    const fresh = [...rows].find(([id]) => !this.#rows.has(id))?.[1];
    for (const [id, { item }] of this.#rows) if (!rows.has(id)) item.remove();
    this.#rows = rows;
    // Only what is not in its place is moved.
    let at = this.#list.firstElementChild;
    for (const { item } of rows.values()) {
      if (item === at) at = at.nextElementSibling;
      else this.#list.insertBefore(item, at);
    }
    setText(this.#count, listedWords(rows.size, more));
    this.#empty.hidden = rows.size > 0;
    this.#more.hidden = !more;
    // What had the focus is gone.
    if (inRows && !this.#list.contains(document.activeElement)) this.#filter.focus();
    if (onMore && !more) (fresh ?? this.#filter).focus();
  }

  // Which of them the funnel is of; empty for none.
  mark(id: string): void {
    this.#chosen = id;
    for (const [own, row] of this.#rows) row.mark(own === id);
  }

  // Says what is wrong; `calm` when it will pass by itself.
  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  clear(): void {
    clearTimeout(this.#rest);
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#chosen = "";
    this.#empty.hidden = this.#more.hidden = true;
    setText(this.#count, "");
    this.say("");
  }

  #changed(): void {
    clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.#errands.list(this.choice), REST_MS);
  }
}

// One coupon.
class Row {
  readonly item: HTMLLIElement;
  readonly #code = make("strong", { class: "code" });
  readonly #title = make("span", { class: "title" });
  readonly #state = make("span", { class: "state" });
  readonly #redeemed = make("span", { class: "redeemed" });
  readonly #expiry = make("span", { class: "expiry" });
  readonly #button = make("button", { class: "coupon" });
  #coupon: Coupon | undefined;

  constructor(choose: (coupon: Coupon) => void) {
    this.#button.type = "button";
    // With spaces between them, for who hears them.
    for (const part of [this.#code, this.#title, this.#state, this.#redeemed, this.#expiry]) this.#button.append(part, " ");
    this.#button.addEventListener("click", () => this.#coupon && choose(this.#coupon));
    this.item = make("li", {}, this.#button);
  }

  show(coupon: Coupon, zone: string): void {
    this.#coupon = coupon;
    this.item.dataset["couponId"] = coupon.id;
    this.#state.dataset["is"] = CouponState[coupon.state].toLowerCase();
    setText(this.#code, coupon.couponcode);
    setText(this.#title, coupon.title);
    setText(this.#state, STATES[coupon.state]);
    setText(this.#redeemed, redeemedWords(coupon));
    setText(this.#expiry, expiryWords(coupon, zone, Date.now()));
  }

  mark(is: boolean): void {
    this.#button.setAttribute("aria-pressed", String(is));
  }

  focus(): void {
    this.#button.focus();
  }
}
