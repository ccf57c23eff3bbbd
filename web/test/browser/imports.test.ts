// The page of the imports in a browser, through Envoy, with a real service and a real database.
import assert from "node:assert/strict";
import { mkdtemp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, ElementHandle, Page } from "puppeteer-core";
import { assertCalm, close, enter as enterTaps, focused, launch, memory, says, text, visit } from "./browser";
import { Installation, type Team, command, makeKey, makeTeam } from "./installation";

let installation: Installation;
let browser: Browser;
let folder: string;

before(async () => {
  installation = await Installation.start();
  browser = await launch();
  folder = await mkdtemp(join(tmpdir(), "tap-imports-"));
});

after(async () => {
  await browser?.close();
  await installation?.end();
  if (folder) await rm(folder, { recursive: true });
});

interface Counts {
  total: number;
  valid: number;
  invalid: number;
  duplicate: number;
  skipped: number;
  warned: number;
  committed: number;
}

interface Import {
  id: string;
  state: string;
  counts: Counts;
  faults: { field: string; reason: string; rows: number; warning: boolean }[];
  plan: Record<"insert" | "update" | "unchanged" | "conflict", number>;
}

// A team, and a key of it that may import.
async function makeImporter(): Promise<{ team: Team; importer: string }> {
  const team = await makeTeam([{ uid: "a" }]);
  const importer = await makeKey(team.slug, "admin", "importer");
  // A new key works everywhere within a second.
  await sleep(1000);
  return { team, importer };
}

// A key with some scopes only.
async function makeLesser(importer: string, ...scopes: string[]): Promise<string> {
  const { key } = await installation.call<{ key: string }>("POST", "/v1/apiKeys", importer, { name: "lesser", scopes });
  await sleep(1000);
  return key;
}

async function newest(key: string): Promise<Import> {
  const { imports } = await installation.call<{ imports: Import[] }>("GET", "/v1/imports?pageSize=1", key);
  // Lists leave out what makes many of them large.
  return installation.call<Import>("GET", `/v1/imports/${imports[0]?.id}`, key);
}

async function visitImports(key = "", view: { width?: number; height?: number } = {}): Promise<Page> {
  const page = await visit(browser, installation.url, { ...view, path: "imports" });
  if (key) await enter(page, key);
  return page;
}

async function enter(page: Page, key: string): Promise<void> {
  await page.type("#key", key);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#imports:not([hidden])");
}

// A file with these lines, to be chosen or dropped.
async function fileOf(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

const TITLES = "Names,NID,PhoneNumber,Gender,Email,Note";
const csv = (...lines: string[]) => `${[TITLES, ...lines].join("\n")}\n`;
// Four people: two are good, one has a short number, and one another's national id.
const PEOPLE = csv(
  "Aline Uwase,1199070012345012,0788000001,F,aline@example.com,x",
  "Eric Mugabo,1199080012345023,0788000002,M,eric@example.com,",
  "Grace Ingabire,1199070012345034,078800,F,grace@example.com,",
  "Jean Habimana,1199080012345023,0788000004,M,jean@example.com,",
);

async function choose(page: Page, path: string): Promise<void> {
  const field = (await page.$("#file")) as ElementHandle<HTMLInputElement>;
  await field.uploadFile(path);
}

// Lets go of a file above its place, or beside it.
async function drop(page: Page, name: string, content: string, on = "#drop"): Promise<void> {
  await page.evaluate(
    (name, content, on) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([content], name));
      const options = { dataTransfer, bubbles: true, cancelable: true };
      for (const kind of ["dragenter", "dragover", "drop"]) document.querySelector(on)?.dispatchEvent(new DragEvent(kind, options));
    },
    name, content, on,
  );
}

async function ready(page: Page, timeout = 15_000): Promise<void> {
  await says(page, "review-state", "Ready", timeout);
  await rowsAre(page);
}

// Waits until the rows that were asked for are there.
async function rowsAre(page: Page): Promise<void> {
  await page.waitForSelector("#rows-card:not([hidden]):not([data-busy])");
}

async function count(page: Page, name: keyof Counts): Promise<number> {
  return page.$eval(`[data-testid="count-${name}"] strong`, (element) => Number(element.textContent?.replaceAll(",", "")));
}

