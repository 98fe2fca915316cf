"""The words that the guard treats with care. All folded (lower case, no accents).

Plain lists, not a terminology: they decide only how strictly a word is compared. A drug that is missing here is still
caught when it stands before a dose, and any word that the dictation does not carry is reported.
"""

from __future__ import annotations

import re
from typing import Final

from appliance.care.guard.likeness import stem
from appliance.care.guard.word_lists import listed, words

DRUGS: Final = words("""
    aas abacavir acarbose acetilcisteina acetilsalicilico aciclovir albendazol alendronato alopurinol alprazolam ambroxol
    amicacina aminofilina amiodarona amitriptilina amoxicilina ampicilina anlodipino apixabana aripiprazol atenolol
    atorvastatina atracurio atropina azitromicina baclofeno beclometasona benzilpenicilina betaistina betametasona
    bicarbonato biperideno bisacodil bisoprolol bromoprida budesonida bupropiona buspirona captopril carbamazepina
    carbidopa carvedilol cefalexina cefazolina cefepima cefotaxima ceftazidima ceftriaxona cefuroxima celecoxibe cetamina
    cetirizina cetoconazol cetoprofeno ciclobenzaprina ciclosporina cilostazol cinarizina ciprofloxacino citalopram
    claritromicina clavulanato clindamicina clobazam clomipramina clonazepam clonidina clopidogrel clorpromazina
    clortalidona codeina colchicina dapagliflozina desloratadina desvenlafaxina dexametasona dexclorfeniramina diazepam
    diclofenaco digoxina diltiazem dimenidrinato diosmina dipirona dobutamina domperidona donepezila dopamina doxazosina
    doxiciclina duloxetina empagliflozina enalapril enoxaparina entresto epinefrina adrenalina eritromicina escitalopram
    escopolamina esomeprazol espironolactona estradiol etoricoxibe ezetimiba famotidina fenitoina fenobarbital fentanil
    fexofenadina finasterida fluconazol flunarizina fluoxetina formoterol fosfomicina furosemida gabapentina gentamicina
    glargina glibenclamida gliclazida glimepirida haloperidol heparina hidralazina hidroclorotiazida hidrocortisona
    hidroxicloroquina hidroxizina hioscina ibuprofeno imipramina indapamida insulina ipratropio isossorbida itraconazol
    ivabradina ivermectina lactulona lamotrigina lansoprazol levetiracetam levodopa levofloxacino levotiroxina lidocaina
    linagliptina liraglutida lisinopril litio loperamida loratadina lorazepam losartana lovastatina meloxicam memantina
    meropenem metadona metformina metildopa metilfenidato metilprednisolona metimazol metoclopramida metoprolol
    metotrexato metronidazol midazolam mirtazapina montelucaste morfina naloxona naltrexona naproxeno nebivolol nifedipino
    nimesulida nistatina nitrofurantoina nitroglicerina nitroprussiato noradrenalina norepinefrina norfloxacino
    nortriptilina olanzapina olmesartana omeprazol ondansetrona oseltamivir oxacilina oxcarbazepina oxibutinina oxicodona
    pantoprazol paracetamol paroxetina penicilina piperacilina pioglitazona piroxicam polimixina prednisolona prednisona
    pregabalina prometazina propafenona propiltiouracila propofol propranolol quetiapina ramipril ranitidina risperidona
    rivaroxabana rosuvastatina salbutamol salmeterol secnidazol semaglutida sertralina sildenafila sinvastatina
    sitagliptina sotalol sulfa sulfadiazina sulfametoxazol sulfassalazina sumatriptana tacrolimo tadalafila tamoxifeno
    tansulosina tazobactam telmisartana tenoxicam terbutalina tetraciclina tiamazol tiamina ticagrelor timolol tiotropio
    tobramicina topiramato tramadol tranexamico trazodona trimetoprima valproato valsartana vancomicina varfarina
    venlafaxina verapamil vildagliptina zolpidem zopiclona
    """)
