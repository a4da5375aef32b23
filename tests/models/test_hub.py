"""Fetching files: the real huggingface_hub, against a local server that speaks the Hub's protocol and breaks it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdcpp_py.errors import DownloadError, GatedModelError, ModelError, SdcppError
from sdcpp_py.models import hub as hub_module
from sdcpp_py.models.hub import Access, Wanted, fetch, fetch_all
from sdcpp_py.models.hub.cache import check_room, find_cached, mark_unchecked
from sdcpp_py.progress import Phase, Progress
from tests.support.patience import PATIENCE

from ..support.hub_server import COMMIT, Hub, impatient, in_place_of_the_hub, serve

REPOSITORY = "maker/model"
FILE = "model-Q4_K.gguf"
CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def server() -> Iterator[Hub]:
    """One for each test: a request that was given up in one may be taken in during the next."""
    with serve() as running:
        yield running


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(server: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(hub_module, "_PAUSE", 0)
    server.add(REPOSITORY, FILE, CONTENT)
    with in_place_of_the_hub(server, cache, monkeypatch):
        yield server


def nothing_loads(cache: Path) -> bool:
    """Whether there is no file under the cache that anybody could take for the model."""
    # Some versions of huggingface_hub keep what came of a file until the rest does, under a name of its own.
    files = [path for path in cache.rglob("*") if path.is_file() and path.suffix != ".incomplete"]
    return not [path for path in files if "snapshots" in path.parts or "blobs" in path.parts]


def test_a_file_is_fetched_once(hub: Hub, cache: Path) -> None:
    """A file comes whole into huggingface_hub's own cache, and the second time it is not downloaded."""
    path = fetch(REPOSITORY, FILE)
    assert path.read_bytes() == CONTENT
    assert path.is_relative_to(cache / "models--maker--model" / "snapshots" / COMMIT)
    assert fetch(REPOSITORY, FILE) == path
    assert len(hub.downloads()) == 1


def test_files_that_lie_elsewhere_are_followed(hub: Hub) -> None:
    """A large file, which the Hub only points to, is fetched from there."""
    hub.redirects = True
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT
    assert [request.path.split("/")[1] for request in hub.downloads()] == ["cdn"]


def test_a_revision_is_taken(hub: Hub) -> None:
    """A branch or tag can be named, and a file of it is found again."""
    path = fetch(REPOSITORY, FILE, revision="v1")
    assert find_cached(REPOSITORY, FILE, "v1") == path
    assert find_cached(REPOSITORY, FILE, "v2") is None


def test_a_cache_folder_can_be_chosen(hub: Hub, tmp_path: Path) -> None:
    """``cache_dir`` keeps the files elsewhere."""
    path = fetch(REPOSITORY, FILE, cache_dir=tmp_path / "elsewhere")
    assert path.is_relative_to(tmp_path / "elsewhere")


def test_a_token_opens_what_is_gated(hub: Hub) -> None:
    """A gated repository names the page on which its terms are accepted; with a token it opens."""
    hub.tokens[REPOSITORY] = "hf_secret"
    with pytest.raises(GatedModelError) as caught:
        fetch(REPOSITORY, FILE)
    assert f"{hub.address}/{REPOSITORY}" in str(caught.value)
    assert "token" in str(caught.value)
    assert fetch(REPOSITORY, FILE, token="hf_secret").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("fault", "kind", "says"),
    [
        ("gated", GatedModelError, "accept its terms"),
        ("gated-anonymous", GatedModelError, "accept its terms"),
        ("unauthorized", DownloadError, "401"),
        ("forbidden", DownloadError, "403"),
        ("busy", DownloadError, "too many requests"),
        ("failing", DownloadError, "503"),
    ],
)
def test_refusals_are_told_apart(hub: Hub, cache: Path, fault: str, kind: type[Exception], says: str) -> None:
    """401, 403, a gated repository, 429 and 503 are each said for what they are."""
    hub.break_down(FILE, fault, endless=True)
    with pytest.raises(kind) as caught:
        fetch(REPOSITORY, FILE)
    assert says in str(caught.value)
    assert isinstance(caught.value, (SdcppError, OSError))
    assert nothing_loads(cache)


