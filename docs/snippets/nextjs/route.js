import { after } from "next/server";

export async function POST(request) {
  const body = await request.text();
  await handle(request.headers, body); // yours: checks the signature, does the work, throws if it cannot
  const id = request.headers.get("Heygen-Event-Id");
  after(() => fetch("http://127.0.0.1:8710/v1/seen", { // once the answer has left
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: id ? JSON.stringify({ event_id: id }) : body,
    signal: AbortSignal.timeout(2000),
  }).catch(() => {})); // a report that fails costs one replay
  return new Response(null, { status: 204 });
}
