"""What the dispatcher hands to an action, and what an action gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.embedded.parameters import Parameters

JSON = "application/json"
PLAIN_TEXT = "text/plain; charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request on its way to an action. `names` are the variable parts of its path, decoded."""

    names: Mapping[str, str] = field(default_factory=dict)
    parameters: Parameters
    content: bytes = b""
    #: the caller asks for JSON where an API answers text by default
    wants_json: bool = False

    @property
    def index(self) -> str:
        """The index expression of the path, "" for all."""
        return self.names.get("index", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer of an action: JSON text, or plain text where `media_type` says so."""

    text: str
    status: int = 200
    media_type: str = JSON
