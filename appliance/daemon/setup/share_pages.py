"""A page for each holder of a part of the key: words to be typed or read aloud, and the same as a QR code for a scanner."""

from __future__ import annotations

from appliance.daemon.setup.drawing import Paper
from appliance.security.recovery import Share, to_rows


def share_page(share: Share, hospital: str, holder: str) -> bytes:
    """One PDF of one page. It is a secret: whoever has ``share.needed`` of them can read every record."""
    rows = to_rows(share)
    paper = Paper(f"Prontuário: folha {share.number} de {share.holders}", f"Conjunto {share.set_id.hex()}: {hospital}")
    paper.heading(f"Prontuário: folha {share.number} de {share.holders} da chave", 18)
    paper.pairs((("Hospital", hospital), ("Quem guarda", holder), ("Conjunto", share.set_id.hex())))
    paper.text(
        f"Quaisquer {share.needed} das {share.holders} folhas devolvem a chave do prontuário quando os dois Macs se perdem. "
        f"Com menos, ninguém lê nada. Guarde esta folha num envelope fechado e assinado, longe das outras e fora da sala dos "
        "Macs. Não fotografe, não copie, não envie.",
        11,
    )
    paper.words(rows)
    paper.text("Cada linha tem quatro palavras e uma quinta que confere a linha. Não há acentos nem maiúsculas.", 9)
    paper.qr(" ".join(word for row in rows for word in row))
    paper.text("O QR repete as palavras, para um leitor de código ligado ao Mac. Não o leia com um telefone.", 9)
    paper.text(
        "Para usar: num Mac com o pacote instalado, sudo prontuario recover --backup PASTA; ele pede as folhas uma a uma.",
        9,
    )
    paper.blanks(("Entregue em", "Assinatura de quem guarda"))
    return paper.finish()
