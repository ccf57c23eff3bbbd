// The rows as a table: a line for each row, a cell for each column that is known. Arrow keys go from cell to cell.
import { byId, make, setText } from "../dom";
import type { Import, ImportColumn, ImportRow } from "../gen/tap/v1/imports_pb";
import { RowStatus_Value as RowStatus } from "../gen/tap/v1/imports_pb";
import type { RowChange } from "./calls";
import { Cell, note } from "./cell";
import { ROWS_OF_A_PAGE, countOf } from "./rows";
import type { Shown } from "./session";
import { noRowsWords, pageWords, rowWords } from "./words";

export interface Errands {
  // Gives the row as it is then, unless that was refused.
  patch(row: number, change: RowChange): Promise<ImportRow | undefined>;
  next(): void;
  previous(): void;
}

export class RowTable {
  readonly #card = byId("rows-card", HTMLElement);
  readonly #title = byId("rows-title", HTMLHeadingElement);
  readonly #page = byId("rows-page", HTMLParagraphElement);
  readonly #head = byId("rows-head", HTMLTableRowElement);
  readonly #body = byId("rows-body", HTMLTableSectionElement);
  readonly #empty = byId("rows-empty", HTMLParagraphElement);
  readonly #message = byId("rows-message", HTMLParagraphElement);
  readonly #previous = byId("previous", HTMLButtonElement);
  readonly #next = byId("next", HTMLButtonElement);
  readonly #errands: Errands;
  // By number, so that what is written in one is not lost when others change.
  #lines = new Map<number, Line>();
  // What the lines are made for.
  #made = "";

  constructor(errands: Errands) {
    this.#errands = errands;
    this.#next.addEventListener("click", () => errands.next());
    this.#previous.addEventListener("click", () => errands.previous());
    this.#body.addEventListener("keydown", (event) => this.#key(event));
    this.#body.addEventListener("focusin", ({ target }) => isStop(target) && this.#only(target));
  }

  // Others were asked for.
  ask(): void {
    this.#card.setAttribute("data-busy", "");
    this.say("");
  }

