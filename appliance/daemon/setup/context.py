"""What every step of a set-up is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.config import Config, Paths, load_config
from appliance.daemon.setup.answers import Answers
from appliance.daemon.setup.machine import Machine
from appliance.security.protectors import PASSPHRASE_VARIABLE

Say = Callable[[str], None]
Ask = Callable[[str, str], str]


@dataclass(frozen=True)
class Context:
    """``ask`` is None when nobody can be asked. ``passphrase`` is the master key's, where no keychain keeps it."""

    home: Path
    machine: Machine
    answers: Answers
    say: Say
    language: str = "pt"
    ask: Ask | None = None
    passphrase: str | None = None
    code: str = ""
    """The join code, on the second Mac."""
    join_port: int = 8446
    resumed: bool = False
    """Whether an earlier run got somewhere."""
    again: tuple[str, ...] = ()
    """Steps that were asked for once more."""

    @property
    def paths(self) -> Paths:
        return Paths(self.home)

    @property
    def papers(self) -> Path:
        """Where what is printed lies."""
        return Path(self.answers.papers)

    def config(self) -> Config:
        """The node's own, as it stands now. Raises ``ConfigError``."""
        return load_config(self.paths.config)

    def tell(self, pt: str, en: str) -> None:
        """A sentence for the person."""
        self.say(pt if self.language == "pt" else en)

    @contextmanager
    def key(self) -> Iterator[None]:
        """While this lasts the master key can be opened once: whoever opens it takes the passphrase out of the environment."""
        if self.passphrase is None:
            yield
            return
        os.environ[PASSPHRASE_VARIABLE] = self.passphrase
        try:
            yield
        finally:
            os.environ.pop(PASSPHRASE_VARIABLE, None)
