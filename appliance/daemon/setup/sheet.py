"""The emergency sheet: what whoever is alone at night needs, on paper, since the screen may be what is dark. It holds no secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from appliance.daemon.setup.drawing import Paper

Step = tuple[str, str]
"""What to do, and what is typed for it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the sheet says of this installation; nothing of it is secret."""

    hospital: str
    made_on: str
    nodes: tuple[tuple[str, str], ...]
    """Name and address of each Mac, this one first."""
    phones: str
    """``host:port`` at which phones reach the record."""
    vip: str
    witness: str
    fingerprint: str
    """SHA-256 of the root certificate, in hexadecimal with colons."""
    home: str
    logs: str
    papers: str
    holders: tuple[str, ...] = ()
    needed: int = 0

    @property
    def is_pair(self) -> bool:
        return len(self.nodes) > 1


LOOK: Final[tuple[Step, ...]] = (
    ("Veja o que está errado; cada linha traz causa e próximo passo:", "sudo prontuario doctor"),
    ("Leia o registro do serviço:", "sudo tail -n 50 /var/log/prontuario/core.log"),
)
PAIR_DIED: Final[tuple[Step, ...]] = (
    ("No Mac que ficou, veja quem atende e por quê:", "sudo prontuario cluster status"),
    ("Ligue o Mac morto. Se ele liga, volta sozinho: espere 'par completo' no comando acima e pare aqui.", ""),
    (
        "Só se ninguém atende: tire o Mac morto da tomada e, no que ficou (ele diz o que pode faltar e pede confirmação):",
        "sudo prontuario cluster promote",
    ),
    ("Se o Mac morto queimou ou foi roubado, no que ficou:", "sudo prontuario cluster mark-lost"),
    (
        "Mac novo, com o mesmo endereço. No que ficou (NOME: o nó que falta, a ou b); anote o comando 'rejoin' que ele mostra:",
        "sudo -u _prontuario prontuario cluster readmit NOME",
    ),
    ("Instale o pacote no Mac novo. No que ficou, que segue atendendo:", "sudo prontuario setup --again pair"),
    ("No Mac novo (responda 'second', o endereço e o código que o outro mostra):", "sudo prontuario setup"),
    ("No Mac novo, pare os serviços:", "sudo prontuario launchd unload"),
    ("Execute o comando anotado, com 'sudo -u _prontuario' na frente; depois inicie:", "sudo prontuario launchd load"),
)
ALONE_DIED: Final[tuple[Step, ...]] = (
    ("Confira tomada, nobreak e cabo de rede; ligue o Mac. Se o disco está cifrado, digite a senha na tela.", ""),
    ("Se liga: espere dois minutos e confira.", "sudo prontuario doctor"),
    ("Se não liga mais: instale o pacote num Mac novo e siga 'Restaurar de uma cópia com as folhas'.", ""),
)
BOTH_OFF: Final[tuple[Step, ...]] = (
    ("Ligue os dois Macs e o terceiro votante. Com energia para um só, ligue o que atendia por último.", ""),
    ("Disco cifrado (FileVault): digite a senha na tela de cada Mac, ou ele não parte.", ""),
    ("Espere dois minutos. Quase sempre um deles já atende:", "sudo prontuario cluster status"),
    (
        "Se pede uma decisão: conserte primeiro o Mac que tinha mais. Só se for impossível:",
        "sudo prontuario cluster promote",
    ),
    ("Nos dois:", "sudo prontuario doctor"),
)
DISK_FULL: Final[tuple[Step, ...]] = (
    ("Veja quanto falta:", "sudo prontuario doctor"),
    ("Apague só fora da pasta do Prontuário: atualizações baixadas, lixeira. Nunca nada em data/.", ""),
    ("Cópias antigas postas de lado, que podem ir para um disco externo:", "sudo prontuario backup set-aside"),
)
HAND_OVER: Final[tuple[Step, ...]] = (
    ("Se quem atende está cheio e o outro Mac não:", "sudo prontuario cluster handover"),
)
RESTORE: Final[tuple[Step, ...]] = (
    ("Só quando os discos de todos os Macs se perderam. Instale o pacote num Mac novo.", ""),
    ("Ligue o disco com a cópia: a pasta data do nó e o arquivo recovery.sealed.", ""),
    (
        "Reúna as folhas da chave. O comando as pede uma a uma e confere cada linha:",
        "sudo prontuario recover --backup PASTA",
    ),
    ("Termine a preparação (o que existe não é mudado):", "sudo prontuario setup"),
    ("Confira, e leia num telefone um prontuário conhecido:", "sudo prontuario doctor"),
)


def procedures(facts: Facts) -> tuple[tuple[str, tuple[Step, ...]], ...]:
    """Every page of the night, in the order in which they are needed."""
    died = PAIR_DIED if facts.is_pair else ALONE_DIED
    both = (("Os dois Macs estão desligados", BOTH_OFF),) if facts.is_pair else ()
    full = (*DISK_FULL, *HAND_OVER) if facts.is_pair else DISK_FULL
    return (
        ("Antes de tudo: olhe", (*LOOK, ("Quem atende:", "sudo prontuario cluster status")) if facts.is_pair else LOOK),
        ("Um Mac morreu" if facts.is_pair else "O Mac morreu", died),
        *both,
        ("Disco cheio", full),
        ("Restaurar de uma cópia com as folhas", RESTORE),
    )


def emergency_sheet(facts: Facts) -> bytes:
    """The PDF, in Portuguese."""
    paper = Paper("Prontuário: folha de emergência", f"Prontuário: {facts.hospital}, {facts.made_on}")
    paper.heading("Prontuário: folha de emergência", 20)
    paper.text("Não há segredo nesta folha: deixe-a na parede, ao lado dos Macs. Senhas e chave estão em outro lugar.")
    keepers = (
        f"{facts.needed} de {len(facts.holders)}: {', '.join(facts.holders)}" if facts.holders else "ver no 1º Mac"
    )
    nodes = tuple((f"Mac {name}", address) for name, address in facts.nodes)
    paper.pairs(
        (
            ("Hospital", facts.hospital),
            *nodes,
            ("Telefones usam", facts.phones),
            ("IP virtual", facts.vip or "não há"),
            *((("Terceiro votante", facts.witness or "não há: um operador decide"),) if facts.is_pair else ()),
            ("Painel (no próprio Mac)", "https://localhost:8445"),
            ("Pasta do nó", facts.home),
            ("Registros (logs)", facts.logs),
            ("Autoridade, SHA-256", facts.fingerprint),
            ("Folhas da chave", keepers),
            ("Feita em", facts.made_on),
        ),
        9,
    )  # fmt: skip
    paper.heading("Quem chamar (preencha à mão)", 13)
    paper.blanks(
        (
            "TI de plantão",
            "Quem administra o Prontuário",
            "Direção clínica",
            "Encarregado de dados (LGPD)",
            "Suporte",
            "Eletricista",
        )
    )
    for title, steps in procedures(facts):
        paper.heading(title, 13)
        for number, (text, command) in enumerate(steps, 1):
            paper.step(number, text, command, 9.5)
    paper.heading("Três regras", 13)
    paper.step(1, "Olhe antes de agir.")
    paper.step(2, "Nunca apague nada em data/: o que sobra é prova.")
    if facts.is_pair:
        paper.step(3, "Force uma promoção só depois de ver com os próprios olhos que o outro Mac está desligado.")
    else:
        paper.step(3, "Sem luz nada do que foi confirmado se perde: não tenha pressa.")
    return paper.finish()
