"""A server that the real connector takes for Snowflake, for what the emulator does not do.

It tells names apart by case, and refuses statements with Snowflake's own messages of two lines.
"""

import gzip
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TWO_LINES = "SQL compilation error:\nObject 'DB.PUBLIC.USERS' does not exist or not authorized."


@dataclass
class SnowflakeServer:
    """Keeps logins and statements, and answers each statement by its beginning, with rows."""

    port: int = 0
    answers: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = field(default_factory=dict)
    logins: list[Mapping[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def settings(self) -> dict[str, object]:
        """Return the settings that lead to it."""
        return {
            "snowflake_host": "127.0.0.1",
            "snowflake_port": self.port,
            "snowflake_protocol": "http",
        }

    def answer(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return an answer as Snowflake would give it."""
        if "login-request" in path:
            self.logins.append(body["data"])
            names = dict.fromkeys(("databaseName", "schemaName", "warehouseName", "roleName"))
            data = {"token": "t", "masterToken": "m", "parameters": [], "sessionInfo": names}
            return {"success": True, "code": None, "message": None, "data": data}
        if "query-request" not in path:
            return {"success": True, "code": None, "message": None, "data": {}}
        statement = body["sqlText"]
        self.asked.append(statement)
        for begin, (columns, rows) in self.answers.items():
            if statement.startswith(begin):
                return {
                    "success": True,
                    "code": None,
                    "message": None,
                    "data": _rows(columns, rows),
                }
        data = {"queryId": "01b2", "sqlState": "02000", "errorCode": "002003"}
        return {"success": False, "code": "002003", "message": TWO_LINES, "data": data}


def _rows(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    kinds = {"type": "text", "nullable": True, "length": 100, "scale": None, "precision": None}
    return {
        "queryId": "01b2",
        "queryResultFormat": "json",
        "parameters": [],
        "rowtype": [{"name": name, **kinds} for name in columns],
        "rowset": rows,
        "total": len(rows),
        "returned": len(rows),
    }


@contextmanager
def snowflake_server() -> Iterator[SnowflakeServer]:
    """Run one on a free port of this machine."""
    server = SnowflakeServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            text = json.dumps(server.answer(self.path, json.loads(body or b"{}"))).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
