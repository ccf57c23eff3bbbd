// The imports of the team, the newest first, to come back to.
import { byId, make, setText } from "../dom";
import { type Import, ImportState_Value as ImportState } from "../gen/tap/v1/imports_pb";
import { KINDS, STATES, importName, moment, standsWords } from "./words";

export interface Errands {
  open(one: Import): void;
  refresh(): void;
  more(): void;
}

export class PastList {
  readonly #list = byId("past-list", HTMLOListElement);
  readonly #empty = byId("past-empty", HTMLParagraphElement);
  readonly #more = byId("past-more", HTMLButtonElement);
  readonly #message = byId("past-message", HTMLParagraphElement);
  readonly #errands: Errands;
  // By id, so that a row with the focus keeps it.
  #rows = new Map<string, Row>();
  #opened = "";

  constructor(errands: Errands) {
    this.#errands = errands;
    this.#more.addEventListener("click", () => errands.more());
    byId("past-refresh", HTMLButtonElement).addEventListener("click", () => errands.refresh());
  }

  show(imports: Import[], more: boolean): void {
    const onMore = document.activeElement === this.#more;
    const rows = new Map<string, Row>();
    for (const one of imports) {
      const row = this.#rows.get(one.id) ?? new Row((one) => this.#errands.open(one));
      rows.set(one.id, row);
      row.show(one);
      row.mark(one.id === this.#opened);
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
    this.#empty.hidden = rows.size > 0;
    this.#more.hidden = !more;
    if (onMore && !more) fresh?.focus();
  }

  // Which of them is looked at; empty for none.
  mark(id: string): void {
    this.#opened = id;
    for (const [own, row] of this.#rows) row.mark(own === id);
  }

  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  focus(): void {
    byId("past-title", HTMLHeadingElement).focus();
  }

  clear(): void {
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#opened = "";
    this.#empty.hidden = this.#more.hidden = true;
    this.say("");
  }
}

// One import.
class Row {
  readonly item: HTMLLIElement;
  readonly #name = make("strong", { class: "label" });
  readonly #state = make("span", { class: "state" });
  readonly #stands = make("span", { class: "stands" });
  readonly #when = make("span", { class: "when" });
  readonly #button = make("button", { class: "past-one" });
  #import: Import | undefined;

  constructor(open: (one: Import) => void) {
    this.#button.type = "button";
    // With spaces between them, for who hears them.
    for (const part of [this.#name, this.#state, this.#stands, this.#when]) this.#button.append(part, " ");
    this.#button.addEventListener("click", () => this.#import && open(this.#import));
    this.item = make("li", {}, this.#button);
  }

  show(one: Import): void {
    this.#import = one;
    this.item.dataset["importId"] = one.id;
    this.#state.dataset["is"] = ImportState[one.state].toLowerCase();
    setText(this.#name, importName(one));
    setText(this.#state, STATES[one.state]);
    setText(this.#stands, standsWords(one));
    setText(this.#when, `${KINDS[one.kind]}, ${moment(one.createdAt, Date.now())}`);
  }

  mark(is: boolean): void {
    this.#button.setAttribute("aria-pressed", String(is));
  }

  focus(): void {
    this.#button.focus();
  }
}
