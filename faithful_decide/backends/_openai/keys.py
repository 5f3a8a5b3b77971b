"""A key, and how it looks when somebody repeats it.

Servers repeat keys: in errors, in what a gateway adds to a prompt, in base64. Wherever words of a
server go, the key is blotted out of them first.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from faithful_decide._core.escaped import variable_shown
from faithful_decide.errors import AuthError, ContractError, UsageError

if TYPE_CHECKING:
    from faithful_decide._core.types import Reply

__all__ = ["BLOT", "Key"]

BLOT = "***"
_LEAST = 8
"""A shorter key is a word like any other, and would be found in every reply."""

_ALSO = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}
"""Where a key is also looked for."""
_LIKE_A_KEY = r"\b(?:sk|pk|rk|gsk|xai|key)-[\w-]{8,}|\bAIza[\w-]{20,}|\b[Bb]earer +[\w.~+/=-]{8,}"
"""What anybody would take for a key, whoever's it is."""


class Key:
    """A key that is sent and never shown."""

    def __init__(self, value: str, *, kind: str) -> None:
        """Refuse what cannot be a key; the value stays out of every message."""
        if value != value.strip() or not value.isascii() or not (value or "x").isprintable():
            msg = f"the key for {kind} has characters that no key has, or blanks around it"
            raise AuthError(msg, hint="copy it again")
        self.value = value
        whole = [re.escape(form) for form in _forms(value)] if len(value) >= _LEAST else []
        alone = [rf"(?<!\w){re.escape(value)}(?!\w)"] if value else []
        self._anywhere = re.compile("|".join(whole) or r"(?!)")
        self._in_errors = re.compile("|".join([*(whole or alone), _LIKE_A_KEY]))

    @classmethod
    def find(cls, given: str | None, variable: str, *, kind: str, named: object = None) -> Key:
        """The key that was given, or that of the variable a caller named, or of the usual one."""
        if named is None:
            usual = os.environ.get(variable, "") or os.environ.get(_ALSO.get(variable, ""), "")
            return cls(given or usual, kind=kind)
        if given is not None:
            msg = "a key is given, and the name of a variable that holds one"
            raise UsageError(msg, hint="pass api_key= or api_key_env=, and leave out the other")
        if not isinstance(named, str):
            msg = f"api_key_env is the name of a variable, not {type(named).__name__}"
            raise UsageError(msg, hint='pass api_key_env="NAME_OF_A_VARIABLE"')
        if not (value := os.environ.get(named, "")):
            msg = f"there is no key in the environment variable {variable_shown(named)}"
            raise AuthError(msg, hint="set it, or name another one in api_key_env")
        return cls(value, kind=kind)

    def __repr__(self) -> str:
        """Say nothing."""
        return "Key(***)"

    def blot(self, words: str) -> str:
        """The words without the key."""
        return self._in_errors.sub(BLOT, words)

    def blotted(self, reply: Reply) -> Reply:
        """A reply whose names do not hold the key; one whose text holds it proves nothing."""
        held = self._anywhere.search
        clean = replace(
            reply,
            model=self.blot(reply.model),
            fingerprint=reply.fingerprint and self.blot(reply.fingerprint),
            remark=self.blot(reply.remark),
        )
        spelt = b"".join(token.data for token in reply.tokens or ()).decode("latin-1")
        if not held(reply.text) and not held(spelt):
            return clean
        msg = "the text of the reply holds the key of the server, which was blotted out"
        text = self._anywhere.sub(BLOT, reply.text)
        raise ContractError(
            msg,
            reply=replace(clean, text=text, tokens=None),
            hint="find out what puts the key into prompts, and use another key from now on",
        )


def _forms(key: str) -> set[str]:
    """The key as it is, in an address, and in base64 at each of the three places it can begin."""
    forms = {key, quote(key, safe="")}
    for offset in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            coded = encode(b"\0" * offset + key.encode()).decode().rstrip("=")
            # The letters at both ends also depend on what stands beside the key.
            forms.add(coded[(0, 2, 3)[offset] : len(coded) - 1])
    return forms
