// The dialog in which refused events are mended and sent again. That takes a key, as the token of the page can
// only read: it is in the field and in these calls, and nowhere else.
import { replay } from "../api";
import { civilOf, ownZone } from "../civil";
import { byId, make, setText } from "../dom";
import type { Condition } from "../follow";
import type { EventErrorGroup, ReplayEventErrorsResponse } from "../gen/tap/v1/events_pb";
import { newId } from "../ids";
import { insist } from "../insist";
import { events, number, time } from "../names";
import { trouble } from "../words";
import { violationItem } from "./error";
import { PatchFields } from "./patch-fields";
import { patchOf, verdictOf } from "./patch";
import { senderProblem, senderTypo } from "./words";

export class ReplayDialog {
  readonly #dialog = byId("replay", HTMLDialogElement);
  readonly #what = byId("replay-what", HTMLParagraphElement);
  readonly #message = byId("replay-message", HTMLParagraphElement);
  readonly #verdict = byId("replay-verdict", HTMLParagraphElement);
  readonly #wrong = byId("replay-wrong", HTMLUListElement);
  readonly #fields = new PatchFields(() => this.#edited());
  readonly #sent: () => void;
  readonly #closed: () => void;
  #group: EventErrorGroup | undefined;
  #team: number | undefined;
  // Whoever opened it.
  #opener: Element | null = null;
  #attempt = new AbortController();
  // Whether it is sending right now.
  #sending = false;

  // `sent` is called when something was sent, and `closed` when what opened it is gone by then.
  constructor(sent: () => void, closed: () => void) {
    this.#sent = sent;
    this.#closed = closed;
    byId("replay-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#call(false);
    });
    byId("replay-check", HTMLButtonElement).addEventListener("click", () => void this.#call(true));
    byId("replay-close", HTMLButtonElement).addEventListener("click", () => this.close());
    this.#dialog.addEventListener("close", () => this.#forget());
  }

  // `team` is the number of the team whose events they are.
  open(group: EventErrorGroup, team: number | undefined): void {
    this.#group = group;
    this.#team = team;
    this.#opener = document.activeElement;
    this.#fields.clear();
    setText(this.#what, `${events(group.count)} of ${group.application}, refused with ${group.reason}.`);
    this.#dialog.showModal();
    this.#fields.focus();
  }

  close(): void {
    if (this.#dialog.open) this.#dialog.close();
  }

  // The field in the page, which is never the same after a key was in it.
  get #key(): HTMLInputElement {
    return byId("replay-key", HTMLInputElement);
  }

  async #call(validateOnly: boolean): Promise<void> {
    const group = this.#group;
    if (!group || this.#sending) return;
    this.#attempt.abort();
    const { signal } = (this.#attempt = new AbortController());
    const key = this.#key.value.trim();
    const patched = patchOf(this.#fields.rows);
    if ("problem" in patched) return this.#say(patched.problem);
    const typo = senderTypo(key, this.#team);
    if (typo) return this.#say(typo, { key: true });
    this.#say("", { calm: true });
    setText(this.#verdict, validateOnly ? "Checking…" : "Sending…");
    const { fingerprint } = group;
    const resending = { fingerprint, patch: patched.patch, validateOnly, requestId: newId() };
    this.#sending = !validateOnly;
    const outcome = await insist(() => replay(key, resending, signal), (condition) => this.#wait(condition), signal);
    if (!outcome) return;
    this.#sending = false;
    if ("failure" in outcome) {
      const { kind } = outcome.failure;
      return this.#say(senderProblem(outcome.failure), { key: kind === "key" || kind === "scope" });
    }
    this.#say("");
    this.#show(outcome.answer);
    if (!validateOnly) this.#sent();
  }

  #show(answer: ReplayEventErrorsResponse): void {
    const { text, wrong } = verdictOf(answer);
    setText(this.#verdict, text);
    this.#wrong.replaceChildren(
      ...wrong.map(({ count, violation }) => {
        const item = violationItem(violation);
        item.prepend(make("strong", { text: `${number(count)} ×` }), " ");
        return item;
      }),
    );
  }

  // What was checked is not what is written any more.
  #edited(): void {
    if (this.#sending) return;
    this.#attempt.abort();
    this.#say("");
  }

  #wait(condition: Condition): void {
    this.#say(trouble(condition, (moment) => time(civilOf(moment, ownZone())), Date.now()), { calm: true });
  }

  // Says what is wrong, also with the key; `calm` when it is nobody's mistake. What was said before is over.
  #say(message: string, { calm = false, key = false } = {}): void {
    setText(this.#message, message);
    this.#message.classList.toggle("calm", calm);
    setText(this.#verdict, "");
    this.#wrong.replaceChildren();
    if (!key) return this.#key.removeAttribute("aria-invalid");
    this.#key.setAttribute("aria-invalid", "true");
    this.#key.select();
  }

  // It was closed: the key is gone, also for "undo", and whoever opened it has the focus again.
  #forget(): void {
    this.#attempt.abort();
    this.#group = undefined;
    // It may have been sent all the same.
    if (this.#sending) this.#sent();
    this.#sending = false;
    const used = this.#key;
    used.value = "";
    used.replaceWith(used.cloneNode());
    this.#say("");
    this.#fields.clear();
    const opener = this.#opener;
    this.#opener = null;
    if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    else this.#closed();
  }
}
