"""Images of objects before a moving sensor, ``n-caltech101``."""

from __future__ import annotations

from sewdsl.train.data.events.folder_layouts import FRAMES, ClassFolders
from sewdsl.train.data.recorded_dataset import RecordedDataSet

COUNTS = (8_709, 0)
_NAMES = """
BACKGROUND_Google Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver binocular bonsai
brain brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair chandelier cougar_body
cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin dragonfly electric_guitar
elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano hawksbill headphone
hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop llama lobster lotus mandolin mayfly
menorah metronome minaret nautilus octopus okapi pagoda panda pigeon pizza platypus pyramid revolver rhino rooster
saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus stop_sign strawberry
sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench yin_yang
"""
CLASSES = tuple(_NAMES.split())
"""In the order of their characters, as SpikingJelly has them: 100 objects and the background, without ``Faces``."""


class NCaltech101(RecordedDataSet, name="n-caltech101"):
    """N-Caltech101 (Orchard et al. 2015): 8,709 images of Caltech101 in three saccades, up to 240x180 pixels each.

    All are taken as 180 rows of 240 pixels, an image in the upper left corner, as in SpikingJelly. It has no split of
    its own: a fifth of each class is for the test, drawn once and for all.
    """

    shape = (2, 180, 240)
    classes = 101
    called = CLASSES
    folders = ("n-caltech101", "ncaltech101", "N-Caltech101", "NCaltech101", "NCALTECH101")
    source = (
        "https://www.garrickorchard.com/datasets/n-caltech101, N-Caltech101-archive.zip and in it Caltech101.zip; "
        "unpack both"
    )
    layouts = tuple(
        ClassFolders(
            marker=marker,
            suffixes=(suffix,),
            frames=marker == FRAMES,
            split=False,
            known=CLASSES,
            counts=COUNTS,
            owner=owner,
        )
        for marker, suffix, owner in (
            (FRAMES, ".npz", "SpikingJelly"),
            ("events_np", ".npz", "SpikingJelly"),
            ("Caltech101", ".bin", "as published; tonic"),
            ("extract/Caltech101", ".bin", "SpikingJelly"),
            ("", ".bin", ""),
        )
    )
