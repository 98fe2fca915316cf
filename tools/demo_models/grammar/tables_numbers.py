"""Drugs with their doses and frequencies, laboratory values and durations: the parts of the grammar that carry numbers."""

from __future__ import annotations

from typing import Final

# How a frequency is said, and its canonical form in a fact.
FREQUENCIES: Final = {
    "24h": ("1 vez ao dia", "24/24h"),
    "12h": ("de 12 em 12 horas", "12/12h"),
    "8h": ("de 8 em 8 horas", "8/8h"),
    "6h": ("de 6 em 6 horas", "6/6h"),
    "4h": ("de 4 em 4 horas", "4/4h"),
    "2x": ("2 vezes ao dia", "12/12h"),
    "3x": ("3 vezes ao dia", "8/8h"),
    "night": ("à noite", "à noite"),
    "morning": ("pela manhã", "pela manhã"),
    "fasting": ("em jejum", "em jejum"),
    "needed": ("se necessário", "se necessário"),
    "weekly": ("1 vez por semana", "1x/semana"),
}

# name | systems | doses, separated by semicolons | keys of FREQUENCIES
DRUGS: Final = """
losartana | cardio | 50 mg; 100 mg | 24h 12h
valsartana | cardio | 80 mg; 160 mg | 24h
enalapril | cardio | 5 mg; 10 mg; 20 mg | 24h 12h 2x
captopril | cardio | 25 mg; 50 mg | 8h 12h
anlodipino | cardio | 5 mg; 10 mg | 24h night
hidroclorotiazida | cardio | 12,5 mg; 25 mg | morning 24h
atenolol | cardio | 25 mg; 50 mg | 24h 12h
carvedilol | cardio | 6,25 mg; 12,5 mg; 25 mg | 12h 2x
metoprolol | cardio | 25 mg; 50 mg; 100 mg | 24h 12h
propranolol | cardio neuro | 40 mg; 80 mg | 12h 8h
furosemida | cardio | 40 mg | morning 12h
espironolactona | cardio | 25 mg; 50 mg | 24h
ácido acetilsalicílico | cardio | 100 mg | 24h
clopidogrel | cardio | 75 mg | 24h
varfarina | cardio | 5 mg | 24h night
rivaroxabana | cardio | 15 mg; 20 mg | 24h
apixabana | cardio | 2,5 mg; 5 mg | 12h
amiodarona | cardio | 200 mg | 24h
digoxina | cardio | 0,25 mg | 24h
sinvastatina | endo cardio | 20 mg; 40 mg | night
atorvastatina | endo cardio | 10 mg; 20 mg; 40 mg | 24h night
rosuvastatina | endo cardio | 10 mg; 20 mg | 24h
metformina | endo | 500 mg; 850 mg | 24h 12h 2x 3x
glibenclamida | endo | 5 mg | morning 12h
gliclazida | endo | 30 mg; 60 mg | morning 24h
dapagliflozina | endo cardio | 10 mg | 24h
insulina glargina | endo | 10 UI; 20 UI; 30 UI | night 24h
levotiroxina | endo | 25 mcg; 50 mcg; 75 mcg; 100 mcg | fasting
alopurinol | orto endo | 100 mg; 300 mg | 24h
omeprazol | gi | 20 mg; 40 mg | fasting 24h
pantoprazol | gi | 20 mg; 40 mg | fasting 24h
esomeprazol | gi | 40 mg | fasting
domperidona | gi | 10 mg | 8h 3x
ondansetrona | gi | 4 mg; 8 mg | 8h needed
metoclopramida | gi | 10 mg | 8h needed
escopolamina | gi | 10 mg | 6h 8h
simeticona | gi | 125 mg | 8h needed
loperamida | gi | 2 mg | needed
sulfato ferroso | gi endo | 40 mg | 24h 12h
dipirona | orto resp neuro gi infec uro | 500 mg; 1 g | 6h needed
paracetamol | orto resp neuro infec | 500 mg; 750 mg | 6h needed
ibuprofeno | orto resp | 400 mg; 600 mg | 8h 6h
diclofenaco | orto | 50 mg; 75 mg | 8h 12h
naproxeno | orto | 250 mg; 500 mg | 12h
ciclobenzaprina | orto | 5 mg; 10 mg | night
tramadol | orto | 50 mg; 100 mg | 6h 8h
codeína | orto | 30 mg | 6h 4h
alendronato | orto | 70 mg | weekly
colchicina | orto | 0,5 mg | 12h 8h
prednisona | resp derm orto | 20 mg; 40 mg | morning 24h
metotrexato | orto derm | 15 mg | weekly
amoxicilina | resp infec | 500 mg; 875 mg | 8h 12h 3x
azitromicina | resp infec | 500 mg | 24h
cefalexina | uro derm infec | 500 mg | 6h
ciprofloxacino | uro infec | 500 mg | 12h
nitrofurantoína | uro infec | 100 mg | 6h
fosfomicina | uro | 3 g | night
levofloxacino | resp infec | 500 mg; 750 mg | 24h
ceftriaxona | resp infec uro | 1 g; 2 g | 24h 12h
metronidazol | gi infec | 250 mg; 400 mg | 8h 12h
loratadina | resp derm | 10 mg | 24h
desloratadina | resp derm | 5 mg | 24h night
salbutamol | resp | 100 mcg | 6h 4h needed
budesonida | resp | 200 mcg; 400 mcg | 12h 2x
formoterol | resp | 12 mcg | 12h
montelucaste | resp | 10 mg | night
tansulosina | uro | 0,4 mg | night
finasterida | uro | 5 mg | 24h
oxibutinina | uro | 5 mg | 8h 12h
sertralina | psi | 50 mg; 100 mg | morning 24h
fluoxetina | psi | 20 mg; 40 mg | morning
escitalopram | psi | 10 mg; 20 mg | 24h
bupropiona | psi | 150 mg | morning 24h
trazodona | psi | 50 mg; 100 mg | night
clonazepam | psi neuro | 0,5 mg; 2 mg | night
amitriptilina | neuro psi | 25 mg; 50 mg | night
topiramato | neuro | 25 mg; 50 mg | 12h
carbamazepina | neuro | 200 mg; 400 mg | 12h 2x
levodopa | neuro | 100 mg; 200 mg | 8h 3x
betaistina | neuro | 16 mg; 24 mg | 8h 12h
sumatriptana | neuro | 50 mg | needed
gabapentina | neuro orto | 300 mg | 8h 12h
ivermectina | derm infec | 6 mg | 24h
vitamina D | endo orto | 1000 UI; 7000 UI | 24h weekly
"""