@pytest.mark.parametrize("fault", ["busy", "failing"])
def test_a_busy_hub_is_asked_again(hub: Hub, fault: str) -> None:
    """One 429 or 503 is not the end."""
    hub.break_down(FILE, fault)
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("repository", "file", "revision", "says"),
    [
        ("nobody/nothing", FILE, None, "no repository nobody/nothing"),
        (REPOSITORY, "other.gguf", None, "no file 'other.gguf'"),
        (REPOSITORY, FILE, "v77", "no revision 'v77'"),
    ],
)
def test_what_is_not_there_is_named(hub: Hub, repository: str, file: str, revision: str | None, says: str) -> None:
    """A repository, a file and a revision that do not exist are named, each with where to look."""
    with pytest.raises(DownloadError, match=says) as caught:
        fetch(repository, file, revision=revision)
    assert f"{hub.address}/{repository}" in str(caught.value)


def test_a_cut_connection_is_resumed(hub: Hub) -> None:
    """A download that is cut midway goes on where it was cut."""
    hub.break_down(FILE, "cut", "cut")
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT
    first, second, third = (request.first_byte for request in hub.downloads())
    assert first == 0 < second < third < len(CONTENT)


def test_a_reset_connection_is_tried_again(hub: Hub) -> None:
    """A connection that is reset, not merely closed, is tried again too."""
    hub.break_down(FILE, "reset")
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["reset", "stall", "short", "deaf", "wrong"])
def test_a_broken_download_leaves_nothing(hub: Hub, cache: Path, fault: str) -> None:
    """A download that never succeeds is one error of ours and leaves no file that loads, nor one that counts."""
    hub.break_down(FILE, fault, endless=True)
    with impatient(), pytest.raises(DownloadError) as caught:
        fetch(REPOSITORY, FILE)
    assert isinstance(caught.value, OSError)
    assert isinstance(caught.value, ModelError)
    assert FILE in str(caught.value)
    assert nothing_loads(cache)
    assert find_cached(REPOSITORY, FILE, None) is None
    hub.released.set()
    hub.faults.clear()
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT


def test_wrong_bytes_are_said_to_be(hub: Hub) -> None:
    """Bytes that are not those of the Hub's hash are found out, although there are as many of them."""
    hub.break_down(FILE, "wrong")
    with pytest.raises(DownloadError, match="arrived broken: its sha256 is"):
        fetch(REPOSITORY, FILE)


def test_the_catalogues_hash_counts(hub: Hub, cache: Path) -> None:
    """A file that is another one than the catalogue knows is not even downloaded."""
    with pytest.raises(DownloadError, match="no longer the file that the catalogue knows"):
        fetch(REPOSITORY, FILE, sha256="0" * 64)
    assert hub.downloads() == []
    assert nothing_loads(cache)


def test_a_check_that_was_interrupted_is_made_up_for(hub: Hub, cache: Path) -> None:
    """A file that came and was never checked, because the process died, is checked before it counts."""
    path = fetch(REPOSITORY, FILE)
    mark_unchecked(REPOSITORY, FILE, len(CONTENT), ("0" * 64,), None)
    assert find_cached(REPOSITORY, FILE, None) is None
    assert nothing_loads(cache)
    path = fetch(REPOSITORY, FILE)
    assert path.read_bytes() == CONTENT
    mark_unchecked(REPOSITORY, FILE, len(CONTENT), (), None)
    assert find_cached(REPOSITORY, FILE, None) == path


def test_a_truncated_file_is_fetched_anew(hub: Hub) -> None:
    """A file in the cache that has lost its end is not taken for the model."""
    path = fetch(REPOSITORY, FILE)
    path.resolve().write_bytes(CONTENT[:1000])
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT


