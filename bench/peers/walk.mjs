// What one would write in Node: one kept-alive connection, JSON.parse, the seen ids in a Set, and what is missing appended
// to a file that is synced after every page, together with the cursor.
//   node walk.mjs BASE SEEN_FILE QUEUE_FILE
import fs from "node:fs";
import http from "node:http";

const [base, seenFile, queueFile] = process.argv.slice(2);
const seen = new Set(fs.readFileSync(seenFile, "utf8").split("\n"));
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const queue = fs.openSync(queueFile, "w");

function fetchPage(token) {
  const url = `${base}/v3/webhooks/events?limit=100${token ? `&token=${encodeURIComponent(token)}` : ""}`;
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent, headers: { "X-Api-Key": "bench" } }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
        response.on("error", reject);
      })
      .on("error", reject);
  });
}

const result = { events: 0, missing: 0, seconds: 0 };
const begun = process.hrtime.bigint();
let token = null;
do {
  const page = await fetchPage(token);
  const lines = [];
  for (const event of page.data) {
    result.events++;
    if (!seen.has(event.event_id)) {
      seen.add(event.event_id);
      result.missing++;
      lines.push(JSON.stringify(event));
    }
  }
  token = page.next_token;
  lines.push(JSON.stringify({ cursor: token }));
  fs.writeSync(queue, lines.join("\n") + "\n");
  fs.fdatasyncSync(queue);
} while (token);
result.seconds = Number(process.hrtime.bigint() - begun) / 1e9;
agent.destroy();
console.log(JSON.stringify(result));