async function counts(page: Page, wanted: Partial<Counts>): Promise<void> {
  for (const end = Date.now() + 10_000; ; await sleep(50)) {
    const found: Partial<Counts> = {};
    for (const name of Object.keys(wanted) as (keyof Counts)[]) found[name] = await count(page, name);
    if (JSON.stringify(found) === JSON.stringify(wanted)) return;
    if (Date.now() > end) assert.deepEqual(found, wanted);
  }
}

// The numbers of the rows that are shown.
async function numbers(page: Page): Promise<number[]> {
  return page.$$eval("#rows-body tr", (some) => some.map((tr) => Number(tr.dataset["row"])));
}

const cell = (row: number, field: string) => `#rows-body tr[data-row="${row}"] td[data-field="${field}"]`;

async function notes(page: Page, row: number, field: string): Promise<string[]> {
  return page.$$eval(`${cell(row, field)} .notes li`, (some) => some.map(({ textContent }) => textContent ?? ""));
}

// Writes into a cell, by the keyboard, and waits until it is kept.
async function mend(page: Page, row: number, field: string, text: string): Promise<void> {
  await page.click(`${cell(row, field)} .cell`);
  await page.keyboard.down("Control");
  await page.keyboard.press("a");
  await page.keyboard.up("Control");
  await page.keyboard.type(text);
  await page.keyboard.press("Enter");
  await page.waitForFunction(
    (selector, text) => document.querySelector(`${selector} .cell:not([hidden])`)?.textContent === text,
    { timeout: 10_000 },
    cell(row, field), text,
  );
}

async function press(page: Page, status: keyof Counts): Promise<void> {
  await page.click(`[data-testid="count-${status}"]`);
  await page.waitForSelector(`[data-testid="count-${status}"][aria-pressed="true"]`);
  await rowsAre(page);
}

// Waits for what the page downloads.
async function downloaded(page: Page, button: string): Promise<{ name: string; content: Buffer }> {
  const place = await mkdtemp(join(folder, "downloads-"));
  const devtools = await page.createCDPSession();
  const { targetInfo } = await devtools.send("Target.getTargetInfo");
  await devtools.send("Browser.setDownloadBehavior", {
    behavior: "allow", downloadPath: place, ...(targetInfo.browserContextId ? { browserContextId: targetInfo.browserContextId } : {}),
  });
  await page.click(button);
  for (const end = Date.now() + 15_000; ; await sleep(50)) {
    const [name] = (await readdir(place)).filter((name) => !name.endsWith(".crdownload"));
    if (name !== undefined) {
      await devtools.detach();
      return { name, content: await readFile(join(place, name)) };
    }
    assert.ok(Date.now() < end, "nothing was downloaded");
  }
}

// Everything that a page keeps, or shows to others, beside its memory.
async function kept(page: Page): Promise<string> {
  const places = await page.evaluate(async () => [
    location.href, JSON.stringify(history.state), JSON.stringify(localStorage), JSON.stringify(sessionStorage), document.cookie,
    JSON.stringify(await indexedDB.databases()), document.title, window.name,
  ]);
  return places.join("\n");
}

// The addresses that a page asks for, from now on.
function addressesOf(page: Page): string[] {
  const addresses: string[] = [];
  page.on("request", (request) => addresses.push(request.url()));
  return addresses;
}

