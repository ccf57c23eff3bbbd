// The card in which people enter a key. The key is traded for a token and forgotten: nothing but this file
// ever has it, and only until it is traded.
import { type Api, trade } from "./api";
import { isToken } from "./access";
import { civilOf, ownZone } from "./civil";
import { byId, setText } from "./dom";
import type { Condition } from "./follow";
import type { WhoAmIResponse } from "./gen/tap/v1/api_keys_pb";
import { insist } from "./insist";
import { time } from "./names";
import { type Given, keyProblem, keyTypo, trouble } from "./words";

// Somebody who may look.
export interface Access {
  token: string;
  api: Api;
  who: WhoAmIResponse;
  // By the token that this tab had before it was loaded again.
  again: boolean;
}

export interface Admission {
  connect(token: string): Api;
  // Something was entered: what came of the key before does not matter any more.
  entered(): void;
  admitted(access: Access): void;
  // The token of this tab is no good any more.
  refused(): void;
}

export class SignIn {
  readonly #card = byId("sign-in", HTMLElement);
  readonly #title = byId("sign-in-title", HTMLHeadingElement);
  readonly #message = byId("key-message", HTMLParagraphElement);
  readonly #start = byId("start", HTMLButtonElement);
  readonly #admission: Admission;
  #attempt = new AbortController();

  constructor(admission: Admission) {
    this.#admission = admission;
    byId("key-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#enter();
    });
  }

  // Asks for a key: to begin with, or, where the page waits behind it, to go on. `calm` as in `say`.
  ask(message: string, { toGoOn = false, calm = false } = {}): void {
    this.#attempt.abort();
    this.#forget();
    setText(this.#title, toGoOn ? "Sign in again" : "See your taps");
    this.#card.classList.toggle("to-go-on", toGoOn);
    this.#card.hidden = false;
    this.#connecting(false);
    this.say(message, calm);
    // Who is writing something else must not write into this.
    if (toGoOn && document.activeElement instanceof HTMLInputElement) this.#card.scrollIntoView();
    else this.#field.focus();
  }

  // By the token of this tab. The card comes up only when that takes long.
  resume(token: string): void {
    this.#card.hidden = true;
    void this.#admit(token, "earlier");
  }

  close(): void {
    this.say("");
    this.#connecting(false);
    this.#card.hidden = true;
  }

  // Says what is wrong; `calm` when it is nobody's mistake.
  say(message: string, calm = false): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
    if (message && !calm) this.#field.setAttribute("aria-invalid", "true");
    else this.#field.removeAttribute("aria-invalid");
  }

  // How it goes, for who waits for the page to open.
  condition(now: Condition): void {
    this.say(trouble(now, (moment) => time(civilOf(moment, ownZone())), Date.now()), true);
    this.#connecting(now.is !== "waiting");
  }

  // The field in the page, which is never the same after a key was traded.
  get #field(): HTMLInputElement {
    return byId("key", HTMLInputElement);
  }

  #enter(): void {
    const given = this.#field.value.trim();
    const typo = keyTypo(given);
    if (typo) return this.say(typo);
    this.#admission.entered();
    this.say("");
    if (isToken(given)) void this.#admit(given, "token");
    else void this.#trade(given);
  }

  async #trade(key: string): Promise<void> {
    const signal = this.#begin();
    const outcome = await insist(() => trade(key, signal), (condition) => this.condition(condition), signal);
    if (!outcome) return;
    if ("answer" in outcome) {
      this.#forget();
      return this.#admit(outcome.answer, "key");
    }
    // One that is of use elsewhere is not left here.
    if (outcome.failure.reason !== "API_KEY_INVALID") this.#forget();
    this.#refuse(keyProblem(outcome.failure, "key"));
  }

  async #admit(token: string, given: Given): Promise<void> {
    const signal = this.#begin();
    const api = this.#admission.connect(token);
    const wait = (condition: Condition) => {
      this.#card.hidden = false;
      this.condition(condition);
    };
    const outcome = await insist(() => api.whoAmI(signal), wait, signal);
    if (!outcome) return;
    if ("answer" in outcome) {
      if (given === "token") this.#forget();
      return this.#admission.admitted({ token, api, who: outcome.answer, again: given === "earlier" });
    }
    const problem = keyProblem(outcome.failure, given);
    if (given !== "earlier") return this.#refuse(problem);
    this.#admission.refused();
    this.ask(problem, { calm: outcome.failure.kind === "lapsed" });
  }

  #refuse(problem: string): void {
    this.#connecting(false);
    this.say(problem);
    // To be corrected, or to be replaced by what is pasted.
    this.#field.select();
  }

  // In place of the attempt before.
  #begin(): AbortSignal {
    this.#attempt.abort();
    this.#attempt = new AbortController();
    this.#connecting(true);
    return this.#attempt.signal;
  }

  #connecting(is: boolean): void {
    this.#start.textContent = is ? "Connecting…" : "Show taps";
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
