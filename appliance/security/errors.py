"""What can go wrong with keys, people and devices, said once for the whole house."""

from __future__ import annotations

from appliance.plugin_api.errors import define

AUTH_REQUIRED = define(
    "auth.required",
    401,
    pt=("É preciso entrar para fazer isto.", "Entre com seu usuário e senha neste aparelho."),
    en=("You must be logged in to do this.", "Log in with your username and password on this device."),
)
AUTH_EXPIRED = define(
    "auth.expired",
    401,
    pt=("Sua sessão expirou.", "Renove a sessão ou entre de novo."),
    en=("Your session has expired.", "Refresh the session or log in again."),
)
AUTH_DEVICE_MISMATCH = define(
    "auth.device_mismatch",
    401,
    pt=("Esta sessão pertence a outro aparelho.", "Entre de novo neste aparelho."),
    en=("This session belongs to another device.", "Log in again on this device."),
)
AUTH_REVOKED = define(
    "auth.revoked",
    401,
    pt=("Este acesso foi encerrado.", "Procure a administração se não foi você quem o encerrou."),
    en=("This access was revoked.", "Ask an administrator if it was not you who ended it."),
)
AUTH_DEVICE_REQUIRED = define(
    "auth.device_required",
    401,
    pt=("Este aparelho não está cadastrado.", "Cadastre o aparelho com um código da TI."),
    en=("This device is not enrolled.", "Enrol the device with a code from IT."),
)
AUTH_INVALID_CREDENTIALS = define(
    "auth.invalid_credentials",
    401,
    pt=("Usuário ou senha não conferem.", "Confira os dois e tente de novo."),
    en=("Username or password is wrong.", "Check both and try again."),
)
AUTH_THROTTLED = define(
    "auth.throttled",
    429,
    pt=("Muitas tentativas seguidas.", "Aguarde {seconds} segundos e tente de novo."),
    en=("Too many attempts in a row.", "Wait {seconds} seconds and try again."),
)
AUTH_LOCKED = define(
    "auth.locked",
    429,
    pt=("O acesso foi bloqueado por tentativas erradas.", "Aguarde {seconds} segundos ou procure a administração."),
    en=("Access is locked after wrong attempts.", "Wait {seconds} seconds or ask an administrator."),
)
AUTH_BUSY = define(
    "auth.busy",
    429,
    pt=("Muita gente está entrando agora: {waiting} na fila.", "Tente de novo em instantes."),
    en=("Many people are logging in right now: {waiting} waiting.", "Try again in a moment."),
)
AUTH_REFRESH_REUSED = define(
    "auth.refresh_reused",
    401,
    pt=("Esta renovação já tinha sido usada; a sessão foi encerrada.", "Entre de novo. Se não foi você, avise a TI."),
    en=("This refresh token had been used before; the session was ended.", "Log in again. If it was not you, tell IT."),
)
ENROLMENT_REFUSED = define(
    "enrolment.refused",
    403,
    pt=("O código de cadastro não vale.", "Peça um código novo à TI."),
    en=("The enrolment code is not valid.", "Ask IT for a new code."),
)
ENROLMENT_EXPIRED = define(
    "enrolment.expired",
    403,
    pt=("O código de cadastro venceu.", "Peça um código novo à TI."),
    en=("The enrolment code has expired.", "Ask IT for a new code."),
)
ENROLMENT_USED = define(
    "enrolment.used",
    403,
    pt=("O código de cadastro já foi usado.", "Peça um código novo à TI. Se não foi você, avise-a."),
    en=("The enrolment code was already used.", "Ask IT for a new code. If it was not you, tell them."),
)
CSR_REFUSED = define(
    "enrolment.csr",
    422,
    pt=("O pedido de certificado não serve: {reason}.", "Gere uma chave P-256 no aparelho e envie de novo."),
    en=("The certificate request is unusable: {reason}.", "Make a P-256 key on the device and send again."),
)
PASSWORD_WEAK = define(
    "password.weak",
    422,
    pt=("A senha é fraca: {reason}.", "Escolha ao menos 10 caracteres que ninguém adivinhe; uma frase serve bem."),
    en=("The password is weak: {reason}.", "Choose 10 or more characters that nobody guesses; a phrase does well."),
)
USER_EXISTS = define(
    "user.exists",
    409,
    pt=("Já existe um usuário com este nome.", "Escolha outro nome de usuário."),
    en=("There already is a user of this name.", "Choose another username."),
)
LAST_ADMIN = define(
    "user.last_admin",
    409,
    pt=("Este é o último administrador ativo.", "Crie outro administrador antes."),
    en=("This is the last active administrator.", "Create another administrator first."),
)
VAULT_LOCKED = define(
    "vault.locked",
    503,
    pt=("O cofre de chaves não abriu: {reason}.", "Corrija isso e inicie o nó de novo; `prontuario doctor` diz mais."),
    en=(
        "The key vault did not open: {reason}.",
        "Correct that and start the node again; `prontuario doctor` says more.",
    ),
)
VAULT_DAMAGED = define(
    "vault.damaged",
    500,
    pt=(
        "Uma chave guardada está danificada.",
        "Não grave nada por cima; avise a TI: a cópia do outro Mac deve servir.",
    ),
    en=("A stored key is damaged.", "Do not write over it; tell IT: the other Mac's copy should do."),
)
VAULT_ERASED = define(
    "vault.erased",
    410,
    pt=("Este conteúdo foi apagado para sempre a pedido.", "Nada a fazer: a chave foi destruída."),
    en=("This content was erased for good on request.", "Nothing can be done: its key was destroyed."),
)
NO_SIGNING_KEY = define(
    "signing.no_key",
    409,
    pt=("Esta pessoa não tem chave de assinatura ativa.", "Peça à administração para recriar o acesso."),
    en=("This person has no active signing key.", "Ask an administrator to restore the access."),
)
AUTHORITY_BROKEN = define(
    "authority.broken",
    500,
    pt=("A autoridade certificadora deste nó está incompleta: {reason}.", "Restaure a pasta de segredos da cópia."),
    en=("This node's certificate authority is incomplete: {reason}.", "Restore the secrets folder from its backup."),
)
