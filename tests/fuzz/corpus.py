"""Inputs to begin with: what each reader should get, and what broke readers of such things elsewhere."""

from __future__ import annotations

import json
from functools import cache
from typing import Final

from vismanet_async._simulator.json_text import encode
from vismanet_async.simulator import Simulator

__all__ = ["HOSTILE", "corpus"]

_DEEP: Final = 20_000

HOSTILE: Final[tuple[bytes, ...]] = (
    b"", b" ", b"null", b'""', b"[]", b"{}", b"0", b"true", b'"x"', b"[null]", b"[[]]", b"[1]", b"[{}]", b'{"a":',
    b"\xef\xbb\xbf[]", b"\xef\xbb\xbf{}", b"\xff\xfe[\x00]\x00", b"<html><body>502 Bad Gateway</body></html>",
    b"[" * _DEEP, b'{"a":' * _DEEP, b"[" * _DEEP + b"]" * _DEEP, b'[{"a":' * 10_000 + b"1" + b"}]" * 10_000,
    b"1" * 5_000, b'{"internalId":' + b"9" * 5_000 + b"}", b'{"creditLimit":1e999999999}', b'{"internalId":1e999999999}',
    b'{"creditLimit":-0.0}', b'{"creditLimit":1E400}', b'{"creditLimit":NaN}', b'{"creditLimit":Infinity}',
    b'{"internalId":1.5}', b'{"creditLimit":1e-' + b"9" * 99 + b"}", b"1e" + b"9" * 99, b"1e-" + b"9" * 99, b'{"expires_in":1e400,"access_token":"x"}', b'{"expires_in":' + b"9" * 400 + b',"access_token":"x"}',
    b'{"name":"\\ud800"}', b'{"name":"\\u0000"}', b'{"name":"\xff"}', b'{"name":"a","name":"b"}', b'{"NAME":1}',
    b'{"metadata":{"totalCount":-1,"maxPageSize":0}}', b'[{"metadata":{"totalCount":1e30}}]',
    b'{"pageNumber":1,"records":null,"totalCount":"x"}', b'{"value":[],"totalCount":null,"nextPage":7}',
    b'{"status":"Finished","statusCode":1e400}', b'{"status":"Finished","statusCode":true,"responseHeaders":[]}',
    b'{"status":"Finished","receivedUtc":"9999-12-31T23:59:59+23:59","finishedUtc":"0001-01-01T00:00:00-23:59"}',
    b'{"status":1}', b'{"id":"../../x","stateLocation":"https://x/%2e%2e/y"}', b'{"id":"\xc2\xa0"}',
    b"inf|inf|inf|inf|", b"nan|nan|nan|nan|", b"1e400|1e400|1e400|1e400|", b"-1|-1|-1|-1|", b"9" * 5_000 + b"|1|1|1|",
    b"1|2|3|Mon, 01 Jan 99999999999999999999 00:00:00 GMT|", b"|||Fri, 31 Dec 9999 23:59:59 -2359|",
    b"|||Mon, 01 Jan 2026 00:00:00 +99999999999|", b"60|9|0|Thu, 15 Jan 2026 08:00:05 GMT|6-fixed-window",
    b"1 000|\xd9\xa3|\xc2\xb2|\xe2\x91\xa0|x",
    b"attachment; filename=../../etc/passwd||x", b"attachment; filename*=UTF-8''%2e%2e%2fx|application/json|\"QUJD\"",
    b"attachment; filename*=utf-99''%ff|text/plain|QUJD", b"attachment; filename*0=a; filename*1=b|x|QUJ", b"a;b;c=;=||",
    b"attachment; filename*=''|;|", b"attachment; filename=\"\\\"\"|application/json|\"", b"a; filename=con.txt||",
    b'attachment; filename="' + b"a" * 5_000 + b'"||', b"a; filename*=UTF-8''" + b"%25" * 2_000 + b"||",
    b"attachment; filename=\"=?utf-8?b?Li4vLi4v?=\"||",
    b"https://example.org/v1/customer/10001|W/\"x\"", b"//[::1|", b"http://[bad|", b"/v1/customer/%|\"", b"https://x:99999/v1/customer/1|",
    b"[default]\ntoken = 1\n", b"[default]\n", b"default = 1\n", b"\x00", b"[default]\ntime_zone = 'No/Where'\n",
    b"[default]\ntime_zone = '../../etc/passwd'\n", b"[default]\ntime_zone = 'Europe'\n", b"[default]\ntime_zone = '\\u0000'\n",
    b"a=" + b"[" * 10_000, b"[default]\nbase_url = 'http://[bad'\n", b"[" + b"a." * 10_000 + b"a]\n",
    b'{"resources":{},"tool":"x","started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:00Z"}',
    b'{"resources":{},"tool":"x","started_at":"2026-01-01T00:00:00Z","finished_at":"2026-01-01T00:00:00Z","schema_version":99}',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|1x|', b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00"}|1|',
    b'{"fingerprint":"f","begun_at":"0001-01-01T00:00:00+23:00"}|1|',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|2|{"question":["q",0],"file":"..","start":0,"end":2,"sha256":"x"}\n',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|2|{"question":["q",0],"file":"","start":0,"end":2,"sha256":"x"}\n',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|2|{"question":["q",0],"file":"/dev/zero","start":0,"end":9999999999,"sha256":"x"}\n',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|2|{"question":["q",0],"file":"a\\u0000b","start":0,"end":2,"sha256":"x"}\n',
    b'{"fingerprint":"f","begun_at":"2026-01-15T07:00:00Z"}|2|{"question":["q",0],"file":"answers.json","start":-9,"end":2,'
    b'"sha256":"4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"}\n',
)  # fmt: skip


@cache
def corpus() -> tuple[bytes, ...]:
    """Return the hostile inputs and some that are right, made by the simulator."""
    world = Simulator(rows={"customer": 4, "customer_invoice": 4}).company().world
    good: list[bytes] = []
    for name in ("customer", "customerinvoice"):
        table = world.table(name)
        rows = [table.row(row) | {"metadata": {"totalCount": 4, "maxPageSize": 2}} for row in table.order]
        good += [encode(rows[0]), encode(rows[:2]), encode(rows[:2]) + b"\x00" + encode(rows[2:])]
        good.append(encode({"pageNumber": 1, "pageSize": 2, "totalCount": 4, "records": rows[:2]}))
    good += [
        json.dumps(one).encode()
        for one in (
            {"id": "73ac0029-1e4f-4adc-a7eb-318cd25ba4bf", "status": "Finished", "statusCode": 400,
             "receivedUtc": "2022-11-10T10:20:53.75+01:00", "finishedUtc": "2022-11-10T10:20:55.788+01:00"},
            {"access_token": "x" * 40, "expires_in": 3600, "token_type": "Bearer"},
            {"message": "VismaId: 6c6eb585-da38-4765-b80d-e9552a8721f8. Error creating payment."},
            {"ExceptionType": "IPPException", "ExceptionMessage": "No license", "ExceptionFaultCode": "12027"},
            {"actionId": "x", "actionResult": "Failed", "errorInfo": "on hold"},
            {"vismanet_job": 1, "id": "x", "company": "c"},
        )
    ]  # fmt: skip
    return (*HOSTILE, *good)
