"""The words of the grammar: one term a line, with the organ systems in which it turns up (``*``: in all)."""

from __future__ import annotations

from typing import Final

SYMPTOMS: Final = """
dor torácica | cardio
palpitações | cardio
dispneia aos esforços | cardio resp
edema de membros inferiores | cardio
síncope | cardio neuro
ortopneia | cardio
claudicação | cardio
tosse seca | resp
tosse produtiva | resp
falta de ar | resp cardio
chiado no peito | resp
coriza | resp
espirros | resp
rouquidão | resp
dor de garganta | resp
febre | resp gi uro infec
calafrios | infec uro
obstrução nasal | resp
dor abdominal | gi
náuseas | gi neuro
vômitos | gi
diarreia | gi
azia | gi
distensão abdominal | gi
constipação intestinal | gi
perda de apetite | gi psi
sangramento retal | gi
cefaleia | neuro cardio
tontura | neuro
zumbido | neuro
tremores | neuro
formigamento nas mãos | neuro endo
visão turva | neuro endo
convulsão | neuro
dor lombar | orto uro
dor cervical | orto
rigidez matinal | orto
câimbras | orto
fraqueza muscular | orto neuro
disúria | uro
hematúria | uro
polaciúria | uro
noctúria | uro
urgência urinária | uro
incontinência urinária | uro
poliúria | endo
sede excessiva | endo
perda de peso | endo psi
ganho de peso | endo
fadiga | endo psi
queda de cabelo | endo
sudorese noturna | infec endo
insônia | psi
ansiedade | psi
tristeza | psi
irritabilidade | psi
desânimo | psi
prurido | derm
manchas avermelhadas | derm
lesões descamativas | derm
mialgia | infec orto
dor retro-orbitária | infec
"""

LATERAL_SYMPTOMS: Final = """
dor no joelho | orto | m
dor no ombro | orto | m
dor no quadril | orto | m
dor no tornozelo | orto | m
dor no punho | orto | m
dor no cotovelo | orto | m
dor no pé | orto endo | m
dor na mão | orto | f
dor na perna | orto | f
dor na coxa | orto | f
dor no ouvido | resp | m
dor no flanco | uro | m
dor na mama | derm | f
dor no olho | neuro | m
"""

DIAGNOSES: Final = """
hipertensão arterial sistêmica | cardio
insuficiência cardíaca | cardio
fibrilação atrial | cardio
angina estável | cardio
doença arterial coronariana | cardio
infarto agudo do miocárdio | cardio
trombose venosa profunda | cardio
pneumonia comunitária | resp infec
asma | resp
doença pulmonar obstrutiva crônica | resp
rinite alérgica | resp
sinusite aguda | resp
faringite viral | resp
amigdalite bacteriana | resp infec
bronquite aguda | resp
influenza | resp infec
gastrite | gi
úlcera gástrica | gi
doença do refluxo | gi
gastroenterite aguda | gi infec
apendicite aguda | gi
pancreatite aguda | gi
colelitíase | gi
diverticulite | gi
síndrome do intestino irritável | gi
enxaqueca | neuro
cefaleia tensional | neuro
epilepsia | neuro
acidente vascular cerebral | neuro
doença de Parkinson | neuro
labirintite | neuro
lombalgia mecânica | orto
osteoartrite | orto
tendinite | orto
bursite | orto
fibromialgia | orto psi
artrite reumatoide | orto
hérnia de disco | orto
osteoporose | orto
infecção urinária | uro infec
cólica renal | uro
pielonefrite | uro infec
hiperplasia prostática | uro
doença renal crônica | uro endo
diabetes tipo 2 | endo
hipotireoidismo | endo
hipertireoidismo | endo
dislipidemia | endo cardio
obesidade | endo
gota | orto endo
transtorno de ansiedade | psi
transtorno bipolar | psi
depressão | psi
transtorno do sono | psi
dermatite atópica | derm
dermatite de contato | derm
psoríase | derm
escabiose | derm
urticária crônica | derm
dengue | infec
chikungunya | infec
anemia ferropriva | gi endo
"""

EXAMS: Final = """
eletrocardiograma | cardio
ecocardiograma | cardio
teste ergométrico | cardio
troponina | cardio
radiografia de tórax | resp cardio infec
espirometria | resp
tomografia de tórax | resp
tomografia de crânio | neuro
ressonância de crânio | neuro
eletroencefalograma | neuro
ultrassonografia de abdome | gi uro
ultrassonografia de tireoide | endo
endoscopia digestiva alta | gi
colonoscopia | gi
função hepática | gi
ressonância da coluna lombar | orto
radiografia do joelho | orto
ultrassonografia do ombro | orto
densitometria óssea | orto
ácido úrico | orto endo
urocultura | uro infec
exame de urina | uro infec
hemograma | *
creatinina e ureia | uro cardio endo
sódio e potássio | cardio uro
hemoglobina glicada | endo
perfil lipídico | endo cardio
função tireoidiana | endo
vitamina D | endo orto
proteína C reativa | infec orto resp
sorologia para dengue | infec
hemocultura | infec
antígeno prostático | uro
biópsia de pele | derm
glicemia de jejum | endo
polissonografia | psi
"""

