# Starts the servers of a class before its students come: when the hub opens, and whenever somebody
# comes after nobody was there. One after the other, and behind all that somebody waits for. A service
# of JupyterHub; the `ahead` of `jupyterhub_config.py` says with which students.
import json
import os
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ["JUPYTERHUB_API_URL"]
TOKEN = os.environ["JUPYTERHUB_API_TOKEN"]
STUDENTS = os.environ["LAB_STUDENTS"].split()
# How often it is looked whether somebody has come.
LOOK = 10
# What one server may take to start, and what its spare kernel is given before the next begins.
LIMIT, SPARE = 120, 3
# What a student takes without a spare, and what the machine keeps.
EACH, KEPT = 0.75 * (1 << 30), 1 << 30


def ask(method, path, body=None):
    request = urllib.request.Request(
        URL + path,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"token {TOKEN}", "Accept": "application/jupyterhub-pagination+json"},
    )
    with urllib.request.urlopen(request, timeout=LIMIT) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def servers():
    """Who has a server, and whether it can be used."""
    found, path = {}, "/users?state=active&limit=50"
    while path:
        page = ask("GET", path)
        for user in page["items"]:
            found[user["name"]] = all(server["ready"] for server in user["servers"].values())
        following = page["_pagination"]["next"]
        path = following and "/users?" + following["url"].split("?", 1)[1]
    return found


def has_room(coming):
    memory = Path("/proc/meminfo").read_text().split("MemAvailable:")[1]
    return (int(memory.split()[0]) << 10) - KEPT > coming * EACH


def prepare(running):
    began = time.monotonic()
    missing = [name for name in STUDENTS if name not in running]
    done = 0
    for number, name in enumerate(missing):
        if not has_room(len(missing) - number):
            print("ahead: not enough memory for all: the others wait when they come", flush=True)
            break
        if name in servers():
            continue  # has come meanwhile
        try:
            ask("POST", f"/users/{name}/server", {"ahead": True})
            deadline = time.monotonic() + LIMIT
            while not servers().get(name, True) and time.monotonic() < deadline:
                time.sleep(0.2)
            done += 1
        except (urllib.error.URLError, OSError) as error:
            print(f"ahead: {name}: {error}", flush=True)
        time.sleep(SPARE)
    print(f"ahead: {done} servers are open, {time.monotonic() - began:.0f} s", flush=True)


signal.signal(signal.SIGINT, signal.SIG_DFL)  # so JupyterHub ends it
first, was_quiet = True, False
while True:
    try:
        running = servers()
        if first or (was_quiet and running):
            prepare(running)
            running = servers()
        first, was_quiet = False, not running
    except (urllib.error.URLError, OSError) as error:
        print(f"ahead: {error}", flush=True)
    time.sleep(LOOK)
