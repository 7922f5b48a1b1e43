"""Requests that could be read in two ways, and some that could not: what attackers send to a proxy.

Each is one message, or one with another hidden in it, and is followed on its connection by an innocent request. Law:
always the same probes, each with a name of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HIDDEN: Final = b"GET /hidden HTTP/1.1\r\nHost: proxy\r\nX-Hidden: 1\r\n\r\n"
"""The request that an attacker would like the engine to see."""

LAST: Final = b"0\r\n\r\n"
TARGETS: Final = {"streamed": b"/probe/_doc/1", "read": b"/probe/_search"}
"""A request that is streamed to the engine, and one that is read before."""


@dataclass(frozen=True)
class Probe:
    """Bytes, and what they are called."""

    name: str
    content: bytes


def generated() -> list[Probe]:
    """Return all probes."""
    found = [
        *_codings(),
        *_lengths(),
        *_chunk_sizes(),
        *_chunk_ends(),
        *_last_chunks(),
        *_request_lines(),
        *_header_lines(),
        *_meanings(),
        *_sequences(),
    ]
    assert len({probe.name for probe in found}) == len(found)
    return found


def request(
    *lines: bytes,
    body: bytes = b"",
    method: bytes = b"POST",
    target: bytes = TARGETS["streamed"],
    version: bytes = b"HTTP/1.1",
    host: bytes = b"Host: proxy\r\n",
) -> bytes:
    """Return a request with these header lines, which end as they are told to."""
    head = b" ".join((method, target, version)) + b"\r\n" + host
    return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _length(size: int) -> bytes:
    return b"Content-Length: %d" % size


CHUNKED: Final = b"Transfer-Encoding: chunked"

_CODINGS: Final = {
    "plain": CHUNKED,
    "leading space": b" Transfer-Encoding: chunked",
    "leading tab": b"\tTransfer-Encoding: chunked",
    "space before colon": b"Transfer-Encoding : chunked",
    "tab before colon": b"Transfer-Encoding\t: chunked",
    "tab": b"Transfer-Encoding:\tchunked",
    "no space": b"Transfer-Encoding:chunked",
    "trailing space": b"Transfer-Encoding: chunked ",
    "trailing tab": b"Transfer-Encoding: chunked\t",
    "upper case": b"TRANSFER-ENCODING: CHUNKED",
    "mixed case": b"tRANSFER-eNCODING: cHuNkEd",
    "vertical tab": b"Transfer-Encoding:\x0bchunked",
    "form feed": b"Transfer-Encoding: \x0cchunked",
    "no-break space": b"Transfer-Encoding: \xa0chunked",
    "trailing vertical tab": b"Transfer-Encoding: chunked\x0b",
    "prefix": b"Transfer-Encoding: xchunked",
    "suffix": b"Transfer-Encoding: chunkedx",
    "identity": b"Transfer-Encoding: identity",
    "identity last": b"Transfer-Encoding: chunked, identity",
    "identity first": b"Transfer-Encoding: identity, chunked",
    "gzip first": b"Transfer-Encoding: gzip, chunked",
    "gzip": b"Transfer-Encoding: gzip",
    "twice in one": b"Transfer-Encoding: chunked, chunked",
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "quoted": b'Transfer-Encoding: "chunked"',
    "single quotes": b"Transfer-Encoding: 'chunked'",
    "leading comma": b"Transfer-Encoding: ,chunked",
    "trailing comma": b"Transfer-Encoding: chunked,",
    "empty": b"Transfer-Encoding:",
    "underscore": b"Transfer_Encoding: chunked",
    "folded value": b"Transfer-Encoding:\r\n chunked",
    "folded into another": b"X: y\r\n Transfer-Encoding: chunked",
    "after a bare CR": b"X: y\rTransfer-Encoding: chunked",
    "after a bare LF": b"X: y\nTransfer-Encoding: chunked",
    "after a NUL": b"X: y\x00Transfer-Encoding: chunked",
    "NUL inside": b"Transfer-Encoding: chun\x00ked",
    "NUL behind": b"Transfer-Encoding: chunked\x00",
    "two headers": CHUNKED + b"\r\n" + CHUNKED,
    "identity header after": CHUNKED + b"\r\nTransfer-Encoding: identity",
    "identity header before": b"Transfer-Encoding: identity\r\n" + CHUNKED,
    "unknown header after": CHUNKED + b"\r\nTransfer-Encoding: x",
    "other letter": b"Transfer-Encoding: \xe7hunked",
    "control in name": b"Transfer\x00-Encoding: chunked",
    "no value at all": b"Transfer-Encoding",
}


def _codings() -> Iterator[Probe]:
    """CL.TE and TE.CL in every spelling of the second header, and each spelling alone."""
    hidden = b"%x\r\n%s\r\n%s" % (len(HIDDEN), HIDDEN, LAST)
    for name, coding in _CODINGS.items():
        for place, target in TARGETS.items():
            body = LAST + HIDDEN
            yield Probe(f"CL.TE {name} {place}", request(_length(len(body)), coding, body=body, target=target))
            yield Probe(f"TE.CL {name} {place}", request(coding, _length(4), body=hidden, target=target))
        yield Probe(f"TE {name}", request(coding, body=hidden))


_LENGTHS: Final = {
    "plus": b"Content-Length: +5",
    "minus": b"Content-Length: -5",
    "minus zero": b"Content-Length: -0",
    "plus zero": b"Content-Length: +0",
    "leading zeros": b"Content-Length: 0005",
    "many leading zeros": b"Content-Length: " + b"0" * 40 + b"5",
    "octal": b"Content-Length: 0o5",
    "hexadecimal": b"Content-Length: 0x5",
    "decimal point": b"Content-Length: 5.0",
    "exponent": b"Content-Length: 5e0",
    "underscore": b"Content-Length: 1_0",
    "list": b"Content-Length: 5, 5",
    "list without space": b"Content-Length: 5,5",
    "list of others": b"Content-Length: 5, 6",
    "trailing comma": b"Content-Length: 5,",
    "leading comma": b"Content-Length: ,5",
    "semicolon": b"Content-Length: 5;",
    "two numbers": b"Content-Length: 5 5",
    "empty": b"Content-Length:",
    "blank": b"Content-Length:  \t ",
    "word": b"Content-Length: five",
    "trailing letter": b"Content-Length: 5a",
    "trailing tab": b"Content-Length: 5\t",
    "trailing space": b"Content-Length: 5 ",
    "leading spaces": b"Content-Length:   5",
    "no space": b"Content-Length:5",
    "vertical tab": b"Content-Length: \x0b5",
    "NUL": b"Content-Length: 5\x00",
    "other digits": "Content-Length: ٥".encode(),
    "full-width digit": "Content-Length: ５".encode(),
    "superscript": b"Content-Length: \xb2",
    "2^32 + 5": b"Content-Length: 4294967301",
    "2^63": b"Content-Length: 9223372036854775808",
    "2^64 + 5": b"Content-Length: 18446744073709551621",
    "2^128": b"Content-Length: 340282366920938463463374607431768211456",
    "quoted": b'Content-Length: "5"',
    "same twice": b"Content-Length: 5\r\nContent-Length: 5",
    "others twice": b"Content-Length: 5\r\nContent-Length: 50",
    "others twice, turned": b"Content-Length: 50\r\nContent-Length: 5",
    "zero and five": b"Content-Length: 0\r\nContent-Length: 5",
    "other case twice": b"Content-Length: 5\r\ncontent-length: 50",
    "space before colon": b"Content-Length : 5",
    "leading space": b" Content-Length: 5",
    "underscore in name": b"Content_Length: 5",
    "folded": b"Content-Length:\r\n 5",
    "after a bare LF": b"X: y\nContent-Length: 5",
    "after a bare CR": b"X: y\rContent-Length: 5",
    "folded into another": b"X: y\r\n Content-Length: 5",
    "and one that is folded": b"Content-Length: 5\r\n 0",
}


def _lengths() -> Iterator[Probe]:
    """Every spelling of a length, before a body of five bytes and a hidden request."""
    for name, length in _LENGTHS.items():
        for place, target in TARGETS.items():
            yield Probe(f"CL {name} {place}", request(length, body=b'{"a"}' + HIDDEN, target=target))
    for method in (b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"PUT", b"PATCH"):
        name = method.decode()
        yield Probe(f"CL body of {name}", request(_length(len(HIDDEN)), body=HIDDEN, method=method))
        yield Probe(f"CL.0 of {name}", request(_length(0), body=HIDDEN, method=method))
        yield Probe(f"no length of {name}", request(body=HIDDEN, method=method))
        yield Probe(f"chunked {name}", request(CHUNKED, body=b"5\r\nhello\r\n" + LAST, method=method))


_SIZES: Final = {
    "plain": b"5",
    "leading zero": b"05",
    "many leading zeros": b"0" * 40 + b"5",
    "trailing space": b"5 ",
    "trailing tab": b"5\t",
    "leading space": b" 5",
    "leading tab": b"\t5",
    "0x": b"0x5",
    "plus": b"+5",
    "minus": b"-5",
    "empty": b"",
    "letter": b"g",
    "trailing letter": b"5g",
    "underscore": b"0_5",
    "comma": b"5,5",
    "point": b"5.0",
    "NUL": b"5\x00",
    "2^32 + 5": b"100000005",
    "2^63": b"8000000000000000",
    "2^64 + 5": b"10000000000000005",
    "all bits": b"ffffffffffffffff",
    "too many bits": b"f" * 40,
    "extension": b"5;a=b",
    "extension without value": b"5;a",
    "quoted extension": b'5;a="b c"',
    "open quote": b'5;a="b',
    "quote with line end": b'5;a="b\r\nc"',
    "extension after space": b"5 ;a=b",
    "empty extension": b"5;",
    "extension with bare LF": b"5;a\nb",
    "extension with bare CR": b"5;a\rb",
    "extension with NUL": b"5;a\x00b",
    "extension hiding a size": b"5;\r\n0",
    "long extension": b"5;" + b"a" * 9000,
    "very long extension": b"5;" + b"a" * 70_000,
    "many extensions": b"5" + b";a=b" * 2000,
    "bare LF": b"5\n",
    "bare CR": b"5\r",
    "two line ends": b"5\r\r",
}


def _chunk_sizes() -> Iterator[Probe]:
    """Every spelling of a chunk's size, before five bytes, the last chunk and a hidden request."""
    for name, size in _SIZES.items():
        for place, target in TARGETS.items():
            body = size + b"\r\nhello\r\n" + LAST + HIDDEN
            yield Probe(f"size {name} {place}", request(CHUNKED, body=body, target=target))