DRUG_ENDING: Final = re.compile(
    r"\w{2,}(?:pril|sartana|olol|statina|prazol|cilina|micina|floxacino|floxacina|conazol|gliptina|gliflozina|tiazida"
    r"|dipino|coxibe|setrona|triptana|azepam|zolam|profeno|ciclovir|parina|oxetina|xabana|mabe|nibe|metasona)"
)
ALIASES: Final = (
    (r"\bacido acetil ?salicilico\b", "aas"),
    (r"\baspirina\b", "aas"),
    (r"\badrenalina\b", "epinefrina"),
    (r"\bnoradrenalina\b", "norepinefrina"),
    (r"\bhioscina\b", "escopolamina"),
    (r"\btilenol\b|\btylenol\b", "paracetamol"),
    (r"\bnovalgina\b", "dipirona"),
)

DOSE_UNITS: Final = frozenset(
    {"mg", "g", "mcg", "ml", "ui", "gts", "comprimido", "capsula", "ampola", "jato", "puff", "meq"}
)
TIME_UNITS: Final = frozenset({"dia", "semana", "mes", "ano", "hora", "minuto", "segundo", "vez", "noite", "quinzena"})
MEASURE_UNITS: Final = frozenset(
    {
        "mmhg",
        "bpm",
        "irpm",
        "%",
        "°c",
        "mg/dl",
        "g/dl",
        "meq/l",
        "/mm3",
        "kg",
        "m",
        "cm",
        "mm",
        "cigarro",
        "maco",
        "cruz",
    }
)
UNITS: Final = DOSE_UNITS | TIME_UNITS | MEASURE_UNITS
IMPLIED_UNITS: Final = {
    "vital_pa": "mmhg", "vital_fc": "bpm", "vital_fr": "irpm", "vital_sat": "%", "vital_temp": "°c", "vital_altura": "m",
    "vital_glicemia": "mg/dl", "glicemia": "mg/dl", "creatinina": "mg/dl", "ureia": "mg/dl", "colesterol": "mg/dl",
    "triglicerideo": "mg/dl", "triglicerideos": "mg/dl", "ldl": "mg/dl", "hdl": "mg/dl",
    "hemoglobina": "g/dl", "glicada": "%", "potassio": "meq/l", "sodio": "meq/l", "leucocitos": "/mm3", "plaquetas": "/mm3",
}  # fmt: skip
"""The unit that a person leaves out when speaking of a vital sign or a laboratory value; a dose's is never implied."""
IMPLIED_ANYWHERE: Final = frozenset({"mmhg", "°c", "%", "m"})
"""Left out also where the figure's name was said before, or is not known here."""

NOT_IN_MILLIGRAMS: Final = words("""
    insulina glargina heparina enoxaparina levotiroxina salbutamol budesonida formoterol salmeterol beclometasona tiotropio
    ipratropio fentanil clonidina misoprostol fluticasona vitamina colecalciferol penicilina benzilpenicilina
    """)
"""Everyone says "losartana cinquenta" and means mg; with these drugs a unit that was not said must not be written."""

