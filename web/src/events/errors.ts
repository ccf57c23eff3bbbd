// The groups of refused events: how many, whose, what is wrong, since when. One that is opened shows some of them.
import type { EventErrorGroup, GroupEventErrorsResponse, ListEventErrorsResponse } from "../gen/tap/v1/events_pb";
import { civilOf, dateText, dayMonth } from "../civil";
import { byId, make, setText } from "../dom";
import { events, number, time } from "../names";
import { errorItem, violationItem } from "./error";

// So many of a group are shown.
const SOME = 5;

export interface Errands {
  // The newest errors of a group. Undefined when they could not be had, which was said then.
  list(fingerprint: string, most: number): Promise<ListEventErrorsResponse | undefined>;
  replay(group: EventErrorGroup): void;
}

export class ErrorGroups {
  readonly #title = byId("errors-title", HTMLHeadingElement);
  readonly #count = byId("errors-count", HTMLParagraphElement);
  readonly #list = byId("errors", HTMLOListElement);
  readonly #empty = byId("errors-empty", HTMLParagraphElement);
  readonly #errands: Errands;
  // By fingerprint, so that what is open stays open, and keeps the focus.
  #rows = new Map<string, Row>();
  #zone = "UTC";

  constructor(errands: Errands) {
    this.#errands = errands;
  }

  show({ groups, total }: GroupEventErrorsResponse, zone: string): void {
    this.#zone = zone;
    const counted = groups.reduce((sum, { count }) => sum + count, 0);
    const rest = total > counted ? `, ${events(total - counted)} more not shown` : "";
    setText(this.#count, total > 0 ? `${events(total)}${rest}` : "");
    this.#empty.hidden = groups.length > 0;
    const focused = this.#list.contains(document.activeElement);
    const rows = new Map<string, Row>();
    for (const group of groups) {
      const row = this.#rows.get(group.fingerprint) ?? new Row((row) => void this.#fill(row), (group) => this.#errands.replay(group));
      rows.set(group.fingerprint, row);
      if (row.show(group, (instant) => this.#when(instant))) void this.#fill(row);
    }
    for (const [fingerprint, { item }] of this.#rows) if (!rows.has(fingerprint)) item.remove();
    this.#rows = rows;
    // Only what is not in its place is moved.
    let at = this.#list.firstElementChild;
    for (const { item } of rows.values()) {
      if (item === at) at = at.nextElementSibling;
      else this.#list.insertBefore(item, at);
    }
    // What had the focus is gone.
    if (focused && !this.#list.contains(document.activeElement)) this.focus();
  }

  clear(): void {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#empty.hidden = true;
    setText(this.#count, "");
  }

  focus(): void {
    this.#title.focus();
  }

  async #fill(row: Row): Promise<void> {
    const { fingerprint } = row.group;
    const found = await this.#errands.list(fingerprint, SOME);
    if (!found || this.#rows.get(fingerprint) !== row) return;
    row.fill(found.errors, (instant) => this.#when(instant));
  }

  #when(instant: string): string {
    const civil = civilOf(Date.parse(instant), this.#zone);
    const today = dateText(civilOf(Date.now(), this.#zone)) === dateText(civil);
    return today ? time(civil) : `${dayMonth(civil)}, ${time(civil)}`;
  }
}

class Row {
  readonly item = make("li", { class: "group" });
  readonly #count = make("strong", { class: "count" });
  readonly #reason = make("span", { class: "reason" });
  readonly #meta = make("p", { class: "meta" });
  readonly #violations = make("ul", { class: "violations" });
  readonly #toggle = make("button", { class: "toggle" }, this.#count, this.#reason);
  readonly #some = make("div", { class: "some" });
  readonly #replay = make("button", { class: "quiet replay", text: "Replay" });
  #group: EventErrorGroup | undefined;

  constructor(open: (row: Row) => void, replay: (group: EventErrorGroup) => void) {
    this.#toggle.type = this.#replay.type = "button";
    this.#some.hidden = true;
    this.#toggle.setAttribute("aria-expanded", "false");
    this.item.append(
      make("div", { class: "group-head" }, make("h3", {}, this.#toggle), this.#replay),
      this.#meta,
      this.#violations,
      this.#some,
    );
    this.#toggle.addEventListener("click", () => {
      this.#some.hidden = !this.#some.hidden;
      this.#toggle.setAttribute("aria-expanded", String(!this.#some.hidden));
      if (!this.#some.hidden) open(this);
    });
    this.#replay.addEventListener("click", () => this.#group && replay(this.#group));
  }

  get group(): EventErrorGroup {
    if (!this.#group) throw new Error("a row is of a group");
    return this.#group;
  }

  // Whether what is open of it is not what it is any more.
  show(group: EventErrorGroup, when: (instant: string) => string): boolean {
    const before = this.#group;
    this.#group = group;
    setText(this.#count, number(group.count));
    setText(this.#reason, group.reason);
    this.item.dataset["fingerprint"] = group.fingerprint;
    this.#replay.setAttribute("aria-label", `Replay ${events(group.count)} of ${group.application}, ${group.reason}`);
    const [first, last] = [when(group.firstSeen), when(group.lastSeen)];
    const seen = first === last ? `seen ${first}` : `first seen ${first}, last ${last}`;
    setText(this.#meta, `${group.application} · ${seen}`);
    const changed = before?.newestErrorId !== group.newestErrorId;
    if (changed) this.#violations.replaceChildren(...group.violations.map(violationItem));
    return !this.#some.hidden && (changed || before?.count !== group.count);
  }

  fill(errors: ListEventErrorsResponse["errors"], when: (instant: string) => string): void {
    const { count } = this.group;
    const rest = count > errors.length ? `The newest ${number(errors.length)} of ${number(count)}` : "";
    this.#some.replaceChildren(
      ...(rest ? [make("p", { class: "rest", text: rest })] : []),
      ...errors.map((error) => errorItem(error, when(error.receivedAt))),
    );
  }
}
