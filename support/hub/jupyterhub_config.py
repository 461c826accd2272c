# A class on one machine. The program `hub` starts JupyterHub with this file, and says in $LAB_HUB
# what it has prepared: everything in `shared` is read-only for students and there once for all of
# them.
import asyncio
import errno
import json
import os
import pwd
import resource
import signal
import subprocess
import sys
from pathlib import Path

from jupyterhub import orm
from jupyterhub.spawner import LocalProcessSpawner, set_user_setuid
from nativeauthenticator import NativeAuthenticator
from traitlets import Unicode

c = get_config()  # noqa: F821
LAB = json.loads(os.environ.pop("LAB_HUB"))
DATA = Path(LAB["data"])
SHARED = Path(LAB["shared"])
PROJECT = SHARED / "project"
PYTHON = SHARED / "python/bin"
# How Jupyter starts our kernel, and with which variables.
KERNEL = json.loads((SHARED / "python/share/jupyter/kernels/rust/kernel.json").read_text())


# --- Who may log in -------------------------------------------------------------------------------


class Passwords(NativeAuthenticator):
    """Passwords come from the teacher, not from a sign-up page; kept as bcrypt hashes."""

    new = Unicode(config=True, help="A file of names and passwords to set, removed when it is done")

    def add_new_table(self):
        super().add_new_table()
        new = Path(self.new)
        if not new.exists():
            return
        self.enable_signup = True  # what `create_user` asks for; no page of it is served below
        for line in new.read_text().splitlines():
            name, password = line.split()
            self.change_password(name, password) or self.create_user(name, password)
            # Who has logged in with the old one is logged out.
            if user := orm.User.find(self.db, name):
                user.cookie_id = orm.new_token()
                for token in list(user.api_tokens):
                    self.db.delete(token)
        self.db.commit()
        self.enable_signup = False
        new.unlink()


c.JupyterHub.authenticator_class = Passwords
c.Passwords.new = str(DATA / "hub/new-passwords")
c.Authenticator.allowed_users = {*LAB["students"], LAB["teacher"]}
c.Authenticator.admin_users = {LAB["teacher"]}
# Who is taken off the list is locked out, though the files stay: from now on, and with what was
# given to their browsers before.
c.Authenticator.allow_existing_users = False
c.Authenticator.blocked_users = set(LAB["former"])
c.NativeAuthenticator.enable_signup = False
c.NativeAuthenticator.minimum_password_length = 8
c.NativeAuthenticator.allowed_failed_logins = 10
c.NativeAuthenticator.seconds_before_next_try = 60


# --- What each gets -------------------------------------------------------------------------------


def write(path, text):
    # Without O_CREAT or truncation: control files want neither.
    file = os.open(path, os.O_WRONLY)
    try:
        os.write(file, str(text).encode())
    finally:
        os.close(file)


def enable(group, controllers):
    """Lets the groups below have these controllers."""
    control = group / "cgroup.subtree_control"
    try:
        write(control, controllers)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        # In a container this group holds its processes, and only one without any may pass
        # controllers on.
        own = group / "rust-async-hub"
        own.mkdir(exist_ok=True)
        for process in (group / "cgroup.procs").read_text().split():
            try:
                write(own / "cgroup.procs", process)
            except OSError:
                pass  # it has ended
        write(control, controllers)


def control_groups(account):
    """Limits all processes of a student together, and counts what they take from now on. Returns
    the files into which a process writes 0 to be one of them; none where the system lets us make no
    group."""
    forget_control_groups(account)
    top = Path("/sys/fs/cgroup")
    try:
        if (top / "cgroup.controllers").exists():
            parent = top / "rust-async-class"
            enable(top, "+memory +cpu")
            group = parent / account
            parent.mkdir(exist_ok=True)
            enable(parent, "+memory +cpu")
            group.mkdir(exist_ok=True)
            write(group / "memory.max", LAB["memory"])
            if (group / "memory.swap.max").exists():
                write(group / "memory.swap.max", 0)
            return [group / "cgroup.procs"]
        memory = top / "memory/rust-async-class" / account
        memory.mkdir(parents=True, exist_ok=True)
        write(memory / "memory.limit_in_bytes", LAB["memory"])
        swap = memory / "memory.memsw.limit_in_bytes"  # memory and swap together
        if swap.exists():
            write(swap, LAB["memory"])
        groups = [memory]
        for controller in ("cpu", "cpuacct"):  # each group has an equal share, and is counted
            group = top / controller / "rust-async-class" / account
            group.mkdir(parents=True, exist_ok=True)
            groups.append(group)
        files = [group / "cgroup.procs" for group in groups]
        return [file for file in files if file.exists()]  # a controller may not be there
    except OSError:
        return []