UNIT_SPELLINGS: Final = (
    (r"\bmiligramas?(?: por| /) ?decilitros?\b|\bmg ?/ ?d[l1]\b", "mg/dl"),
    (r"\bgramas?(?: por| /) ?decilitros?\b|\bg ?/ ?dl\b", "g/dl"),
    (r"\bmiliequivalentes? por litro\b|\bmeq ?/ ?l\b", "meq/l"),
    (r"\bpor milimetro cubico\b|/ ?mm3\b|/ ?mm³", " /mm3"),
    (r"\bmilimetros? de mercurio\b|\bmm ?hg\b", "mmhg"),
    (r"\bbatimentos?(?: cardiacos?)? por minuto\b|\bbatimentos?\b|\bbpm\b", "bpm"),
    (r"\b(?:incursoes|respiracoes|incursao)(?: respiratorias?)? por minuto\b|\birpm\b|\bipm\b|\brpm\b", "irpm"),
    (r"\bgraus? celsius\b|\bgraus?\b|° ?c\b", "°c"),
    (r"\bmiligramas?\b|\bmgs\b", "mg"),
    (r"\bmicrogramas?\b|\bug\b|\bmcgs\b", "mcg"),
    (r"\bmililitros?\b|\bmls\b", "ml"),
    (r"\b(?:quilogramas?|quilos?|kgs)\b", "kg"),
    (r"\bgramas?\b|\bgrs?\b", "g"),
    (r"\bunidades?(?: internacionais| internacional)?\b", "ui"),
    (r"\bcentimetros?\b", "cm"),
    (r"\bmilimetros?\b", "mm"),
    (r"(?<=\d)\s*metros?\b", " m"),
    (r"\bgotas\b|\bgts?\b|(?<=/)gota\b|(?<=por )gota\b|(?<=cada )gota\b", "gts"),
    (r"(\d ?)gota\b", r"\1gts"),  # a drop is counted; "crise de gota" is gout
    (
        r"\b(comprimido|capsula|ampola|jato|dia|semana|ano|hora|minuto|segundo|noite|quinzena|cigarro|maco)s\b",
        r"\1",
    ),
    (r"\bcp[rs]?\b", "comprimido"),
    (r"\bmeses\b", "mes"),
    (r"\bvezes\b", "vez"),
    (r"\bcruzes\b", "cruz"),
)

ANCHOR_SPELLINGS: Final = (
    (r"\bpressao(?: arterial)?(?: sistemica)?\b|\bp\.?a\.?\b(?= ?(?:de |: ?)?\d)", "vital_pa"),
    (r"\bfrequencia cardiaca\b|\bf\.?c\.?\b(?= ?(?:de |: ?)?\d)|\bpulso\b(?= ?(?:de )?\d)", "vital_fc"),
    (r"\bfrequencia respiratoria\b|\bf\.?r\.?\b(?= ?(?:de |: ?)?\d)", "vital_fr"),
    (
        r"\bsaturacao(?: de| do)?(?: oxigenio| o2)?\b|\b(?:sato2|spo2|sat o2|sat)\b|\bsaturando\b|\bsatura\b",
        "vital_sat",
    ),
    (r"\btemperatura\b|\btax\b|\btemp\b", "vital_temp"),
    (r"\bglicemia capilar\b|\bhgt\b|\bdextro\b", "vital_glicemia"),
    (r"(?<!perda de )(?<!ganho de )\bpeso\b(?= ?(?:de )?\d)|\bpesando\b|\bpesa\b", "vital_peso"),
    (r"\b(?:altura|estatura)\b|\bmede\b(?= ?\d)", "vital_altura"),
)
MONTHS: Final = listed("janeiro fevereiro marco abril maio junho julho agosto setembro outubro novembro dezembro")
SWALLOWED: Final = words("em_uso tomar tome tomem tomo toma comprimido capsula gts xarope")
LABS: Final = words(
    "hemoglobina glicada creatinina ureia potassio sodio colesterol triglicerideo triglicerideos ldl hdl leucocitos plaquetas"
    " glicemia tsh pcr t3 t4 tgo tgp ferritina inr amilase lipase troponina psa vhs albumina calcio magnesio fosforo hematocrito"
)

NEGATORS: Final = words("nega nego negou negam negando nao sem nunca nenhum nenhuma nem jamais descarto ausencia")
ABSENT: Final = words("ausente ausentes inexistente inexistentes descartado descartada descartados descartadas")
PRESENT: Final = words("presente presentes confirmado")
"""Both say something of what stands before them: "edema ausente, sopro presente"."""
AFFIRMERS: Final = words("""
    mostrou mostra evidenciou revelou veio deu
    refere referem relata relatou apresenta apresentou queixa sente senti sentiu tem tenho teve tive mas porem entretanto
    contudo confirma confirmou iniciar manter aumentar reduzir suspender solicitar em_uso com apenas exceto hipotese
    orientar encaminhar retorno antecedente realizou mae pai irmao irma so somente presenca diagnosticado
    """)
