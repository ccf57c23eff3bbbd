// The list of bars: the busiest tags; or, when one tag is chosen, how it was read.
import { GroupBy_Value as GroupBy } from "./gen/tap/v1/tap_analytics_pb";
import { byId, make, setText } from "./dom";
import { number } from "./names";
import type { Answer } from "./watch";

export class Groups {
  readonly #title = byId("groups-title", HTMLHeadingElement);
  readonly #list = byId("groups", HTMLOListElement);
  readonly #empty = byId("groups-empty", HTMLParagraphElement);
  readonly #all = byId("all-tags", HTMLButtonElement);
  // The rows by what they stand for, so that a row with the focus keeps it.
  #rows = new Map<string, Row>();
  readonly #choose: (uid: string) => void;
  // What was pressed goes away: what comes in its place gets the focus.
  #moveFocus = false;

  // `choose` is called with the uid of a tag, or with an empty one for all.
  constructor(choose: (uid: string) => void) {
    this.#choose = (uid) => {
      this.#moveFocus = true;
      choose(uid);
    };
    this.#all.addEventListener("click", () => this.#choose(""));
  }

  show({ groups, query }: Answer): void {
    const byTag = query?.groupBy === GroupBy.TAG;
    setText(this.#title, byTag ? "Top tags" : "How it was read");
    this.#all.hidden = byTag;
    const shown = groups.filter(({ total, other }) => total > 0 || !(byTag || other));
    this.#empty.hidden = shown.length > 0;
    const most = Math.max(1, ...shown.filter(({ other }) => !other).map(({ total }) => total));

    const rows = new Map<string, Row>();
    for (const { key, label, total, other } of shown) {
      const id = other ? "other" : `${byTag ? "tag" : "kind"} ${key}`;
      const row = this.#rows.get(id) ?? this.#make(byTag && !other ? key : undefined);
      rows.set(id, row);
      setText(row.label, other ? "All others" : label || key);
      row.label.title = byTag && !other && label ? `${label} (${key})` : "";
      setText(row.count, number(total));
      row.item.classList.toggle("other", other);
      row.fill.style.setProperty("--share", String(Math.min(1, total / most)));
    }
    for (const [id, { item }] of this.#rows) if (!rows.has(id)) item.remove();
    this.#rows = rows;
    // Only what is not in its place is moved.
    let at = this.#list.firstElementChild;
    for (const { item } of rows.values()) {
      if (item === at) at = at.nextElementSibling;
      else this.#list.insertBefore(item, at);
    }
    if (!this.#moveFocus) return;
    this.#moveFocus = false;
    (byTag ? this.#list.querySelector("button") : this.#all)?.focus();
  }

  #make(uid: string | undefined): Row {
    const fill = make("span", { class: "fill" });
    const label = make("span", { class: "label" });
    const count = make("span", { class: "count" });
    const box = make(uid === undefined ? "div" : "button", { class: "row" }, fill, label, count);
    if (box instanceof HTMLButtonElement && uid !== undefined) {
      box.type = "button";
      box.addEventListener("click", () => this.#choose(uid));
    }
    return { item: make("li", {}, box), fill, label, count };
  }
}

interface Row {
  item: HTMLLIElement;
  fill: HTMLElement;
  label: HTMLElement;
  count: HTMLElement;
}
