"""The steps of a set-up, in order, and the run through them: each is noted once it is done, and none is done twice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final

from appliance.daemon.setup import home_steps, pair_steps, service_steps
from appliance.daemon.setup.checks import Text
from appliance.daemon.setup.context import Context
from appliance.daemon.setup.errors import NOT_WRITTEN
from appliance.daemon.setup.journal import Journal, Progress


@dataclass(frozen=True, slots=True)
class Step:
    """``needed`` tells whether this set-up has it at all."""

    name: str
    text: Text
    run: Callable[[Context], Awaitable[None]]
    needed: Callable[[Context], bool] = lambda _ctx: True


def _first(ctx: Context) -> bool:
    return ctx.answers.part == "first"


def _founds(ctx: Context) -> bool:
    return _first(ctx) and ctx.answers.phase == "pair"


def _invites(ctx: Context) -> bool:
    """The first Mac; and by order either one, when the other is gone."""
    return _founds(ctx) or ("pair" in ctx.again and pair_steps.is_joined(ctx))


def _mac(ctx: Context) -> bool:
    return ctx.machine.is_mac


STEPS: Final = (
    Step("mac", ("Ajustes deste Mac", "This Mac's settings"), home_steps.settle_mac, _mac),
    Step(
        "home", ("Configuração, autoridade e chaves", "Configuration, authority and keys"), home_steps.make_home, _first
    ),
    Step("found", ("O par e o terceiro votante", "The pair and the third voter"), pair_steps.found_pair, _founds),
    Step("key", ("As folhas da chave", "The pages of the key"), home_steps.print_key, _first),
    Step("pair", ("O segundo Mac", "The second Mac"), pair_steps.invite_second, _invites),
    Step(
        "join", ("Entrar no par", "Joining the pair"), pair_steps.join_first, lambda ctx: ctx.answers.part == "second"
    ),
    Step("pack", ("Pacote de modelos", "Model pack"), service_steps.take_pack_in, lambda ctx: bool(ctx.answers.pack)),
    Step("files", ("Dono dos arquivos", "Whose the files are"), home_steps.hand_over_files, _mac),
    Step("sheet", ("Folha de emergência", "Emergency sheet"), service_steps.print_sheet),
    Step("start", ("O serviço", "The service"), service_steps.start_node),
    Step("use", ("O pacote em uso", "The pack at work"), service_steps.use_pack, lambda ctx: bool(ctx.answers.pack)),
    Step(
        "phone",
        ("O primeiro telefone", "The first phone"),
        service_steps.enrol_phone,
        lambda ctx: _first(ctx) and bool(ctx.answers.phone_user),
    ),
    Step(
        "pages", ("As folhas da chave, impressas?", "The key's pages, printed?"), service_steps.clear_key_pages, _first
    ),
)
NAMES: Final = tuple(step.name for step in STEPS)


async def run(ctx: Context, journal: Journal, done: Collection[str]) -> None:
    """Every step that is needed and not ``done``.

    Raises:
        ProntuarioError, CommandFailedError: a step's; what was done before it is noted.
        PausedError: a person has to act outside first.
    """
    noted = list(done)
    wanted = [step for step in STEPS if step.needed(ctx)]
    try:
        journal.write(Progress(ctx.answers, tuple(noted)))
        for number, step in enumerate(wanted, 1):
            if step.name in noted:
                continue
            ctx.say(f"[{number}/{len(wanted)}] {step.text[ctx.language != 'pt']}")
            await step.run(ctx)
            noted.append(step.name)
            journal.write(Progress(ctx.answers, tuple(noted)))
    except OSError as error:
        raise NOT_WRITTEN(
            path=error.filename or str(ctx.home), reason=error.strerror or type(error).__name__
        ) from error


def taken_up(kept: Progress | None, again: Collection[str]) -> tuple[str, ...]:
    """What need not be done any more."""
    return tuple(name for name in (kept.done if kept is not None else ()) if name not in again)


def unneeded(ctx: Context, again: Collection[str]) -> list[str]:
    """Steps that were asked for once more and that these answers do not have."""
    return [step.name for step in STEPS if step.name in again and not step.needed(ctx)]