OPPOSITES: Final = words("""
    positivo positiva negativo negativa presente presentes ausente ausentes normal anormal aumentado aumentada diminuido
    diminuida melhora piora melhorou piorou direito esquerdo bilateral hoje ontem amanha anteontem agudo cronico leve
    moderado moderada forte intensa grave ascendente descendente regular irregular preservada reduzida antes apos depois
    segunda terca quarta quinta sexta sabado domingo superior inferior anterior posterior proximal distal mae pai irmao
    irma filho filha avo avohomem materno materna paterno paterna masculino feminino
    flacido rigido tenso globoso plano doloroso indolor limpo ritmico arritmico corado hipocorado descorado hidratado
    desidratado anicterico icterico acianotico cianotico febril afebril eupneico dispneico taquipneico lucido confuso
    orientado desorientado simetrico assimetrico simetricas assimetricas isocoricas anisocoricas palpavel impalpavel seco
    seca produtiva produtivo maior menor direita esquerda alto baixo alta baixa aumento reducao estavel instavel
    controlado descontrolado confirmado descartado mitral aortico tricuspide sistolico diastolico
    """)
"""Words with an opposite close by: never matched by likeness, only as they are."""
SIDE_WORDS: Final = words("direito esquerdo")
TENTATIVE: Final = words("hipotese talvez provavel possivel provavelmente acho suspeito suspeita pode")
CERTAIN: Final = words("diagnosticado confirmado definido comprovado certeza")
"""A diagnosis is not written as certain where the speech itself only supposes it."""
COURTESIES: Final = words(
    "obrigado obrigada tchau bom boa ola oi doutor doutora certo ok entendi entendo hum ah aham uhum opa"
)
BODY_PARTS: Final = (
    words("abdome abdomen barriga abdominal abdominais ventre"), words("peito torax toracica toracico retroesternal precordial"),
    words("perna pernas panturrilha"), words("braco bracos"), words("cabeca cranio cefalica frontal occipital temporal"),
    words("garganta faringe orofaringe amigdala amigdalas"), words("rosto face facial"), words("ouvido ouvidos orelha orelhas"),
    words("costas dorso dorsal lombar lombares coluna cervical pescoco nuca"), words("olho olhos ocular oculares"),
    words("pele cutanea"), words("estomago epigastrio gastrica"), words("joelho joelhos"), words("tornozelo tornozelos"),
    words("ombro ombros"), words("cotovelo cotovelos"), words("punho punhos"), words("quadril quadris"), words("coxa coxas"),
    words("mao maos"), words("pe pes"), words("dedo dedos"), words("mama mamas seio seios"), words("virilha inguinal"),
    words("tireoide tireoidiana"), words("prostata prostatica"), words("bexiga vesical"), words("ovario ovarios"),
    words("flanco flancos"), words("base bases"), words("apice apices"), words("pulmao pulmoes pulmonar"), words("figado hepatica"),
    words("rim rins renal"), words("boca oral lingua"), words("nariz nasal"), words("utero uterina"), words("testiculo testiculos"),
)  # fmt: skip
"""Each line names one place of the body; one place is not written for another."""
ORDINAL_STEMS: Final = words("primeir segund terceir quart quint sext setim oitav non decim")
OF_REACTIONS: Final = words(
    "alergia reacao anafilaxia urticaria intolerancia choque empolou coceira angioedema broncoespasmo"
)

