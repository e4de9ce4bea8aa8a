import http.client, json
from contextlib import suppress

def report_seen(event_id, body):
    with suppress(Exception):  # a report that fails costs one replay
        backstop = http.client.HTTPConnection("127.0.0.1", 8710, timeout=2)
        report = json.dumps({"event_id": event_id}) if event_id else body
        backstop.request("POST", "/v1/seen", report, {"Content-Type": "application/json"})
        backstop.getresponse()

@app.post("/webhooks/heygen")
async def webhook(request: Request, tasks: BackgroundTasks):
    await handle(request.headers, await request.body())  # yours: checks the signature, does the work, raises if it cannot
    tasks.add_task(report_seen, request.headers.get("Heygen-Event-Id"), await request.body())  # once the answer has left