_ENDS: Final = {
    "LF": b"\n",
    "CR": b"\r",
    "nothing": b"",
    "turned": b"\n\r",
    "two bytes more": b"xx\r\n",
    "two others": b"xx",
    "space": b" \r\n",
    "NUL": b"\x00\r\n",
    "twice": b"\r\n\r\n",
}


def _chunk_ends() -> Iterator[Probe]:
    for name, end in _ENDS.items():
        yield Probe(f"chunk's end {name}", request(CHUNKED, body=b"5\r\nhello" + end + LAST + HIDDEN))
        yield Probe(f"size's end {name}", request(CHUNKED, body=b"5" + end + b"hello\r\n" + LAST + HIDDEN))
    for name, size in {"shorter": b"3", "longer": b"9"}.items():
        yield Probe(f"chunk {name} than its size", request(CHUNKED, body=size + b"\r\nhello\r\n" + LAST + HIDDEN))


_LAST: Final = {
    "00": b"00\r\n\r\n",
    "many zeros": b"0" * 40 + b"\r\n\r\n",
    "minus zero": b"-0\r\n\r\n",
    "space": b"0 \r\n\r\n",
    "0x0": b"0x0\r\n\r\n",
    "extension": b"0;a=b\r\n\r\n",
    "LF": b"0\n\n",
    "LF at the end": b"0\r\n\n",
    "LF before": b"0\n\r\n",
    "CR": b"0\r\r\n",
    "nothing": b"0\r\n",
    "no end": b"0",
    "three": b"000\r\n\r\n",
    "trailer": b"0\r\nX-Trailer: 1\r\n\r\n",
    "trailer of length": b"0\r\nContent-Length: 50\r\n\r\n",
    "trailer of coding": b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "trailer of host": b"0\r\nHost: evil\r\n\r\n",
    "trailer of authorization": b"0\r\nAuthorization: Basic eDp5\r\n\r\n",
    "trailer to us": b"0\r\nX-Rerank: off\r\n\r\n",
    "trailer that is a request": b"0\r\nGET /hidden HTTP/1.1\r\nHost: proxy\r\n\r\n",
    "trailer without name": b"0\r\n: 1\r\n\r\n",
    "trailer with space": b"0\r\nX : 1\r\n\r\n",
    "folded trailer": b"0\r\nX: 1\r\n 2\r\n\r\n",
    "trailer with bare LF": b"0\r\nX: 1\nY: 2\r\n\r\n",
    "trailer with NUL": b"0\r\nX: \x00\r\n\r\n",
    "long trailer": b"0\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    "300 trailers": b"0\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    "10000 trailers": b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
}


