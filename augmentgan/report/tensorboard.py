"""A run's figures and sample sheets for TensorBoard. `events.jsonl` stays the source: the log can always be made again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from augmentgan.data.sheet import read_sheet
from augmentgan.extras import require_extra
from augmentgan.gan.events import is_status, read_events
from augmentgan.gan.run_info import read_info
from augmentgan.names import TENSORBOARD_FOLDER, sheet_of

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TAGS = {
    "loss_d": "loss/discriminator",
    "loss_g": "loss/generator",
    "loss_coverage": "loss/coverage",
    "d_real": "game/D(x)",
    "d_fake": "game/D(G(z))",
    "div": "samples/div",
    "div_worst": "samples/div_worst_class",
    "near": "samples/near",
    "images_per_s": "speed/images_per_s",
}


class TensorBoardLog:
    """Writes `RUN/tensorboard` while a run learns: `with TensorBoardLog(folder) as log: fit(..., on_status=log.add)`.

    The first `add` writes everything that `events.jsonl` holds, so that a continued run has one unbroken log.

    Args:
        run_folder: the run folder; it need not exist yet.

    Raises:
        ExtraError: tensorboard is not installed.
    """

    def __init__(self, run_folder: str | Path) -> None:
        require_extra("tensorboard", ("tensorboard",), "--tensorboard")
        self._run, self._started_s = Path(run_folder), 0.0
        self._writer: SummaryWriter | None = None
        self._step = 0

    def __enter__(self) -> TensorBoardLog:
        return self

    def add(self, status: object = None) -> None:
        """Take what `events.jsonl` has gained."""
        events = [event for event in read_events(self._run) if is_status(event)]
        if self._writer is None or (events and events[-1]["updates"] <= self._step):
            self._open()  # after a return to a checkpoint anew, without what was dropped
        else:
            events = events[-1:]
        for event in events:
            self._write(event)
        if self._writer is not None:
            self._writer.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    def _open(self) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is not None:
            self._writer.close()
        folder = self._run / TENSORBOARD_FOLDER
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._started_s = datetime.fromisoformat(read_info(self._run)["created"]).timestamp()
        self._writer = SummaryWriter(str(folder))

    def _write(self, event: dict[str, Any]) -> None:
        writer: Any = self._writer
        self._step = event["updates"]
        step, when = self._step, self._started_s + event.get("seconds", 0.0)
        for key, tag in TAGS.items():
            if event.get(key) is not None:
                writer.add_scalar(tag, event[key], step, walltime=when)
        sheet = sheet_of(self._run, step)
        if sheet.exists():
            writer.add_image("samples/sheet", np.asarray(read_sheet(sheet)), step, when, dataformats="HWC")
