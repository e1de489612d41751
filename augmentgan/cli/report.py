"""`augmentgan report`: the page about a run or a benchmark."""

from __future__ import annotations

import json

from augmentgan.cli.options import DeviceOption, JsonOption, OutOption, OverwriteOption, RunOption, open_run, say
from augmentgan.cli.units import file_size
from augmentgan.names import PROTOCOL_FILE


def report(
    run: RunOption = None,
    out: OutOption = None,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write one self-contained HTML page of a run. Or of a benchmark from scratch: verdict, samples, training, protocol."""
    from augmentgan.report.page import write_report

    opened = run if run is not None and (run / PROTOCOL_FILE).exists() else open_run(run, device)
    # the page in the run folder is ours to renew; a file that the user names is not
    page = write_report(opened, out, overwrite=overwrite or None, device=device)
    say(
        json.dumps({"page": str(page)})
        if as_json
        else f"wrote {page} ({file_size(page.stat().st_size)}); open it in a browser"
    )
