#!/usr/bin/env bash
# zensical reads mkdocs.yml, and builds a site without the pages that its hooks would make: no error, no warning, exit code 0.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check zensical==0.0.73 mkdocs==1.6.1
echo "zensical 0.0.73, mkdocs 1.6.1"
mkdir docs
echo "# Home" >docs/index.md
cat >mkdocs.yml <<'YAML'
site_name: Example
hooks: [hooks.py]
YAML
cat >hooks.py <<'PY'
from mkdocs.structure.files import File


def on_files(files, config):
    files.append(File.generated(config, "made.md", content="# Made by a hook"))
    return files
PY
NO_MKDOCS_2_WARNING=1 venv/bin/mkdocs build --quiet --strict --site-dir by-mkdocs
venv/bin/zensical build >zensical.log 2>&1 && ended=0 || ended=$?
echo "mkdocs:   $(cd by-mkdocs && ls -d index.html made 2>/dev/null | tr '\n' ' ')"
echo "zensical: $(cd site && ls -d index.html made 2>/dev/null | tr '\n' ' '), exit code $ended, warnings: $(grep -ci -e warn -e hook zensical.log || true)"
if [ "$ended" != 0 ] || [ ! -e by-mkdocs/made ] || [ -e site/made ] || grep -qi -e warn -e hook zensical.log; then
	echo "otherwise than found"
	exit 1
fi
echo "as found"