# What part of the processors a student has who comes, and one whose server is started ahead, before
# anybody waits for it: as `cpu.shares`, which `cpu.weight` counts in parts ten times as large.
USED, AHEAD = 1024, 50
# After which it is like any other, whoever has come.
AHEAD_SECONDS = 60


def weigh(account, shares):
    groups = Path("/sys/fs/cgroup")
    name = Path("rust-async-class") / account
    for file, value in (
        (groups / name / "cpu.weight", shares * 100 // 1024 or 1),
        (groups / "cpu" / name / "cpu.shares", shares),
    ):
        try:
            write(file, value)
        except OSError:
            pass  # not this version, or no group: all have the same part


def has_come(_authenticator, _handler, model):
    """Somebody who logs in waits from now on, also for what was started ahead."""
    weigh(LAB["prefix"] + model["name"], USED)
    return model


c.Authenticator.post_auth_hook = has_come


def forget_control_groups(account):
    for controller in ("", "memory", "cpu", "cpuacct"):
        group = Path("/sys/fs/cgroup") / controller / "rust-async-class" / account
        for path in (group, group.parent):
            try:
                path.rmdir()
            except OSError:
                pass  # not there, or not empty


def processes(uid):
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if path.stat().st_uid == uid:
                yield int(path.name)
        except OSError:
            pass  # it has ended


GIB = 1 << 30
# What a student takes with a heavy notebook and a spare kernel, and what the machine keeps.
WITH_SPARE, KEPT = 1.25 * GIB, 1 * GIB


def available():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


class Student(LocalProcessSpawner):
    """A server that runs as a system user of the student's own, made at the first start."""

    @property
    def account(self):
        return LAB["prefix"] + self.user.name

    def known(self):
        try:
            return pwd.getpwnam(self.account)
        except KeyError:
            return None

    def prepare(self):
        if self.known() is None:
            home = DATA / "homes" / self.user.name
            subprocess.run(
                ["useradd", "--home-dir", home, "--no-create-home", "--user-group"]
                + ["--shell", "/usr/sbin/nologin", self.account],
                check=True,
            )
        user = self.known()
        # Connection files and sockets of kernels: their paths must be short.
        runtime = Path("/run/rust-async-class") / self.account
        runtime.parent.mkdir(mode=0o711, exist_ok=True)
        for folder in (Path(user.pw_dir), runtime):
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_uid != user.pw_uid:  # new, or the account has been made anew
                owner = f"{user.pw_uid}:{user.pw_gid}"
                subprocess.run(["chown", "-R", "-h", owner, folder], check=True)
            os.chmod(folder, 0o700)
        return runtime

    async def poll(self):
        # After a power cut, the number that was noted may be that of any process.
        user = self.known()
        if self.proc is None and self.pid and self.pid not in processes(user and user.pw_uid):
            self.pid = 0
        return await super().poll()

    def has_room_for_spare(self):
        """Whether there is memory for a spare kernel of this student, and of all that may come."""
        # This one is among those that run already.
        running = self.db.query(orm.Spawner).filter(orm.Spawner.server != None).count()  # noqa: E711
        coming = max(len(LAB["students"]) + 1 - running, 0) + 1
        return available() - KEPT > coming * WITH_SPARE

    async def start(self):
        await self.end_all()  # what a server left behind that ended by itself
        runtime = self.prepare()
        spares = LAB["spares"] if self.has_room_for_spare() else 0
        self.environment = {
            **self.environment,
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "LAB_SPARE_COUNT": str(spares),
        }
        self.groups = control_groups(self.account)
        if not self.groups:
            self.log.warning("No control group can be made: the limit is one for each process")
        weigh(self.account, USED)
        if self.user_options.get("ahead"):
            # JupyterHub keeps it for the next start, which the student may wait for.
            self.orm_spawner.user_options = {}
            self.db.commit()
            weigh(self.account, AHEAD)
            asyncio.get_running_loop().call_later(AHEAD_SECONDS, weigh, self.account, USED)
        address = await super().start()
        await self.until_it_listens(*address)
        return address

    async def until_it_listens(self, ip, port):
        """The hub itself looks less and less often: a student would wait for nothing."""
        while await self.poll() is None:
            try:
                _, writer = await asyncio.open_connection(ip or "127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.05)

    def make_preexec_fn(self, name):
        become = set_user_setuid(self.account)
        groups = self.groups

        def prepare():
            for group in groups:
                write(group, 0)
            if not groups:
                resource.setrlimit(resource.RLIMIT_DATA, (LAB["memory"], LAB["memory"]))
            resource.setrlimit(resource.RLIMIT_NPROC, (4096, 4096))  # threads, too
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.umask(0o077)
            become()

        return prepare

    def user_env(self, env):
        user = self.known()
        env.update(USER=self.account, HOME=user.pw_dir, SHELL="/bin/sh")
        return env

    async def stop(self, now=False):
        await super().stop(now)
        await self.end_all()
        forget_control_groups(self.account)

    async def end_all(self):
        """Kills what cells have started and left behind."""
        user = self.known()
        for _ in range(50):
            left = list(processes(user.pw_uid)) if user else []
            if not left:
                break
            for process in left:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            await asyncio.sleep(0.1)


c.JupyterHub.spawner_class = Student
c.Spawner.cmd = ["/bin/sh", str(PROJECT / "support/hub/student.sh")]
c.Spawner.notebook_dir = "~/notebooks"
c.Spawner.default_url = "/lab/tree/00-guide.ipynb"
c.Spawner.start_timeout = 120
c.Spawner.http_timeout = 120
# Not what the hub was started with: `cargo run` sets LD_LIBRARY_PATH, for example.
c.Spawner.env_keep = ["LANG", "LC_ALL", "TZ"]
c.Spawner.environment = {
    "PATH": ":".join([f"{LAB['toolchain']}/bin", str(PYTHON), "/usr/local/bin:/usr/bin:/bin"]),
    # The sources of the crates that are warmed; cargo takes no locks where it cannot write.
    "CARGO_HOME": str(SHARED / "cargo"),
    "LAB_NOTEBOOKS": f"file://{SHARED / 'notebooks.git'}",
    "LAB_SUPPORT": str(PROJECT / "support"),
    "LAB_GIT_CONFIG": str(SHARED / "gitconfig"),
    # A spare kernel is just right if it is started as the others are.
    "LAB_KERNEL": KERNEL["argv"][0],
    **KERNEL["env"],
    **LAB["environment"],
}
c.Spawner.args = [
    # Any user of this machine may listen on a port's messages, nobody in a folder with mode 0700.
    "--KernelManager.transport=ipc",
    "--ServerApp.terminals_enabled=False",
    # A kernel that nobody looks at: half a gigabyte.
    f"--MappingKernelManager.cull_idle_timeout={LAB['cull']}",
    f"--MappingKernelManager.cull_interval={max(LAB['cull'] // 4, 1)}",
    "--MappingKernelManager.cull_connected=False",
]


# --- The hub itself -------------------------------------------------------------------------------

c.JupyterHub.bind_url = LAB["bind"]
c.JupyterHub.hub_ip = "127.0.0.1"
c.JupyterHub.hub_port = LAB["hub_port"]
c.JupyterHub.db_url = f"sqlite:///{DATA}/hub/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = str(DATA / "hub/cookie-secret")
c.JupyterHub.concurrent_spawn_limit = 10
c.JupyterHub.template_vars = {"announcement_login": "用老师发给你的名字和密码登录。"}
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{LAB['proxy_port']}"
c.ConfigurableHTTPProxy.pid_file = str(DATA / "hub/proxy.pid")
# What the hub starts ends with it, however that comes about: it would be in the next one's way.
WITH_US = ["setpriv", "--pdeathsig", "TERM"]
c.ConfigurableHTTPProxy.command = [
    *WITH_US,
    str(SHARED / "proxy/node_modules/.bin/configurable-http-proxy"),
]
if LAB["certificate"]:
    c.JupyterHub.ssl_cert, c.JupyterHub.ssl_key = LAB["certificate"]

# A whole server, once its kernels are gone and no browser asks.
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [*WITH_US, sys.executable, "-m", "jupyterhub_idle_culler"]
        + [f"--timeout={LAB['cull'] * 2}", f"--cull-every={max(LAB['cull'] // 2, 1)}"],
    }
]
# How often the hub learns who is active: in time for the culler.
ACTIVITY = min(300, max(LAB["cull"] // 4, 1))
c.JupyterHub.last_activity_interval = ACTIVITY
c.Spawner.environment["JUPYTERHUB_ACTIVITY_INTERVAL"] = str(ACTIVITY)
c.JupyterHub.load_roles = [
    {"name": "admin", "users": [LAB["teacher"]]},  # and nobody who was the teacher before
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    },
]
# Servers that are there before their students are.
if LAB["ahead"]:
    c.JupyterHub.services.append(
        {
            "name": "ahead",
            "command": [*WITH_US, sys.executable, str(PROJECT / "support/hub/ahead.py")],
            "environment": {"LAB_STUDENTS": " ".join(LAB["students"])},
        }
    )
    c.JupyterHub.load_roles.append(
        {"name": "ahead", "scopes": ["list:users", "read:servers", "servers"], "services": ["ahead"]}
    )
