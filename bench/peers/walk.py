"""What one would write in Python: http.client, json, and sqlite3 with one commit for every page.

python3 walk.py BASE SEEN_FILE DATABASE
"""
import http.client
import json
import sqlite3
import sys
import time
import urllib.parse

base, seen_file, database = sys.argv[1:4]
db = sqlite3.connect(database, isolation_level=None)
db.execute("PRAGMA journal_mode=WAL")
db.execute("PRAGMA synchronous=FULL")
db.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
db.execute("CREATE TABLE missed (id TEXT PRIMARY KEY, event TEXT) WITHOUT ROWID")
db.execute("CREATE TABLE cursor (only INTEGER PRIMARY KEY, token TEXT)")
with open(seen_file) as lines:
    ids = sorted(line.strip() for line in lines)
db.execute("BEGIN")
db.executemany("INSERT INTO seen VALUES (?)", ((one,) for one in ids))
db.execute("COMMIT")
del ids

address = urllib.parse.urlparse(base)
connection = http.client.HTTPConnection(address.hostname, address.port)


def fetch(token):
    query = {"limit": 100} | ({"token": token} if token else {})
    connection.request("GET", "/v3/webhooks/events?" + urllib.parse.urlencode(query), headers={"X-Api-Key": "bench"})
    return json.loads(connection.getresponse().read())


events = missing = 0
token = None
begun = time.perf_counter()
while True:
    page = fetch(token)
    db.execute("BEGIN")
    for event in page["data"]:
        events += 1
        if db.execute("INSERT OR IGNORE INTO seen VALUES (?)", (event["event_id"],)).rowcount:
            missing += 1
            db.execute("INSERT OR IGNORE INTO missed VALUES (?, ?)", (event["event_id"], json.dumps(event)))
    token = page["next_token"]
    db.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (token,))
    db.execute("COMMIT")
    if not token:
        break
print(json.dumps({"events": events, "missing": missing, "seconds": time.perf_counter() - begun}))
