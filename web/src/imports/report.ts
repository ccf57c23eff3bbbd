// The report of an import, as a file to keep.
import { byId, make, setText } from "../dom";
import type { ReportFile } from "./calls";
import { reportName } from "./words";

export interface Errands {
  // What was reported, unless that was refused.
  report(file: ReportFile, all: boolean): Promise<Blob | undefined>;
  // What the import is called.
  name(): string;
}

export class ReportCard {
  readonly #rows = byId("report-rows", HTMLSelectElement);
  readonly #message = byId("report-message", HTMLParagraphElement);
  readonly #errands: Errands;

  constructor(errands: Errands) {
    this.#errands = errands;
    for (const kind of ["xlsx", "csv"] as const) {
      const button = byId(`report-${kind}`, HTMLButtonElement);
      button.addEventListener("click", () => void this.#download(button, `report.${kind}`));
    }
  }

  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  async #download(button: HTMLButtonElement, file: ReportFile): Promise<void> {
    if (button.hasAttribute("aria-busy")) return;
    this.say("");
    const all = this.#rows.value === "all";
    const name = reportName(this.#errands.name(), file, all);
    button.setAttribute("aria-busy", "true");
    const content = await this.#errands.report(file, all);
    button.removeAttribute("aria-busy");
    if (!content) return;
    const link = make("a");
    link.href = URL.createObjectURL(content);
    link.download = name;
    link.click();
    // The download has it by then.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
}