test("50,000 users: uploaded, watched, mended, reported and stored", async () => {
  const { importer } = await makeImporter();
  const file = join(folder, "users.xlsx");
  await command("sample-users", "--rows", "50000", "--seed", "1", file);
  const page = await visitImports();
  const addresses = addressesOf(page);
  await enter(page, importer);
  await page.waitForSelector("#past-empty:not([hidden])");

  // How far it is, as it comes.
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    new MutationObserver(() => {
      for (const id of ["sending-what", "review-state", "progress-what"]) {
        const now = `${id} ${document.getElementById(id)?.textContent}`;
        if (!seen.includes(now)) seen.push(now);
      }
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
  });
  await choose(page, file);
  await ready(page, 60_000);
  const seen = await page.evaluate(() => (window as unknown as { seen: string[] }).seen);
  assert.ok(seen.some((one) => one.startsWith("sending-what Sending users.xlsx")), seen.join("\n"));
  assert.ok(seen.includes("review-state Checking"), seen.join("\n"));
  await says(page, "review-title", "users.xlsx");
  assert.match(await text(page, "review-read"), /^Users · sheet .+ · titles in row \d+ · region RW · [\d.]+ MB$/);

  // What it is, as the API has it.
  const found = await newest(importer);
  assert.equal(found.state, "READY");
  assert.equal(found.counts.total, 50_000);
  const { total, valid, invalid, duplicate, skipped, warned } = found.counts;
  assert.ok(valid > 25_000 && invalid > 50 && duplicate > 0, JSON.stringify(found.counts));
  await counts(page, { total, valid, invalid, duplicate, skipped, warned });
  const chips = await page.$$eval("#faults .chip", (some) => some.map((chip) => [chip.getAttribute("data-reason"), chip.lastChild?.textContent?.replaceAll(",", "")]));
  assert.deepEqual(chips, found.faults.map(({ reason, rows }) => [reason, String(rows)]));

  // Those that are bad come first, a page at a time.
  await page.waitForSelector('[data-testid="count-invalid"][aria-pressed="true"]');
  const formatted = invalid.toLocaleString("en");
  await says(page, "rows-page", `Rows 1 to 50 of ${formatted}`);
  const first = await numbers(page);
  assert.equal(first.length, 50);
  await page.click("#next");
  await says(page, "rows-page", `Rows 51 to ${Math.min(100, invalid)} of ${formatted}`);
  const second = await numbers(page);
  assert.ok((second[0] ?? 0) > (first.at(-1) ?? 0), "the second page is behind the first");
  await page.click("#previous");
  await says(page, "rows-page", `Rows 1 to 50 of ${formatted}`);
  assert.deepEqual(await numbers(page), first);

  // By what is wrong.
  const fault = found.faults.find(({ field, reason }) => field === "phone" && reason === "PHONE_LENGTH");
  assert.ok(fault, "some phone numbers are wrong");
  await page.click(`#faults [data-reason="${fault.reason}"]`);
  await page.waitForSelector(`#faults [data-reason="${fault.reason}"][aria-pressed="true"]`);
  await rowsAre(page);
  const [row = 0] = await numbers(page);
  assert.ok(row > 1);
  assert.equal(await page.$eval(cell(row, "phone"), (td) => td.getAttribute("data-is")), "bad");
  assert.ok((await notes(page, row, "phone")).every((note) => note.length > 5));

  // One is mended.
  await mend(page, row, "phone", "0788123457");
  assert.notEqual(await page.$eval(cell(row, "phone"), (td) => td.getAttribute("data-is")), "bad");
  assert.equal(await page.$eval(`${cell(row, "phone")} .cell`, (button) => button.getAttribute("title")), "Stored as +250788123457");
  assert.match(await page.$eval(`tr[data-row="${row}"] .is`, ({ textContent }) => textContent ?? ""), / · mended$/);
  for (const end = Date.now() + 5000; ; await sleep(50)) {
    const now = (await newest(importer)).counts;
    if ((await count(page, "invalid")) === now.invalid && (await count(page, "valid")) === now.valid) break;
    assert.ok(Date.now() < end, "the counters are read again");
  }

  // One is left out.
  await press(page, "valid");
  const [out = 0] = await numbers(page);
  await page.click(`tr[data-row="${out}"] .skip input`);
  await counts(page, { skipped: skipped + 1 });
  await press(page, "skipped");
  assert.ok((await numbers(page)).includes(out));

  // The report is a workbook, and a table.
  const workbook = await downloaded(page, "#report-xlsx");
  assert.equal(workbook.name, "users-errors.xlsx");
  assert.deepEqual([...workbook.content.subarray(0, 4)], [0x50, 0x4b, 0x03, 0x04]);
  const table = await downloaded(page, "#report-csv");
  assert.equal(table.name, "users-errors.csv");
  const bad = await newest(importer);
  assert.match(table.content.toString("utf8").split("\n")[0] ?? "", /error\r?$/i);
  assert.ok(table.content.toString("utf8").split("\n").length > bad.counts.invalid);

  // Not all of it is good, so that all of it is not stored.
  await page.waitForSelector("#commit:disabled");
  assert.match(await text(page, "commit-problem"), /rows are not good/);
  await page.click("#mode-valid");
  const rows = bad.counts.valid;
  await says(page, "commit", `Store ${rows.toLocaleString("en")} rows`);
  await page.click("#commit-check");
  await says(page, "outcome", /^Would be stored: [\d,]+ new\b.* rows would be left out\.$/, 60_000);
  assert.equal((await newest(importer)).state, "READY");
  await page.click("#commit");
  await says(page, "outcome", /^Stored: [\d,]+ new\b.* rows were left out\.$/, 60_000);
  await says(page, "review-state", "Stored");
  assert.equal(await focused(page), "commit-title");
  const stored = await newest(importer);
  assert.deepEqual([stored.state, stored.counts.committed], ["COMMITTED", rows]);
  const { users } = await installation.call<{ users: object[] }>("GET", "/v1/users?pageSize=1", importer);
  assert.equal(users.length, 1);

  // The name of the file is in its address, and nothing of what is in it.
  const asked = addresses.join("\n");
  assert.ok(asked.includes("/v1/imports/users:upload?filename=users.xlsx"));
  const names = await page.$$eval('#rows-body td[data-field="names"] .cell', (some) => some.map(({ textContent }) => textContent ?? ""));
  for (const secret of [importer, importer.slice(-12), "0788123457", ...names.slice(0, 5)]) {
    for (const place of [asked, await kept(page)]) assert.ok(!place.includes(secret) && !place.includes(encodeURIComponent(secret)), secret);
  }
  assertCalm(page);
  await close(page);
});

