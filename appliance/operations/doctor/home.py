"""The node's home: configuration, owner, disk, ports, logs."""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import stat
from pathlib import Path
from typing import Final

from appliance.config.load import ConfigError, load_config
from appliance.operations.doctor.model import Check, Finding
from appliance.operations.doctor.patient import Patient
from appliance.security.files import write_file

GIB: Final = 1 << 30
LITTLE_SPACE_BYTES: Final = 20 * GIB
NO_SPACE_BYTES: Final = 2 * GIB
HASTY_S: Final = 30e-6
"""No drive keeps 4 KiB for good in less: the fastest with a protected cache take some 50 µs, a Mac's own some milliseconds."""
MEMORY_FILESYSTEMS: Final = frozenset({"tmpfs", "ramfs", "devtmpfs", "devfs"})
REMOTE_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs4", "smbfs", "cifs", "afpfs", "webdav", "9p", "fuse.sshfs", "osxfuse", "macfuse"}
)
LOGS_SHARE: Final = 4
"""Core, Litestream, the dashboard and the voter each keep files of the configured size."""
_PROBE: Final = ".doctor-probe"
_MISCHIEF: Final = 0o022
_CURIOUS: Final = 0o055

HOME: Final = Check(
    "home", "home", pt="Pasta do nó", en="The node's folder", runbook="first-install", needs_config=False
)
_HOME_WELL = HOME.ok("A pasta é {home}.", "The folder is {home}.")
_NO_HOME = HOME.fails(
    "missing",
    ("Não há nó em {home}.", "Rode: prontuario init --home '{home}'; ou diga a pasta certa com --home."),
    ("There is no node in {home}.", "Run: prontuario init --home '{home}'; or name the right folder with --home."),
)

CONFIGURATION: Final = Check(
    "configuration", "home", pt="Configuração", en="Configuration", runbook="first-install", needs_config=False
)
_CONFIGURATION_WELL = CONFIGURATION.ok("{path} é válido.", "{path} is valid.")
_UNKNOWN_KEY = CONFIGURATION.fails(
    "invalid",
    ("A configuração tem um erro: {reason}", "Corrija essa linha; docs/settings.md lista todas as chaves."),
    ("The configuration has a mistake: {reason}", "Correct that line; docs/settings.md lists every key."),
)
_NO_CONFIGURATION = CONFIGURATION.warns(
    "missing",
    ("Não há {path}; tudo tem o valor de fábrica.", "Rode: prontuario init"),
    ("There is no {path}; every setting has its default.", "Run: prontuario init"),
)

OWNER: Final = Check("home-owner", "home", pt="Dono dos arquivos", en="Who owns the files", needs_config=False)
_OWNER_WELL = OWNER.ok("Tudo pertence a {owner}.", "Everything belongs to {owner}.")
_OPEN_HOME = OWNER.fails(
    "writable",
    ("Qualquer conta deste Mac pode escrever em {home}.", "Rode: sudo chmod 700 '{home}'"),
    ("Any account of this Mac can write to {home}.", "Run: sudo chmod 700 '{home}'"),
)
_READABLE_HOME = OWNER.warns(
    "readable",
    ("Outras contas deste Mac podem listar {home}.", "Rode: sudo chmod 700 '{home}'"),
    ("Other accounts of this Mac can list {home}.", "Run: sudo chmod 700 '{home}'"),
)
_MIXED = OWNER.fails(
    "mixed",
    ("{count} arquivos não são de {owner}, como {example}: o nó não consegue usá-los.",
     "Pare o nó e rode: sudo chown -R {owner} '{home}'. Dê todo comando como {owner}."),
    ("{count} files do not belong to {owner}, such as {example}: the node can't use them.",
     "Stop the node and run: sudo chown -R {owner} '{home}'. Give every command as {owner}."),
)  # fmt: skip

SPACE: Final = Check(
    "disk-space", "home", pt="Espaço em disco", en="Disk space", runbook="disk-full", needs_config=False
)
_SPACE_WELL = SPACE.ok("Há {free} GiB livres.", "{free} GiB are free.")
_LITTLE = SPACE.warns(
    "little",
    ("Há só {free} GiB livres.", "Planeje mais espaço: as cópias precisam de tanto quanto o próprio prontuário."),
    ("Only {free} GiB are free.", "Plan more space: snapshots need as much again as the record itself."),
)
_FULL = SPACE.fails(
    "full",
    (
        "Há só {free} GiB livres: logo nada se grava.",
        "Libere espaço agora: tire daqui pacotes de modelos e logs antigos.",
    ),
    ("Only {free} GiB are free: soon nothing can be saved.", "Free space now: move old model packs or logs away."),
)

