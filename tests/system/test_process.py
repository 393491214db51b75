"""A process is identified by its host, its number and its start time."""

from __future__ import annotations

import os
import subprocess
import sys

from heliostat.system.process import Process, start_time, this_process


def test_this_process_lives_here():
    me = this_process()
    assert me.pid == os.getpid() and me.is_local and me.is_alive
    assert not me._replace(host="elsewhere").is_local


def test_a_process_lives_until_it_ends():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as other:
        process = Process(this_process().host, other.pid, start_time(other.pid))
        assert process.start_time and process.is_alive
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert not process.is_alive, "a zombie has ended"
    assert not process.is_alive


def test_a_reused_number_is_another_process():
    assert not this_process()._replace(start_time="1").is_alive
    assert this_process()._replace(start_time=None).is_alive, (
        "if the system has no start time"
    )
    assert not any(this_process()._replace(pid=pid).is_alive for pid in (0, -1))
