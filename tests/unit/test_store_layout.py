"""Store, keys and site lie apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebuilder.errors import StoreError, UsageError
from rebuilder.store_layout import MARKER, check_places, claim_site


@pytest.mark.parametrize(
    ("keys", "site"),
    [("k", "k"), ("site/keys", "site"), ("k", "k/site"), ("k", "store"), ("k", ".")],
)
def test_overlaps_are_refused(tmp_path: Path, keys: str, site: str) -> None:
    """No site around the key or the store, no key inside the site."""
    with pytest.raises(UsageError):
        check_places(store=tmp_path / "store", keys=tmp_path / keys, site=tmp_path / site)


def test_the_usual_places_are_fine(tmp_path: Path) -> None:
    """A site below the store, and one of its own."""
    for site in ("store/site", "elsewhere"):
        check_places(store=tmp_path / "store", keys=tmp_path / "keys", site=tmp_path / site)


def test_links_do_not_hide_an_overlap(tmp_path: Path) -> None:
    """A symbolic link to the keys is the keys."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "site").symlink_to(tmp_path / "keys")
    with pytest.raises(UsageError, match="private key"):
        check_places(store=tmp_path / "store", keys=tmp_path / "keys", site=tmp_path / "site")


def test_a_site_is_claimed_once(tmp_path: Path) -> None:
    """An empty or new directory becomes ours; what we wrote may be written again."""
    claim_site(tmp_path / "new" / "site")
    (tmp_path / "new" / "site" / "index.html").touch()
    claim_site(tmp_path / "new" / "site")
    assert (tmp_path / "new" / "site" / MARKER).is_file()


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    """A directory with anything else in it, or a file, is refused."""
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="other files"):
        claim_site(tmp_path)
    assert ["thesis.tex"] == [each.name for each in tmp_path.iterdir()]
    with pytest.raises(UsageError, match="not a directory"):
        check_places(store=tmp_path / "s", keys=tmp_path / "k", site=tmp_path / "thesis.tex")
    with pytest.raises(StoreError, match="cannot be written"):
        claim_site(tmp_path / "thesis.tex" / "site")
