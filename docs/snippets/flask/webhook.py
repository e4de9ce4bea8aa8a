import http.client, json, threading
from contextlib import suppress

def report_seen(event_id, body):
    with suppress(Exception):  # a report that fails costs one replay
        backstop = http.client.HTTPConnection("127.0.0.1", 8710, timeout=2)
        backstop.request("POST", "/v1/seen", json.dumps({"event_id": event_id}) if event_id else body)
        backstop.getresponse()

@app.post("/webhooks/heygen")
def webhook():
    handle(request.headers, request.get_data())  # yours: checks the signature, does the work, raises if it cannot
    threading.Thread(target=report_seen, args=(request.headers.get("Heygen-Event-Id"), request.get_data())).start()
    return "", 204