WRITE: Final = Check(
    "disk-write", "home", pt="Gravação em disco", en="Writing to the disk", runbook="disk-full", needs_config=False
)
_WRITE_WELL = WRITE.ok("Um arquivo foi gravado e relido.", "A file was written and read back.")
_NO_WRITE = WRITE.fails(
    "refused",
    ("Não se consegue gravar em {home} ({code}).",
     "ENOSPC ou EDQUOT: libere espaço. EACCES ou EPERM: dê a pasta à conta do nó. EROFS ou EIO: troque o disco."),
    ("{home} can't be written ({code}).",
     "ENOSPC or EDQUOT: free space. EACCES or EPERM: give the folder to the node's account. EROFS or EIO: replace the disk."),
)  # fmt: skip
_ALTERED = WRITE.fails(
    "altered",
    ("O disco devolveu outra coisa do que se gravou.", "Pare o nó, não apague nada e troque o disco."),
    ("The disk gave back something else than was written.", "Stop the node, erase nothing and replace the disk."),
)

FLUSH: Final = Check("disk-flush", "home", pt="Honestidade do disco", en="The disk's honesty", needs_config=False)
_FLUSH_WELL = FLUSH.ok("Gravar para valer leva {micros} µs em {kind}.", "Keeping for good takes {micros} µs on {kind}.")
_MEMORY = FLUSH.fails(
    "memory",
    ("{home} fica na memória ({kind}): sem energia, perde-se tudo.", "Ponha o nó num disco de verdade."),
    ("{home} lies in memory ({kind}): without power all of it is lost.", "Put the node on a real disk."),
)
_REMOTE = FLUSH.fails(
    "remote",
    ("{home} fica num disco de rede ({kind}), que não garante o que confirma.", "Ponha o nó no disco interno."),
    (
        "{home} lies on a network disk ({kind}), which does not warrant what it confirms.",
        "Put the node on the internal disk.",
    ),
)
_NO_FLUSH = FLUSH.fails(
    "refused",
    ("O volume recusa gravar para valer ({code}).", "Use o disco interno, formatado em APFS."),
    ("The volume refuses to keep for good ({code}).", "Use the internal disk, formatted with APFS."),
)
_HASTY = FLUSH.warns(
    "hasty",
    ("Gravar para valer leva só {micros} µs: o disco confirma o que ainda não guardou.",
     "Desligue o cache de escrita do disco (ou da máquina virtual), ou use o disco interno."),
    ("Keeping for good takes only {micros} µs: the disk confirms what it has not kept yet.",
     "Switch off the write cache of the disk (or virtual machine), or use the internal disk."),
)  # fmt: skip

PORTS: Final = Check("ports", "home", pt="Portas", en="Ports")
_PORTS_FREE = PORTS.ok("As portas {ports} estão livres.", "Ports {ports} are free.", "free")
_PORTS_OURS = PORTS.ok("Este nó está rodando e usa {ports}.", "This node runs and uses {ports}.", "ours")
_TAKEN = PORTS.fails(
    "taken",
    ("Outro programa usa a porta {ports}.",
     "Descubra qual: sudo lsof -nP -iTCP:{first} -sTCP:LISTEN. Encerre-o, ou mude a porta em prontuario.toml."),
    ("Another program uses port {ports}.",
     "Find it with: sudo lsof -nP -iTCP:{first} -sTCP:LISTEN. Stop it, or change the port in prontuario.toml."),
)  # fmt: skip

LOGS: Final = Check("logs", "home", pt="Logs", en="Logs", runbook="disk-full")
_LOGS_WELL = LOGS.ok("Os logs ocupam {mib} MiB.", "The logs take {mib} MiB.")
_LARGE = LOGS.warns(
    "large",
    ("Os logs ocupam {mib} MiB, mais que o previsto ({limit} MiB).",
     "Veja o que enche {folder} e baixe logging.level ou logging.keep_files em prontuario.toml."),
    ("The logs take {mib} MiB, more than planned ({limit} MiB).",
     "See what fills {folder}, and lower logging.level or logging.keep_files in prontuario.toml."),
)  # fmt: skip


@HOME
def home(patient: Patient) -> Finding:
    """There is a node."""
    folder = patient.paths.home
    return (_HOME_WELL if folder.exists() else _NO_HOME)(home=folder)


