"""The health registry: named checks of every part, asked all at once, each within its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from appliance.plugin_api.hooks import Health, HealthCheck

CHECK_TIMEOUT_S = 2.0
_ORDER = {"ok": 0, "not_configured": 0, "degraded": 1, "failed": 2}


class HealthRegistry:
    """Checks by name. A check that hangs or raises counts as failed; it never takes the others with it."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], Awaitable[Health]]] = {}

    def add(self, check: HealthCheck) -> None:
        """Register a check; the name must be new."""
        if check.name in self._checks:
            raise ValueError(f"health check {check.name!r} is registered twice")
        self._checks[check.name] = check.check

    async def ask(self) -> dict[str, Health]:
        """Every check's answer, asked side by side."""
        answers = await asyncio.gather(*(self._ask_one(check) for check in self._checks.values()))
        return dict(zip(self._checks, answers, strict=True))

    @staticmethod
    async def _ask_one(check: Callable[[], Awaitable[Health]]) -> Health:
        try:
            return await asyncio.wait_for(check(), CHECK_TIMEOUT_S)
        except TimeoutError:
            return Health(
                "failed",
                f"no answer within {CHECK_TIMEOUT_S:g} s",
                "look at the part's log",
                message_pt=f"sem resposta em {CHECK_TIMEOUT_S:g} s",
                advice_pt="veja o registro (log) desta parte",
            )
        except Exception as error:  # noqa: BLE001  a broken check must not hide the healthy ones
            return Health(
                "failed",
                f"the check itself failed: {type(error).__name__}",
                "report this",
                message_pt=f"a própria verificação falhou: {type(error).__name__}",
                advice_pt="informe o suporte",
            )


def worst(answers: dict[str, Health]) -> str:
    """``ok``, ``degraded`` or ``failed``: the worst of all."""
    rank = max((_ORDER.get(answer.status, 2) for answer in answers.values()), default=0)
    return ("ok", "degraded", "failed")[rank]
