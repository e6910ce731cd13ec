"""FHIR Bulk Data Access 2.0.0 as the specification has it; it refuses what a client must not do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

TOKEN = "open sesame"
IG = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
KNOWN = {"_type", "_since", "_typeFilter"}


class BulkServer(ThreadingHTTPServer):
    """One export at a time. resources: what there is now; deleted: `Type/id` that is not any more.

    busy: answers 202 so often before an export is complete; requires_token: what the manifest says; log: all requests.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.resources: list[dict] = []
        self.deleted: list[str] = []
        self.busy = 1
        self.requires_token = True
        self.transaction_time = "2026-01-02T12:00:00.123456Z"
        self.log: list[tuple[str, str, bool]] = []
        self.answers: dict[str, list[tuple[int, dict, bytes]]] = {}
        self.exports: dict[str, tuple[dict, dict[str, bytes]]] = {}
        self.says_counts = True
        self.files_at = ""
        group = {"type": "Group", "operation": [{"name": "export", "definition": f"{IG}/group-export"}]}
        whole = [{"name": "export", "definition": f"{IG}/export"}]
        self.capabilities = {
            "resourceType": "CapabilityStatement",
            "rest": [{"mode": "server", "operation": whole, "resource": [group]}],
        }
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def root(self) -> str:
        """Without the base's path."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def url(self) -> str:
        """The base."""
        return f"{self.root}/fhir"

    def start(self, request: str, query: dict[str, list[str]]) -> str:
        """An export of what there is now; its name."""
        since = query.get("_since", [""])[0]
        found = [each for each in self.resources if since[:19] < each.get("meta", {}).get("lastUpdated", "9")]
        types = query["_type"][0].split(",")
        files = {
            kind: [each for each in found if each["resourceType"] == kind]
            for kind in sorted(types)  # not in the order that would help a client
        }
        name = f"export{len(self.exports)}"
        manifest, contents = self._manifest(name, request, {k: v for k, v in files.items() if v})
        if since and self.deleted:
            gone = [{"request": {"method": "DELETE", "url": each}} for each in self.deleted]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": gone}
            manifest["deleted"] = [{"type": "Bundle", "url": f"{self._place(name)}/deleted"}]
            contents["deleted"] = json.dumps(bundle).encode()
        self.exports[name] = manifest, contents
        return name

    def _place(self, name: str) -> str:
        return f"{self.files_at or self.root}/files/{name}"

    def _manifest(
        self, name: str, request: str, files: dict[str, list[dict]]
    ) -> tuple[dict, dict[str, bytes]]:
        output = [
            {"type": kind, "url": f"{self._place(name)}/{kind}"}
            | ({"count": len(found)} if self.says_counts else {})
            for kind, found in files.items()
        ]
        manifest = {
            "transactionTime": self.transaction_time,
            "request": request,
            "requiresAccessToken": self.requires_token,
            "output": output,
            "error": [],
        }
        contents = {kind: "\n".join(map(json.dumps, found)).encode() for kind, found in files.items()}
        return manifest, contents


class _Handler(BaseHTTPRequestHandler):
    server: BulkServer

    def do_GET(self) -> None:
        self._answer("GET")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        address = urlparse(self.path)
        token = self.headers["Authorization"] is not None
        self.server.log.append((method, self.path, token))
        kind = "kick-off" if address.path.endswith("/$export") else address.path.split("/")[1]
        if set_up := self.server.answers.get(kind):
            self._send(*set_up.pop(0))
        elif kind == "files":
            self._file(address.path)
        elif address.path == "/fhir/metadata":
            self._send(200, {}, json.dumps(self.server.capabilities).encode())
        elif self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._refuse(403, "forbidden")
        elif kind == "kick-off":
            self._kick_off(address)
        elif kind == "status":
            self._status(method, address.path.rpartition("/")[2])
        else:
            self._read(address.path)

    def _kick_off(self, address) -> None:
        query = parse_qs(address.query)
        if self.headers["Accept"] != "application/fhir+json" or self.headers["Prefer"] != "respond-async":
            self._refuse(400, "required")
        elif set(query) - KNOWN:
            self._refuse(400, "not-supported")
        else:
            name = self.server.start(self.path, query)
            self._send(202, {"Content-Location": f"{self.server.root}/status/{name}"}, b"")

    def _status(self, method: str, name: str) -> None:
        if name not in self.server.exports:
            self._refuse(404, "not-found")
        elif method == "DELETE":
            del self.server.exports[name]
            self._send(202, {}, b"")
        elif self.server.busy:
            self.server.busy -= 1
            self._send(202, {"Retry-After": "1", "X-Progress": "half of Doe^Jane"}, b"")
        else:
            body = json.dumps(self.server.exports[name][0]).encode()
            self._send(200, {"Content-Type": "application/json"}, body)

    def _file(self, path: str) -> None:
        _, _, name, kind = path.split("/")
        if (self.headers["Authorization"] is not None) != self.server.requires_token:
            self._refuse(400, "security")
        elif name not in self.server.exports:
            self._refuse(404, "not-found")
        else:
            self._send(200, {"Content-Type": "application/fhir+ndjson"}, self.server.exports[name][1][kind])

    def _read(self, path: str) -> None:
        reference = path.removeprefix("/fhir/")
        for each in self.server.resources:
            if f"{each['resourceType']}/{each['id']}" == reference:
                return self._send(200, {}, json.dumps(each).encode())
        return self._refuse(404, "not-found")

    def _refuse(self, code: int, issue: str) -> None:
        self._send(code, {"Content-Type": "application/fhir+json"}, outcome(issue))

    def _send(self, code: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(code)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def outcome(issue: str, severity: str = "error") -> bytes:
    """An OperationOutcome that quotes what it should not."""
    found = {"severity": severity, "code": issue, "diagnostics": "of Doe^Jane, ACC00000"}
    return json.dumps({"resourceType": "OperationOutcome", "issue": [found]}).encode()
