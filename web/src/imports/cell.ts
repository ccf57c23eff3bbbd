// A cell of a row: what is in it, what is wrong with it, and a field to change it in. All of it is text of others.
import { make, setText } from "../dom";
import type { ImportCell } from "../gen/tap/v1/imports_pb";
import type { Violation } from "../gen/tap/v1/tap_analytics_pb";

// As much as the service takes in a cell, and then some.
const LONGEST = 2000;

export class Cell {
  readonly td = make("td");
  readonly button = make("button", { class: "cell" });
  readonly #notes = make("ul", { class: "notes" });
  readonly #title: string;
  readonly #save: (text: string) => Promise<boolean>;
  #raw = "";
  #input: HTMLInputElement | undefined;
  #saving = false;

  // `title` is what its column is called. `save` says whether the cell was changed, and has it shown then.
  constructor(field: string, title: string, writable: boolean, save: (text: string) => Promise<boolean>) {
    this.#title = title;
    this.#save = save;
    this.td.dataset["field"] = field;
    this.td.setAttribute("role", "gridcell");
    this.td.append(this.button, this.#notes);
    this.button.type = "button";
    this.button.dataset["stop"] = "";
    this.button.tabIndex = -1;
    if (writable) this.button.addEventListener("click", () => this.#edit());
    else this.button.classList.add("fixed");
  }

  show({ raw, value }: Pick<ImportCell, "raw" | "value">, violations: Violation[], warnings: Violation[]): void {
    this.#raw = raw;
    setText(this.button, raw || "empty");
    this.button.classList.toggle("nothing", raw === "");
    this.button.title = value !== undefined && value !== raw ? `Stored as ${value}` : "";
    this.td.dataset["is"] = violations.length > 0 ? "bad" : warnings.length > 0 ? "warned" : "";
    this.#notes.replaceChildren(...violations.map((one) => note(one, "bad")), ...warnings.map((one) => note(one, "warned")));
  }

  #edit(): void {
    if (this.#input) return;
    const input = (this.#input = make("input"));
    input.type = "text";
    input.value = this.#raw;
    input.maxLength = LONGEST;
    input.autocomplete = "off";
    input.autocapitalize = "none";
    input.spellcheck = false;
    input.setAttribute("aria-label", this.#title);
    input.addEventListener("keydown", (event) => {
      // Letters that are put together by several keys are not done yet.
      if (event.isComposing) return;
      if (event.key === "Enter") void this.#done(true);
      else if (event.key === "Escape") this.#leave(true);
      else return;
      event.preventDefault();
    });
    input.addEventListener("blur", () => void this.#done(false));
    this.button.hidden = true;
    this.td.prepend(input);
    input.focus();
    input.select();
  }

  // Keeps what was written. `stay` when the focus is to stay with the cell.
  async #done(stay: boolean): Promise<void> {
    const input = this.#input;
    if (!input || this.#saving) return;
    if (input.value === this.#raw) return this.#leave(stay);
    this.#saving = true;
    input.readOnly = true;
    this.td.setAttribute("aria-busy", "true");
    const changed = await this.#save(input.value);
    this.#saving = false;
    input.readOnly = false;
    this.td.removeAttribute("aria-busy");
    if (changed) this.#leave(document.activeElement === input);
  }

  #leave(focus: boolean): void {
    const input = this.#input;
    if (!input) return;
    this.#input = undefined;
    this.button.hidden = false;
    if (focus) this.button.focus();
    input.remove();
  }
}

export function note({ reason, description }: Violation, is: "bad" | "warned"): HTMLLIElement {
  const item = make("li", { text: description });
  item.title = reason;
  item.dataset["is"] = is;
  return item;
}
