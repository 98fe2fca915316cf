"""Ten pages of clinical Portuguese, as they come on paper."""

from __future__ import annotations

import textwrap

_TEXTS = (
    """Relatório de alta hospitalar. Paciente do sexo feminino, 58 anos, internada por pneumonia adquirida na
    comunidade. Evoluiu com melhora clínica após antibioticoterapia, sem necessidade de oxigênio suplementar nas
    últimas 48 horas. Recebe alta com orientação de completar sete dias de tratamento, hidratação adequada e
    retorno ambulatorial em duas semanas, com radiografia de controle.""",
    """Receituário. Uso oral: losartana potássica 50 mg, tomar um comprimido pela manhã e outro à noite. Metformina
    850 mg, tomar um comprimido após o almoço e após o jantar. Sinvastatina 20 mg, tomar um comprimido ao deitar.
    Não interromper o tratamento sem avaliação médica. Em caso de tontura, dor no peito ou falta de ar, procurar
    imediatamente o serviço de urgência.""",
    """Encaminhamento à cardiologia. Homem de 64 anos, hipertenso e tabagista há trinta anos, refere dor precordial
    em aperto aos grandes esforços, com alívio ao repouso. Eletrocardiograma em ritmo sinusal, sem alterações
    agudas do segmento. Solicito avaliação quanto à necessidade de teste ergométrico ou cintilografia de perfusão
    miocárdica.""",
    """Laudo de ultrassonografia de abdome total. Fígado de dimensões normais, contornos regulares e ecotextura
    homogênea. Vesícula biliar normodistendida, paredes finas, sem cálculos em seu interior. Vias biliares sem
    dilatação. Pâncreas parcialmente encoberto por gases. Baço e rins sem particularidades. Bexiga com boa
    repleção. Conclusão: exame sem alterações significativas.""",
    """Evolução de enfermagem. Paciente consciente, orientado, eupneico em ar ambiente. Curativo em região sacral
    limpo e seco, sem sinais de infecção. Aceitou bem a dieta oferecida. Diurese presente por sonda vesical, de
    aspecto claro. Mudança de decúbito realizada a cada duas horas. Familiares orientados quanto à prevenção de
    quedas e à higiene das mãos.""",
    """Termo de consentimento. Declaro que fui informado, em linguagem clara, sobre o procedimento proposto, seus
    benefícios, riscos e alternativas. Tive oportunidade de fazer perguntas e todas foram respondidas de forma
    satisfatória. Estou ciente de que posso retirar este consentimento a qualquer momento, sem prejuízo do
    atendimento que recebo nesta instituição.""",
    """Anamnese pediátrica. Criança de quatro anos, trazida pela mãe por febre e coriza há três dias. Nega vômitos,
    diarreia ou convulsões. Calendário vacinal atualizado. Nascida a termo, parto normal, sem intercorrências.
    Exame físico: bom estado geral, corada, hidratada, orofaringe hiperemiada, sem placas. Ausculta pulmonar
    limpa. Hipótese: infecção viral de vias aéreas superiores.""",
    """Descrição cirúrgica. Colecistectomia videolaparoscópica sob anestesia geral. Posicionamento dos trocartes sob
    visão direta. Inventário da cavidade sem alterações. Dissecção do pedículo, clipagem e secção do ducto e da
    artéria. Hemostasia revisada. Retirada da peça pela incisão umbilical. Fechamento por planos. Procedimento sem
    intercorrências, sangramento desprezível.""",
    """Orientações de preparo. Permanecer em jejum absoluto durante oito horas antes do exame. Suspender
    anticoagulantes somente com autorização do médico responsável. Trazer exames anteriores, documento com foto e
    um acompanhante maior de idade. Não dirigir veículos no restante do dia. Em caso de dúvidas, entrar em contato
    com a secretaria do serviço de endoscopia.""",
    """Parecer da nutrição. Paciente em risco nutricional, com perda de peso não intencional superior a dez por cento
    em seis meses. Sugiro dieta hipercalórica e hiperproteica, fracionada em seis refeições, com suplemento oral
    duas vezes ao dia. Reavaliar ingestão alimentar e força de preensão palmar semanalmente. Manter controle
    glicêmico conforme prescrição da equipe assistente.""",
)
PAGES = tuple(tuple(textwrap.wrap(" ".join(text.split()), 74)) for text in _TEXTS)
"""Each page as its lines."""