RELATIVES: Final = words(
    "mae pai irmao irma irmaos avo avos avohomem marido esposa esposo tio tia primo prima sogra sogro cunhado cunhada vizinho vizinha"
)
"""What is told of one of these is not the patient's. Not of sons and daughters: parents speak for a child who is the patient."""
OF_THE_FAMILY: Final = words("familia familiar familiares heredofamiliar parente parentes")
CHILDREN: Final = words("filho filha filhos filhas")
"""Relatives only where the speaker tells of themselves beside them ("meu filho … e eu …")."""
INFORMANTS: Final = words(
    "relato segundo informacao informacoes acompanhado acompanhada casa companhia presenca ajuda nome"
)
BACK_TO_THE_PATIENT: Final = words("eu mas porem refere queixa sou estou tenho tive sinto senti")

_DRUG: Final = rf"(?:{'|'.join(sorted(DRUGS))}|{DRUG_ENDING.pattern})"
ACTIONS: Final = (
    ("begin", rf"\bcomec(?:ei|ou|amos)(?= (?:(?:a|com|o|um|uma|tomar|usar) )*{_DRUG}\b)", "iniciar"),
    (
        "start",
        r"\b(?:inici(?:ar|o|amos|ou|ad[oa]s?|ei|e)|prescrev(?:o|er|i|emos|a)|comecar|comeco|introduzir|introduzo)\b",
        "iniciar",
    ),
    ("keep", r"\b(?:mant(?:er|enho|id[oa]s?|emos|enha)|continuar|continua)\b", "manter"),
    ("increase", r"\b(?:aument(?:ar|o|amos|ei|e)|elevar)\b(?= )", "aumentar"),
    ("reduce", r"\b(?:reduz(?:ir|o|imos|i|a)|diminu(?:ir|o|a))\b", "reduzir"),
    (
        "stop",
        r"\b(?:suspend(?:er|o|emos|i|a|eu)|suspens[oa]s?|interromp(?:er|o|eu|i)|descontinuar|parar)\b",
        "suspender",
    ),
    ("stopped", r"\bpar(?:ou|ei)(?: de (?:tomar|usar)\b|(?: com)?(?= (?:o|a|os|as) ))", "suspender"),
    ("order", r"\b(?:solicit(?:ar|o|amos|ei|ado)|pedir|peco)\b", "solicitar"),
    ("swap", r"\b(?:tro(?:car|co|camos|quei|cou)|substitu(?:ir|o|i|iu|imos))\b", "trocar"),
    ("past", r"\bf(?:ez|iz) uso(?: previo)? de\b|\buso previo de\b|\b(?:tom(?:ei|ou)|us(?:ei|ou))\b", "usou"),
    (
        "use",
        r"\b(?:em uso(?: regular| continuo)? de|faz(?:endo)? uso de|uso de|usa|uso|toma|tomo|tomando|utiliza|usando)\b",
        "em_uso",
    ),
)
"""What is done with a drug or an examination: swapping one for another is an error of its own."""
ACTION_WORDS: Final = frozenset(replacement for _name, _pattern, replacement in ACTIONS)

