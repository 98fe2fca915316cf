"""What the dashboard says about note templates and the hospital's words; part of ``words.WORDS``."""

from __future__ import annotations

from typing import Final

NOTES_WORDS: Final[dict[str, tuple[str, str]]] = {
    "nav.templates": ("Modelos de nota", "Note templates"),
    "templates.lead": (
        "Os títulos sob os quais fica cada rascunho. O do hospital vale para quem não tem o seu; ninguém perde um rascunho.",
        "The headings under which every draft stands. The hospital's counts for whoever has none of their own.",
    ),
    "templates.name": ("Nome", "Name"),
    "templates.title": ("Título", "Title"),
    "templates.source": ("De quem é", "Whose it is"),
    "templates.version": ("Versão", "Version"),
    "templates.none": ("Nenhum modelo de nota.", "No note template."),
    "templates.default": ("padrão dos ditados", "default of dictations"),
    "source.product": ("do produto", "the product's"),
    "source.hospital": ("do hospital", "the hospital's"),
    "templates.new": ("Novo modelo", "New template"),
    "templates.new_hint": (
        "Letras minúsculas sem acento, algarismos e hifens, por exemplo pediatria.",
        "Small letters, digits and hyphens, for example paediatrics.",
    ),
    "templates.open": ("Ver", "See"),
    "templates.edit": ("Editar", "Edit"),
    "templates.edit_title": ("Modelo de nota {name}", "Note template {name}"),
    "templates.text": ("Texto do modelo (TOML)", "The template's text (TOML)"),
    "templates.check": ("Conferir", "Check"),
    "templates.fine": ("Pode ser usado. Títulos: {titles}.", "It can be used. Headings: {titles}."),
    "templates.keep": ("Guardar", "Keep"),
    "templates.kept": (
        "{name}: guardado. Vale a partir do próximo rascunho, nos dois Macs.",
        "{name}: kept. It counts from the next draft on, on both Macs.",
    ),
    "templates.restore": ("Voltar ao do produto", "Return to the product's"),
    "templates.remove": ("Retirar", "Take away"),
    "templates.restore_title": ("Retirar o modelo {name} do hospital?", "Take the hospital's template {name} back?"),
    "templates.restore_text": (
        "Vale de novo o que veio com o produto; sem ele, os ditados usam o padrão. As versões do hospital ficam guardadas.",
        "What came with the product counts again; without one, dictations use the default. The versions stay.",
    ),
    "templates.restored": ("{name}: a versão do hospital foi retirada.", "{name}: the hospital's version was taken back."),
    "templates.history": ("Versões anteriores", "Earlier versions"),
    "words.title": ("Palavras do hospital", "The hospital's words"),
    "words.lead": (
        "Remédios, alas, aparelhos e equipe, um por linha, os mais importantes primeiro. Nunca dados de pacientes.",
        "Drugs, wards, devices and staff, one a line, the most important first. Never patients' data.",
    ),
    "words.patients": (
        "Os remédios, as alergias e o nome de cada paciente já vêm do prontuário.",
        "Each patient's drugs, allergies and name come from the record already.",
    ),
    "words.unused": (
        "O modelo de fala em uso não recebe palavras; elas ficam guardadas para outro que receba.",
        "The speech model in use takes no words; they are kept for one that does.",
    ),
    "words.list": ("Uma palavra ou expressão por linha", "One word or term a line"),
    "words.version": ("Versão {version}", "Version {version}"),
    "words.of_model": ("Vieram com o modelo", "They came with the model"),
    "words.none": ("nenhuma", "none"),
    "words.kept": (
        "Palavras guardadas. Valem a partir do próximo ditado, nos dois Macs.",
        "Words kept. They count from the next dictation on, on both Macs.",
    ),
    "templates.load": ("Abrir a versão {version}", "Open version {version}"),
}  # fmt: skip