def _last_chunks() -> Iterator[Probe]:
    for name, last in _LAST.items():
        yield Probe(f"last {name}", request(CHUNKED, body=b"5\r\nhello\r\n" + last + HIDDEN))
    for name in ("trailer", "LF", "trailer that is a request"):
        body = b"5\r\nhello\r\n" + _LAST[name] + HIDDEN
        yield Probe(f"last {name} read", request(CHUNKED, body=body, target=TARGETS["read"]))


_METHODS: Final = {
    "lower case": b"get",
    "mixed case": b"GeT",
    "empty": b"",
    "with space": b"G ET",
    "with NUL": b"G\x00T",
    "with tab": b"GET\t",
    "with colon": b"GE:T",
    "unknown": b"BREW",
    "long": b"A" * 100,
    "very long": b"A" * 70_000,
    "not ASCII": b"G\xc3\x89T",
    "CONNECT": b"CONNECT",
    "TRACE": b"TRACE",
    "PRI": b"PRI",
    "M-SEARCH": b"M-SEARCH",
    "with a line end": b"GET /hidden HTTP/1.1\r\nX: ",
}
_TARGETS: Final = {
    "absolute": b"http://evil/probe",
    "absolute, https": b"https://evil/probe",
    "absolute, userinfo": b"http://proxy@evil/probe",
    "absolute, own": b"http://proxy/probe",
    "asterisk": b"*",
    "authority": b"evil:80",
    "relative": b"probe",
    "empty": b"",
    "question mark": b"?probe",
    "two slashes": b"//evil/probe",
    "three slashes": b"///evil/probe",
    "backslash": b"/\\evil/probe",
    "only backslash": b"\\probe",
    "dots": b"/a/../../probe",
    "encoded dots": b"/%2e%2e/%2e%2e/probe",
    "encoded slash": b"/a%2f..%2fprobe",
    "encoded line end": b"/probe%0d%0aX-Hidden:%201",
    "encoded NUL": b"/probe%00",
    "broken escape": b"/probe%zz%",
    "fragment": b"/probe#/hidden",
    "fragment in query": b"/probe?a#b",
    "semicolon": b"/probe;/../hidden",
    "space": b"/probe hidden",
    "tab": b"/probe\thidden",
    "NUL": b"/probe\x00",
    "bare CR": b"/probe\rhidden",
    "DEL": b"/probe\x7f",
    "not ASCII": b"/pr\xc3\xb6be",
    "high byte": b"/probe\xff",
    "a second request line": b"/probe HTTP/1.1\r\nX: y",
    "braces": b"/probe{}|^`<>",
    "userinfo": b"/@evil",
    "colon": b"/:80/probe",
    "long": b"/" + b"p" * 9000,
    "very long": b"/" + b"p" * 70_000,
    "long query": b"/probe?" + b"q=1&" * 3000,
}
_VERSIONS: Final = {
    "1.0": b"HTTP/1.0",
    "0.9": b"HTTP/0.9",
    "1.2": b"HTTP/1.2",
    "2.0": b"HTTP/2.0",
    "3": b"HTTP/3",
    "1": b"HTTP/1",
    "lower case": b"http/1.1",
    "trailing space": b"HTTP/1.1 ",
    "trailing tab": b"HTTP/1.1\t",
    "two digits": b"HTTP/1.10",
    "leading zero": b"HTTP/01.1",
    "comma": b"HTTP/1,1",
    "other": b"HTTPS/1.1",
    "ICE": b"ICE/1.0",
    "RTSP": b"RTSP/1.0",
    "plus": b"HTTP/+1.1",
    "empty": b"",
    "a second header": b"HTTP/1.1\nX: y",
    "bare CR": b"HTTP/1.1\r",
}
_FIRST_LINES: Final = {
    "two spaces": b"GET  /probe HTTP/1.1\r\n",
    "two spaces before the version": b"GET /probe  HTTP/1.1\r\n",
    "tab": b"GET\t/probe HTTP/1.1\r\n",
    "tab before the version": b"GET /probe\tHTTP/1.1\r\n",
    "vertical tab": b"GET\x0b/probe HTTP/1.1\r\n",
    "leading space": b" GET /probe HTTP/1.1\r\n",
    "leading line end": b"\r\nGET /probe HTTP/1.1\r\n",
    "leading LF": b"\nGET /probe HTTP/1.1\r\n",
    "leading CR": b"\rGET /probe HTTP/1.1\r\n",
    "ten leading line ends": b"\r\n" * 10 + b"GET /probe HTTP/1.1\r\n",
    "leading NUL": b"\x00GET /probe HTTP/1.1\r\n",
    "LF": b"GET /probe HTTP/1.1\n",
    "CR": b"GET /probe HTTP/1.1\r",
    "CR CR LF": b"GET /probe HTTP/1.1\r\r\n",
    "folded": b"GET /probe\r\n HTTP/1.1\r\n",
    "a response": b"HTTP/1.1 200 OK\r\n",
    "no version": b"GET /probe\r\n",
    "only a method": b"GET\r\n",
    "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROXY protocol": b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\nGET /probe HTTP/1.1\r\n",
}


