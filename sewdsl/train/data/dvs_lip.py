"""Words read from lips, ``dvs-lip``."""

from __future__ import annotations

from sewdsl.train.data.events.folder_layouts import FRAMES, ClassFolders
from sewdsl.train.data.recorded_dataset import RecordedDataSet

_NAMES = """
accused action allow allowed america american another around attacks banks become being benefit benefits between
billion called capital challenge change chief couple court death described difference different during economic
education election england evening everything exactly general germany giving ground happen happened having heavy house
hundreds immigration judge labour leaders legal little london majority meeting military million minutes missing needs
number numbers paying perhaps point potential press price question really right russia russian saying security several
should significant spend spent started still support syria syrian taken taking terms these thing think times tomorrow
under warning water welcome words worst years young
"""
WORDS = tuple(_NAMES.split())
"""In the order of their characters, as tonic and SpikingJelly have them."""


class DvsLip(RecordedDataSet, name="dvs-lip"):
    """DVS-Lip (Tan et al. 2022): 100 English words, lips before a sensor, 128x128 pixels of it.

    The split is that of the authors. How many recordings it has is not held against the folder, but each word has some
    in both parts.
    """

    shape = (2, 128, 128)
    classes = 100
    called = WORDS
    folders = ("dvs-lip", "dvs_lip", "DVS-Lip", "DVSLip", "DVSLip/DVS-Lip", "extract/DVS-Lip")
    source = "https://sites.google.com/view/event-based-lipreading, DVS-Lip.zip, from Google Drive; unpack it"
    layouts = (
        ClassFolders(marker=FRAMES, suffixes=(".npz",), frames=True, known=WORDS, owner="SpikingJelly"),
        ClassFolders(marker="events_np", suffixes=(".npy",), known=WORDS, owner="SpikingJelly"),
        ClassFolders(suffixes=(".npy",), known=WORDS, owner="as published; tonic"),
    )

    def find(self) -> str:
        """Looks whether each word has files in both parts, without reading them; how many, and where.

        Raises:
            DataError: one has none.
        """
        found = super().find()
        self.check_parts(self.listing)
        return found
