"""The answers of the server that the bundled clients are tested with."""

from __future__ import annotations

from ratewise.testing.server import Answer, Received, Reply


def answer(received: Received) -> Answer:
    path = received.target.partition("?")[0]
    if path.startswith("http://"):  # to a proxy
        return Reply(body=b"by proxy " + path.encode())
    if path.startswith("/redirect"):
        left = int(path[-1]) - 1
        return Reply(302, (("Location", f"/redirect{left}" if left else "/final"),), b"moved")
    if path == "/post-redirect":
        return Reply(307, (("Location", "/echo"),))
    if path == "/set":
        return Reply(headers=(("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")))
    if path == "/basic" and received.header("authorization") is None:
        return Reply(401, (("WWW-Authenticate", "Basic"),))
    if path == "/digest" and received.header("authorization") is None:
        return Reply(401, (("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'),))
    if path == "/chunked":
        return Reply(headers=(("Transfer-Encoding", "chunked"),), body=b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    if path == "/deflate":
        return Reply(headers=(("Content-Encoding", "identity"), ("Content-Type", "text/plain; charset=latin-1")), body=b"\xe4")
    if path == "/429":
        return Reply(429, (("Retry-After", "400"), ("Set-Cookie", "seen=429; Path=/")), b"slow down")
    if path.startswith("/status/"):
        return Reply(int(path[-3:]))
    shown = [received.method, received.target, received.header("cookie"), received.header("x-a"), received.body.decode()]
    return Reply(body=repr(shown).encode())
