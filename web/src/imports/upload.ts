// The card that takes a file, dropped or chosen, and shows how much of it is on its way.
import { byId, make, setText } from "../dom";
import { failureOf } from "../failure";
import type { Import } from "../gen/tap/v1/imports_pb";
import { number } from "../names";
import type { Upload } from "./send";
import { fileTypo, uploadProblem } from "./words";

export interface Errands {
  upload(upload: Upload, sent: (share: number) => void, signal: AbortSignal): Promise<Import>;
  uploaded(one: Import): void;
}

export class UploadCard {
  readonly #card = byId("upload", HTMLElement);
  readonly #kind = byId("kind", HTMLSelectElement);
  readonly #sheet = byId("sheet", HTMLInputElement);
  readonly #region = byId("region", HTMLInputElement);
  readonly #drop = byId("drop", HTMLDivElement);
  readonly #file = byId("file", HTMLInputElement);
  readonly #sending = byId("sending", HTMLDivElement);
  readonly #what = byId("sending-what", HTMLLabelElement);
  readonly #sent = byId("sent", HTMLProgressElement);
  readonly #message = byId("upload-message", HTMLParagraphElement);
  readonly #details = byId("upload-details", HTMLUListElement);
  readonly #errands: Errands;
  #attempt: AbortController | undefined;

  constructor(errands: Errands) {
    this.#errands = errands;
    byId("upload-form", HTMLFormElement).addEventListener("submit", (event) => event.preventDefault());
    byId("stop-sending", HTMLButtonElement).addEventListener("click", () => {
      this.#stop();
      this.#file.focus();
    });
    this.#file.addEventListener("change", () => {
      this.#take(this.#file.files);
      // The same file can be chosen again, once it was mended.
      this.#file.value = "";
    });
    // What is dropped beside its place must not be opened in place of the page.
    addEventListener("dragover", (event) => {
      event.preventDefault();
      const over = event.target instanceof Node && this.#drop.contains(event.target);
      this.#drop.toggleAttribute("data-over", over);
      if (event.dataTransfer) event.dataTransfer.dropEffect = over ? "copy" : "none";
    });
    addEventListener("dragleave", (event) => event.relatedTarget === null && this.#drop.removeAttribute("data-over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      this.#drop.removeAttribute("data-over");
      if (event.target instanceof Node && this.#drop.contains(event.target)) this.#take(event.dataTransfer?.files);
    });
  }

  // Whether files can be uploaded.
  show(is: boolean): void {
    this.#card.hidden = !is;
  }

  focus(): void {
    this.#file.focus();
  }

  clear(): void {
    this.#stop();
    this.#say("");
    this.#sheet.value = this.#region.value = this.#file.value = "";
    this.#kind.selectedIndex = 0;
  }

  #take(files: FileList | null | undefined): void {
    const [file, ...others] = files ?? [];
    if (!file) return;
    if (this.#attempt) return this.#say("A file is on its way: wait for it, or stop it.");
    if (others.length > 0) return this.#say("Drop one file at a time: each is an import of its own.");
    const typo = fileTypo(file);
    if (typo) return this.#say(typo);
    void this.#upload(file);
  }

  async #upload(file: File): Promise<void> {
    const { signal } = (this.#attempt = new AbortController());
    const upload = { file, kind: Number(this.#kind.value), sheet: this.#sheet.value.trim(), region: this.#region.value.trim().toUpperCase() };
    this.#say("");
    this.#shows(file.name, 0);
    this.#sending.hidden = false;
    try {
      const one = await this.#errands.upload(upload, (share) => this.#shows(file.name, share), signal);
      if (signal.aborted) return;
      this.#stop();
      this.#errands.uploaded(one);
    } catch (error) {
      if (signal.aborted) return;
      this.#stop();
      const { problem, details } = uploadProblem(failureOf(error));
      this.#say(problem, details);
    }
  }

  #shows(name: string, share: number): void {
    this.#sent.value = share;
    setText(this.#what, share < 1 ? `Sending ${name}: ${number(Math.floor(share * 100))}%` : `${name} was sent, waiting for the service`);
  }

  #stop(): void {
    this.#attempt?.abort();
    this.#attempt = undefined;
    this.#sending.hidden = true;
  }

  #say(problem: string, details: string[] = []): void {
    setText(this.#message, problem);
    this.#details.replaceChildren(...details.map((text) => make("li", { text })));
  }
}
