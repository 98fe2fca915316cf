"""What Brazilian clinicians abbreviate, and what they say for it.

Only what has one meaning in a note stands here. ``AP``, ``FA``, ``HD`` or ``MSO4`` mean different things to different
wards: they are left to be spelled out, for a wrong word is worse than letters. Sources: the abbreviation lists of Brazilian
university hospitals; ISMP's list of error-prone abbreviations for what is not expanded.
"""

from __future__ import annotations

from typing import Final

from plugins.speech_out.reading.numerals import listed

EXPANSIONS: Final[dict[str, str]] = {
    # vital signs and measurements
    "PA": "pressão arterial", "PAM": "pressão arterial média", "PAS": "pressão arterial sistólica",
    "PAD": "pressão arterial diastólica", "FC": "frequência cardíaca", "FR": "frequência respiratória",
    "Tax": "temperatura axilar", "TAX": "temperatura axilar", "SpO2": "saturação de oxigênio", "SPO2": "saturação de oxigênio",
    "SatO2": "saturação de oxigênio", "SaO2": "saturação arterial de oxigênio", "FiO2": "fração inspirada de oxigênio",
    "PaO2": "pressão arterial de oxigênio", "PaCO2": "pressão arterial de gás carbônico", "O2": "oxigênio", "CO2": "gás carbônico",
    "HGT": "hemoglicoteste", "IMC": "índice de massa corporal", "PVC": "pressão venosa central",
    # diseases
    "HAS": "hipertensão arterial sistêmica", "DM": "diabetes mellitus", "DM1": "diabetes mellitus tipo um",
    "DM2": "diabetes mellitus tipo dois", "DLP": "dislipidemia", "ICC": "insuficiência cardíaca congestiva",
    "IAM": "infarto agudo do miocárdio", "AVC": "acidente vascular cerebral", "AVE": "acidente vascular encefálico",
    "DPOC": "doença pulmonar obstrutiva crônica", "DRC": "doença renal crônica", "DAC": "doença arterial coronariana",
    "DRGE": "doença do refluxo gastroesofágico", "ITU": "infecção do trato urinário", "IVAS": "infecção de vias aéreas superiores",
    "TEP": "tromboembolismo pulmonar", "TVP": "trombose venosa profunda",
    # routes of administration
    "VO": "via oral", "EV": "via endovenosa", "IM": "via intramuscular", "SC": "via subcutânea", "SL": "via sublingual",
    "SNE": "sonda nasoenteral", "SNG": "sonda nasogástrica", "SVD": "sonda vesical de demora",
    # how and when
    "ACM": "a critério médico", "SOS": "se necessário", "s/n": "se necessário", "S/N": "se necessário",
    # examination and tests
    "BEG": "bom estado geral", "REG": "regular estado geral", "MEG": "mau estado geral",
    "LOTE": "lúcido e orientado no tempo e no espaço", "BRNF": "bulhas rítmicas normofonéticas", "MV": "murmúrio vesicular",
    "RHA": "ruídos hidroaéreos", "MMII": "membros inferiores", "MMSS": "membros superiores", "MID": "membro inferior direito",
    "MIE": "membro inferior esquerdo", "MSD": "membro superior direito", "MSE": "membro superior esquerdo",
    "ECG": "eletrocardiograma", "USG": "ultrassonografia", "TC": "tomografia computadorizada", "RM": "ressonância magnética",
    "RX": "raio xis", "Rx": "raio xis", "EDA": "endoscopia digestiva alta", "Hb": "hemoglobina", "Ht": "hematócrito",
    "HbA1c": "hemoglobina glicada", "HbA1C": "hemoglobina glicada", "PCR": "pê cê erre", "TSH": "tê esse agá",
    "UTI": "u tê i", "UBS": "unidade básica de saúde",
    # drugs
    "AAS": "ácido acetilsalicílico", "HCTZ": "hidroclorotiazida", "SF": "soro fisiológico", "SG": "soro glicosado",
    "KCl": "cloreto de potássio", "NaCl": "cloreto de sódio", "AINE": "anti-inflamatório não esteroidal",
    "AINEs": "anti-inflamatórios não esteroidais", "ATB": "antibiótico", "IECA": "inibidor da enzima conversora",
    "BRA": "bloqueador do receptor de angiotensina", "NPH": "ene pê agá",
    # people and little words
    "Dr.": "doutor", "Dra.": "doutora", "Sr.": "senhor", "Sra.": "senhora", "pcte": "paciente", "pct": "paciente",
    "c/": "com ", "s/": "sem ", "p/": "para ", "ex.": "exemplo", "nº": "número", "n°": "número", "Nº": "número",
}  # fmt: skip
"""Abbreviation → words. Case counts: ``HAS`` is a disease, ``has`` is not."""

TIMES_PER: Final[dict[str, str]] = {
    "dia": "ao dia", "d": "ao dia", "semana": "por semana", "sem": "por semana", "mês": "por mês", "mes": "por mês",
    "ano": "por ano", "noite": "por noite", "hora": "por hora", "h": "por hora",
}  # fmt: skip
MONTHS: Final = listed("janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro")
SYMBOLS: Final[dict[str, str]] = {
    "≥": "maior ou igual a", ">=": "maior ou igual a", "≤": "menor ou igual a", "<=": "menor ou igual a", ">": "maior que",
    "<": "menor que", "±": "mais ou menos", "+": "mais", "=": "igual a", "→": "para", "↑": "aumento de", "↓": "redução de",
    "&": "e", "%": "por cento", "²": "ao quadrado", "³": "ao cubo", "ª": "", "~": "cerca de", "≈": "cerca de",
    "×": "por", "°": "graus", "º": "", "−": "menos",
    "#": "número",
    "@": "arroba",
}  # fmt: skip
ROMAN_CONTEXT: Final = r"(?:NYHA|classe|grau|estágio|estadio|estádio|tipo|Killip|Forrester|fototipo|nível)"
ROMANS: Final = {"I": 1, "II": 2, "III": 3, "IV": 4, "V": 5, "VI": 6}