# name | shapes of a value (d: 1-9, D: 3-9), separated by semicolons | unit of the fact | unit as it is said
LABORATORY: Final = """
hemoglobina | 9,{d}; 10,{d}; 12,{d}; 13,{d}; 14,{d} | g/dl |
creatinina | 0,{d}; 1,{d}; 2,{d} | mg/dl |
ureia | {D}{d}; 1{d}{d} | mg/dl |
hemoglobina glicada | 6,{d}; 7,{d}; 8,{d}; 9,{d} | % | %
potássio | 3,{d}; 4,{d}; 5,{d} | mEq/l |
sódio | 13{d}; 14{d} | mEq/l |
colesterol total | 1{d}0; 2{d}0 | mg/dl |
triglicerídeos | 1{d}0; 2{d}0; 3{d}0 | mg/dl |
leucócitos | {D}000; 1{d}000 | /mm3 |
plaquetas | 1{d}0000; 2{d}0000 | /mm3 |
"""

# unit in the plural | unit in the singular | longest
DURATIONS: Final = {
    "dias": ("dia", 20),
    "semanas": ("semana", 8),
    "meses": ("mês", 11),
    "horas": ("hora", 24),
    "anos": ("ano", 15),
}
SYSTEMS: Final = ("cardio", "resp", "gi", "neuro", "orto", "uro", "endo", "psi", "derm", "infec")