FINDINGS: Final = """
ritmo cardíaco regular em 2 tempos | *
bulhas normofonéticas sem sopros | *
ritmo cardíaco irregular | cardio
sopro sistólico em foco mitral | cardio
sopro diastólico em foco aórtico | cardio
murmúrio vesicular presente sem ruídos adventícios | *
murmúrio vesicular reduzido em base {f} | resp
estertores crepitantes em base {f} | resp cardio
sibilos difusos | resp
roncos esparsos | resp
abdome flácido e indolor à palpação | *
abdome doloroso em fossa ilíaca {f} | gi
abdome globoso e timpânico | gi
dor à palpação do epigástrio | gi
sinal de Murphy positivo | gi
sinal de Blumberg negativo | gi
ruídos hidroaéreos presentes | gi
orofaringe hiperemiada | resp
amígdalas com exsudato purulento | resp
força muscular preservada | neuro orto
força muscular reduzida à {f} | neuro
reflexos simétricos | neuro
pupilas isocóricas e fotorreagentes | neuro
marcha sem alterações | neuro orto
sinal de Lasègue positivo à {f} | orto
crepitação em joelho {m} | orto
dor à palpação do ombro {m} | orto
edema em tornozelo {m} | orto
dor à palpação da região lombar | orto uro
sinal de Giordano positivo à {f} | uro
sinal de Giordano negativo | uro
tireoide de tamanho normal | endo
tireoide aumentada de volume | endo
edema de membros inferiores, {c} em 4 | cardio
pele ressecada com descamação | derm
placas eritematosas em cotovelos | derm
lesões vesiculares em tronco | derm
humor deprimido | psi
orientado e colaborativo | psi neuro
pulsos periféricos palpáveis | cardio endo
membros sem edema | *
otoscopia sem alterações | resp
"""

GENERAL_STATES: Final = (
    "bom estado geral", "regular estado geral", "corado e hidratado", "lúcido e orientado", "afebril e eupneico",
    "descorado e desidratado",
)  # fmt: skip

SPECIALTIES: Final = """
cardiologia | cardio
pneumologia | resp
otorrinolaringologia | resp neuro
gastroenterologia | gi
neurologia | neuro
ortopedia | orto
reumatologia | orto
urologia | uro
endocrinologia | endo
psiquiatria | psi
dermatologia | derm
infectologia | infec
fisioterapia | orto
psicologia | psi
nutrição | endo
oftalmologia | neuro endo
cirurgia geral | gi
cirurgia vascular | cardio
nefrologia | uro
hematologia | infec
"""

ADVICE: Final = """
dieta com pouco sal | cardio
atividade física regular | cardio endo psi
hidratação oral | gi infec uro
repouso relativo | orto infec
higiene do sono | psi
redução do peso | endo orto
cessação do tabagismo | resp cardio
compressas mornas | orto
alongamento diário | orto
fracionamento das refeições | gi
dieta rica em fibras | gi
uso de hidratante | derm
uso de protetor solar | derm
cuidados com os pés | endo
controle da pressão em casa | cardio
controle da glicemia em casa | endo
lavagem nasal | resp
evitar jejum prolongado | neuro
evitar bebida alcoólica | gi neuro
"""

ALLERGENS: Final = (
    "penicilina", "dipirona", "sulfa", "ibuprofeno", "contraste iodado", "látex", "camarão", "ácido acetilsalicílico",
    "amoxicilina", "metoclopramida", "diclofenaco", "cefalexina", "tramadol", "amendoim", "iodo",
)  # fmt: skip
REACTIONS: Final = ("urticária", "anafilaxia", "angioedema", "prurido", "broncoespasmo", "edema de face", "náuseas")
SURGERIES: Final = (
    "apendicectomia", "colecistectomia", "cesariana", "herniorrafia", "tireoidectomia", "revascularização do miocárdio",
    "artroscopia de joelho", "amigdalectomia", "histerectomia", "cirurgia de catarata", "cirurgia bariátrica",
)  # fmt: skip
OCCUPATIONS: Final = (
    "professor", "motorista", "agricultor", "aposentado", "estudante", "enfermeiro", "pedreiro", "comerciante",
)  # fmt: skip
RELATIVES: Final = ("Mãe", "Pai", "Irmão", "Irmã", "Avó", "Tio")
WORSE: Final = (
    "ao esforço", "à noite", "após as refeições", "ao deitar", "com o frio", "ao caminhar", "com movimento", "ao tossir",
    "pela manhã",
)  # fmt: skip
BETTER: Final = ("com repouso", "com analgésico", "ao sentar", "com calor local", "após dormir", "com alongamento")
INTENSITIES: Final = ("leve", "moderada", "forte")
STATUSES: Final = ("controle adequado", "descompensação", "melhora clínica", "piora clínica")
