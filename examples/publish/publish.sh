#!/bin/sh
# Publish an event from a shell, with the command line. ./publish.sh [TEXT]
exec ssecast publish greeting --text "${1:-hello}"
