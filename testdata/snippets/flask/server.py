"""A receiver around a snippet for Flask."""
import hashlib
import hmac
import os

from flask import Flask, request

app = Flask(__name__)


def handle(headers, body):
    want = hmac.new(os.environ["SECRET"].encode(), body, hashlib.sha256).hexdigest()
    if want != headers.get("Heygen-Signature", headers.get("Signature")):
        raise ValueError("not signed")


exec(open(os.environ["SNIPPET"]).read())
app.run("127.0.0.1", int(os.environ["PORT"]))
