# push.json is the push as it came; $id, $signature, $legacy and $timestamp its headers, empty where it had none
curl -fsS -m 2 http://127.0.0.1:8710/v1/mirror --data-binary @push.json -H 'Content-Type: application/json' -H "Signature: $legacy" \
  -H "Heygen-Event-Id: $id" -H "Heygen-Signature: $signature" -H "Heygen-Timestamp: $timestamp" || true
