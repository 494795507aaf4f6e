#!/usr/bin/env bash
# Locks what scripts/regen.sh installs: openapi/requirements.in becomes openapi/requirements.txt, with hashes.
#
#   scripts/relock.sh UV              what is locked stays, unless requirements.in asks for another version
#   scripts/relock.sh UV --upgrade    the newest versions that requirements.in allows
#
# UV is the uv to use.
set -euo pipefail
uv=$(realpath "$1")
shift
cd "$(dirname "${BASH_SOURCE[0]}")/../openapi"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp requirements.txt "$work/locked.txt" # uv takes the versions from what it is about to write over

"$uv" pip compile requirements.in --quiet --output-file "$work/locked.txt" --generate-hashes \
  --universal --python-version 3.11 --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links "$@"

{
  echo "# Written by \`make relock\`: what requirements.in asks for, and all that lies under it, each with the hashes of"
  echo "# its files on PyPI, for every platform and for Python 3.11 and newer."
  cat "$work/locked.txt"
} >"$work/new.txt"
cat "$work/new.txt" >requirements.txt
