"""Draw the head of the URDF with its markers, where there is no RViz.

scripts/run bash -c 'PYTHONPATH=$PYTHONPATH:test/support python test/support/draw_head.py docs/head.png'
"""

from __future__ import annotations

import math
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from robot import ROBOT, Matrix, numbers, origin_of, pose_of

from lfm_voice_ros.core.markers import Board, Label
from lfm_voice_ros.core.settings import MarkersSettings, PanTiltSettings

COLORS = {
    name: numbers(color.get("rgba"))
    for name, color in ((one.get("name"), one.find("color")) for one in ROBOT.findall("material"))
    if color is not None
}
#: How far the head has come, where it was told to go: (pan, tilt) in rad.
MOMENTS = [((0.0, 0.0), (math.radians(45), math.radians(-20))), ((math.radians(45), math.radians(-20)),) * 2]


def shape_of(visual: ElementTree.Element) -> list[Matrix]:
    """Give the faces of a box or a cylinder, as corners in its own frame."""
    box, cylinder = visual.find("geometry/box"), visual.find("geometry/cylinder")
    if box is not None:
        x, y, z = (side / 2 for side in numbers(box.get("size")))
        ring = np.array([[x, y], [-x, y], [-x, -y], [x, -y]])
    else:
        assert cylinder is not None
        radius, z = float(cylinder.get("radius", "")), float(cylinder.get("length", "")) / 2
        around = np.linspace(0, 2 * math.pi, 25)[:-1]
        ring = radius * np.stack((np.cos(around), np.sin(around)), axis=1)
    top, bottom = (np.column_stack((ring, np.full(len(ring), height))) for height in (z, -z))
    sides = [np.array([top[i - 1], top[i], bottom[i], bottom[i - 1]]) for i in range(len(ring))]
    return [top, bottom, *sides]


def draw(path: Path) -> None:
    """Write the picture: the head on its way to a target, and there."""
    matplotlib.use("agg")
    figure = Figure(figsize=(12, 5.5), layout="constrained", dpi=90)
    for column, (position, target) in enumerate(MOMENTS, start=1):
        board = Board(MarkersSettings())
        board.heard("Look left forty-five degrees and up twenty degrees.", 0.93, "", now=0.0)
        board.said("Looking left, forty-five degrees. Looking up, twenty degrees.", now=0.0)
        board.head(position, target, moving=position != target, stale=False)
        axes = figure.add_subplot(1, 2, column, projection="3d")
        head = PanTiltSettings()
        angles = dict(zip((head.pan_joint, head.tilt_joint), position, strict=True))
        for link in ROBOT.findall("link"):
            pose = pose_of(link.get("name", ""), angles)
            for visual in link.findall("visual"):
                at, material = pose @ origin_of(visual), visual.find("material")
                color = COLORS[material.get("name") if material is not None else ""]
                faces = [face @ at[:3, :3].T + at[:3, 3] for face in shape_of(visual)]
                axes.add_collection3d(
                    Poly3DCollection(faces, facecolor=color, edgecolor=(0, 0, 0, 0.15), linewidth=0.3)
                )
        for mark in board.marks(1.0):
            if isinstance(mark, Label):
                axes.text(*mark.position, mark.text, color=mark.color, ha="center", va="center", fontsize=8)
            else:
                axes.quiver(*mark.start, *np.subtract(mark.end, mark.start), color=mark.color, linewidth=3)
        for axis, (name, paint) in enumerate((("x", "red"), ("y", "limegreen"), ("z", "dodgerblue"))):
            axes.quiver(0, 0, 0, *(0.12 * np.eye(3)[axis]), color=paint, linewidth=1)
            axes.text(*(0.14 * np.eye(3)[axis]), name, color=paint)
        axes.set(xlim=(-0.2, 0.25), ylim=(-0.2, 0.25), zlim=(0, 0.45))
        axes.set_box_aspect((1, 1, 1), zoom=1.3)
        axes.view_init(elev=15, azim=-20)
        axes.set_axis_off()
        axes.set_facecolor("#303030")
    figure.set_facecolor("#303030")
    figure.savefig(path)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
