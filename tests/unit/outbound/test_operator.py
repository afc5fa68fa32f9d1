"""The one client for the operator's destinations, against a real server on loopback."""

from __future__ import annotations

import base64
import datetime
import gzip
import ipaddress
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from secure_api.errors import OutboundFailed
from secure_api.outbound.deadline import DeadlineAdapter, deadline_in
from secure_api.outbound.operator import OperatorClient
from tests.unit.outbound.loopback_server import LoopbackServer, answer_json, drip, redirect_to, running_server


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with running_server() as running:
        running.answers["/good"] = answer_json({"good": True})
        yield running


@pytest.fixture
def client(server: LoopbackServer, request: pytest.FixtureRequest) -> Iterator[OperatorClient]:
    """Patient, so that a busy machine fails no test; impatient where the test is about a slow peer."""
    seconds = 0.4 if "slow_peer" in request.node.name else 20
    made = OperatorClient([server.url], read_timeout_seconds=20, total_timeout_seconds=seconds, max_bytes=1000)
    yield made
    made.close()


def failure_of(client: OperatorClient, url: str) -> str:
    with pytest.raises(OutboundFailed) as refusal:
        client.get_json(url)
    assert refusal.value.public_detail == "A service that this request depends on did not answer."
    return refusal.value.log_detail


def test_connection_is_reused(client: OperatorClient, server: LoopbackServer) -> None:
    """Ten requests one after another go over one connection."""
    assert [client.get_json(f"{server.url}/good") for _ in range(10)] == [{"good": True}] * 10
    assert len(server.connections) == 1


def test_threads_share_one_client(client: OperatorClient, server: LoopbackServer) -> None:
    """400 requests on 16 threads all get their own answer."""
    for number in range(16):
        server.answers[f"/{number}"] = answer_json({"number": number})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: client.get_json(f"{server.url}/{n % 16}")["number"], range(400)))
    assert answers == [n % 16 for n in range(400)]


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/good",
        "https://127.0.0.1:{port}/good",
        "http://127.0.0.1:1/good",
        "http://127.0.0.1/good",
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:{port}@evil.example/good",
        "http://evil.example\\@127.0.0.1:{port}/good",
        "http://user:secret@127.0.0.1:{port}/good",
        "http://127.0.0.1:{port}/good#x",
        "http://127.0.0.1:{port}\t/good",
        "http://127.0.0.1:99999/good",
        "http://[/good",
        "file:///etc/passwd",
        "ftp://127.0.0.1:{port}/good",
        "//127.0.0.1:{port}/good",
        "/good",
        "",
    ],
)
def test_client_cannot_be_sent_elsewhere(url: str, client: OperatorClient, server: LoopbackServer) -> None:
    """Only the configured origin, spelled plainly, is called; nothing is opened for any other address."""
    assert client.get_json(f"{server.url}/good") == {"good": True}
    log = failure_of(client, url.replace("{port}", server.url.rpartition(":")[2]))
    assert "not an" in log
    assert "secret" not in log
    assert sum(server.asked.values()) == 1


def test_redirect_is_not_followed(client: OperatorClient, server: LoopbackServer) -> None:
    """Not even to the same origin."""
    client.get_json(f"{server.url}/good")
    server.answers["/moved"] = redirect_to(f"{server.url}/good")
    assert "status 302" in failure_of(client, f"{server.url}/moved")
    assert server.asked["/good"] == 1


def test_environment_cannot_route_requests(
    client: OperatorClient, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Proxy variables, a netrc file and a certificate variable change nothing."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password hush\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "absent.pem"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert client.get_json(f"{server.url}/good") == {"good": True}
    assert "Authorization" not in server.received[0][0]


def test_size_is_capped(client: OperatorClient, server: LoopbackServer) -> None:
    """1000 bytes pass, 1001 do not, whether or not the length is announced."""
    server.answers["/1000"] = answer_json(b'{"a":"' + b"x" * 992 + b'"}')
    server.answers["/1001"] = answer_json(b'{"a":"' + b"x" * 993 + b'"}')
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.answers["/endless"] = drip(head, b"400\r\n" + b" " * 1024 + b"\r\n", server.stop)
    assert len(client.get_json(f"{server.url}/1000")["a"]) == 992
    assert "more than 1000 bytes" in failure_of(client, f"{server.url}/1001")
    assert "more than 1000 bytes" in failure_of(client, f"{server.url}/endless")


def test_compressed_answer_is_refused(client: OperatorClient, server: LoopbackServer) -> None:
    """A small answer that unpacks to gigabytes never gets the chance; none was asked for either."""
    client.get_json(f"{server.url}/good")
    assert server.received[0][0]["Accept-Encoding"] == "identity"
    server.answers["/bomb"] = answer_json(gzip.compress(b" " * 100_000), Content_Encoding="gzip")
    assert "compressed" in failure_of(client, f"{server.url}/bomb")


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON; charset=utf-8", "application/jwk-set+json"]
)
def test_json_types_are_taken(content_type: str, client: OperatorClient, server: LoopbackServer) -> None:
    """JSON under its own name or a `+json` type."""
    server.answers["/x"] = answer_json({"a": 1}, content_type=content_type)
    assert client.get_json(f"{server.url}/x") == {"a": 1}


