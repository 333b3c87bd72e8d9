#!/usr/bin/python3
"""Stand-in for Mailpit: takes all mail on port 1025, shows it on port 8025 in the parts of Mailpit's API that are asked.

    mailpit            the server
    mailpit readyz     exit code 0 if the server answers
"""

import email.policy
import json
import sys
import urllib.request
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAILS = []


class Sink:
    """What arrives is kept in memory, with Mailpit's names for its parts."""

    async def handle_DATA(self, server, session, envelope):
        mail = BytesParser(policy=email.policy.default).parsebytes(envelope.content)
        bodies = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
        MAILS.append(
            {
                "ID": str(len(MAILS)),
                "MessageID": (mail["message-id"] or "").strip("<>"),
                "Subject": mail["subject"],
                "To": [{"Name": "", "Address": address} for address in envelope.rcpt_tos],
                "Text": bodies["plain"].get_content() if bodies["plain"] else "",
                "HTML": bodies["html"].get_content() if bodies["html"] else "",
            }
        )
        return "250 kept"


class Api(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/readyz":
            self.answer("ok")
        elif self.path == "/api/v1/messages":
            parts = ("ID", "MessageID", "Subject", "To")
            self.answer({"total": len(MAILS), "messages": [{part: mail[part] for part in parts} for mail in MAILS[::-1]]})
        elif found := [mail for mail in MAILS if self.path == f"/api/v1/message/{mail['ID']}"]:
            self.answer(found[0])
        else:
            self.send_error(404)

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def main():
    if sys.argv[1:] == ["readyz"]:
        urllib.request.urlopen("http://127.0.0.1:8025/readyz", timeout=3)
        return
    from aiosmtpd.controller import Controller

    Controller(Sink(), hostname="0.0.0.0", port=1025).start()
    ThreadingHTTPServer(("0.0.0.0", 8025), Api).serve_forever()


main()
