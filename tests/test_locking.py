"""Fail where two runs write one file or folder at once, or a dead one keeps others from it."""

import os
import signal
import subprocess
import sys

import pytest

from mcnn_keras import InputError
from mcnn_keras.files.locking import lock_file, locked

HOLD = (
    "import sys, time\n"
    "from mcnn_keras.files.locking import locked\n"
    "with locked(sys.argv[1]):\n"
    "    print('held', flush=True)\n"
    "    time.sleep(60)\n"
)


def test_a_lock_keeps_others_out_and_ends_with_its_process(tmp_path):
    """Fails where a second run is let in, the holder is not named, or a kill keeps the lock."""
    output = tmp_path / "new" / "out.npy"
    command = [sys.executable, "-c", HOLD, str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        message = rf"out.npy is in use by another run \(process {holder.pid} on .*\); wait for it"
        with pytest.raises(InputError, match=message), locked(output):
            pass
        with locked(output.with_name("other.npy")):
            pass
        holder.send_signal(signal.SIGKILL)
    with locked(output):
        assert f"process {os.getpid()} " in lock_file(output).read_text()
        with pytest.raises(InputError, match="is in use"), locked(output):
            pass
    assert not lock_file(output).exists()
    assert output.parent.exists()  # it was another's


def test_a_lock_leaves_no_folders_but_those_with_content(tmp_path):
    """Fails where a lock leaves its file, or an empty folder that was made for it."""
    with locked(tmp_path / "a" / "b" / "out.npy"):
        pass
    assert not list(tmp_path.iterdir())
    with locked(tmp_path / "run", inside=True):
        (tmp_path / "run" / "result").write_text("kept")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["result"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="may write anywhere")
def test_a_folder_that_cannot_be_written_is_told_of(tmp_path):
    """Fails with a traceback where no lock can be made."""
    tmp_path.chmod(0o500)
    message = r"out.npy cannot be written: .*denied"
    with pytest.raises(InputError, match=message), locked(tmp_path / "out.npy"):
        pass