test("a small file is dropped, mended by the keyboard, and stored as a whole", async () => {
  const { importer } = await makeImporter();
  const page = await visitImports(importer);
  await drop(page, "people.csv", PEOPLE, "#past");
  assert.equal(await text(page, "upload-message"), "");
  await drop(page, "people.csv", PEOPLE);
  await ready(page);
  await says(page, "review-title", "people.csv");
  await counts(page, { total: 4, valid: 1, invalid: 1, duplicate: 2 });
  await says(page, "ignored", "Not known, and ignored: column Note (F).");
  await says(page, "plan", "Of the good rows: 1 new.");
  const head = await page.$$eval("#rows-head th", (some) => some.map(({ textContent }) => textContent));
  assert.deepEqual(head, ["Row", "Is", "Names (A)", "NID (B)", "PhoneNumber (C)", "Gender (D)", "Email (E)", "Leave out"]);
  assert.deepEqual(await numbers(page), [4]);
  await press(page, "total");
  assert.deepEqual(await numbers(page), [2, 3, 4, 5]);
  await says(page, "rows-page", "Rows 1 to 4 of 4");

  // Arrow keys go from cell to cell; one stop of the tab key is for all.
  await page.focus(`${cell(2, "names")} .cell`);
  for (const key of ["ArrowRight", "ArrowRight", "ArrowDown", "ArrowDown"] as const) await page.keyboard.press(key);
  const at = () => page.evaluate(() => [document.activeElement?.closest("tr")?.dataset["row"], document.activeElement?.closest("td")?.dataset["field"]]);
  assert.deepEqual(await at(), ["4", "phone"]);
  assert.equal(await page.$$eval('#rows [data-stop][tabindex="0"]', (some) => some.length), 1);
  // What is given up is as it was.
  await page.keyboard.press("Enter");
  await page.keyboard.type("nothing");
  await page.keyboard.press("Escape");
  assert.deepEqual(await at(), ["4", "phone"]);
  assert.equal(await page.$eval(`${cell(4, "phone")} .cell`, ({ textContent }) => textContent), "078800");
  // What is wrong still is told, and the field keeps what is written.
  await mend(page, 4, "phone", "12");
  assert.ok((await notes(page, 4, "phone")).length > 0);
  assert.deepEqual(await at(), ["4", "phone"]);
  await mend(page, 4, "phone", "0788000003");
  await counts(page, { total: 4, valid: 2, invalid: 0, duplicate: 2 });

  // Once one of two that are alike is another, the other one is good.
  assert.ok((await notes(page, 3, "nid")).some((note) => /\b5\b/.test(note)));
  await mend(page, 5, "nid", "1199080012345045");
  await counts(page, { valid: 4, duplicate: 0 });
  await page.waitForFunction((selector) => document.querySelectorAll(selector).length === 0, {}, "#rows .notes [data-is=bad]");

  // By the keyboard.
  await page.focus('tr[data-row="5"] .skip input');
  await page.keyboard.press("Space");
  await counts(page, { valid: 3, skipped: 1 });
  await says(page, "commit", "Store 3 rows");
  await page.focus("#commit");
  await page.keyboard.press("Enter");
  await says(page, "outcome", "Stored: 3 new. 1 row was left out.");
  assert.equal((await newest(importer)).counts.committed, 3);

  // Again it is all there.
  await drop(page, "again.csv", csv("Aline Uwase,1199070012345012,0788000001,F,aline@example.com,"));
  await says(page, "review-title", "again.csv");
  await ready(page);
  await says(page, "plan", "Of the good rows: 1 there already.");
  assertCalm(page);
  await close(page);
});

