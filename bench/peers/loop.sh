#!/usr/bin/env bash
# What one would write in a shell: curl and jq for every page, then comm against the sorted ids that were seen.
#   loop.sh BASE SEEN_FILE DIRECTORY PAGES      (at most so many pages)
set -euo pipefail
export LC_ALL=C
base=$1 seen=$2 dir=$3 pages=$4
token='' events=0
sort -o "$dir/seen" "$seen"
: >"$dir/listed"
begun=$(date +%s.%N)
for ((n = 0; n < pages; n++)); do
	curl -sS -H 'X-Api-Key: bench' "$base/v3/webhooks/events?limit=100${token:+&token=$token}" >"$dir/page"
	jq -r '.data[].event_id' "$dir/page" >>"$dir/listed"
	token=$(jq -r '.next_token // empty' "$dir/page")
	printf '%s\n' "$token" >"$dir/cursor"
	sync -d "$dir/cursor"
	[[ -n $token ]] || break
done
sort "$dir/listed" | comm -23 - "$dir/seen" >"$dir/missing"
sync -d "$dir/missing"
ended=$(date +%s.%N)
jq -n --argjson events "$(wc -l <"$dir/listed")" --argjson missing "$(wc -l <"$dir/missing")" \
	--argjson seconds "$(jq -n "$ended - $begun")" '{events: $events, missing: $missing, seconds: $seconds}'
