"""What the page of the pair says; a part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

CLUSTER_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.cluster": ("Os dois Macs", "The two Macs"),
    "cluster.lead": (
        "Quem atende agora, se o outro Mac tem tudo, e o que aconteceu. O que foi confirmado está nos dois.",
        "Who serves now, whether the other Mac has everything, and what happened. What was confirmed is on both.",
    ),
    "cluster.single": (
        "Este Prontuário funciona com um só Mac. Para formar o par: prontuario cluster init.",
        "This Prontuário runs on a single Mac. To form the pair: prontuario cluster init.",
    ),
    "cluster.leader": ("Quem atende", "Who serves"),
    "cluster.nobody": ("ninguém", "nobody"),
    "cluster.since": ("desde {time}, época {epoch}", "since {time}, epoch {epoch}"),
    "cluster.nobody_detail": ("gravações esperam; a leitura continua", "writes wait; reading goes on"),
    "cluster.mode": ("Gravação", "Writing"),
    "cluster.rows_alone": (
        "{count} gravações ainda só neste Mac",
        "{count} writes so far on this Mac only",
    ),
    "cluster.rows_none": ("nada falta no outro Mac", "nothing is missing on the other Mac"),
    "cluster.lag": ("Atraso da cópia", "Lag of the copy"),
    "cluster.lag_detail": ("{count} transações por chegar", "{count} transactions to come"),
    "cluster.seconds": ("{seconds} s", "{seconds} s"),
    "cluster.voters": ("Votantes", "Voters"),
    "cluster.voters_detail": (
        "com dois de três, o comando troca sozinho",
        "with two of three, command changes by itself",
    ),
    "cluster.voters_few": (
        "sem maioria: nenhuma troca automática",
        "no majority: no automatic change",
    ),
    "cluster.nodes": ("Os dois lados", "Both sides"),
    "cluster.this_node": ("Este Mac", "This Mac"),
    "cluster.peer": ("O outro Mac", "The other Mac"),
    "cluster.role": ("Papel deste Mac", "This Mac's role"),
    "cluster.role.init": ("iniciando", "starting"),
    "cluster.role.standby": ("reserva", "standby"),
    "cluster.role.candidate": ("assumindo", "taking over"),
    "cluster.role.primary": ("no comando", "in command"),
    "cluster.role.draining": ("entregando o comando", "handing over"),
    "cluster.role.fenced": ("isolado: o outro assumiu", "fenced: the other took over"),
    "cluster.own": ("Transações neste Mac", "Transactions on this Mac"),
    "cluster.peer_held": ("Transações no outro", "Transactions on the other"),
    "cluster.position": ("{txid} na época {epoch}", "{txid} in epoch {epoch}"),
    "cluster.in_sync": ("Pode assumir sozinho", "May take over by itself"),
    "cluster.in_sync_none": ("nenhum", "neither"),
    "cluster.reason": ("Por quê", "Why"),
    "cluster.reason_since": ("{reason} (desde {time})", "{reason} (since {time})"),
    "cluster.vip": ("Endereço dos telefones aqui", "The phones' address here"),
    "cluster.vip_yes": ("sim", "yes"),
    "cluster.vip_no": ("não", "no"),
    "cluster.last_drill": ("Último simulado", "Last drill"),
    "cluster.computes": ("Quem calcula", "Who computes"),
    "cluster.never": ("nunca", "never"),
    "cluster.unknown": ("não se sabe", "not known"),
    "cluster.timeline": ("O que aconteceu", "What happened"),
    "cluster.no_events": ("Nenhuma troca registrada.", "No change on record."),
    "cluster.actions": ("Comandos", "Commands"),
    "cluster.do.handover": ("Passar o comando", "Hand over"),
    "cluster.refused": ("Agora não: {reason}.", "Not now: {reason}."),
    "cluster.do.drill": ("Fazer um simulado", "Make a drill"),
    "cluster.drill_ok": (
        "{time}: {after} assumiu no lugar de {before}, {seconds} s sem atender{by}",
        "{time}: {after} took over from {before}, {seconds} s without service{by}",
    ),
    "cluster.drill_failed": ("{time}: falhou{by}", "{time}: failed{by}"),
    "cluster.drill_by": (" (pedido por {by})", " (asked for by {by})"),
    "cluster.do.promote": ("Assumir neste Mac", "Take over on this Mac"),
    "cluster.do.mark-lost": ("Dar o outro Mac por perdido", "Give the other Mac up"),
    "cluster.begun": ("{name}: começou. Acompanhe nesta página.", "{name}: begun. Watch it on this page."),
    "cluster.type_it": ("Para confirmar, digite: {phrase}", "To confirm, type: {phrase}"),
    "cluster.asked": ("Precisa da sua decisão", "Needs your decision"),
    "cluster.ask.not_drained": (
        (
            "Falta ou está danificado um arquivo do que este Mac recebeu. O melhor é religar o outro Mac: ele volta com tudo."
            " Só assuma aqui, aceitando perda, se ele não puder voltar."
        ),
        (
            "A file of what this Mac received is missing or damaged. Best switch the other Mac on again: it comes back with"
            " everything. Take over here, accepting loss, only if it can't come back."
        ),
    ),
    "cluster.ask.no_third_voter": (
        (
            "Os dois Macs não se veem e falta o terceiro votante: daqui não dá para saber se o outro caiu ou se é a rede. Vá até"
            " ele. Se estiver desligado ou morto, use Assumir neste Mac; se estiver ligado, conserte a rede e espere."
        ),
        (
            "The Macs do not see each other and the third voter is missing: from here nobody can tell a dead Mac from a cut"
            " network. Go and look. If it is off or dead, use Take over on this Mac; if it runs, mend the network and wait."
        ),
    ),
    "cluster.ask.not_in_sync": (
        (
            "Quem comandava tinha gravações que este Mac não tem. O melhor é religar o outro Mac: ele volta com tudo."
            " Só assuma aqui se ele não puder voltar."
        ),
        (
            "The one in command had writes that this Mac lacks. Best switch the other Mac on again: it comes back with"
            " everything. Take over here only if it can't come back."
        ),
    ),
    "cluster.ask.history_missing": (
        "A cópia deste Mac tem uma falha e não serve para assumir. Religue o outro Mac; a cópia é refeita sozinha.",
        "This Mac's copy has a gap and can't serve. Switch the other Mac on; the copy is made anew by itself.",
    ),
    "cluster.ask.marked_lost": (
        "Este Mac foi dado por perdido e não assume. Traga-o de volta com: prontuario cluster join.",
        "This Mac was given up and does not take over. Bring it back with: prontuario cluster join.",
    ),
    "cluster.ask.sick": (
        "Este Mac não está em condições de atender. Veja prontuario doctor.",
        "This Mac is in no state to serve. See prontuario doctor.",
    ),
    "cluster.ask.sick_alone": (
        "Este Mac atende, mas com problema, e não há quem assuma. Veja prontuario doctor e religue o outro Mac.",
        "This Mac serves with a problem, and nobody can take over. See prontuario doctor; switch the other Mac on.",
    ),
    "cluster.ask.not_initialised": (
        "O par ainda não foi formado. Execute prontuario cluster init.",
        "The pair has not been formed yet. Run prontuario cluster init.",
    ),
    "cluster.ask.voters_silent": (
        "A maioria dos votantes não responde: nada pode ser gravado. Confira a rede e as máquinas votantes.",
        "Most voters do not answer: nothing can be written. Check the network and the voters' machines.",
    ),
    "cluster.ask.other": (
        "O par espera uma decisão ({code}). Veja prontuario cluster status.",
        "The pair waits for a decision ({code}). See prontuario cluster status.",
    ),
}
