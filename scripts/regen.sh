#!/usr/bin/env bash
# Compiles the contract, openapi/requence.yaml, into the package generated/requence_api and the page docs/protocol.md.
#
#   scripts/regen.sh            write both
#   scripts/regen.sh --check    compare them with what the contract says; 1 if they differ
#
# Environment: PYTHON (default python3, at least 3.11), REGEN_VENV (where the tools live), REGEN_TOOLS (another folder
# with requirements.txt, generator.yaml and templates), REQUENCE_SPEC (another contract), REQUENCE_GENERATED (another
# folder to hold the package), REQUENCE_PAGE (another page; by default docs/protocol.md beside that folder).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=requence_api
python=${PYTHON:-python3}
venv=${REGEN_VENV:-$root/.regen-venv}
tools=${REGEN_TOOLS:-$root/openapi}
spec=${REQUENCE_SPEC:-$root/openapi/requence.yaml}
generated=${REQUENCE_GENERATED:-$root/generated}
page=${REQUENCE_PAGE:-$(dirname "$generated")/docs/protocol.md}
target=$generated/$name

die() {
  echo "regen: $*" >&2
  exit 1
}

check=
case "${1:-}" in
  "") ;;
  --check) check=1 ;;
  *)
    echo "usage: scripts/regen.sh [--check]" >&2
    exit 2
    ;;
esac

[ -f "$spec" ] || die "there is no contract at $spec"

# --- the tools, in an environment of their own -----------------------------------------------------------------------

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  die "$python is not a Python of version 3.11 or later; name one with PYTHON=…"

mkdir -p "$venv"
venv=$(cd "$venv" && pwd)

# The stamp is written last: an environment whose installation was cut short has none and is built again.
stamp=$venv/.installed
wanted=$(cat "$tools/requirements.txt")
install_tools() {
  if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  rm -f "$stamp"
  "$python" -m venv --clear "$venv" || die "cannot make an environment in $venv"
  local log=$work/pip.log
  # Wheels only: what is built from source needs build tools, and those would come without hashes.
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --require-hashes --no-deps --only-binary :all: -r "$tools/requirements.txt" >"$log" 2>&1 || {
    cat "$log" >&2
    die "cannot install $tools/requirements.txt into $venv"
  }
  printf '%s\n' "$wanted" >"$stamp"
}

# --- what is taken away again, whatever happens ----------------------------------------------------------------------

work=$(mktemp -d)
beside= # the new package on the target's own file system, so that moving it is one step
restore=

clean_up() {
  # Between the two moves below the package is away; an interruption there brings the old one back.
  if [ -n "$restore" ] && [ ! -e "$target" ]; then mv "$restore" "$target"; fi
  rm -rf "$work" ${beside:+"$beside"}
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- compile ---------------------------------------------------------------------------------------------------------

# Two runs at once must not build the same environment. Where flock is missing (macOS), one at a time it is.
if command -v flock >/dev/null; then
  exec 9<"$venv"
  flock 9
  install_tools
  exec 9>&-
else
  install_tools
fi

"$venv/bin/python" "$root/scripts/check_templates.py" "$tools/templates" ||
  die "a template in $tools/templates does not fit the generator; $target is unchanged"

fresh=$work/$name
PATH="$venv/bin:$PATH" REGEN_SCRIPTS="$root/scripts" PYTHONUTF8=1 "$venv/bin/python" -m openapi_python_client generate \
  --path "$spec" --config "$tools/generator.yaml" --custom-template-path "$tools/templates" \
  --meta none --fail-on-warning --output-path "$fresh" >"$work/generator.log" 2>&1 || {
  cat "$work/generator.log" >&2
  die "the generator does not take $spec as it is (see above); $target is unchanged"
}

# The contract travels with the package, as JSON, so that nobody needs a YAML parser to read it at run time.
PYTHONUTF8=1 "$venv/bin/python" - "$spec" "$fresh/openapi.json" <<'PYTHON' || die "cannot write $spec as JSON"
import json
import sys
from pathlib import Path

from ruamel.yaml import YAML

source, target = map(Path, sys.argv[1:])
document = YAML(typ="safe", pure=True).load(source.read_text(encoding="utf-8"))
text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
target.write_text(text + "\n", encoding="utf-8", newline="\n")
PYTHON

# --- compare, or put in place ----------------------------------------------------------------------------------------

same() {
  diff -r -u -N -x __pycache__ "$target" "$fresh"
}

# The page is made of the package's own copy of the contract. Whether it can be made is seen before anything is written.
show() {
  PYTHONUTF8=1 "$venv/bin/python" -B "$root/scripts/protocol_page.py" "$@"
}
show "$fresh/openapi.json" "$work/protocol.md" >/dev/null ||
  die "there can be no protocol page for $spec as it is (see above); $target is unchanged"

if [ -n "$check" ]; then
  wrong=0
  same || {
    echo "regen: $target is not what $spec says (- is there, + should be). Run: make regen" >&2
    wrong=1
  }
  show "$fresh/openapi.json" "$page" --check || wrong=1
  exit $wrong
fi

if [ -d "$target" ] && same >/dev/null; then
  echo "regen: $target is up to date"
else
  mkdir -p "$generated"
  beside=$(mktemp -d "$generated/.regen.XXXXXX")
  mv "$fresh" "$beside/new"
  if [ -e "$target" ]; then
    restore=$beside/old
    mv "$target" "$restore"
  fi
  mv "$beside/new" "$target"
  echo "regen: wrote $target"
fi
show "$target/openapi.json" "$page"