def test_without_downloads_the_disk_counts(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """``local_files_only`` and ``HF_HUB_OFFLINE`` ask nobody: what is on disk is taken, or said to be missing."""
    with pytest.raises(DownloadError, match="not on disk, and downloads are switched off"):
        fetch(REPOSITORY, FILE, local_files_only=True)
    path = fetch(REPOSITORY, FILE)
    asked = len(hub.requests)
    assert fetch(REPOSITORY, FILE, local_files_only=True) == path
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert fetch(REPOSITORY, FILE) == path
    assert len(hub.requests) == asked


def test_files_of_an_older_state_count_without_downloads(hub: Hub) -> None:
    """When a repository has moved on, a file that came before is still found on disk."""
    hub.add(REPOSITORY, "other.gguf", b"other" * 100)
    old = fetch(REPOSITORY, FILE)
    hub.commit = "f" * 40
    fetch(REPOSITORY, "other.gguf")
    assert fetch(REPOSITORY, FILE, local_files_only=True) == old
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT
    assert len(hub.downloads(FILE)) == 1


@pytest.mark.parametrize("fault", ["failing", "deaf", "gated"])
def test_a_hub_that_is_away_does_not_matter(hub: Hub, fault: str) -> None:
    """What is on disk is taken where the Hub does not answer, or does not let one in any more."""
    path = fetch(REPOSITORY, FILE)
    hub.break_down(FILE, fault, endless=True)
    with impatient():
        assert fetch(REPOSITORY, FILE) == path


def test_a_hub_that_is_away_is_waited_for_once(hub: Hub) -> None:
    """With several files on disk, one that cannot be asked for is enough not to ask for the others."""
    names = [f"part-{number}.gguf" for number in range(3)]
    for name in names:
        hub.add(REPOSITORY, name, name.encode() * 100)
    wanted = [Wanted(REPOSITORY, name) for name in names]
    paths = fetch_all(wanted, Access())
    hub.break_down(names[0], "failing", endless=True)
    asked = len(hub.requests)
    assert fetch_all(wanted, Access()) == paths
    assert len(hub.requests) == asked + 1


def test_what_is_known_by_its_hash_is_not_asked_for(hub: Hub) -> None:
    """A file whose hash and size the catalogue knows is taken from the disk without a word to the Hub."""
    wanted = Wanted(REPOSITORY, FILE, sha256=hub.add(REPOSITORY, FILE, CONTENT), bytes=len(CONTENT))
    [path] = fetch_all([wanted], Access())
    asked = len(hub.requests)
    assert fetch_all([wanted], Access()) == [path]
    assert len(hub.requests) == asked
    path.resolve().write_bytes(b"cut off")
    assert fetch_all([wanted], Access())[0].read_bytes() == CONTENT


def test_no_connection_is_said(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody listens, the error names whom it tried to reach."""
    from huggingface_hub import constants

    nowhere = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "ENDPOINT", nowhere)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", nowhere + "/{repo_id}/resolve/{revision}/{filename}")
    with pytest.raises(DownloadError, match=f"connection to {nowhere} failed"):
        fetch(REPOSITORY, FILE)


def test_room_is_checked_first(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk has no room for all files together, none is begun, and what is needed is said."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=len(CONTENT) + 10))
    hub.add(REPOSITORY, "other.gguf", bytes(100))
    with pytest.raises(DownloadError, match="has room for"):
        fetch_all([Wanted(REPOSITORY, FILE), Wanted(REPOSITORY, "other.gguf")], Access())
    assert hub.downloads() == []
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=0))
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT


def test_room_is_that_of_the_disk_the_cache_will_be_on(tmp_path: Path) -> None:
    """A cache folder that does not exist yet is no reason not to ask."""
    check_room(1, tmp_path / "a" / "b" / "c")
    with pytest.raises(DownloadError, match="are to be downloaded"):
        check_room(2**60, tmp_path / "a" / "b" / "c")


def test_a_cache_that_cannot_be_written_is_named(hub: Hub, tmp_path: Path) -> None:
    """The folder, and how to choose another, are said."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(DownloadError, match="cannot be written") as caught:
        fetch(REPOSITORY, FILE, cache_dir=tmp_path / "file")
    assert str(tmp_path / "file") in str(caught.value)
    assert "HF_HUB_CACHE" in str(caught.value)


def test_a_full_disk_is_said(hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up on the way is an error of ours."""
    import errno

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(DownloadError, match="is full"):
        fetch(REPOSITORY, FILE)
    assert nothing_loads(cache)


def test_nothing_is_printed(hub: Hub, capfd: pytest.CaptureFixture[str]) -> None:
    """A download, also one that is cut, prints nothing; what huggingface_hub has to say goes to our logger."""
    hub.break_down(FILE, "cut")
    fetch(REPOSITORY, FILE)
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


SCRIPT = """
import sys
from sdcpp_py.models.hub import fetch
from sdcpp_py.errors import DownloadError
assert "huggingface_hub" not in sys.modules
try:
    print(fetch("maker/model", "model-Q4_K.gguf").stat().st_size)
except DownloadError as error:
    print(error)
"""


def test_the_environment_counts(hub: Hub, cache: Path) -> None:
    """In a process of its own, ``HF_ENDPOINT``, ``HF_HUB_CACHE`` and ``HF_HUB_OFFLINE`` are what they are elsewhere."""
    environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(cache), "PYTHONWARNINGS": "error"}

    def run(**more: str) -> str:
        command = [sys.executable, "-c", SCRIPT]
        # Not in the sources' folder, where Python would find them in place of the installed package.
        result = subprocess.run(
            command, env={**environment, **more}, capture_output=True, text=True, timeout=PATIENCE, cwd=cache.parent
        )
        assert result.stderr == ""
        return result.stdout.strip()

    assert "HF_HUB_OFFLINE" in run(HF_HUB_OFFLINE="1")
    assert run() == str(len(CONTENT))
    assert run(HF_HUB_OFFLINE="1") == str(len(CONTENT))


def heard_of(hub: Hub, *files: str) -> list[Progress]:
    """What a callback hears while files are fetched, with every piece of them."""
    heard: list[Progress] = []
    fetch_all([Wanted(REPOSITORY, file) for file in files], Access(on_progress=heard.append))
    return heard


@pytest.mark.parametrize("faults", [(), ("cut", "cut"), ("reset",)])
def test_downloads_are_one_progress(hub: Hub, faults: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """All files of a call rise together from 0 to all of their bytes, also where a connection breaks on the way."""
    monkeypatch.setattr("sdcpp_py.models.hub.download_meter._EVERY", 0.0)
    hub.add(REPOSITORY, "other.gguf", CONTENT)
    hub.break_down("other.gguf", *faults)
    heard = heard_of(hub, FILE, "other.gguf")
    done = [progress.bytes_done for progress in heard]
    assert done == sorted(done)
    assert len(set(done)) > 3, "in pieces"
    assert {progress.phase for progress in heard} == {Phase.DOWNLOAD}
    assert {progress.bytes_total for progress in heard} == {2 * len(CONTENT)}
    assert (done[-1], heard[-1].fraction, heard[-1].eta) == (2 * len(CONTENT), 1.0, 0.0)
    assert all(progress.eta is None or progress.eta >= 0 for progress in heard)


def test_what_is_on_disk_is_no_download(hub: Hub) -> None:
    """Files that need not be fetched are neither told of nor counted."""
    fetch(REPOSITORY, FILE)
    hub.add(REPOSITORY, "other.gguf", CONTENT)
    assert heard_of(hub, FILE) == []
    assert heard_of(hub, FILE, "other.gguf")[-1].bytes_total == len(CONTENT)


def test_a_callback_ends_a_download(hub: Hub, cache: Path) -> None:
    """What a callback raises comes out as it is; nothing that loads remains, and the next call fetches the file."""

    def stop(progress: Progress) -> None:
        raise TimeoutError("enough")

    for _ in range(2):
        with pytest.raises(TimeoutError, match="enough"):
            fetch(REPOSITORY, FILE, on_progress=stop)
        assert nothing_loads(cache)
    assert fetch(REPOSITORY, FILE).read_bytes() == CONTENT
