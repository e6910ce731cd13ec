"""DICOMweb servers that do not page as PS3.18 says."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from intake_kit import RULE, make_site, take


class _Handler(BaseHTTPRequestHandler):
    """Two studies without objects, whatever the offset."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        found = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(2)]
        body = json.dumps([] if "metadata" in self.path else found).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_that_does_not_heed_the_offset_is_asked_twice_and_not_for_ever(tmp_path, bundles):
    _Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        take(make_site(tmp_path / "site", bundles, f'{RULE}\n[intake.dicomweb]\nurl = "{url}"\n'))
        server.shutdown()
    searches = [path for path in _Handler.asked if "metadata" not in path]
    assert len(searches) == 2
    assert len(_Handler.asked) == 4
