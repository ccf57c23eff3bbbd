// The end of an import: it is stored, all of it or what is good, or given up.
import { byId, setText } from "../dom";
import {
  CommitMode_Value as CommitMode,
  type CommitImportResponse,
  type Import,
  ImportState_Value as ImportState,
} from "../gen/tap/v1/imports_pb";
import { counted } from "../names";
import { outcomeWords, storable, storedWords } from "./words";

export interface Errands {
  // What came of it, or would, unless that was refused.
  commit(mode: CommitMode, validateOnly: boolean): Promise<CommitImportResponse | undefined>;
  cancel(): Promise<void>;
}

export class CommitCard {
  readonly #card = byId("commit-card", HTMLElement);
  readonly #fields = byId("commit-fields", HTMLFieldSetElement);
  readonly #onlyValid = byId("mode-valid", HTMLInputElement);
  readonly #all = byId("mode-all", HTMLInputElement);
  readonly #problem = byId("commit-problem", HTMLParagraphElement);
  readonly #check = byId("commit-check", HTMLButtonElement);
  readonly #store = byId("commit", HTMLButtonElement);
  readonly #cancel = byId("cancel", HTMLButtonElement);
  readonly #sure = byId("sure", HTMLDivElement);
  readonly #sureButton = byId("cancel-sure", HTMLButtonElement);
  readonly #message = byId("commit-message", HTMLParagraphElement);
  readonly #outcome = byId("outcome", HTMLParagraphElement);
  readonly #title = byId("commit-title", HTMLHeadingElement);
  readonly #errands: Errands;
  #import: Import | undefined;
  #writable = true;
  #working = false;
  // Whether the focus was here when it began to work.
  #focused = false;

  constructor(errands: Errands) {
    this.#errands = errands;
    for (const radio of [this.#all, this.#onlyValid]) {
      radio.addEventListener("change", () => {
        this.say("");
        setText(this.#outcome, "");
        this.#draw();
      });
    }
    this.#check.addEventListener("click", () => void this.#commit(true));
    byId("commit-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#commit(false);
    });
    this.#cancel.addEventListener("click", () => {
      this.#sure.hidden = false;
      this.#sureButton.focus();
    });
    byId("cancel-not", HTMLButtonElement).addEventListener("click", () => {
      this.#sure.hidden = true;
      this.#cancel.focus();
    });
    this.#sureButton.addEventListener("click", () => void this.#giveUp());
  }

  show(one: Import, writable: boolean): void {
    const before = this.#import;
    this.#import = one;
    this.#writable = writable;
    // What was counted is not what is there any more.
    if (before?.id !== one.id || before.etag !== one.etag) setText(this.#outcome, "");
    if (before && before.id !== one.id) {
      this.#all.checked = true;
      this.#sure.hidden = true;
      this.say("");
    }
    this.#draw();
  }

  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
  }

  clear(): void {
    this.#import = undefined;
    this.#all.checked = true;
    this.#sure.hidden = true;
    this.#working = false;
    setText(this.#outcome, "");
    this.say("");
  }

  get #mode(): CommitMode {
    return this.#onlyValid.checked ? CommitMode.VALID_ONLY : CommitMode.ALL_OR_NOTHING;
  }

  #draw(): void {
    const one = this.#import;
    if (!one) return;
    const ready = one.state === ImportState.READY;
    this.#card.hidden = ready && !this.#writable;
    this.#fields.hidden = !ready;
    if (one.state === ImportState.COMMITTED) setText(this.#outcome, storedWords(one));
    if (!ready) return;
    const { rows, problem } = storable(one, this.#mode);
    setText(this.#problem, problem);
    setText(this.#store, rows > 0 ? `Store ${counted(rows, "row")}` : "Store");
    // What nothing comes of is not even tried, but what would come of it can be asked.
    this.#store.disabled = rows === 0 || this.#working;
    this.#check.disabled = this.#cancel.disabled = this.#sureButton.disabled = this.#working;
  }

  async #commit(validateOnly: boolean): Promise<void> {
    if (this.#working || (!validateOnly && this.#store.disabled)) return;
    this.say("");
    this.#work(true);
    setText(this.#outcome, validateOnly ? "Checking…" : "Storing…");
    const answer = await this.#errands.commit(this.#mode, validateOnly);
    this.#work(false);
    if (!answer) return setText(this.#outcome, "");
    if (validateOnly) setText(this.#outcome, outcomeWords(answer, false));
    else if (this.#import?.state !== ImportState.READY) setText(this.#outcome, outcomeWords(answer, true));
  }

  async #giveUp(): Promise<void> {
    if (this.#working) return;
    this.say("");
    this.#work(true);
    await this.#errands.cancel();
    this.#work(false);
    this.#sure.hidden = true;
  }

  #work(is: boolean): void {
    if (is) this.#focused = this.#fields.contains(document.activeElement);
    this.#working = is;
    this.#draw();
    // What had the focus could not keep it meanwhile.
    if (is || !this.#focused || document.activeElement !== document.body) return;
    if (this.#import?.state === ImportState.READY) (this.#store.disabled ? this.#check : this.#store).focus();
    else this.#title.focus();
  }
}
