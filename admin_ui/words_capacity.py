"""What the dashboard says about memory budgets and the days until something is full; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

CAPACITY_WORDS: Final[dict[str, tuple[str, str]]] = {
    "capacity.title": ("Capacidade", "Capacity"),
    "capacity.lead": (
        "Memória de cada parte deste Mac, e em quantos dias disco e memória enchem no ritmo das últimas semanas.",
        "Memory of each part of this Mac, and in how many days disk and memory are full at the pace of the last weeks.",
    ),
    "capacity.none": ("Este nó não conta o que usa.", "This node does not count what it uses."),
    "capacity.ai": ("Modelos de IA", "AI models"),
    "capacity.api": ("API e painel", "API and dashboard"),
    "capacity.data": ("Dados (Litestream, etcd)", "Data (Litestream, etcd)"),
    "capacity.disk": ("Disco", "Disk"),
    "capacity.memory": ("Memória, tudo junto", "Memory, all together"),
    "capacity.state.ok": ("em ordem", "fine"),
    "capacity.state.soon": ("logo cheio", "full soon"),
    "capacity.state.over": ("passou do limite", "over the limit"),
    "capacity.state.unknown": ("sem previsão", "no forecast yet"),
    "capacity.of": ("{used} de {budget} ({share})", "{used} of {budget} ({share})"),
    "capacity.declared": (
        "{used} de {budget} ({share}); {declared} reservados pelos modelos carregados",
        "{used} of {budget} ({share}); {declared} reserved by the models that are loaded",
    ),
    "capacity.forecast": (
        "Cheio em {days} dias neste ritmo ({pace} por dia).",
        "Full in {days} days at this pace ({pace} a day).",
    ),
    "capacity.last_day": ("Cheio em menos de um dia neste ritmo.", "Full in less than a day at this pace."),
    "capacity.steady": ("Não cresce, ou dura mais de dez anos.", "It does not grow, or lasts more than ten years."),
    "capacity.full": ("Cheio agora.", "Full now."),
    "capacity.too_little_history": (
        "Histórico insuficiente: {have} de {need} dias. A previsão vem sozinha.",
        "Not enough history: {have} of {need} days. The forecast comes by itself.",
    ),
    "capacity.step.ai.soon": (
        "Antes de ativar um modelo maior, compare em Modelos quanto cada um pede com o que resta aqui.",
        "Before a larger model is activated, compare in Models what each one asks with what is left here.",
    ),
    "capacity.step.ai.over": (
        "Volte em Modelos ao pacote anterior, ou aumente memory.ai_bytes em prontuario.toml e reinicie o nó numa hora calma.",
        "In Models go back to the pack before, or raise memory.ai_bytes in prontuario.toml and restart the node at a quiet hour.",
    ),
    "capacity.step.api.soon": (
        "Olhe amanhã de novo. Se continuar subindo, reinicie o nó numa hora calma.",
        "Look again tomorrow. If it goes on growing, restart the node at a quiet hour.",
    ),
    "capacity.step.api.over": (
        "Reinicie o nó numa hora calma, a reserva primeiro. Se voltar, guarde os logs e chame o suporte.",
        "Restart the node at a quiet hour, the standby first. If it comes back, keep the logs and call support.",
    ),
    "capacity.step.data.soon": (
        "Olhe amanhã de novo. Se continuar subindo, reinicie o nó numa hora calma.",
        "Look again tomorrow. If it goes on growing, restart the node at a quiet hour.",
    ),
    "capacity.step.data.over": (
        "Reinicie o nó numa hora calma, a reserva primeiro. Se voltar, guarde os logs e chame o suporte.",
        "Restart the node at a quiet hour, the standby first. If it comes back, keep the logs and call support.",
    ),
    "capacity.step.disk.soon": (
        "Libere espaço fora da pasta do Prontuário e remova, em Modelos, pacotes que não se usam. Veja docs/runbooks/disk-full.md.",
        "Make room outside Prontuário's folder and remove, in Models, packs that are not used. See docs/runbooks/disk-full.md.",
    ),
    "capacity.step.disk.over": (
        "Libere espaço agora, fora da pasta do Prontuário: gravações vão ser recusadas. Siga docs/runbooks/disk-full.md.",
        "Make room now, outside Prontuário's folder: writes are going to be refused. Follow docs/runbooks/disk-full.md.",
    ),
    "capacity.step.memory.soon": (
        "Veja acima qual parte cresce. Reinicie o nó numa hora calma; se a previsão ficar, chame o suporte.",
        "See above which part grows. Restart the node at a quiet hour; if the forecast stays, call support.",
    ),
    "capacity.step.memory.over": (
        "Veja acima qual parte passou do limite e comece por ela. Reinicie o nó numa hora calma, a reserva primeiro.",
        "See above which part is over its limit and begin with it. Restart the node at a quiet hour, the standby first.",
    ),
}
