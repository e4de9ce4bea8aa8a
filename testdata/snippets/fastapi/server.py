"""A receiver around a snippet for FastAPI."""
import hashlib
import hmac
import os

import uvicorn
from fastapi import BackgroundTasks, FastAPI, Request

app = FastAPI()


async def handle(headers, body):
    want = hmac.new(os.environ["SECRET"].encode(), body, hashlib.sha256).hexdigest()
    if want != headers.get("Heygen-Signature", headers.get("Signature")):
        raise ValueError("not signed")


exec(open(os.environ["SNIPPET"]).read())
uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
