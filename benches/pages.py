"""Pages of made-up records, the same ones every time, and a server that hands them out by `?start=N&length=M`.

Kinds: `flows`, flow alerts as ntopng prints them, about 675 bytes each; `wide`, 1,000 numbers and texts; `deep`, objects in objects;
`texts`, 100 KB of text; `logs`, twenty texts of some hundred bytes, 2 KB, half of it hexadecimal digits;
`words`, five texts of 75 words, 2.5 KB; `tiny`, 100 bytes; `numbers`, forty numbers.
"""

import contextlib
import json
import random
import socketserver
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

PATH = "/lua/rest/v2/get/flow/alert/list.lua"
APPLICATIONS = ["DNS", "TLS", "HTTP", "QUIC", "SSH", "NTP", "SMB", "Kerberos", "TLS.Google", "TLS.Office365"]
SEVERITIES = [(3, "Notice"), (4, "Warning"), (5, "Error"), (6, "Critical")]
COUNTRIES = ["IT", "DE", "FR", "US", "CN", "", "GB", "NL"]
WORDS = ["alpha", "bravo", "caf\u00e9", "delta", "\u6771\u4eac", "fox\u2192trot", "golf"]

SAID = [*WORDS, "connection", "refused", "by", "the", "peer", "while", "reading", "response", "header", "from", "upstream", "\u00fcber", "timeout", "42"]
AGENTS = [f"Mozilla/5.0 (X11; Linux x86_64; rv:{at}.0) Gecko/20100101 Firefox/{at}.0" for at in range(90, 130)]


def flow(dice, at):
    level, label = dice.choice(SEVERITIES)
    second, size = 1_767_225_600 + at // 3, dice.randrange(64, 1 << 34)
    client = f"2001:db8::{at % 4096:x}" if at % 11 == 0 else f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}"
    return {
        "row_id": str(9_007_199_254_740_993 + at),
        "tstamp": {"value": second, "label": "01/01 00:00:00"},
        "first_seen": second - dice.randrange(1, 300),
        "tstamp_end": second,
        "alert_id": {"value": dice.randrange(1, 90), "label": "alert", "shown": True},
        "severity": {"value": level, "label": label},
        "score": {"value": dice.randrange(10, 400), "color": "#b94a48"},
        "l7_proto": {"l7_label": dice.choice(APPLICATIONS), "confidence": dice.choice(["DPI", "Match by port"])},
        "vlan_id": dice.choice([0, 0, 0, 10, 20]),
        "cli": {"ip": client, "port": str(dice.randrange(1024, 65535)), "name": f"host-{at % 5000}.corp.example",
                "country": dice.choice(COUNTRIES)},
        "srv": {"ip": f"198.51.{dice.randrange(256)}.{dice.randrange(256)}", "port": dice.choice(["443", "53", "80", "22"]),
                "name": "" if at % 3 else f"srv{at % 97}.example.net", "country": dice.choice(COUNTRIES)},
        "bytes": size,
        "packets": size // 700 + 1,
        "thpt": round(dice.random() * 1e6, 3),
        "probe_ip": None if at % 4 else "192.0.2.9",
        "is_cli_attacker": at % 13 == 0,
        "info": f"flow {at} \u2192 " + (f"GET /index.html?id={at}" if at % 2 else "example.org"),
    }


def wide(dice, at):
    return {f"c{column}": dice.randrange(1000) if column % 2 else dice.choice(WORDS) for column in range(1000)}


def deep(dice, at):
    value = {"id": at, "list": [dice.randrange(100) for _ in range(3)]}
    for level in range(10):
        value = {"level": level, "in": value, "name": dice.choice(WORDS)}
    return value


def texts(dice, at):
    return {"id": at, "text": " ".join(dice.choice(WORDS) for _ in range(15_000))}


def logs(dice, at):
    hexadecimal = lambda digits: f"{dice.getrandbits(digits * 4):0{digits}x}"  # noqa: E731
    said = lambda words: " ".join(dice.choice(SAID) for _ in range(words))  # noqa: E731
    host, user, path = f"host-{at * 7 % 5000}.corp.example", f"user{dice.randrange(20_000)}", "/".join(dice.choice(SAID) for _ in range(8))
    return {
        "id": str(at), "trace": hexadecimal(32), "span": hexadecimal(16), "host": host, "user": user, "level": dice.choice(["INFO", "WARN", "ERROR"]),
        "url": f"https://{host}/{path}?session={hexadecimal(24)}", "referrer": f"https://www.example.org/{path}", "agent": dice.choice(AGENTS),
        "message": f'{user} said "{said(20)}"\n\tat {path}', "detail": said(40), "stack": "\n".join(f"  at {said(4)}:{line}" for line in range(8)),
        "payload": hexadecimal(300), "sha256": hexadecimal(64), "file": f"C:\\{path}\\{hexadecimal(8)}.dll", "subject": said(12),
        "from": f"{user}@corp.example", "to": f"user{dice.randrange(20_000)}@example.net", "country": dice.choice(COUNTRIES),
        "note": None if at % 3 else said(15),
    }


def words(dice, at):
    return {"id": at, **{f"text{text}": " ".join(dice.choice(SAID) for _ in range(75)) for text in range(5)}}


def tiny(dice, at):
    return {"id": at, "a": dice.randrange(1000), "b": dice.choice(WORDS), "c": round(dice.random(), 6), "d": None, "e": True}


def numbers(dice, at):
    return {f"n{column}": dice.randrange(1 << 40) if column % 2 else dice.random() for column in range(40)}


KINDS = {"flows": flow, "wide": wide, "deep": deep, "texts": texts, "logs": logs, "words": words, "tiny": tiny, "numbers": numbers}


def make(folder, kind, rows, size):
    """Writes one file a page and the empty page after them; returns the bytes."""
    dice, total = random.Random(7), 0
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(0, rows + 1, size):
        records = [KINDS[kind](dice, at) for at in range(start, min(rows, start + size))]
        body = {"rc": 0, "rc_str": "OK", "rsp": {"records": records, "recordsTotal": rows}}
        total += (folder / f"{start}.json").write_bytes(json.dumps(body, ensure_ascii=False).encode())
    return total


class Pages(socketserver.StreamRequestHandler):
    """Sends files without looking at them: the clients have the machine's cores for themselves, nearly."""

    disable_nagle_algorithm, folder = True, Path()

    def handle(self):
        # A client may leave as it likes: chDB resets its connections.
        with contextlib.suppress(ConnectionError):
            self.answer()

    def answer(self):
        while request := self.rfile.readline():
            headers = []
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                headers.append(line.lower())
            method, target, _ = request.decode().split()
            start = parse_qs(urlsplit(target).query).get("start", ["0"])[0]
            page = self.folder / f"{int(start)}.json"
            if not page.exists():
                self.wfile.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            with page.open("rb") as body:
                size = page.stat().st_size
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size)
                if method == "GET":
                    self.connection.sendfile(body)
            if b"connection: close\r\n" in headers:
                return


class Server(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True


def main(folder):
    """Serves `folder` at a port that the system chooses, and prints it."""
    Pages.folder = Path(folder)
    with Server(("127.0.0.1", 0), Pages) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
