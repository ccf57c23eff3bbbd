// The head of the page while somebody is signed in: how it stands, who that is, until when, what is left.
import type { Quota } from "./api";
import { civilOf, clock, ownZone } from "./civil";
import { byId, setText } from "./dom";
import type { Condition } from "./follow";
import type { WhoAmIResponse } from "./gen/tap/v1/api_keys_pb";
import { number } from "./names";
import { state } from "./words";

export class Bar {
  readonly #bar = byId("session-bar", HTMLDivElement);
  readonly #status = byId("status", HTMLParagraphElement);
  readonly #who = byId("who", HTMLParagraphElement);
  readonly #until = byId("until", HTMLParagraphElement);
  readonly #quota = byId("quota", HTMLParagraphElement);

  constructor(leave: () => void) {
    byId("leave", HTMLButtonElement).addEventListener("click", leave);
  }

  show(is: boolean): void {
    this.#bar.hidden = !is;
  }

  condition(now: Condition): void {
    this.#status.dataset["is"] = now.is;
    setText(this.#status, state(now));
    this.#until.hidden = now.is === "lapsed";
  }

  who({ team, keyName, token, expiresAt }: WhoAmIResponse): void {
    const tags = token?.tagUids.length ?? 0;
    const some = tags === 0 ? "" : ` · ${tags === 1 ? "1 tag" : `${number(tags)} tags`} only`;
    setText(this.#who, `${team?.name ?? ""} · ${keyName}${some}`);
    this.#who.title = this.#who.textContent ?? "";
    setText(this.#until, expiresAt ? `signed in until ${timeOfDay(expiresAt)}` : "");
  }

  quota({ left, of }: Quota): void {
    setText(this.#quota, `${number(left)} of ${number(of)} queries left`);
  }
}

// By the clock of the person who looks, whatever zone the taps are shown in.
export function timeOfDay(instant: string): string {
  return clock(civilOf(Date.parse(instant), ownZone()));
}
