"""Folders of Ray sessions: those of living processes, and of others, stay."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

import heliostat as hs
from heliostat.system import cache, sessions
from heliostat.system.process import Process, this_process


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Function that makes the folder of a session with an owner."""
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("HELIOSTAT_CACHE", str(tmp_path / "cache"))

    def make(name, owner):
        folder = tmp_path / "ray" / f"session_{name}"
        (folder / "logs" / "old").mkdir(parents=True)
        (folder / "logs" / "raylet.out").write_text("text")
        if owner:
            (folder / sessions.OWNER).write_text(json.dumps(owner))
        return folder

    return make


def ended() -> Process:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return Process(this_process().host, process.pid, "1")


def test_gc_removes_the_sessions_that_have_ended_and_are_ours(session, tmp_path):
    dead = session("dead", ended())
    kept = [
        session("alive", this_process()),
        session("elsewhere", ended()._replace(host="another.example")),
        session("of_others", None),
        session("damaged", ["?"]),
    ]
    (tmp_path / "ray" / "session_latest").symlink_to(dead)
    assert hs.gc() == [dead] and hs.gc() == []
    assert not dead.exists() and all((f / "logs" / "old").exists() for f in kept)
    assert not (tmp_path / "ray" / "session_latest").is_symlink()


def test_failed_starts_of_this_process_are_claimed(session):
    failed, other = session(f"1_{os.getpid()}", None), session("1_1", None)
    sessions.claim_failed()
    assert json.loads((failed / sessions.OWNER).read_text()) == list(this_process())
    assert not (other / sessions.OWNER).exists()


def test_a_session_stays_while_a_process_of_it_lives(session):
    dead = session("dead", ended())
    code = "print(flush=True); input()"
    words = [sys.executable, "-c", code, str(dead / "sockets" / "raylet")]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe) as process:
        process.stdout.readline()  # its command line is there now
        assert not sessions.has_ended(dead) and hs.gc() == []
        process.communicate(b"\n")
    assert hs.gc() == [dead]


def test_a_session_is_claimed_and_removed_by_its_process(session):
    own = session("own", None)
    sessions.claim(own)
    assert not sessions.has_ended(own)
    assert sessions.remove(own) and not own.exists()


def test_gc_removes_programs_that_nobody_uses(session, tmp_path):
    folder = tmp_path / "cache" / cache.PROGRAMS
    folder.mkdir(parents=True)
    for name, age in {"old": cache.KEPT + 3600, "used": cache.KEPT - 3600}.items():
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age, time.time() - 10 * cache.KEPT))
    replies = tmp_path / "cache" / "replies.sqlite"
    replies.touch()
    os.utime(replies, (0, 0))
    assert hs.gc(machine=False) == [] and hs.gc() == [folder / "old"]
    assert (folder / "used").exists() and replies.exists()
