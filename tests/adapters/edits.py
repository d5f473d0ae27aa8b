"""The ways in which people, editors, git and Kubernetes change a directory of policies."""

import os
import shutil
from pathlib import Path


def write_in_place(directory: Path) -> None:
    (directory / "x.yaml").write_text("id: x\ntitle: new\n")


def rename_over(directory: Path) -> None:
    (directory / ".x.yaml.new").write_text("id: x\ntitle: new\n")
    (directory / ".x.yaml.new").replace(directory / "x.yaml")


def add(directory: Path) -> None:
    (directory / "z.yml").write_text("id: z\n")


def delete(directory: Path) -> None:
    (directory / "x.yaml").unlink()


def swap_config_map(directory: Path) -> None:
    (directory / "..second").mkdir()
    (directory / "..second" / "y.yaml").write_text("id: y\ntitle: new\n")
    (directory / "..data_tmp").symlink_to("..second")
    (directory / "..data_tmp").replace(directory / "..data")
    shutil.rmtree(directory / "..first")


def make(directory: Path) -> None:
    directory.mkdir()


def read(directory: Path) -> None:
    for name in os.listdir(directory):
        if name.endswith(".yaml"):
            (directory / name).read_bytes()


def remake_at_once(directory: Path) -> None:
    shutil.rmtree(directory)
    directory.mkdir()
    add(directory)


def put_another_in_its_place(directory: Path) -> None:
    other = directory.with_name("other")
    other.mkdir()
    directory.rename(directory.with_name("old"))
    other.rename(directory)