def _request_lines() -> Iterator[Probe]:
    for name, method in _METHODS.items():
        yield Probe(f"method {name}", request(method=method))
    for name, target in _TARGETS.items():
        yield Probe(f"target {name}", request(method=b"GET", target=target))
    for name, version in _VERSIONS.items():
        yield Probe(f"version {name}", request(method=b"GET", version=version))
        yield Probe(f"version {name} with a body", request(_length(len(HIDDEN)), body=HIDDEN, version=version))
    for name, line in _FIRST_LINES.items():
        yield Probe(f"first line {name}", line + b"Host: proxy\r\n\r\n")


_HEADER_LINES: Final = {
    "no name": b": y",
    "no colon": b"X",
    "only a space": b" ",
    "name with space": b"X Y: z",
    "name with NUL": b"X\x00: y",
    "name with bracket": b"X(Y): z",
    "name with slash": b"X/Y: z",
    "name not ASCII": b"X\xc3\xa4: y",
    "name of symbols": b"!#$%&'*+.^_`|~-: y",
    "name with quote": b'X": y',
    "space before colon": b"X : y",
    "leading space": b" X: y",
    "leading tab": b"\tX: y",
    "folded": b"X: y\r\n z",
    "folded by tab": b"X: y\r\n\tz",
    "folded twice": b"X: y\r\n z\r\n w",
    "folded into nothing": b"X: y\r\n ",
    "value with LF": b"X: y\nGET /hidden HTTP/1.1",
    "value with CR": b"X: y\rGET /hidden HTTP/1.1",
    "value with NUL": b"X: y\x00z",
    "value with control": b"X: y\x01z",
    "value with DEL": b"X: y\x7fz",
    "value with a high byte": b"X: \xff",
    "value not ASCII": b"X: \xc3\xa4",
    "empty value": b"X:",
    "long value": b"X: " + b"y" * 9000,
    "very long value": b"X: " + b"y" * 70_000,
    "long name": b"X" * 9000 + b": y",
    "very long name": b"X" * 70_000 + b": y",
    "200 headers": b"\r\n".join(b"X-%d: y" % number for number in range(200)),
    "300 headers": b"\r\n".join(b"X-%d: y" % number for number in range(300)),
    "same name in many cases": b"X-A: 1\r\nx-a: 2\r\nX-a: 3",
    "underscore name": b"X_A: 1",
    "LF alone between": b"X: y\nZ: w",
    "two colons": b"X:: y",
    "equals": b"X=y",
}