@CONFIGURATION
def configuration(patient: Patient) -> Finding:
    """``prontuario.toml`` can be read and holds only known keys."""
    path = patient.paths.config
    try:
        load_config(path)
    except (ConfigError, OSError) as error:
        return _UNKNOWN_KEY(reason=str(error))
    return (_CONFIGURATION_WELL if path.exists() else _NO_CONFIGURATION)(path=path)


@OWNER
def owner(patient: Patient) -> Finding:
    """One account owns everything in the home, and no other may write there."""
    folder, facts = patient.paths.home, patient.paths.home.stat()
    if facts.st_mode & _MISCHIEF:
        return _OPEN_HOME(home=folder)
    foreign = [path for path in _belongings(patient) if _owner_of(path) not in {facts.st_uid, None}]
    if foreign:
        example = foreign[0].relative_to(folder)
        return _MIXED(count=len(foreign), owner=_name(facts.st_uid), example=example, home=folder)
    if facts.st_mode & _CURIOUS and patient.config.node.profile == "production":
        return _READABLE_HOME(home=folder)
    return _OWNER_WELL(owner=_name(facts.st_uid))


def _belongings(patient: Patient) -> list[Path]:
    """The folders and files that a stray ``sudo`` leaves behind; blobs and copies by the thousand are not walked."""
    paths = patient.paths
    folders = (paths.home, paths.database.parent, paths.run, paths.logs, paths.secrets, paths.models)
    return [entry for folder in folders if folder.is_dir() for entry in sorted(folder.iterdir())]


def _owner_of(path: Path) -> int | None:
    """None: it has gone meanwhile, as SQLite's helper files do when their last reader leaves."""
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return None


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@SPACE
def disk_space(patient: Patient) -> Finding:
    """There is room."""
    free = patient.machine.free_bytes(patient.paths.home)
    verdict = _FULL if free < NO_SPACE_BYTES else _LITTLE if free < LITTLE_SPACE_BYTES else _SPACE_WELL
    return verdict(free=f"{free / GIB:.1f}")


@WRITE
def disk_write(patient: Patient) -> Finding:
    """What is written durably comes back as it was."""
    folder = patient.paths.home
    probe, content = folder / f"{_PROBE}-{os.getpid()}", os.urandom(64 << 10)
    try:
        write_file(probe, content)
        same = probe.read_bytes() == content
        probe.unlink()
    except OSError as error:
        return _NO_WRITE(home=folder, code=_code(error))
    return _WRITE_WELL() if same else _ALTERED()


@FLUSH
def disk_flush(patient: Patient) -> Finding:
    """What the disk confirms survives a power cut, as far as a program can tell: by its kind, and by how long it takes."""
    folder, kind = patient.paths.home, patient.machine.filesystem(patient.paths.home)
    if kind in MEMORY_FILESYSTEMS:
        return _MEMORY(home=folder, kind=kind)
    if kind in REMOTE_FILESYSTEMS:
        return _REMOTE(home=folder, kind=kind)
    try:
        took = patient.machine.flush_s(folder)
    except OSError as error:
        return _NO_FLUSH(code=_code(error))
    verdict = _HASTY if took < HASTY_S else _FLUSH_WELL
    return verdict(micros=f"{took * 1e6:.0f}", kind=kind or "?")


@PORTS
def ports(patient: Patient) -> Finding:
    """The ports are free, or it is our own node that has them."""
    api, admin, cluster = patient.config.api, patient.config.admin, patient.config.cluster
    wanted = [(api.host, api.port), (admin.host, admin.port)]
    if patient.paired:
        wanted.append((cluster.listen_host, cluster.peer_port))
    taken = [port for host, port in wanted if port and not patient.machine.can_bind(host, port)]
    shown = ", ".join(str(port) for port in taken or [port for _, port in wanted])
    if not taken:
        return _PORTS_FREE(ports=shown)
    return _PORTS_OURS(ports=shown) if runs_here(patient.paths.run) else _TAKEN(ports=shown, first=taken[0])


@LOGS
def logs(patient: Patient) -> Finding:
    """Logs stay within what the configuration lets them take."""
    folder, config = patient.paths.logs, patient.config.logging
    size = sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
    limit = LOGS_SHARE * config.max_file_bytes * (config.keep_files + 1)
    verdict = _LARGE if size > limit else _LOGS_WELL
    return verdict(mib=size >> 20, limit=limit >> 20, folder=folder)


def runs_here(run: Path) -> bool:
    """Whether a core serves this home: it holds a lock on its pid file, which the kernel drops when it dies."""
    try:
        with (run / "core.pid").open("r") as file:
            fcntl.flock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def mode_of(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def _code(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
