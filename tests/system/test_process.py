"""A process is known by its host, its number and when it began."""

from __future__ import annotations

import os
import subprocess
import sys

from heliostat.system.process import Process, born, own


def test_this_process_lives_here():
    me = own()
    assert me.pid == os.getpid() and me.here and me.alive
    assert not me._replace(host="elsewhere").here


def test_a_process_lives_until_it_ends():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as other:
        who = Process(own().host, other.pid, born(other.pid))
        assert who.born and who.alive
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert not who.alive, "a zombie has ended"
    assert not who.alive


def test_a_number_that_is_used_again_is_another_process():
    assert not own()._replace(born="1").alive
    assert own()._replace(born=None).alive, "where the system does not say"
    assert not any(own()._replace(pid=pid).alive for pid in (0, -1))
