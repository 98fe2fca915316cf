"""What can go wrong with a face, and the way round it, which is always the password."""

from __future__ import annotations

from appliance.plugin_api.errors import define

_WAY_ROUND_PT = "Ou confirme com a sua senha."
_WAY_ROUND_EN = "Or confirm with your password."

OFF = define(
    "faces.off",
    409,
    pt=("O reconhecimento de rosto está desligado neste hospital.", "Confirme com a sua senha."),
    en=("Faces are switched off in this hospital.", "Confirm with your password."),
)
NOT_READY = define(
    "faces.not_ready",
    503,
    pt=("O modelo de rosto não está pronto: {reason}.", "Confirme com a sua senha; avise a TI."),
    en=("The face model is not ready: {reason}.", "Confirm with your password; tell IT."),
)
NOT_ENROLLED = define(
    "faces.not_enrolled",
    409,
    pt=("Não há rosto cadastrado para você.", f"Cadastre-o com a sua senha. {_WAY_ROUND_PT}"),
    en=("You have no face enrolled.", f"Enrol it with your password. {_WAY_ROUND_EN}"),
)
ENROL_AGAIN = define(
    "faces.enrol_again",
    409,
    pt=("O modelo de rosto mudou depois do seu cadastro.", f"Cadastre o rosto de novo. {_WAY_ROUND_PT}"),
    en=("The face model changed after you enrolled.", f"Enrol your face again. {_WAY_ROUND_EN}"),
)
TEMPLATE_INVALID = define(
    "faces.template_invalid",
    409,
    pt=("O cadastro do seu rosto não é válido.", f"Apague-o e cadastre de novo; avise a TI. {_WAY_ROUND_PT}"),
    en=("Your face template is not valid.", f"Delete it and enrol again; tell IT. {_WAY_ROUND_EN}"),
)
CONSENT_OUTDATED = define(
    "faces.consent_outdated",
    409,
    pt=("O termo de consentimento atual é o {current}.", "Mostre-o à pessoa e envie a concordância com ele."),
    en=("The consent text in force is {current}.", "Show it to the person and send the agreement to it."),
)
CHALLENGE_UNKNOWN = define(
    "faces.challenge_unknown",
    403,
    pt=("Este desafio não existe.", f"Peça outro e tente de novo. {_WAY_ROUND_PT}"),
    en=("There is no such challenge.", f"Ask for another and try again. {_WAY_ROUND_EN}"),
)
CHALLENGE_FOREIGN = define(
    "faces.challenge_foreign",
    403,
    pt=("Este desafio é de outra pessoa, sessão ou aparelho.", f"Peça um neste aparelho. {_WAY_ROUND_PT}"),
    en=("This challenge belongs to another person, session or device.", f"Ask for one on this device. {_WAY_ROUND_EN}"),
)
CHALLENGE_EXPIRED = define(
    "faces.challenge_expired",
    403,
    pt=("O prazo do desafio acabou.", f"Peça outro e tente de novo. {_WAY_ROUND_PT}"),
    en=("The challenge has run out.", f"Ask for another and try again. {_WAY_ROUND_EN}"),
)
CHALLENGE_USED = define(
    "faces.challenge_used",
    403,
    pt=("Este desafio já foi usado.", f"Peça outro e tente de novo. {_WAY_ROUND_PT}"),
    en=("This challenge was already used.", f"Ask for another and try again. {_WAY_ROUND_EN}"),
)
REPLAYED = define(
    "faces.replayed",
    403,
    pt=("Uma destas imagens já tinha sido enviada.", f"Faça imagens novas. {_WAY_ROUND_PT}"),
    en=("One of these pictures had been sent before.", f"Take new pictures. {_WAY_ROUND_EN}"),
)
UNUSABLE = define(
    "faces.unusable",
    422,
    pt=("Uma imagem não serve: {problem}.", f"Olhe para a câmera, com boa luz e sozinho. {_WAY_ROUND_PT}"),
    en=("A picture can't be used: {problem}.", f"Face the camera, in good light and alone. {_WAY_ROUND_EN}"),
)
STEPS_WRONG = define(
    "faces.steps_wrong",
    403,
    pt=("Os gestos não são os pedidos.", f"Siga a ordem que a tela mostra. {_WAY_ROUND_PT}"),
    en=("The gestures are not those that were asked for.", f"Follow the order on the screen. {_WAY_ROUND_EN}"),
)
STILL = define(
    "faces.still",
    403,
    pt=("As imagens parecem uma foto parada.", f"Mova o rosto como pedido. {_WAY_ROUND_PT}"),
    en=("The pictures look like one still photo.", f"Move your face as asked. {_WAY_ROUND_EN}"),
)
FACE_CHANGED = define(
    "faces.changed",
    403,
    pt=("O rosto mudou de uma imagem para outra.", f"Fique sozinho diante da câmera. {_WAY_ROUND_PT}"),
    en=("The face changed from one picture to another.", f"Be alone in front of the camera. {_WAY_ROUND_EN}"),
)
DIFFERENT = define(
    "faces.different",
    403,
    pt=("O rosto não confere com o cadastro.", f"Tente com mais luz. {_WAY_ROUND_PT}"),
    en=("The face does not match the one enrolled.", f"Try in better light. {_WAY_ROUND_EN}"),
)
WAIT = define(
    "faces.wait",
    429,
    pt=("Muitas tentativas seguidas com o rosto.", "Aguarde {seconds} segundos ou confirme com a sua senha."),
    en=("Too many attempts with the face in a row.", "Wait {seconds} seconds or confirm with your password."),
)
CONFIRMATION_REQUIRED = define(
    "confirmation.required",
    403,
    pt=("É preciso confirmar que é você antes de fazer isto.", "Confirme com a sua senha ou com o rosto e repita."),
    en=("Confirm that it is you before doing this.", "Confirm with your password or your face and repeat."),
)