def _header_lines() -> Iterator[Probe]:
    for name, line in _HEADER_LINES.items():
        yield Probe(f"header {name}", request(line, method=b"GET"))
        yield Probe(f"header {name} first", request(method=b"GET", host=line + b"\r\nHost: proxy\r\n"))
    yield Probe("header lines end with LF", b"GET /probe HTTP/1.1\r\nHost: proxy\nX: y\n\n")
    yield Probe("head ends with LF", b"GET /probe HTTP/1.1\r\nHost: proxy\r\n\n")
    yield Probe("head ends with CR", b"GET /probe HTTP/1.1\r\nHost: proxy\r\n\r")


_HOSTS: Final = {
    "none": b"",
    "empty": b"Host:\r\n",
    "two": b"Host: proxy\r\nHost: evil\r\n",
    "two equal": b"Host: proxy\r\nHost: proxy\r\n",
    "two in other case": b"Host: proxy\r\nhost: evil\r\n",
    "other": b"Host: evil\r\n",
    "path": b"Host: proxy/evil\r\n",
    "userinfo": b"Host: proxy@evil\r\n",
    "list": b"Host: proxy, evil\r\n",
    "bad port": b"Host: proxy:port\r\n",
    "huge port": b"Host: proxy:99999999\r\n",
    "brackets": b"Host: [::1]:80\r\n",
    "open bracket": b"Host: [::1\r\n",
    "space before colon": b"Host : evil\r\n",
    "not ASCII": b"Host: pr\xc3\xb6xy\r\n",
    "localhost": b"Host: 127.0.0.1:1\r\n",
}
_MEANINGS: Final = {
    "Connection names Content-Length": (b"Connection: Content-Length", _length(5)),
    "Connection names Host": (b"Connection: Host", _length(5)),
    "Connection names X": (b"Connection: X-Secret, close", b"X-Secret: 1", _length(5)),
    "Connection names Transfer-Encoding": (b"Connection: Transfer-Encoding", _length(5)),
    "Connection twice": (b"Connection: keep-alive", b"Connection: close", _length(5)),
    "Connection keep-alive, close": (b"Connection: keep-alive, close", _length(5)),
    "Connection of nonsense": (b"Connection: ,, ,x;y", _length(5)),
    "Keep-Alive": (b"Keep-Alive: timeout=9999", _length(5)),
    "Proxy-Connection": (b"Proxy-Connection: keep-alive", _length(5)),
    "Expect": (b"Expect: 100-continue", _length(5)),
    "Expect in capitals": (b"EXPECT: 100-CONTINUE", _length(5)),
    "Expect of something": (b"Expect: something", _length(5)),
    "Expect twice": (b"Expect: 100-continue", b"Expect: 100-continue", _length(5)),
    "Upgrade to WebSocket": (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13", _length(5)),
    "Upgrade to WebSocket with a key": (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        _length(5),
    ),
    "Upgrade to h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA", _length(5)),
    "Upgrade to TLS": (b"Connection: Upgrade", b"Upgrade: TLS/1.0, HTTP/1.1", _length(5)),
    "Upgrade without Connection": (b"Upgrade: h2c", _length(5)),
    "TE": (b"TE: trailers, chunked", b"Connection: TE", _length(5)),
    "Trailer": (b"Trailer: Content-Length", _length(5)),
    "Content-Encoding chunked": (b"Content-Encoding: chunked", _length(5)),
    "method override": (b"X-HTTP-Method-Override: DELETE", _length(5)),
    "original URL": (b"X-Original-URL: /hidden", b"X-Rewrite-URL: /hidden", _length(5)),
    "forwarded": (b"X-Forwarded-Host: evil", b"Forwarded: host=evil", b"X-Forwarded-For: 127.0.0.1", _length(5)),
    "Proxy-Authorization": (b"Proxy-Authorization: Basic eDp5", _length(5)),
    "Max-Forwards": (b"Max-Forwards: 0", _length(5)),
    "Range": (b"Range: bytes=0-0", _length(5)),
}


