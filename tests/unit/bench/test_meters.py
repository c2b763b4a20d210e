"""The instruments: what they read is what the kernel says."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cds_wrapper.bench.machine import file_system_of, this_machine
from cds_wrapper.bench.process_meter import cpu_seconds, resident_bytes
from cds_wrapper.bench.sync_meter import sync_times

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
25 22 0:6 / /dev rw shared:2 - devtmpfs devtmpfs rw
26 25 0:24 / /dev/shm rw shared:3 - tmpfs tmpfs rw
90 22 8:1 / /mnt/fast\\040disk rw shared:9 - xfs /dev/sdb rw
91 90 8:2 / /mnt/fast\\040disk rw shared:9 - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/", "ext4"),
        ("/dev/shm", "tmpfs"),
        ("/dev/shm/below/it", "tmpfs"),
        ("/dev/shmem", "devtmpfs"),
        ("/srv/data", "ext4"),
        ("/mnt/fast disk/x", "btrfs"),
    ],
)
def test_a_folder_lies_on_the_longest_mount_that_covers_it(folder: str, kind: str) -> None:
    assert file_system_of(Path(folder), MOUNTS) == kind


def test_this_machine_has_at_least_a_core_and_a_file_system(tmp_path: Path) -> None:
    machine = this_machine(tmp_path)
    assert machine.cores >= 1
    assert machine.file_system != "unknown"
    assert machine.file_system in machine.sentence()


def test_every_page_is_written_and_synced_and_the_file_taken_away(tmp_path: Path) -> None:
    times = sync_times(tmp_path, 5)
    assert len(times) == 5
    assert all(seconds > 0 for seconds in times)
    assert list(tmp_path.iterdir()) == []


def test_the_clock_of_a_process_is_the_one_it_reads_itself() -> None:
    before = time.process_time()
    read = cpu_seconds(os.getpid())
    assert before <= read <= time.process_time()


def test_the_clock_of_another_process_counts_its_work_and_not_its_waiting() -> None:
    busy = "import sys\nsum(range(3_000_000))\nprint('done', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", busy]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        worked = cpu_seconds(process.pid)
        sum(range(3_000_000))  # our own work is not its
        assert worked > 0
        assert cpu_seconds(process.pid) - worked < worked
        assert resident_bytes(process.pid) > 1_000_000
        process.stdin.close()


def test_a_process_that_is_not_there_has_no_clock() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    with pytest.raises(OSError):  # noqa: PT011  which of two the kernel gives differs
        cpu_seconds(process.pid)
