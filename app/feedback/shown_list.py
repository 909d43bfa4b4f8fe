"""A list of songs that somebody was shown, and the token that stands for it.

Nothing is stored when a list is shown. Its token carries all of it, signed, and comes back
with a judgement.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import zlib
from dataclasses import dataclass
from typing import Final, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.stored_vectors import VECTOR_BYTES, are_distributions, encode

Kind = Literal["mood", "song", "similar"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

LISTENER: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
"""A listener is a random name, made where the songs are shown, and nothing else."""

_SIGNATURE_BYTES: Final = 12
_MOST_CHARACTERS: Final = 65_536
_MOST_BYTES: Final = 262_144
_FOREIGN: Final = "the list is not known here: search again, and judge the songs that come then"


@dataclass(frozen=True, eq=False)
class ShownList:
    """Songs that somebody was shown.

    Attributes
    ----------
    listener
        Random name of who was shown it.
    kind
        What it was for: a mood in words, a song, or one of the catalogue's songs.
    query
        Emotion distribution that was searched for, float32 (6,).
    fusion
        Hash of the fusion settings in force.
    songs
        Ids in the order shown.
    """

    listener: str
    kind: Kind
    query: NDArray[np.float32]
    fusion: str
    songs: tuple[str, ...]

    def token(self, secret: bytes) -> str:
        """The list as a signed text that a browser carries and cannot change."""
        content = [
            self.listener,
            self.kind,
            base64.b64encode(encode(self.query)).decode("ascii"),
            self.fusion,
            list(self.songs),
        ]
        packed = zlib.compress(json.dumps(content, separators=(",", ":")).encode())
        signed = _signature(packed, secret) + packed
        return base64.urlsafe_b64encode(signed).decode("ascii").rstrip("=")

    @classmethod
    def from_token(cls, token: str, secret: bytes) -> Self:
        """What :meth:`token` wrote with the same secret.

        Raises
        ------
        InputError
            If it was changed, cut off, or written elsewhere.
        """
        try:
            if len(token) > _MOST_CHARACTERS:
                raise ValueError("too long")
            padded = token + "=" * (-len(token) % 4)
            signed = base64.b64decode(padded.encode("ascii"), b"-_", validate=True)
            if base64.urlsafe_b64encode(signed).decode("ascii").rstrip("=") != token:
                raise ValueError("another spelling: a list would be judged twice")
            signature, packed = signed[:_SIGNATURE_BYTES], signed[_SIGNATURE_BYTES:]
            if not hmac.compare_digest(signature, _signature(packed, secret)):
                raise ValueError("signed by another")
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(packed, _MOST_BYTES)
            listener, kind, query, fusion, songs = json.loads(content)
            blob = base64.b64decode(query)
            vector = np.frombuffer(blob, dtype="<f4").astype(np.float32)
            fits = len(blob) == VECTOR_BYTES and bool(are_distributions(vector[None]).all())
            if not (fits and kind in KINDS):
                raise ValueError("no list")
        except (ValueError, TypeError, zlib.error) as error:
            raise InputError(_FOREIGN) from error
        return cls(str(listener), kind, vector, str(fusion), tuple(map(str, songs)))


def check_listener(listener: str) -> str:
    """The name itself.

    Raises
    ------
    InputError
        If it is not what a random name looks like; real names are not wanted here.
    """
    if LISTENER.fullmatch(listener) is None:
        raise InputError(
            "listener: expected a random name of 16 to 64 letters (a to z), digits, - and _"
        )
    return listener


def _signature(packed: bytes, secret: bytes) -> bytes:
    return hmac.new(secret, packed, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
