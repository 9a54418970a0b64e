"""The folder of a campaign: claimed for a new one, or found again."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from loop.errors import BeamloopError
from loop.journal import CONFIG_NAME, FILE_NAME


def new_folder(parent: Path, name: str) -> Path:
    """Claim ``parent/name-YYYYmmdd-HHMMSS`` (with a number behind it if there is one already).

    Raises
    ------
    BeamloopError
        If it cannot be made.
    """
    stem = f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not parent.is_dir():
                raise BeamloopError(f"{parent}: found a file, expected a folder for campaigns.") from None
            number += 1
        except OSError as error:
            raise BeamloopError(
                f"{folder}: cannot be made ({error.strerror}); choose another place with --out."
            ) from error
        else:
            return folder


def given_folder(folder: Path) -> Path:
    """Make the folder that a person named, unless something is in it.

    Raises
    ------
    BeamloopError
        If it is not empty or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise BeamloopError(f"{folder}: cannot be used ({error.strerror}); choose another place with --out.") from error
    if (folder / FILE_NAME).exists():
        raise BeamloopError(
            f"{folder}: holds a campaign already. To go on with it: beamloop resume {folder}; "
            "for a new one choose another place with --out."
        )
    if occupied:
        raise BeamloopError(f"{folder}: is not empty; choose another place with --out.")
    return folder


def campaign_folder(folder: Path) -> Path:
    """Return a folder that holds a campaign.

    Raises
    ------
    BeamloopError
        If it holds none.
    """
    if not any((folder / name).is_file() for name in (FILE_NAME, CONFIG_NAME)):
        what = "a folder without the campaign's journal" if folder.is_dir() else "no folder"
        raise BeamloopError(
            f"{folder}: found {what} ({FILE_NAME}), expected the folder that `beamloop run` printed at its start."
        )
    return folder
