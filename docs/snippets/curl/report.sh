# push.json is the push as it came; $id its Heygen-Event-Id, empty where it had none
report=@push.json
[ -z "$id" ] || report="{\"event_id\":\"$id\"}"
curl -sS -m 2 http://127.0.0.1:8710/v1/seen -H 'Content-Type: application/json' --data-binary "$report" || true
# {"recorded":1}: it is on disk
