"""Encrypts records with keys of a file, by Fernet of the `cryptography` package."""

from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from moderation.adapters.decision_log.records import RecordUnreadable


class FernetSeal:
    """A Seal: the first key encrypts, each of them may decrypt, so that keys can be changed."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises ValueError for what is no Fernet key."""
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def close(self, plain: bytes) -> str:
        """See Seal."""
        return self._fernet.encrypt(plain).decode("ascii")

    def open(self, text: str) -> bytes:
        """See Seal."""
        try:
            return self._fernet.decrypt(text)
        except InvalidToken as error:
            raise RecordUnreadable("was encrypted with a key that is not in the file") from error
