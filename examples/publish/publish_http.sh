#!/bin/sh
# Publish an event over HTTP, with curl:
# SSECAST_URL=https://example.org/sse SSECAST_TOKEN_FILE=token.jwt ./publish_http.sh [JSON]
#
# The token goes in by standard input, so that `ps` shows it to nobody. The event has an id: however
# often curl tries, it is published once.
id=$(cat /proc/sys/kernel/random/uuid)
printf 'Authorization: Bearer %s\n' "$(sed 's/[[:space:]]*$//;q' "${SSECAST_TOKEN_FILE:?}")" |
    exec curl --silent --show-error --fail-with-body --max-time 10 --retry 5 \
        --retry-connrefused --header @- \
        --header 'Content-Type: application/json' \
        --data '{"event":"greeting","id":"'"$id"'","data":'"${1:-'"hello"'}"'}' \
        "${SSECAST_URL:?}/publish"
