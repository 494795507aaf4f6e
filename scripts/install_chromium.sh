#!/usr/bin/env bash
# Installs Chromium, in which the local server's pages are tested, from the packages of Debian or Ubuntu.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then exit 0; fi
done
if ! command -v apt-get >/dev/null; then
  echo "Chromium is missing, and there is no apt-get to install it with: install it by hand" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qq --yes --no-install-recommends chromium fonts-dejavu-core >/dev/null
