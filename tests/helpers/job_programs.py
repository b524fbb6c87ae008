"""Stand-ins for ``ray`` and ``glosstune`` in a job of SLURM, which say what they were asked and end when they are told.

A file beside them named ``joining`` has the driver wait for its cluster (``begun`` says that it does), ``no-ray`` lets
Ray not start, and ``slow-ray`` makes its next start too slow for itself.
"""

import sys
from pathlib import Path

# ``ray start --block``: a head listens, and each node goes on until it is told to end.
RAY = """
import os, signal, socket, stat, sys
from pathlib import Path
folder, own = Path(sys.argv[0]).parent, os.environ
told = [own[name] for name in ("SLURM_PROCID", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_TMPDIR")]
with (folder / "ray.log").open("a") as log:
    log.write(" ".join([*told, f"{stat.S_IMODE(os.stat(told[-1]).st_mode):o}", *sys.argv[1:]]) + "\\n")
if (folder / "no-ray").exists():
    sys.exit("no Ray today")
if (folder / "slow-ray").exists():
    (folder / "slow-ray").unlink()
    sys.exit("Exception: The current node timed out during startup. This could happen because ...")
if "--head" in sys.argv:
    host, _, port = told[1].partition(":")
    server = socket.create_server((host, int(port)))
    print("Ray runtime started.", flush=True)
signal.pause()
"""

# The sweep file, --out, the place and --resume; exits as glosstune does.
GLOSSTUNE = """
import os, signal, sys, time
from pathlib import Path
assert sys.argv[1] == "sweep" and Path(sys.argv[2]).exists() and sys.argv[3] == "--out" and sys.argv[5] == "--resume"
place = Path(sys.argv[4])
Path(sys.argv[0]).with_name("begun").touch()
while Path(sys.argv[0]).with_name("joining").exists():
    time.sleep(0.05)
place.mkdir(exist_ok=True)
def save(number, frame):
    (place / f"saved-{signal.Signals(number).name}").touch()
    sys.exit(128 + number)
for number in (signal.SIGUSR1, signal.SIGTERM):
    signal.signal(number, save)
turn = len(list(place.glob("turn-*")))
(place / f"turn-{turn}").write_text(f"{os.environ.get('SLURMD_NODENAME')} {os.environ['GLOSSTUNE_NODES']}")
while not (place / "finish").exists():
    time.sleep(0.05)
sys.exit(int((place / "finish").read_text() or 0))
"""


def install_programs(folder: Path) -> Path:
    """Put both into a folder for PATH, where ``ray.log`` tells of each start of Ray."""
    folder.mkdir(exist_ok=True)
    for name, text in {"ray": RAY, "glosstune": GLOSSTUNE}.items():
        (folder / name).write_text(f"#!{sys.executable}{text}")
        (folder / name).chmod(0o755)
    return folder


def ray_starts(folder: Path) -> list[str]:
    """A line for each start of Ray until now; on a busy machine the sweep may begin before any."""
    log = folder / "ray.log"
    return log.read_text().splitlines() if log.exists() else []


def finish(place: Path, status: str = "") -> None:
    """Let the stand-in for a sweep end with a status."""
    (place / "almost").write_text(status)
    (place / "almost").rename(place / "finish")  # whole at once
