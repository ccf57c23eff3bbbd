// A headless Chromium, and pages of it that notice whatever goes wrong in them.
import assert from "node:assert/strict";
import puppeteer, { type Browser, type Page } from "puppeteer-core";

export async function launch(): Promise<Browser> {
  return puppeteer.launch({
    executablePath: process.env["TAP_TEST_CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless=new",
      "--disable-dev-shm-usage",
      "--lang=en",
      // Chromium's own sandbox does not work for root.
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
    ],
  });
}

export interface View {
  // Pixels of the screen for one of the page.
  scale?: number;
  width?: number;
  height?: number;
  zone?: string;
  // Which page, without the slash before it.
  path?: string;
  // What the page calls beside its own origin, when it is not ours.
  calls?: string;
}

// What a page complained of.
const complaints = new WeakMap<Page, string[]>();

// Opens the page, in a context that shares nothing with others.
export async function visit(browser: Browser, url: string, view: View = {}): Promise<Page> {
  const { width = 1280, height = 800, zone = "Europe/Berlin", scale = 1, path = "", calls = url } = view;
  const known = [url, calls].map((known) => new URL(known).origin);
  const page = await (await browser.createBrowserContext()).newPage();
  const heard: string[] = [];
  complaints.set(page, heard);
  page.on("console", (message) => heard.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => heard.push(`error: ${String(error)}`));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    // What is in the page itself, such as a picture in its styles, is of no origin.
    if (protocol !== "data:" && !known.includes(origin)) heard.push(`request to ${origin}`);
  });
  page.on("requestfailed", (request) => {
    // What the page itself ends, such as a watch of an earlier question, has not failed.
    const reason = request.failure()?.errorText ?? "";
    if (reason !== "net::ERR_ABORTED") heard.push(`request ${new URL(request.url()).pathname}: ${reason}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) heard.push(`response ${new URL(response.url()).pathname}: ${response.status()}`);
  });
  await page.evaluateOnNewDocument(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  await page.setViewport({ width, height, deviceScaleFactor: scale });
  await page.emulateTimezone(zone);
  await page.goto(`${url}/${path}`);
  return page;
}

// Enters a key, and waits for what it opens.
export async function enter(page: Page, key: string): Promise<void> {
  await page.type("#key", key);
  await page.keyboard.press("Enter");
  await live(page);
}

// Types into a field in place of what is in it.
export async function retype(page: Page, id: string, text: string): Promise<void> {
  await page.click(`#${id}`, { count: 3 });
  await page.keyboard.press("Backspace");
  await page.type(`#${id}`, text);
}

export async function live(page: Page): Promise<void> {
  await page.waitForSelector('#session-bar:not([hidden]) #status[data-is="live"]', { timeout: 15_000 });
}

export async function text(page: Page, id: string): Promise<string> {
  return page.$eval(`#${id}`, (element) => element.textContent ?? "");
}

// Waits until the text of an element is this.
export async function says(page: Page, id: string, wanted: string | RegExp, timeout = 15_000): Promise<void> {
  const pattern = typeof wanted === "string" ? `^${wanted.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$` : wanted.source;
  const matches = (id: string, pattern: string) =>
    new RegExp(pattern).test(document.getElementById(id)?.textContent?.trim() ?? "");
  try {
    await page.waitForFunction(matches, { timeout, polling: 20 }, id, pattern);
  } catch {
    assert.fail(`#${id} says '${await text(page, id)}', not ${String(wanted)}`);
  }
}

// The calls of a page to a service of the API, from now on.
export function callsOf(page: Page, service: string): string[] {
  const calls: string[] = [];
  page.on("request", (request) => {
    const [, called, method = ""] = /\/tap\.v1\.(\w+)\/(\w+)$/.exec(new URL(request.url()).pathname) ?? [];
    if (called === service) calls.push(method);
  });
  return calls;
}

// What has the focus, by its id or class.
export async function focused(page: Page): Promise<string> {
  return page.evaluate(() => document.activeElement?.id || document.activeElement?.className || "");
}

// The panels that are shown.
export async function panels(page: Page): Promise<string[]> {
  return page.$$eval("[role=tabpanel]:not([hidden])", (some) => some.map(({ id }) => id));
}

// Everything in the memory of the scripts of a page, as text.
export async function memory(page: Page): Promise<string> {
  const devtools = await page.createCDPSession();
  const parts: string[] = [];
  devtools.on("HeapProfiler.addHeapSnapshotChunk", ({ chunk }) => parts.push(chunk));
  // This also clears away what nobody holds any more.
  await devtools.send("HeapProfiler.takeHeapSnapshot", {});
  await devtools.detach();
  return parts.join("");
}

// The taps of the ticker as their ids, the oldest first.
export async function tapIds(page: Page): Promise<string[]> {
  const ids = await page.$$eval("#ticker li.tap", (rows) => rows.map((row) => row.dataset["tapId"] ?? ""));
  return ids.reverse();
}

export function assertCalm(page: Page): void {
  assert.deepEqual(complaints.get(page), []);
}

export async function close(page: Page): Promise<void> {
  await page.browserContext().close();
}
