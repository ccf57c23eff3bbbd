// Sends what comes by standard input, an event as JSON a line, and prints the id of each:
//
//     echo '{"session": "...", "category": "shop", "name": "order_placed", "data": {"total": 12.5}}' |
//       TAP_URL=http://localhost:3000 TAP_API_KEY=... npx tsx example.ts
import { createInterface } from "node:readline";
import { type Event, Events } from "./events";

function onProblem(problem: string, dropped?: unknown): void {
  console.error(dropped ? `dropped: ${JSON.stringify(dropped)}` : "again soon:", problem);
}

async function main(url = "", key = ""): Promise<void> {
  const events = new Events(url, key, { onProblem });
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(await events.send(JSON.parse(line) as Event));
  }
  const patience = new Promise<boolean>((over) => setTimeout(over, 60_000, false));
  const answered = await Promise.race([events.close().then(() => true), patience]);
  console.error(JSON.stringify(events.stats));
  process.exit(answered ? 0 : 1);
}

void main(process.env["TAP_URL"], process.env["TAP_API_KEY"]);