PHRASES: Final = (
    (
        r"\bqueixa(?:-se|ndo-se)? de\b|\bcom queixa de\b|\brelata(?:ndo)?\b|\brefer(?:e|indo|iu|em)\b|\bapresent(?:a|ou|ando)\b",
        "refere",
    ),
    (
        r"\b(?:hipotese diagnostica|hipotese|suspeita|quadro compativel com|impressao)(?: diagnostica)?(?: de| com)?\b",
        "hipotese",
    ),
    (r"\b(?:minha|sua) mulher\b", "esposa"),
    (r"\b(?:homem|senhor)\b(?= de| com|,)", "masculino"),
    (r"\b(?:mulher|senhora)\b(?= de| com|,)", "feminino"),
    (r"\bfeminina\b", "feminino"),
    (r"\b(?:orient(?:o|ar|ado|ada)|recomend(?:o|ar))\b", "orientar"),
    (r"\bencaminh(?:o|ar|ado)\b", "encaminhar"),
    (r"\bretorn(?:o|ar|a)\b", "retorno"),
    (r"\b(?:fum(?:a|o|ante|ava)|tabagista|tabagismo)\b", "tabagismo"),
    (r"\b(?:etilista|etilismo|alcoolismo|beb(?:e|o))\b", "etilismo"),
    (r"\b(?:alergic[oa]s?|alergias?)\b", "alergia"),
    (r"\b(?:remedios?|medicac(?:ao|oes)|medicamentos?|medicamentosas?)\b", "medicamento"),
    (r"\bdiagnosticad[oa]s?\b|\bdiagnostico(?: confirmado| definido| de certeza)?\b", "diagnosticado"),
    (r"\b(?:antecedentes?|historia|historico)(?: de)?\b", "antecedente"),
    (r"\b(?:afastamento|atestado)\b", "atestado"),
    (r"\bdireit[oa]s?\b", "direito"),
    (r"\besquerd[oa]s?\b", "esquerdo"),
    (r"\bbilatera(?:l|is|lmente)\b|\bambos os lados\b", "bilateral"),
    (r"\bde manha\b|\bpela manha\b", "pela_manha"),
    (r"\ba noite\b|\bde noite\b", "a_noite"),
    (r"\bse necessario\b|\bs/n\b|\bse houver necessidade\b", "se_necessario"),
)

SILENT: Final = words("""
    a o as os um uma uns umas de do da dos das no na nos nas em por para pelo pela ao aos com e ou que se ja mais muito ha
    faz cerca foi ser esta estao estou sao era eu ele ela voce meu minha seu sua isso este esse dele dela tambem ainda
    atual quadro paciente anos idade refere hipotese orientar encaminhar antecedente vou vai vamos doutor doutora dr dra
    nega nego negou negando nao sem nunca nenhum nenhuma nem tem tenho teve tive tendo sente senti sentiu mas porem uso
    iniciar em_uso relato momento diz disse fica ficar bom boa dia x sido sera seria entre ate
    desde comecei comecou comecaram comecando tomar tome tomem usar use diagnosticado confirmado atras dura duracao
    hum ahn ah aham uhum eh oh opa ok certo entendi entendo obrigado obrigada tchau ne ta
    """)
"""Words that carry no claim of their own."""

CLINICAL_ENDING: Final = re.compile(
    r"\w{3,}(?:ite|ose|emia|algia|uria|patia|oma|ismo|ista|eia|pneia|ragia|rreia|cardia|tensao|trofia|plegia|fobia|ectomia)s?"
)
CLINICAL: Final = words("""
    febre dor tosse gota edema tontura vomito nausea prurido sincope desmaio infarto cancer asma enxaqueca diabetes alergia
    convulsao sangramento fratura trombose embolia derrame gripe influenza dengue covid pneumonia gestante gravidez
    cirurgia transfusao fibrilacao angina depressao ansiedade insonia fadiga palpitacao calafrio coriza azia constipacao
    icterus ictericia cianose sopro crepitacao sibilo ronco estertor tabagismo etilismo hipertenso diabetico insuficiencia
    """)
"""One of these without support is an invention, however short the rest of the sentence is."""
_CLINICAL_STEMS: Final = frozenset(stem(word) for word in CLINICAL)
_OPPOSITE_STEMS: Final = frozenset(stem(word) for word in OPPOSITES)


def is_clinical(word: str) -> bool:
    """A vital sign, a disease or a complaint, by its ending or by name."""
    known = word.startswith("vital_") or CLINICAL_ENDING.fullmatch(word) is not None
    return known or word in CLINICAL or stem(word) in _CLINICAL_STEMS


def has_opposite(word: str) -> bool:
    """A word of ``OPPOSITES``, in any number and gender."""
    return word in OPPOSITES or stem(word) in _OPPOSITE_STEMS
