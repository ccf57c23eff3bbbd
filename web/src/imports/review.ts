// The import that is looked at: how it stands, how many rows are what, and what is wrong with how many.
import { byId, make, setText } from "../dom";
import { type Import, type ImportFault, ImportState_Value as ImportState, RowStatus_Value as RowStatus } from "../gen/tap/v1/imports_pb";
import { number } from "../names";
import { violationItem } from "../events/error";
import { type Filter, inTheWay } from "./rows";
import {
  STATES,
  STATUSES,
  faultWords,
  ignoredWords,
  importName,
  moment,
  overWords,
  planWords,
  progressWords,
  readWords,
} from "./words";

export interface Errands {
  filter(filter: Filter): void;
  close(): void;
}

const COUNTERS = [
  [RowStatus.ANY, "total"],
  [RowStatus.VALID, "valid"],
  [RowStatus.INVALID, "invalid"],
  [RowStatus.DUPLICATE, "duplicate"],
  [RowStatus.SKIPPED, "skipped"],
  [RowStatus.WARNED, "warned"],
] as const;

export class Review {
  readonly #all = byId("review", HTMLDivElement);
  readonly #title = byId("review-title", HTMLHeadingElement);
  readonly #read = byId("review-read", HTMLParagraphElement);
  readonly #state = byId("review-state", HTMLParagraphElement);
  readonly #working = byId("review-progress", HTMLDivElement);
  readonly #progress = byId("progress", HTMLProgressElement);
  readonly #progressWhat = byId("progress-what", HTMLLabelElement);
  readonly #over = byId("review-over", HTMLParagraphElement);
  readonly #errors = byId("review-errors", HTMLUListElement);
  readonly #message = byId("review-message", HTMLParagraphElement);
  readonly #counts = byId("review-counts", HTMLDivElement);
  readonly #plan = byId("plan", HTMLParagraphElement);
  readonly #ignored = byId("ignored", HTMLParagraphElement);
  readonly #expires = byId("expires", HTMLParagraphElement);
  readonly #faults = byId("faults", HTMLDivElement);
  readonly #counters: Counter[];
  readonly #errands: Errands;
  // By column and reason, so that one with the focus keeps it.
  #chips = new Map<string, Chip>();
  #filter: Filter | undefined;

  constructor(errands: Errands) {
    this.#errands = errands;
    byId("review-close", HTMLButtonElement).addEventListener("click", () => errands.close());
    this.#counters = COUNTERS.map(([status, name]) => new Counter(status, name, () => errands.filter({ status, reason: "" })));
    byId("counters", HTMLDivElement).replaceChildren(...this.#counters.map(({ button }) => button));
  }

  show(one: Import): void {
    const { state, counts, columns, plan, result, expiresAt, errors, progress, faults } = one;
    this.#all.hidden = false;
    setText(this.#title, importName(one));
    setText(this.#read, readWords(one));
    setText(this.#state, STATES[state]);
    this.#state.dataset["is"] = ImportState[state].toLowerCase();
    this.#working.hidden = !inTheWay(state);
    this.#progress.value = progress;
    setText(this.#progressWhat, progressWords(one));
    setText(this.#over, overWords(state));
    this.#errors.replaceChildren(...errors.map(violationItem));
    const open = state === ImportState.READY;
    this.#counts.hidden = !counts || counts.total === 0 || state === ImportState.FAILED;
    for (const counter of this.#counters) counter.show(counts?.[counter.name] ?? 0, open);
    this.#showFaults(open ? faults : []);
    const coming = open && plan ? `Of the good rows: ${planWords(plan)}.` : "";
    setText(this.#plan, result ? `Stored: ${planWords(result)}.` : coming);
    setText(this.#ignored, ignoredWords(columns));
    setText(this.#expires, open && expiresAt ? `It is forgotten at ${moment(expiresAt, Date.now())} if nobody comes for it.` : "");
  }

  // Which rows are shown.
  mark(filter: Filter | undefined): void {
    this.#filter = filter;
    for (const { status, button } of this.#counters) {
      button.setAttribute("aria-pressed", String(filter?.status === status && filter.reason === ""));
    }
    for (const chip of this.#chips.values()) chip.mark(filter?.reason ?? "");
  }

  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  focus(): void {
    this.#title.focus();
  }

  clear(): void {
    this.#all.hidden = true;
    this.#chips.clear();
    this.#faults.replaceChildren();
    this.#errors.replaceChildren();
    for (const element of [this.#title, this.#read, this.#plan, this.#ignored, this.#state]) setText(element, "");
    this.mark(undefined);
    this.say("");
  }

  #showFaults(faults: ImportFault[]): void {
    const focused = this.#faults.contains(document.activeElement);
    const chips = new Map<string, Chip>();
    for (const fault of faults) {
      const id = JSON.stringify([fault.field, fault.reason]);
      const chip = this.#chips.get(id) ?? new Chip((reason) => this.#choose(reason));
      chips.set(id, chip);
      chip.show(fault);
      chip.mark(this.#filter?.reason ?? "");
    }
    this.#chips = chips;
    const wanted = [...chips.values()].map(({ button }) => button);
    const same = wanted.length === this.#faults.children.length && wanted.every((button, at) => button === this.#faults.children[at]);
    if (same) return;
    const active = document.activeElement;
    this.#faults.replaceChildren(...wanted);
    // To be moved takes the focus away.
    if (focused && active instanceof HTMLElement && active.isConnected) active.focus();
    else if (focused) this.focus();
  }

  // What is pressed already is let go.
  #choose(reason: string): void {
    this.#errands.filter({ status: RowStatus.ANY, reason: reason === this.#filter?.reason ? "" : reason });
  }
}

class Counter {
  readonly button = make("button", { class: "counter" });
  readonly status: RowStatus;
  readonly name: (typeof COUNTERS)[number][1];
  readonly #count = make("strong");

  constructor(status: RowStatus, name: Counter["name"], choose: () => void) {
    this.status = status;
    this.name = name;
    this.button.type = "button";
    this.button.dataset["testid"] = `count-${name}`;
    this.button.dataset["is"] = name;
    this.button.append(this.#count, " ", make("span", { text: STATUSES[status] }));
    this.button.addEventListener("click", choose);
  }

  show(count: number, open: boolean): void {
    setText(this.#count, number(count));
    this.button.disabled = !open;
  }
}

class Chip {
  readonly button = make("button", { class: "chip" });
  readonly #label = make("span");
  readonly #count = make("strong");
  #reason = "";

  constructor(choose: (reason: string) => void) {
    this.button.type = "button";
    this.button.append(this.#label, " ", this.#count);
    this.button.addEventListener("click", () => choose(this.#reason));
  }

  show({ field, reason, rows, warning }: ImportFault): void {
    this.#reason = reason;
    setText(this.#label, faultWords(field, reason));
    setText(this.#count, number(rows));
    this.button.title = `${warning ? "A warning" : "A fault"}: ${reason}`;
    this.button.dataset["reason"] = reason;
    this.button.dataset["is"] = warning ? "warning" : "fault";
  }

  mark(reason: string): void {
    this.button.setAttribute("aria-pressed", String(reason !== "" && reason === this.#reason));
  }
}