@pytest.mark.parametrize("content_type", ["text/html", "text/json", "application/jsonp", "text/x+json", ""])
def test_other_types_are_refused(content_type: str, client: OperatorClient, server: LoopbackServer) -> None:
    """A page of an upload area or an error page is not taken for an answer."""
    client.get_json(f"{server.url}/good")
    server.answers["/x"] = answer_json({"a": 1}, content_type=content_type)
    assert "not JSON by its content type" in failure_of(client, f"{server.url}/x")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":"\xff"}'])
def test_ambiguous_json_is_refused(body: bytes, client: OperatorClient, server: LoopbackServer) -> None:
    """The same strict reading as for tokens."""
    client.get_json(f"{server.url}/good")
    server.answers["/x"] = answer_json(body)
    failure_of(client, f"{server.url}/x")


@pytest.mark.parametrize("where", ["headers", "body", "chunk", "nothing"])
def test_slow_peer_cannot_hold_a_worker(where: str, client: OperatorClient, server: LoopbackServer) -> None:
    """Bytes that keep coming, each within the read time-out, do not extend the deadline of the whole exchange."""
    client.get_json(f"{server.url}/good")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    server.answers["/slow"] = {
        "headers": drip(head, b"X: y\r\n", server.stop),
        "body": drip(head + b"\r\n", b" ", server.stop),
        "chunk": drip(head + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", server.stop),
        "nothing": lambda _: server.stop.wait(10),
    }[where]
    started = time.monotonic()
    assert "Timeout" in failure_of(client, f"{server.url}/slow")
    assert time.monotonic() - started < 2
    assert client.get_json(f"{server.url}/good") == {"good": True}


def test_last_read_gets_only_what_is_left_of_the_deadline(server: LoopbackServer) -> None:
    """A peer that feeds us until shortly before the end and then falls silent gains no second time-out."""
    client = OperatorClient([server.url], total_timeout_seconds=1.0)
    server.answers["/good"] = answer_json({"good": True})
    client.get_json(f"{server.url}/good")

    def feed_then_fall_silent(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(40):
            handler.wfile.write(b" ")
            server.stop.wait(0.02)
        server.stop.wait(10)

    server.answers["/feed"] = feed_then_fall_silent
    started = time.monotonic()
    assert "Timeout" in failure_of(client, f"{server.url}/feed")
    assert time.monotonic() - started < 1.5
    client.close()


def test_read_after_the_deadline_does_not_start(server: LoopbackServer) -> None:
    """With no time left there is no read at all, whatever the time-outs of the session say."""
    session = requests.Session()
    session.mount("http://", DeadlineAdapter())
    with deadline_in(5):
        assert session.get(f"{server.url}/good", timeout=5).json() == {"good": True}
    with deadline_in(-1), pytest.raises(requests.exceptions.Timeout):
        session.get(f"{server.url}/good", timeout=5)
    session.close()


def test_cut_off_answer_is_refused(client: OperatorClient, server: LoopbackServer) -> None:
    """Fewer bytes than announced are no answer, even where they are JSON."""
    client.get_json(f"{server.url}/good")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 50\r\nConnection: close\r\n\r\n{}"

    def cut(handler: object) -> None:
        handler.wfile.write(head)  # type: ignore[attr-defined]
        handler.close_connection = True  # type: ignore[attr-defined]

    server.answers["/cut"] = cut
    failure_of(client, f"{server.url}/cut")


def test_cookies_are_not_kept(client: OperatorClient, server: LoopbackServer) -> None:
    """A peer cannot mark us, nor one caller's answer colour the next."""
    server.answers["/cookie"] = answer_json({}, Set_Cookie="a=b; Path=/")
    client.get_json(f"{server.url}/cookie")
    client.get_json(f"{server.url}/cookie")
    assert all("Cookie" not in headers for headers, _ in server.received)


def test_form_carries_the_client_secret_once(client: OperatorClient, server: LoopbackServer) -> None:
    """Id and secret go form-encoded into the Authorization header (RFC 6749 §2.3.1), the data into the body."""
    server.answers["/token"] = answer_json({"access_token": "t"})
    answer = client.post_form(f"{server.url}/token", {"code": "a b"}, auth=("web:1", "s%ü"))
    assert (answer.status, answer.body) == (200, {"access_token": "t"})
    headers, body = server.received[0]
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"web%3A1:s%25%C3%BC"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert body == b"code=a+b"


def test_refusal_of_a_token_endpoint_is_an_answer(client: OperatorClient, server: LoopbackServer) -> None:
    """400 with `invalid_grant` comes back whole; 500 does not."""
    server.answers["/token"] = answer_json({"error": "invalid_grant"}, status=400)
    answer = client.post_form(f"{server.url}/token", {})
    assert (answer.status, answer.body["error"]) == (400, "invalid_grant")
    server.answers["/token"] = answer_json({"error": "server_error"}, status=500)
    with pytest.raises(OutboundFailed, match="status 500"):
        client.post_form(f"{server.url}/token", {})


def test_bearer_token_is_sent_and_not_logged(client: OperatorClient, server: LoopbackServer) -> None:
    """UserInfo gets the token; a failure's log line has neither it nor the query."""
    client.get_json(f"{server.url}/good", bearer_token="hush")
    assert server.received[0][0]["Authorization"] == "Bearer hush"
    with pytest.raises(OutboundFailed) as refusal:
        client.get_json(f"{server.url}/absent?code=hush", bearer_token="hush")
    assert refusal.value.log_detail == f"GET {server.url}/absent: status 404"


def test_dead_peer_is_named_without_its_query() -> None:
    """The texts of `requests` exceptions hold the whole address, so only their kind is logged."""
    with running_server() as gone:
        url = gone.url
    client = OperatorClient([url])
    with pytest.raises(OutboundFailed) as refusal:
        client.get_json(f"{url}/keys?secret=hush")
    assert refusal.value.log_detail == f"GET {url}/keys: ConnectionError"
    assert refusal.value.__cause__ is None


def test_allowed_origins_must_be_origins() -> None:
    """A misconfigured origin is found when the client is made."""
    OperatorClient(["https://idp.example"])
    with pytest.raises(ValueError, match="user information"):
        OperatorClient(["https://idp.example@evil.example"])


def self_signed(folder: Path, address: str) -> tuple[ssl.SSLContext, str]:
    """A server context whose certificate is for `address`, and the path of that certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / f"{address}.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "both.pem").write_bytes(private + path.read_bytes())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "both.pem")
    return context, str(path)


def test_certificate_is_checked(tmp_path: Path) -> None:
    """A certificate that the operator's file vouches for passes; an unknown one and one for another host do not."""
    context, ca_file = self_signed(tmp_path, "127.0.0.1")
    with running_server(context) as server:
        server.answers["/good"] = answer_json({"good": True})
        trusting = OperatorClient([server.url], ca_file=ca_file)
        assert trusting.get_json(f"{server.url}/good") == {"good": True}
        trusting.close()
        assert "SSLError" in failure_of(OperatorClient([server.url]), f"{server.url}/good")
        assert server.asked["/good"] == 1

    context, ca_file = self_signed(tmp_path, "127.0.0.2")
    with running_server(context) as server:
        assert "SSLError" in failure_of(OperatorClient([server.url], ca_file=ca_file), f"{server.url}/good")


def test_deadline_holds_over_tls(tmp_path: Path) -> None:
    """The transport watches encrypted connections the same way."""
    context, ca_file = self_signed(tmp_path, "127.0.0.1")
    with running_server(context) as server:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        server.answers["/good"] = answer_json({"good": True})
        server.answers["/slow"] = drip(head, b"X: y\r\n", server.stop)
        client = OperatorClient([server.url], ca_file=ca_file, total_timeout_seconds=0.4)
        assert client.get_json(f"{server.url}/good") == {"good": True}
        started = time.monotonic()
        assert "Timeout" in failure_of(client, f"{server.url}/slow")
        assert time.monotonic() - started < 2
        client.close()
