// The card in which people enter the key of this page. It is kept in the calls, and the field forgets it.
import { civilOf, ownZone } from "../civil";
import { byId, setText } from "../dom";
import type { WhoAmIResponse } from "../gen/tap/v1/api_keys_pb";
import { insist } from "../insist";
import { time } from "../names";
import { ImportCalls } from "./calls";
import { importerProblem, importerTypo, shutOut, waitingWords } from "./words";

export class KeyCard {
  readonly #card = byId("sign-in", HTMLElement);
  readonly #message = byId("key-message", HTMLParagraphElement);
  readonly #start = byId("start", HTMLButtonElement);
  readonly #admitted: (calls: ImportCalls, who: WhoAmIResponse) => void;
  #attempt = new AbortController();

  constructor(admitted: (calls: ImportCalls, who: WhoAmIResponse) => void) {
    this.#admitted = admitted;
    byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#enter();
    });
  }

  // Asks for a key; `message` says why, where it was signed in before.
  ask(message: string): void {
    this.#attempt.abort();
    this.#forget();
    this.#card.hidden = false;
    this.#connecting(false);
    this.#say(message);
    this.#field.focus();
  }

  // The field in the page, which is never the same after a key was in it.
  get #field(): HTMLInputElement {
    return byId("key", HTMLInputElement);
  }

  async #enter(): Promise<void> {
    const key = this.#field.value.trim();
    const typo = importerTypo(key);
    if (typo) return this.#say(typo);
    this.#attempt.abort();
    const { signal } = (this.#attempt = new AbortController());
    this.#say("");
    this.#connecting(true);
    const calls = new ImportCalls(key);
    const at = (moment: number) => time(civilOf(moment, ownZone()));
    const outcome = await insist(
      () => calls.whoAmI(signal),
      (condition) => this.#say(waitingWords(condition, at, Date.now()), true),
      signal,
    );
    if (!outcome) return;
    this.#connecting(false);
    const problem = "failure" in outcome ? importerProblem(outcome.failure) : shutOut(outcome.answer.scopes);
    // One that is of use elsewhere is not left here.
    if (!("failure" in outcome) || outcome.failure.reason !== "API_KEY_INVALID") this.#forget();
    if (problem !== undefined || "failure" in outcome) {
      this.#say(problem ?? "");
      return this.#field.select();
    }
    this.#say("");
    this.#card.hidden = true;
    this.#admitted(calls, outcome.answer);
  }

  #say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
    if (message && !calm) this.#field.setAttribute("aria-invalid", "true");
    else this.#field.removeAttribute("aria-invalid");
  }

  #connecting(is: boolean): void {
    this.#start.textContent = is ? "Connecting…" : "Open imports";
  }

  // Puts another field in the place of the one with the key, which "undo" would bring back.
  #forget(): void {
    const used = this.#field;
    const focused = document.activeElement === used;
    used.value = "";
    const fresh = used.cloneNode();
    used.replaceWith(fresh);
    if (focused) this.#field.focus();
  }
}