test("a file that is none, or is not as it must be, is told clearly", async () => {
  const { importer } = await makeImporter();
  const page = await visitImports(importer);
  await choose(page, await fileOf("notes.pdf", "%PDF-1.4"));
  await says(page, "upload-message", "notes.pdf is neither an Excel workbook (.xlsx) nor CSV (.csv). Choose such a file.");
  await choose(page, await fileOf("old.xls", "x"));
  await says(page, "upload-message", /^old\.xls is a workbook of another kind: save it as/);
  await choose(page, await fileOf("empty.csv", ""));
  await says(page, "upload-message", /^empty\.csv is empty\./);
  await choose(page, await fileOf("large.csv", new Uint8Array(20 * 1024 ** 2 + 1).fill(97)));
  await says(page, "upload-message", "large.csv is larger than 20 MiB. Split it into several files.");
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer();
    for (const name of ["a.csv", "b.csv"]) dataTransfer.items.add(new File(["x"], name));
    document.getElementById("drop")?.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
  });
  await says(page, "upload-message", "Drop one file at a time: each is an import of its own.");
  // Nothing was sent so far.
  assert.deepEqual(await installation.call("GET", "/v1/imports", importer), { imports: [], nextPageToken: "" });
  assertCalm(page);

  // What the service says: at once, or once it has looked at the file.
  const told = async () => {
    await page.waitForFunction(
      () => document.querySelector("#upload-details li, #review-errors li") ?? document.getElementById("upload-message")?.textContent,
    );
    return page.$$eval("#upload-message, #upload-details li, #review-errors li", (some) => some.map(({ textContent }) => textContent).join(" "));
  };
  await choose(page, await fileOf("broken.xlsx", "this is no workbook"));
  assert.match(await told(), /\w{4}/);
  await page.reload();
  await enter(page, importer);
  await choose(page, await fileOf("titles.csv", "Names,Gender\nAline Uwase,F\n"));
  assert.match(await told(), /nid|phone/i);
  await page.reload();
  await enter(page, importer);
  await page.type("#region", "zz");
  await choose(page, await fileOf("people.csv", PEOPLE));
  assert.match(await told(), /ISO 3166/);
  await close(page);
});

test("keys: what they lack is said, and one that may look only looks", async () => {
  const { team, importer } = await makeImporter();
  const page = await visitImports();
  const refused = async (key: string, words: string | RegExp) => {
    await page.type("#key", key);
    await page.keyboard.press("Enter");
    await says(page, "key-message", words);
    await page.$eval("#key", (field) => ((field as HTMLInputElement).value = ""));
  };
  await page.type("#key", "nothing");
  const shows = await page.$eval("input#key", (field) => [getComputedStyle(field).getPropertyValue("-webkit-text-security"), field.autocomplete]);
  assert.deepEqual(shows, ["disc", "off"]);
  await page.$eval("#key", (field) => ((field as HTMLInputElement).value = ""));
  await refused("nothing", "This does not look like a key: one begins with tap_ and a number.");
  await refused(`tap_${team.number}_a.b.c`, /^This is a token, which may not import/);
  await refused(team.reader, "This key may not import: it lacks the scopes imports:read and imports:write. Make one that has both.");
  await refused(await makeLesser(importer, "imports:write"), /it lacks the scope imports:read\./);
  assertCalm(page);
  await refused(`${importer.slice(0, -4)}AAAA`, /^This key is not valid/);

  await installation.upload(importer, "users", "people.csv", PEOPLE);
  await enter(page, await makeLesser(importer, "imports:read"));
  await says(page, "read-only", /^This key may look at imports, but not upload, mend or store: it lacks the scope imports:write\./);
  assert.equal(await page.$eval("#upload", (card) => card.hasAttribute("hidden")), true);
  await page.click("#past-list button");
  await ready(page);
  await page.click(`${cell(4, "phone")} .cell`);
  assert.equal(await page.$("#rows input"), null);
  assert.equal(await page.$eval("#commit-card", (card) => card.hasAttribute("hidden")), true);
  assert.equal((await downloaded(page, "#report-csv")).name, "people-errors.csv");
  await close(page);
});

