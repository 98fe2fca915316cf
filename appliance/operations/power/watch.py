"""Watching the UPS: asks it again and again, lets ``decide`` judge, and has the node's hands do what that says."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import msgspec

from appliance.config.model import Power
from appliance.operations.power import apcupsd, nut
from appliance.operations.power.decide import Action, Observation, Rules, State, decide
from appliance.operations.power.meters import PowerMeters
from appliance.operations.power.reading import Reading, SilentError, Supply, Ups
from appliance.operations.power.words import health_of
from appliance.plugin_api.errors import ProntuarioError
from appliance.plugin_api.hooks import Health
from appliance.telemetry.clock import Clock
from appliance.telemetry.logs import get_logger
from appliance.telemetry.metrics import Metrics

log = get_logger("power")
PEER_LIMIT_S: Final = 2.0


class Standing(msgspec.Struct, frozen=True):
    """This node's place at this moment; see ``Observation``."""

    leads: bool
    peer_can_take_over: bool


class PowerHands(Protocol):
    """What the node can do about its power."""

    def standing(self) -> Standing:
        """From memory."""
        ...

    async def peer_supply(self) -> Supply | None:
        """What the other node believes to be fed by; None: unknown. Raises nothing but ``ProntuarioError``."""
        ...

    async def hand_over(self) -> None:
        """Ask for the other node to lead. Raises ``ProntuarioError``."""
        ...

    def shed(self, on: bool) -> None:
        """Hold background work back, or let it go on."""
        ...

    def shut_down(self) -> None:
        """Begin to drain; the machine is switched off once everything is closed."""
        ...


def ups_of(config: Power) -> Ups | None:
    """The UPS that the configuration names, if any."""
    if config.kind == "nut":
        return nut.NutUps(config.host, config.ups, config.port or nut.PORT)
    if config.kind == "apcupsd":
        return apcupsd.ApcupsdUps(config.host, config.port or apcupsd.PORT)
    return None


class PowerWatch:
    """``start`` it; ``close`` ends it. Without a UPS it only answers that there is none."""

    def __init__(self, config: Power, hands: PowerHands, clock: Clock, metrics: Metrics, ups: Ups | None) -> None:
        self._config, self._hands, self._clock, self._ups = config, hands, clock, ups
        self._rules = Rules(confirm_s=config.confirm_s, calm_s=config.calm_s, handover_s=config.handover_s)
        self._meters = PowerMeters(metrics) if ups is not None else None
        self._task: asyncio.Task[None] | None = None
        self._why = ""
        self.state = State()
        self.reading: Reading | None = None
        """The last answer; None before the first one, and while the UPS is silent."""

    def start(self) -> None:
        """Begin to watch."""
        if self._ups is not None:
            self._task = asyncio.create_task(self._run(self._ups), name="power")

    async def close(self) -> None:
        """Stop watching; safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    @property
    def supply(self) -> Supply | None:
        """What this node believes to be fed by, for the other one; None: there is no UPS, it is silent, or nobody asks it."""
        return None if self.reading is None or self._has_ended else self.state.supply

    async def health(self) -> Health:
        """A check for the registry; asks nobody."""
        if self._has_ended:
            return Health(
                "failed",
                "nobody watches the UPS",
                "restart core and call support",
                message_pt="ninguém vigia o nobreak",
                advice_pt="reinicie o core e chame o suporte",
            )
        return health_of(self._ups is not None, self.state, self.reading, self._why)

    async def look(self, ups: Ups) -> tuple[Action, ...]:
        """Ask, judge and act once; what was ordered."""
        self.reading = await self._ask(ups)
        standing, peer = self._hands.standing(), await self._peer()
        seen = Observation(
            now=self._clock.monotonic(), reading=self.reading, leads=standing.leads, peer=peer,
            peer_can_take_over=standing.peer_can_take_over,
        )  # fmt: skip
        before, (self.state, actions) = self.state, decide(self.state, seen, self._rules)
        if self.state.supply is not before.supply:
            log.warning("the power supply changed", status=self.state.supply)
        if self._meters is not None:
            self._meters.show(self.state, self.reading)
        for action in actions:
            await self._carry_out(action)
        return actions

    @property
    def _has_ended(self) -> bool:
        """By an error that nobody foresaw; what was seen last is no news any more."""
        return self._task is not None and self._task.done()

    async def _run(self, ups: Ups) -> None:
        while True:
            await self.look(ups)
            await asyncio.sleep(self._config.poll_s)

    async def _ask(self, ups: Ups) -> Reading | None:
        try:
            reading = await ups.read()
        except SilentError as error:
            if error.why != self._why:
                log.warning("the UPS can't be asked; nothing is done about power until it answers", error=error.why)
            self._why = error.why
            return None
        self._why = ""
        return reading.judged(self._config.low_charge_percent, self._config.low_runtime_s)

    async def _peer(self) -> Supply | None:
        try:
            async with asyncio.timeout(PEER_LIMIT_S):
                return await self._hands.peer_supply()
        except (ProntuarioError, TimeoutError):
            return None

    async def _carry_out(self, action: Action) -> None:
        log.warning("power: the node acts", step=action)
        if self._meters is not None:
            self._meters.acted(action)
        try:
            if action is Action.HAND_OVER:
                await self._hands.hand_over()
            elif action is Action.SHUT_DOWN:
                self._hands.shut_down()
            else:
                self._hands.shed(action is Action.SHED)
        except ProntuarioError as error:
            log.warning("power: that could not be done; it is tried again", step=action, code=error.kind.code)
