// The rows of the dialog: what to set, and what to clear.
import { byId, make } from "../dom";
import type { PatchRows } from "./patch";

// No more are taken.
const MOST_ROWS = 50;

interface Field {
  name: string;
  example: string;
}

const SET: Field[] = [{ name: "Path", example: "session_id" }, { name: "Value as JSON", example: '"6f1c…"' }];
const REMOVE: Field[] = [{ name: "Path to remove", example: "data.note" }];

export class PatchFields {
  readonly #set = byId("replay-set", HTMLOListElement);
  readonly #remove = byId("replay-remove", HTMLOListElement);
  readonly #addSet = byId("replay-add-set", HTMLButtonElement);
  readonly #addRemove = byId("replay-add-remove", HTMLButtonElement);
  readonly #changed: () => void;

  // `changed` is called when what was said about them is over.
  constructor(changed: () => void) {
    this.#changed = changed;
    this.#addSet.addEventListener("click", () => this.#add(this.#set, SET));
    this.#addRemove.addEventListener("click", () => this.#add(this.#remove, REMOVE));
    for (const list of [this.#set, this.#remove]) list.addEventListener("input", this.#changed);
  }

  get rows(): PatchRows {
    const written = (list: HTMLOListElement) =>
      [...list.children].map((row) => [...row.querySelectorAll("input")].map(({ value }) => value));
    return {
      set: written(this.#set).map(([path = "", value = ""]) => ({ path, value })),
      remove: written(this.#remove).map(([path = ""]) => path),
    };
  }

  clear(): void {
    this.#set.replaceChildren(this.#row(this.#set, SET));
    this.#remove.replaceChildren();
  }

  focus(): void {
    this.#set.querySelector("input")?.focus();
  }

  #add(list: HTMLOListElement, fields: Field[]): void {
    if (list.children.length >= MOST_ROWS) return;
    const row = this.#row(list, fields);
    list.append(row);
    row.querySelector("input")?.focus();
    this.#changed();
  }

  #row(list: HTMLOListElement, fields: Field[]): HTMLLIElement {
    const inputs = fields.map(({ name, example }) => {
      const field = make("input");
      field.type = "text";
      field.placeholder = example;
      field.autocomplete = "off";
      field.autocapitalize = "none";
      field.spellcheck = false;
      field.setAttribute("aria-label", name);
      return field;
    });
    const away = make("button", { class: "quiet away", text: "×" });
    away.type = "button";
    away.setAttribute("aria-label", "Leave this out");
    const row = make("li", {}, ...inputs, away);
    away.addEventListener("click", () => {
      row.remove();
      this.#changed();
      (list === this.#set ? this.#addSet : this.#addRemove).focus();
    });
    return row;
  }
}
