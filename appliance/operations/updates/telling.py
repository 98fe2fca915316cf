"""An update in words: for the command line, the dashboard and whoever reads JSON."""

from __future__ import annotations

from typing import Final

import msgspec

from appliance.operations.updates.errors import NOT_INSTALLED
from appliance.operations.updates.journal import Place
from appliance.operations.updates.state import Entry, State, Step
from appliance.plugin_api.errors import ProntuarioError

STEPS: Final[dict[Step, tuple[str, str]]] = {
    Step.TURN: ("esperando a vez", "waiting for its turn"),
    Step.PLACE: ("tabelas e modelos no lugar", "tables and models to their places"),
    Step.SWITCH: ("troca do programa", "switching the program"),
    Step.PROVE: ("consulta sintética", "synthetic consult"),
    Step.MODELS: ("modelos em uso", "models put to work"),
    Step.LEAD: ("passagem do comando para este Mac", "handover to this Mac"),
    Step.YIELD: ("passagem do comando ao outro Mac", "handover to the other Mac"),
    Step.PUT_BACK: ("tabelas e modelos de antes", "tables and models as before"),
    Step.BACK: ("volta do programa anterior", "the program before comes back"),
    Step.DONE: ("concluída", "done"),
    Step.ROLLED_BACK: ("desfeita", "taken back"),
    Step.STUCK: ("parada: chame o suporte", "stuck: call support"),
}
WAITS: Final[dict[str, tuple[str, str]]] = {
    "confirmation": ("espera a confirmação ou a janela de manutenção", "waits for a confirmation or the window"),
    "node_silent": ("este Mac não responde", "this Mac does not answer"),
    "nobody_leads": ("nenhum Mac atende agora", "neither Mac serves now"),
    "other_first": ("este Mac atende: o outro vai primeiro", "this Mac serves: the other one goes first"),
    "other_silent": ("o outro Mac não diz em que pé está", "the other Mac does not say how it stands"),
    "other_too_old": (
        "o outro Mac é velho demais para esta versão: atualize-o antes",
        "the other Mac is too old for this version: update it first",
    ),
    "other_at_work": ("o outro Mac está sendo atualizado", "the other Mac is being updated"),
    "not_in_step": ("a reserva ainda não está em dia", "the standby is not in step yet"),
    "serves_alone": ("este Mac atende sozinho: a volta espera o outro", "this Mac serves alone: the way back waits"),
}


class UpdateReport(msgspec.Struct, frozen=True, kw_only=True):
    """``running``: the program's version, empty if the package did not install it; ``version``: the update's, empty if none."""

    running: str
    version: str = ""
    before: str = ""
    step: str = ""
    step_pt: str = ""
    step_en: str = ""
    waits_pt: str = ""
    waits_en: str = ""
    ended: bool = True
    half_done: bool = False
    failure: str = ""
    failure_pt: str = ""
    failure_en: str = ""
    entries: tuple[Entry, ...] = ()
    past: tuple[UpdateReport, ...] = ()


def report(place: Place) -> UpdateReport:
    """How things stand below ``place``. Raises ``update.state`` (500)."""
    try:
        running = place.running()
    except ProntuarioError as error:
        if error.kind is not NOT_INSTALLED:
            raise
        return UpdateReport(running="")
    state, past = place.load(), place.past()
    before = tuple(_of(one, running) for one in past.runs if state is None or one.run != state.run)
    return (
        msgspec.structs.replace(_of(state, running), past=before)
        if state
        else UpdateReport(running=running, past=before)
    )


def _of(state: State, running: str) -> UpdateReport:
    step_pt, step_en = STEPS[state.step]
    waits_pt, waits_en = WAITS.get(state.waits, ("", ""))
    return UpdateReport(
        running=running, version=state.version, before=state.before, step=state.step.value, step_pt=step_pt,
        step_en=step_en, waits_pt=waits_pt, waits_en=waits_en, ended=state.ended, half_done=state.half_done,
        failure=state.failure, failure_pt=state.failure_pt, failure_en=state.failure_en, entries=state.entries,
    )  # fmt: skip


def step_line(state: State) -> str:
    """One step for a terminal, in both languages."""
    told = _of(state, "")
    waits = f": {told.waits_pt}  |  {told.waits_en}" if told.waits_pt else ""
    return f"{state.version}  {told.step_pt}  |  {told.step_en}{waits}"


def lines(told: UpdateReport) -> list[str]:
    """A report for a terminal."""
    head = [f"runs          {told.running or 'not installed by the package'}"]
    if told.version:
        head.append(f"update        {told.before} to {told.version}: {told.step_pt}  |  {told.step_en}")
    if told.waits_pt:
        head.append(f"waits         {told.waits_pt}  |  {told.waits_en}")
    if told.failure_pt:
        head += [f"went back     {told.failure_pt}", f"              {told.failure_en}"]
    steps = [f"{one.at}  {one.step:10} {one.what:8} {one.code}".rstrip() for one in told.entries]
    past = [f"before        {one.before} to {one.version}: {one.step_pt}  |  {one.step_en}" for one in told.past]
    return [*head, *steps, *past]
