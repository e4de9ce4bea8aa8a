#!/bin/sh
# A receiver around a snippet for the shell, as a CGI program.
set -eu
cd "$(mktemp -d "$WORK/XXXXXX")"
cat >push.json
want=$(openssl dgst -sha256 -hmac "$SECRET" <push.json)
if [ "${want##* }" != "${HTTP_HEYGEN_SIGNATURE:-${HTTP_SIGNATURE:-}}" ]; then
	printf 'Status: 500\n\n'
	exit
fi
printf 'Status: 204\n\n'
id=${HTTP_HEYGEN_EVENT_ID:-}
(. "$SNIPPET") </dev/null >/dev/null 2>&1 & # the answer does not wait for it
