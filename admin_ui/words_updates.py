"""What the dashboard says about updates; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

UPDATES_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.updates": ("Atualizações", "Updates"),
    "updates.lead": (
        "A versão deste Mac, a atualização em andamento e o que há no pendrive. Só quem tem sudo instala: os comandos estão abaixo.",
        "This Mac's version, the update under way and what is on the stick. Only who has sudo installs: the commands are below.",
    ),
    "updates.now": ("Agora", "Now"),
    "updates.running": ("Versão deste Mac", "This Mac's version"),
    "updates.by_hand": ("não veio pelo pacote", "not installed by the package"),
    "updates.update": ("Atualização", "Update"),
    "updates.from_to": ("de {before} para {version}", "from {before} to {version}"),
    "updates.step": ("Passo", "Step"),
    "updates.waits": ("Espera", "Waits"),
    "updates.went_back": ("Voltou porque", "Went back because"),
    "updates.half_done": (
        "Pela metade. Veja docs/runbooks/update-half-done.md; continua com: sudo prontuario update apply",
        "Half done. See docs/runbooks/update-half-done.md; it goes on with: sudo prontuario update apply",
    ),
    "updates.history": ("Passos", "Steps"),
    "updates.at": ("Quando", "When"),
    "updates.what": ("O quê", "What"),
    "updates.found": ("No pendrive", "On the stick"),
    "updates.none_found": (
        "Nenhuma atualização encontrada. Ponha o pendrive neste Mac.",
        "No update was found. Put the stick into this Mac.",
    ),
    "updates.folder": ("Pasta", "Folder"),
    "updates.version": ("Versão", "Version"),
    "updates.state": ("Situação", "State"),
    "updates.may_come": ("assinada, pode vir", "signed, may come"),
    "updates.commands": (
        "sudo prontuario update stage {folder}, depois sudo prontuario update apply (nos dois Macs)",
        "sudo prontuario update stage {folder}, then sudo prontuario update apply (on both Macs)",
    ),
    "updates.past": ("Anteriores", "Earlier ones"),
    "updates.no_past": ("Nenhuma ainda.", "None yet."),
    "update_what.begun": ("começou", "begun"),
    "update_what.done": ("feito", "done"),
    "update_what.skipped": ("nada a fazer", "nothing to do"),
    "update_what.asked": ("pediram a volta", "asked to go back"),
    "update_what.failed": ("falhou", "failed"),
}
