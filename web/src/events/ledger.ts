// The ledger of the last hour: what came in, and what became of it. A person can see it add up.
import type { GetIngestLedgerResponse, LedgerMinute } from "../gen/tap/v1/events_pb";
import { civilOf, clock } from "../civil";
import { beforeFrame, byId, make, setText } from "../dom";
import { number } from "../names";
import { COLUMNS, balance } from "./account";

export class Ledger {
  readonly #balance = byId("ledger-balance", HTMLParagraphElement);
  readonly #minutes = byId("ledger-minutes", HTMLDetailsElement);
  readonly #body = byId("ledger-body", HTMLTableSectionElement);
  readonly #draw = beforeFrame(() => this.#drawMinutes());
  #ledger: GetIngestLedgerResponse | undefined;
  #zone = "UTC";

  constructor() {
    this.#minutes.addEventListener("toggle", () => this.#draw());
  }

  show(ledger: GetIngestLedgerResponse, zone: string): void {
    this.#ledger = ledger;
    this.#zone = zone;
    for (const column of COLUMNS) {
      setText(byId(`ledger-${column}`, HTMLTableCellElement), ledger.total ? number(ledger.total[column]) : "0");
    }
    const { text, adds } = balance(ledger.total);
    setText(this.#balance, text);
    this.#balance.classList.toggle("wrong", !adds);
    this.#draw();
  }

  clear(): void {
    this.#ledger = undefined;
    for (const column of COLUMNS) setText(byId(`ledger-${column}`, HTMLTableCellElement), "–");
    setText(this.#balance, "");
    this.#body.replaceChildren();
  }

  #drawMinutes(): void {
    if (this.#minutes.open) this.#body.replaceChildren(...(this.#ledger?.minutes ?? []).map((minute) => this.#row(minute)));
  }

  #row(minute: LedgerMinute): HTMLTableRowElement {
    const name = make("th", { text: clock(civilOf(Date.parse(minute.minute), this.#zone)) });
    name.scope = "row";
    return make("tr", {}, name, ...COLUMNS.map((column) => make("td", { text: number(minute[column]) })));
  }
}
