// The hours of the week as a table of 7 days and 24 hours, shaded by how many taps they have.
import { WEEKDAYS } from "./civil";
import { byId, make, setText } from "./dom";
import { hourName, share, taps } from "./names";
import type { Answer } from "./watch";

const HOURS = 24;

export class Heatmap {
  readonly #host = byId("heat", HTMLDivElement);
  readonly #read = byId("heat-read", HTMLParagraphElement);
  readonly #cells: HTMLTableCellElement[] = [];
  #counts: number[] = [];
  #total = 0;
  // The hour that is being read.
  #at: number | undefined;
  #trouble = "";

  constructor() {
    const table = make("table");
    table.append(make("caption", { class: "visually-hidden", text: "Taps by hour of the week" }));
    const columns = make("colgroup", {}, make("col", { class: "day" }));
    for (let hour = 0; hour < HOURS; hour++) columns.append(make("col"));
    const head = make("tr", {}, make("td"));
    for (let hour = 0; hour < HOURS; hour++) {
      const cell = make("th", hour % 6 === 0 ? { text: String(hour) } : {});
      cell.scope = "col";
      if (hour % 6 !== 0) cell.append(make("span", { class: "visually-hidden", text: String(hour) }));
      head.append(cell);
    }
    const body = make("tbody");
    for (const day of WEEKDAYS) {
      const name = make("th", { text: day });
      name.scope = "row";
      const row = make("tr", {}, name);
      for (let hour = 0; hour < HOURS; hour++) {
        const cell = make("td", {}, make("span", { class: "visually-hidden" }));
        cell.dataset["hour"] = String(this.#cells.length);
        this.#cells.push(cell);
        row.append(cell);
      }
      body.append(row);
    }
    table.append(columns, make("thead", {}, head), body);
    this.#host.append(table);

    this.#host.addEventListener("pointermove", (event) => this.#point(event));
    this.#host.addEventListener("pointerdown", (event) => this.#point(event));
    this.#host.addEventListener("pointerleave", () => this.#readAt(undefined));
    this.#host.addEventListener("keydown", (event) => this.#key(event));
    this.#host.addEventListener("blur", () => this.#readAt(undefined));
  }

  show(answer: Answer): void {
    this.#trouble = "";
    this.#read.classList.remove("failed");
    this.#counts = this.#cells.map(() => 0);
    for (const { key, total } of answer.groups) {
      const hour = Number(key);
      if (hour in this.#counts) this.#counts[hour] = total;
    }
    this.#total = answer.total;
    const most = Math.max(1, ...this.#counts);
    for (const [hour, cell] of this.#cells.entries()) {
      const count = this.#counts[hour] ?? 0;
      // Less than in proportion, so that quiet hours can still be told apart.
      const heat = count === 0 ? 0 : 0.06 + 0.94 * (count / most) ** 0.8;
      cell.style.setProperty("--heat", heat.toFixed(3));
      if (cell.firstElementChild) cell.firstElementChild.textContent = String(count);
    }
    this.#say();
  }

  // It cannot be shown, and why.
  fail(message: string): void {
    this.#trouble = message;
    this.#read.classList.add("failed");
    this.#say();
  }

  #point({ target }: PointerEvent): void {
    const hour = target instanceof Element ? target.closest<HTMLElement>("td[data-hour]")?.dataset["hour"] : undefined;
    this.#readAt(hour === undefined ? undefined : Number(hour));
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const steps: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -HOURS, ArrowDown: HOURS };
    const step = steps[event.key];
    if (event.key === "Escape") this.#readAt(undefined);
    else if (event.key === "Home") this.#readAt(0);
    else if (event.key === "End") this.#readAt(this.#cells.length - 1);
    else if (step === undefined) return;
    else if (this.#at === undefined) this.#readAt(this.#busiest() ?? 0);
    else if (this.#at + step in this.#cells) this.#readAt(this.#at + step);
    event.preventDefault();
  }

  #readAt(at: number | undefined): void {
    if (this.#at === at) return;
    if (this.#at !== undefined) this.#cells[this.#at]?.classList.remove("at");
    if (at !== undefined) this.#cells[at]?.classList.add("at");
    this.#at = at;
    this.#say();
  }

  #say(): void {
    setText(this.#read, this.#words());
  }

  #words(): string {
    if (this.#trouble) return this.#trouble;
    if (this.#at !== undefined) {
      const count = this.#counts[this.#at] ?? 0;
      return `${hourName(this.#at)}: ${taps(count)}${count > 0 ? `, ${share(count, this.#total)}` : ""}`;
    }
    const busiest = this.#busiest();
    return busiest === undefined ? "" : `Busiest: ${hourName(busiest)}`;
  }

  #busiest(): number | undefined {
    const most = Math.max(0, ...this.#counts);
    return most > 0 ? this.#counts.indexOf(most) : undefined;
  }
}
