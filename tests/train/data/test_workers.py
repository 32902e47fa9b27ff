"""Work in processes: a second Ctrl-C while the first one is being served."""

import os
import signal
import subprocess
import sys
import time

import pytest

SCRIPT = """
import sys, time
from contextlib import closing
from pathlib import Path
from crispstream.train.data.workers import in_processes

def work(number):
    (Path(sys.argv[1]) / f"begun-{number}").touch()
    time.sleep(1)

if __name__ == "__main__":
    with closing(in_processes(work, range(40), 2, print)) as done:
        for _ in done:
            pass
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="no process groups")
def test_a_second_interruption_leaves_nobody_behind(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-u", str(tmp_path / "script.py"), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, start_new_session=True, text=True
    ) as process:
        try:
            while process.poll() is None and not list(tmp_path.glob("begun-*")):
                time.sleep(0.05)
            for _ in range(2):
                os.killpg(process.pid, signal.SIGINT)
                time.sleep(0.3)
            # Returns when the last process that could write into the pipe has ended.
            said, _ = process.communicate(timeout=30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert "stopping: finishing" in said
    assert said.splitlines()[-1] == "KeyboardInterrupt"
    assert len(list(tmp_path.glob("begun-*"))) < 10
