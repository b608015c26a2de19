#!/usr/bin/env bash
# pip lock writes the project itself into pylock.toml, as an editable folder. A lock file turns hash mode on for the whole
# command, and a folder has no hash: pip refuses the file that it just wrote.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check pip==26.3 hatchling==1.33.0
echo "pip 26.3"
mkdir project && cd project
cat >pyproject.toml <<'TOML'
[build-system]
requires = ["hatchling==1.33.0"]
build-backend = "hatchling.build"

[project]
name = "mine"
version = "1.0"
dependencies = ["idna==3.11"]
TOML
touch mine.py
../venv/bin/python -m pip lock --quiet --editable .
if ../venv/bin/python -m pip install --dry-run --requirement pylock.toml >install.log 2>&1; then
	echo "otherwise than found: pip installs what it locked"
	exit 1
fi
grep -A 4 'name = "mine"' pylock.toml
grep -o "cannot be installed when requiring hashes, because there is no single file to hash" install.log
echo "as found"
