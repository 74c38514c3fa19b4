"""Three mail servers on loopback: TLS from the start, STARTTLS, and neither. Says its ports, then what comes, a JSON line each.

Their certificate is good for localhost; its authority's is left in the folder that is named, as is that of another one. They know one account, and one
who has no mailbox.
"""

import email
import json
import logging
import os
import socket
import ssl
import sys
import time
import warnings

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult


class Postbox:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content)
        user = session.auth_data.login.decode() if session.authenticated else None
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "headers": dict(letter.items()),
                          "body": letter.get_payload(), "user": user, "tls": server.transport.get_extra_info("ssl_object") is not None}),
              flush=True)
        return "250 OK"


def known(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"millrace", b"open-sesame")
    return AuthResult(success=right, handled=False, auth_data=data)


class Encrypted(Controller):
    """Encrypted from its first byte on, so that AUTH needs no STARTTLS."""

    def factory(self):
        return SMTP(self.handler, authenticator=known, auth_required=True, auth_require_tls=False)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(kind, **more):
    """Starts one on a free port, which is the answer: aiosmtpd wants to know it beforehand."""
    port = free_port()
    kind(Postbox(), hostname="127.0.0.1", port=port, **more).start()
    return port


def main():
    # It warns of AUTH on a connection that it did not encrypt itself.
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(os.path.join(sys.argv[1], "ca.pem"))
    trustme.CA().cert_pem.write_to_path(os.path.join(sys.argv[1], "other.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    ports = {
        "tls": start(Encrypted, ssl_context=context),
        "starttls": start(Controller, tls_context=context, require_starttls=True, authenticator=known, auth_required=True),
        "clear": start(Controller),
        "nobody": free_port(),
    }
    print(json.dumps(ports), flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main()