test("the key is in memory only, and gone with the page or who signs out", async () => {
  const { team, importer } = await makeImporter();
  const page = await visitImports(importer);
  await says(page, "who", `${team.slug} · importer`);
  const secret = importer.slice(-16);
  assert.ok(!(await kept(page)).includes(secret));
  assert.ok(!(await page.evaluate(() => document.documentElement.outerHTML + [...document.querySelectorAll("input")].map(({ value }) => value).join())).includes(secret));
  assert.ok((await memory(page)).includes(secret), "it would be found");
  await page.click("#leave");
  await page.waitForSelector("#sign-in:not([hidden])");
  assert.equal(await focused(page), "key");
  assert.ok(!(await memory(page)).includes(secret));
  await enter(page, importer);
  await page.reload();
  await page.waitForSelector("#sign-in:not([hidden])");
  assert.equal(await page.$eval("#imports", (all) => all.hasAttribute("hidden")), true);
  await enter(page, importer);
  // Who goes on to the other page is asked for a key there, and here again.
  await Promise.all([page.waitForNavigation(), page.click('.tabs a[href="/"]')]);
  assert.equal(await page.$("#file"), null);
  await page.goBack();
  await page.waitForSelector("#sign-in:not([hidden])");
  assertCalm(page);
  await close(page);
});

test("several imports are listed, the newest first, to be come back to or given up", async () => {
  const { team, importer } = await makeImporter();
  const bad = '<img src=x onerror="document.title=\'bad\'">.csv';
  await installation.upload(importer, "users", "first.csv", PEOPLE);
  await installation.upload(importer, "tags", bad, "uid,label,kind\na,Counter,nfc\n");
  // Another team has its own.
  const other = await makeImporter();
  await installation.upload(other.importer, "users", "other.csv", PEOPLE);
  const page = await visitImports(importer);
  await page.waitForSelector("#past-list > li:nth-child(2)");
  const names = () => page.$$eval("#past-list .label", (some) => some.map(({ textContent }) => textContent));
  assert.deepEqual(await names(), [bad, "first.csv"]);
  await page.click("#past-list > li:nth-child(2) button");
  await ready(page);
  await says(page, "review-title", "first.csv");
  assert.equal(await focused(page), "review-title");
  await page.click("#past-list > li:nth-child(1) button");
  await says(page, "review-title", bad);
  await ready(page);
  assert.equal(await page.evaluate(() => document.querySelectorAll("main img").length), 0);

  await page.click("#cancel");
  assert.equal(await focused(page), "cancel-sure");
  await page.click("#cancel-not");
  assert.equal(await focused(page), "cancel");
  await page.click("#cancel");
  await page.click("#cancel-sure");
  await says(page, "review-state", "Given up");
  assert.equal(await focused(page), "review-title");
  await page.waitForSelector("#rows-card[hidden]");
  await page.click("#review-close");
  await page.waitForSelector("#review[hidden]");
  assertCalm(page);

  // One that is gone is told.
  await page.click("#past-list > li:last-child button");
  await ready(page);
  await installation.stopService();
  await installation.startService();
  await page.click(`${cell(4, "phone")} .cell`);
  await page.keyboard.type("0788000003");
  await page.keyboard.press("Enter");
  await says(page, "past-message", /^This import is not there any more/, 30_000);
  await page.waitForSelector("#review[hidden]");
  assert.ok(team.number);
  await close(page);
});

test("the page of the taps leads to it, and a narrow screen does not scroll sideways", async () => {
  const { team, importer } = await makeImporter();
  const long = csv(`${"M".repeat(180)},1199070012345012,${"7".repeat(60)},F,${"w".repeat(80)}@example.com,`, "Eric Mugabo,,,,,");
  await installation.upload(importer, "users", `${"w".repeat(120)}.csv`, long);
  for (const width of [360, 390, 800, 1280]) {
    const page = await visit(browser, installation.url, { width, height: 740 });
    const fits = async () => {
      const [inner, ...outer] = await page.evaluate(() => [innerWidth, document.documentElement.scrollWidth, document.body.scrollWidth]);
      assert.deepEqual(outer, [inner, inner], String(width));
    };
    await enterTaps(page, team.reader);
    await fits();
    await Promise.all([page.waitForNavigation(), page.click('.tabs a[href="/imports"]')]);
    await page.waitForSelector("#sign-in:not([hidden]) #key-help");
    await fits();
    await enter(page, importer);
    await fits();
    await page.waitForSelector("#past-list button");
    await page.click("#past-list button");
    await ready(page);
    await fits();
    await page.click(`${cell(2, "phone")} .cell`);
    await page.waitForSelector(`${cell(2, "phone")} input`);
    await fits();
    assertCalm(page);
    await close(page);
  }
});
