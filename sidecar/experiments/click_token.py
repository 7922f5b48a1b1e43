"""The token that an interleaved page bears, and that a click on it gives back: whose pick each of its hits was.

Laws: whoever has the token can read it, and only we can make one: it is signed, it expires, and what it says is taken
from it alone, so that no process has to remember a page. Nothing in it is personal: the search is a keyed digest, and
so are the hits.

    rs1.PAYLOAD.SIGNATURE    both base64url without padding; the payload is JSON
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sidecar.experiments.interleaving import Slot
from sidecar.types import Arm, InterleaveMethod, Team

PREFIX: Final = "rs1."
MOST_PLACES: Final = 100
"""Hits of a page that a token tells of, from its first one on."""

DEFAULT_HOURS: Final = 24.0

_SIGNATURE_BYTES: Final = 16
_SEARCH_BYTES: Final = 8
_HIT_BYTES: Final = 4
_LETTERS: Final = {Team.FIRST_STAGE: "f", Team.RERANK: "r", None: "-"}
_TEAMS: Final = {letter: team for team, letter in _LETTERS.items()}


class BadToken(ValueError):
    """A token that we did not sign, that has expired, or that knows nothing of what was clicked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A hit of an interleaved page."""

    #: its place in the whole ranking, from 1
    position: int
    #: keyed digest of its `_id`
    hit: str
    team: Team | None
    ranks: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPage:
    """What a token says."""

    policy: str
    #: digest of the settings and the model that made the reranked order
    version: str
    method: InterleaveMethod
    arm: Arm | None
    #: keyed digest of what the page was drawn with: equal for all pages of one user's search
    search: str
    #: the place of its first hit in the whole ranking, from 1
    first_position: int
    #: of each hit a letter for its team, a digest, and, of a balanced page, its ranks or 0
    letters: str
    digests: bytes
    ranks: Sequence[Any] | None

    @property
    def places(self) -> tuple[Place, ...]:
        """All hits that it tells of."""
        return tuple(map(self.at, range(len(self.letters))))

    def at(self, number: int) -> Place:
        """Return the hit of that number on the page, from 0."""
        ranks: Any = self.ranks[number] if self.ranks else None
        return Place(
            position=self.first_position + number,
            hit=self.digest(number).hex(),
            team=_TEAMS[self.letters[number]],
            ranks=(ranks[0], ranks[1]) if ranks else None,
        )

    def digest(self, number: int) -> bytes:
        """Return the digest of the `_id` of that hit."""
        return self.digests[number * _HIT_BYTES : (number + 1) * _HIT_BYTES]


class ClickTokens:
    """Makes and reads tokens."""

    def __init__(
        self, key: str | None = None, *, hours: float = DEFAULT_HOURS, now: Callable[[], float] = time.time
    ) -> None:
        """Sign with `key`, without one with a random one of this object's; tokens expire after `hours`."""
        self._key = hashlib.blake2b(secrets.token_bytes(32) if key is None else key.encode(), digest_size=32).digest()
        self._seconds = hours * 3600
        self._now = now

    def make(
        self,
        slots: Sequence[Slot],
        ids: Sequence[str],
        *,
        draw: bytes,
        first_position: int,
        policy: str,
        version: str,
        method: InterleaveMethod,
        arm: Arm | None,
    ) -> str:
        """Return the token of a page: its slots, the `_id`s of their hits, and the place of the first one, from 1."""
        slots, ids = slots[:MOST_PLACES], ids[:MOST_PLACES]
        payload = [
            policy,
            version,
            method,
            arm.value if arm else "",
            self._digest(draw, _SEARCH_BYTES).hex(),
            int(self._now() + self._seconds),
            first_position,
            "".join(_LETTERS[slot.team] for slot in slots),
            [slot.ranks or 0 for slot in slots] if method == "balanced" else 0,
            _encoded(b"".join(self._hit(each) for each in ids)),
        ]
        text = _encoded(json.dumps(payload, separators=(",", ":")).encode())
        return f"{PREFIX}{text}.{_encoded(self._signature(text))}"

    def read(self, token: str) -> ShownPage:
        """Return what a token says.

        Raises:
            BadToken: it is none, was signed with another key, or has expired.
        """
        text, dot, signature = token.removeprefix(PREFIX).partition(".")
        if not token.startswith(PREFIX) or not dot:
            raise BadToken("token: expected what X-Rerank of an interleaved page has there, rs1.….…")
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), _encoded(self._signature(text)).encode()):
            raise BadToken(
                "token: its signature is not ours: another program has made it, or this one before a restart, or with "
                "another events.signing_key"
            )
        policy, version, method, arm, search, expires, first, letters, ranks, hits = json.loads(_decoded(text))
        if self._now() > expires:
            raise BadToken("token: it has expired (the limit is events.token_hours)")
        return ShownPage(
            policy=policy,
            version=version,
            method=method,
            arm=Arm(arm) if arm else None,
            search=search,
            first_position=first,
            letters=letters,
            digests=_decoded(hits),
            ranks=ranks or None,
        )

    def place(self, page: ShownPage, object_id: str | None, position: int | None) -> Place:
        """Return what was clicked on a page: the hit with that `_id`, else the one at that place.

        Raises:
            BadToken: there is no such hit on it.
        """
        numbers = range(len(page.letters))
        asked = -1 if position is None else position - page.first_position
        if object_id is None:
            found = [asked] if asked in numbers else []
        else:
            digest = self._hit(object_id)
            found = [
                number for number in numbers if page.digest(number) == digest
            ]  # of several indices there may be two
        if not found:
            first, last = page.first_position, page.first_position + len(page.letters) - 1
            what = f"position {position}" if object_id is None else "an object_id that is not there"
            raise BadToken(f"token: it is of places {first} to {last}, and the event of {what}")
        return page.at(asked if asked in found else found[0])

    def _hit(self, hit_id: str) -> bytes:
        return self._digest(b"hit\0" + hit_id.encode("utf-8", "replace"), _HIT_BYTES)

    def _digest(self, data: bytes, size: int) -> bytes:
        return hashlib.blake2b(data, key=self._key, digest_size=size).digest()

    def _signature(self, text: str) -> bytes:
        return hmac.new(self._key, text.encode("utf-8", "replace"), hashlib.sha256).digest()[:_SIGNATURE_BYTES]


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: Any) -> bytes:
    """Return what `_encoded` was given; it is asked for what we have signed."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError) as error:
        raise BadToken("token: it is damaged") from error