def _meanings() -> Iterator[Probe]:
    """Headers that mean something to somebody in between."""
    for name, host in _HOSTS.items():
        yield Probe(f"host {name}", request(method=b"GET", host=host))
        yield Probe(f"host {name} in HTTP/1.0", request(method=b"GET", host=host, version=b"HTTP/1.0"))
    for name, lines in _MEANINGS.items():
        yield Probe(f"meaning {name}", request(*lines, body=b"hello"))
        yield Probe(f"meaning {name} read", request(*lines, body=b"hello", target=TARGETS["read"]))
        chunked = (CHUNKED, *(line for line in lines if not line.startswith(b"Content-Length")))
        yield Probe(f"meaning {name} chunked", request(*chunked, body=b"5\r\nhello\r\n" + LAST))


def _sequences() -> Iterator[Probe]:
    """Several requests, and bodies that are cut short or too long."""
    one = request(_length(5), body=b"hello")
    yield Probe("two requests", one + request(method=b"GET", target=b"/probe/2"))
    yield Probe("twenty requests", b"".join(request(method=b"GET", target=b"/probe/%d" % n) for n in range(20)))
    yield Probe("line ends between", one + b"\r\n\r\n" + request(method=b"GET", target=b"/probe/2"))
    yield Probe("a body without its end", request(_length(500), body=b"hello"))
    yield Probe("a chunked body without its end", request(CHUNKED, body=b"5\r\nhello\r\n"))
    yield Probe("a chunk without its end", request(CHUNKED, body=b"ff\r\nhello"))
    yield Probe("a head without its end", b"POST /probe HTTP/1.1\r\nHost: proxy\r\nX: ")
    yield Probe("a body that is a request", request(_length(len(HIDDEN)), body=HIDDEN))
    yield Probe("a chunk that is a request", request(CHUNKED, body=b"%x\r\n%s\r\n" % (len(HIDDEN), HIDDEN) + LAST))
    yield Probe("a gzip body that is none", request(b"Content-Encoding: gzip", _length(5), body=b"hello"))
    yield Probe("HTTP/1.0 kept alive", request(b"Connection: keep-alive", method=b"GET", version=b"HTTP/1.0"))
    yield Probe("HTTP/1.0 chunked", request(CHUNKED, body=LAST + HIDDEN, version=b"HTTP/1.0"))
    yield Probe("HTTP/1.0 with both", request(CHUNKED, _length(5), body=LAST + HIDDEN, version=b"HTTP/1.0"))
    yield Probe("nothing but line ends", b"\r\n" * 20)
    yield Probe("nothing but NULs", b"\x00" * 100)
    yield Probe("random bytes", bytes(range(256)))
