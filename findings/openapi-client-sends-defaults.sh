#!/usr/bin/env bash
# A default in an OpenAPI description is what the server assumes of a field that is not there. openapi-python-client puts it
# into every object that it makes and sends it: who changes one field of a customer sets the others back to their defaults.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/python -m pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
echo "openapi-python-client 0.29.1"
venv/bin/python - <<'PY'
import json
import subprocess
import sys
from pathlib import Path

customer = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "creditLimit": {"type": "number", "default": 0}},
}
body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Customer"}}}}
change = {"operationId": "change", "requestBody": body, "responses": {"204": {"description": "changed"}}}
Path("api.json").write_text(
    json.dumps(
        {
            "openapi": "3.0.3",
            "info": {"title": "API", "version": "1"},
            "paths": {"/customer": {"patch": change}},
            "components": {"schemas": {"Customer": customer}},
        }
    ),
    "utf-8",
)
tool = [sys.executable, "-m", "openapi_python_client", "generate", "--path", "api.json", "--meta", "none"]
subprocess.run([*tool, "--output-path", "made"], check=True, capture_output=True)
sys.path.insert(0, ".")
from made.api.default import change
from made.models import Customer

sent = change._get_kwargs(body=Customer(name="New name"))["json"]
read = Customer.from_dict({"name": "New name"}).to_dict()
print("set:                    name")
print(f"sent with PATCH:        {sent}")
print(f"read without, and sent: {read}")
if sent != {"name": "New name", "creditLimit": 0.0} or read != {"name": "New name"}:
    sys.exit("otherwise than found")
print("as found")
PY