  show({ rows, filter, page, more }: Shown, one: Import, writable: boolean): void {
    this.#card.hidden = false;
    this.#card.removeAttribute("data-busy");
    const columns = [...one.columns.entries()].filter(([, { field }]) => field !== "");
    const made = JSON.stringify([one.id, writable, page, filter, columns]);
    if (made !== this.#made) {
      this.#made = made;
      this.#lines.clear();
      this.#headed(columns, writable);
    }
    const focused = this.#body.contains(document.activeElement);
    const lines = new Map<number, Line>();
    for (const row of rows) {
      const line = this.#lines.get(row.row) ?? new Line(row.row, columns, writable, this.#errands);
      lines.set(row.row, line);
      line.show(row);
    }
    this.#lines = lines;
    const wanted = [...lines.values()].map(({ tr }) => tr);
    if (wanted.length !== this.#body.children.length || wanted.some((tr, at) => tr !== this.#body.children[at])) {
      // One by one: what has the focus keeps it.
      for (const tr of [...this.#body.children]) if (!wanted.includes(tr as HTMLTableRowElement)) tr.remove();
      for (const [at, tr] of wanted.entries()) if (this.#body.children[at] !== tr) this.#body.insertBefore(tr, this.#body.children[at] ?? null);
    }
    const [first] = this.#stops(0);
    if (first && !this.#body.querySelector('[data-stop][tabindex="0"]')) first.tabIndex = 0;
    setText(this.#page, pageWords(page, ROWS_OF_A_PAGE, rows.length, more, countOf(one, filter)));
    this.#empty.hidden = rows.length > 0;
    setText(this.#empty, rows.length > 0 ? "" : noRowsWords(one.state, filter));
    const turned = document.activeElement === this.#next || document.activeElement === this.#previous;
    this.#next.disabled = !more;
    this.#previous.disabled = page === 0;
    // What had the focus is gone.
    if ((focused && !this.#body.contains(document.activeElement)) || (turned && document.activeElement?.matches(":disabled"))) {
      this.#title.focus();
    }
  }

  // Says what is wrong; `calm` when it will pass by itself.
  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  clear(): void {
    this.#card.hidden = true;
    this.#lines.clear();
    this.#made = "";
    this.#body.replaceChildren();
    this.#head.replaceChildren();
    setText(this.#page, "");
    this.say("");
  }

  #headed(columns: [number, ImportColumn][], writable: boolean): void {
    const titles = ["Row", "Is", ...columns.map(([, { title, letter }]) => `${title} (${letter})`), ...(writable ? ["Leave out"] : [])];
    this.#head.replaceChildren(
      ...titles.map((text) => {
        const th = make("th", { text });
        th.scope = "col";
        return th;
      }),
    );
  }

  // What can have the focus in a line.
  #stops(line: number): HTMLElement[] {
    return [...(this.#body.children[line]?.querySelectorAll<HTMLElement>("[data-stop]") ?? [])];
  }

  // One of all is in the order of the tab key.
  #only(stop: HTMLElement): void {
    for (const other of this.#body.querySelectorAll<HTMLElement>('[data-stop][tabindex="0"]')) other.tabIndex = -1;
    stop.tabIndex = 0;
  }

  #key(event: KeyboardEvent): void {
    const { target, key } = event;
    if (!isStop(target) || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    const line = [...this.#body.children].findIndex((tr) => tr.contains(target));
    const own = this.#stops(line);
    const at = own.indexOf(target);
    const to: Record<string, HTMLElement | undefined> = {
      ArrowLeft: own[at - 1],
      ArrowRight: own[at + 1],
      ArrowUp: line > 0 ? this.#stops(line - 1)[at] : undefined,
      ArrowDown: this.#stops(line + 1)[at],
      Home: own[0],
      End: own.at(-1),
    };
    if (!(key in to)) return;
    event.preventDefault();
    to[key]?.focus();
  }
}

function isStop(target: EventTarget | null): target is HTMLElement {
  return target instanceof HTMLElement && target.dataset["stop"] !== undefined;
}

// A row.
class Line {
  readonly tr = make("tr");
  readonly #is = make("span", { class: "is" });
  readonly #notes = make("ul", { class: "notes" });
  readonly #columns: [number, ImportColumn][];
  readonly #cells: Cell[];
  readonly #skip = make("input");

  constructor(row: number, columns: [number, ImportColumn][], writable: boolean, { patch }: Errands) {
    this.#columns = columns;
    this.#cells = columns.map(
      ([, { field, title }]) =>
        new Cell(field, `${title} of row ${row}`, writable, async (text) => (await patch(row, { cells: { [field]: text } })) !== undefined),
    );
    const head = make("th", { text: String(row) });
    head.scope = "row";
    this.tr.dataset["row"] = String(row);
    this.tr.append(head, make("td", { class: "status" }, this.#is, this.#notes), ...this.#cells.map(({ td }) => td));
    this.#skip.type = "checkbox";
    this.#skip.tabIndex = -1;
    this.#skip.dataset["stop"] = "";
    this.#skip.setAttribute("aria-label", `Leave out row ${row}`);
    this.#skip.addEventListener("change", () => void this.#leaveOut(row, patch));
    if (writable) this.tr.append(make("td", { class: "skip" }, this.#skip));
  }

  show({ status, cells, violations, warnings, action, changed }: ImportRow): void {
    this.tr.dataset["is"] = RowStatus[status].toLowerCase();
    setText(this.#is, rowWords({ status, action, changed }));
    const known = new Set(this.#columns.map(([, { field }]) => field));
    const elsewhere = ({ field }: { field: string }) => !known.has(field);
    this.#notes.replaceChildren(
      ...violations.filter(elsewhere).map((one) => note(one, "bad")),
      ...warnings.filter(elsewhere).map((one) => note(one, "warned")),
    );
    for (const [index, [at, { field }]] of this.#columns.entries()) {
      const own = (one: { field: string }) => one.field === field;
      this.#cells[index]?.show(cells[at] ?? { raw: "" }, violations.filter(own), warnings.filter(own));
    }
    this.#skip.checked = status === RowStatus.SKIPPED;
  }

  async #leaveOut(row: number, patch: Errands["patch"]): Promise<void> {
    const skipped = this.#skip.checked;
    this.#skip.disabled = true;
    const now = await patch(row, { skipped });
    this.#skip.disabled = false;
    if (!now) this.#skip.checked = !skipped;
    if (document.activeElement === document.body) this.#skip.focus();
  }
}
