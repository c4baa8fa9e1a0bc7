"""What pages ask the indexes: lists, chains, principles, two runs beside each other."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from cai_core.workspace.index import chains, matching
from cai_core.workspace.index import principles as principle_rows
from cai_core.workspace.index.columns import Progress
from cai_core.workspace.index.comparison_views import (
    ComparisonDetail,
    ComparisonFilter,
    ComparisonPage,
    ComparisonView,
)
from cai_core.workspace.index.comparisons import ComparisonList
from cai_core.workspace.index.explorer import RoundList
from cai_core.workspace.index.pictures import ComparisonPictures, RoundPictures
from cai_core.workspace.index.principles import PrincipleRows, SampledRound
from cai_core.workspace.index.reviews import CritiqueReview, load_reviews
from cai_core.workspace.index.schema import Connection
from cai_core.workspace.index.side_by_side import SideBySide
from cai_core.workspace.index.side_views import SideFilter, SidePage, SideRun
from cai_core.workspace.index.texts import TextStore
from cai_core.workspace.index.views import ChainView, RoundFilter, RoundPage, RoundView, RunView


class IndexQueries(ABC):
    """The questions; whoever owns the indexes opens them and lends a connection for each.

    Every method raises WorkspaceError where the indexes are closed or cannot be read.
    """

    @abstractmethod
    def _reading(self) -> AbstractContextManager[Connection]:
        """A connection to read with, while the indexes stay open."""

    def _use_lists(self, texts: TextStore, progress: Progress, workspace: Path) -> None:
        """Begin with nothing in memory; called again where the indexes are opened anew."""
        self._texts = texts
        self._rounds = RoundList(texts, progress)
        self._comparisons = ComparisonList(texts, progress, workspace)
        self._sides = SideBySide(texts)

    def list_rounds(
        self,
        asked: RoundFilter,
        *,
        after: str | None = None,
        limit: int = 25,
        facets: bool = True,
    ) -> RoundPage:
        """A page of the rounds that match, newest run first.

        Args:
            after: the `next_key` of the page before; one that was made up gives the first page.
            limit: rounds a page, ≥ 1.
            facets: count the values of each field, too.
        """
        with self._reading() as con:
            return self._rounds.list_rounds(
                con, asked, after=after, limit=max(1, limit), facets=facets
            )

    def list_comparisons(
        self,
        asked: ComparisonFilter,
        *,
        after: str | None = None,
        limit: int = 25,
        facets: bool = True,
    ) -> ComparisonPage:
        """A page of the comparisons that match, those of the newest run first.

        Args:
            after, limit, facets: as in `list_rounds`.
        """
        with self._reading() as con:
            return self._comparisons.list_comparisons(
                con, asked, after=after, limit=max(1, limit), facets=facets
            )

    def load_chain_records(
        self, rounds: Sequence[RoundView]
    ) -> dict[matching.ChainPlace, list[dict[str, Any]]]:
        """Run and chain of these rounds → every row of it, as the files hold them."""
        with self._reading() as con:
            return matching.load_chain_records(con, rounds)

    def load_lines(self, shown: Sequence[ComparisonView]) -> list[dict[str, Any] | None]:
        """The comparisons' lines in their files; None for one that is gone."""
        with self._reading() as con:
            return matching.load_lines(con, shown)

    def picture_rounds(self, asked: RoundFilter) -> RoundPictures:
        """What pictures show of every round that matches."""
        with self._reading() as con:
            return self._rounds.picture(con, asked)

    def picture_comparisons(self, asked: ComparisonFilter) -> ComparisonPictures:
        """What pictures show of every comparison that matches."""
        with self._reading() as con:
            return self._comparisons.picture(con, asked)

    def load_comparison(self, run: str, comparison: str) -> ComparisonDetail | None:
        """One comparison of a run with its label and every answer; None where there is none."""
        with self._reading() as con:
            return self._comparisons.load_comparison(con, run, comparison)

    def get_chain(self, chain: str) -> ChainView | None:
        """One chain with every row; None when there is none of that id."""
        with self._reading() as con:
            return chains.get_chain(con, chain)

    def list_runs(self, limit: int = 50) -> list[RunView]:
        """Runs, newest first, those that wait to begin before all others."""
        with self._reading() as con:
            return chains.list_runs(con, limit)

    def list_events(self, limit: int = 50) -> list[dict[str, Any]]:
        """The newest events of the audit log, each with its `topic`."""
        with self._reading() as con:
            return chains.list_events(con, limit)

    def count_marked(self) -> dict[str, int]:
        """Chains that are `saved`, `flagged`, `noted`, and listed ones that are `unmarked`."""
        with self._reading() as con:
            return chains.count_marked(con)

    def list_reviews(self, chain: str) -> tuple[CritiqueReview, ...]:
        """What is said of a chain's critiques: by round, the oldest first."""
        with self._reading() as con:
            return load_reviews(con, chain)

    def count_principles(self, constitution: str, constitution_hash: str = "") -> PrincipleRows:
        """What came of each principle, over a constitution's rounds or those of one version."""
        with self._reading() as con:
            return principle_rows.count_principles(con, constitution, constitution_hash)

    def sample_rounds(
        self, constitution: str, constitution_hash: str, principles: Sequence[str], *, limit: int
    ) -> tuple[SampledRound, ...]:
        """Rounds with a revision, up to `limit` of each principle: always the same ones."""
        asked = (constitution, constitution_hash, principles, limit)
        with self._reading() as con:
            return principle_rows.sample_rounds(con, self._texts, *asked)

    def list_side_runs(self) -> tuple[SideRun, ...]:
        """The runs that can be compared side by side, newest first."""
        with self._reading() as con:
            return self._sides.list_runs(con)

    def compare_runs(
        self, asked: SideFilter, *, after: str | None = None, limit: int = 10
    ) -> SidePage:
        """A page of two runs' chains or labels, aligned by prompt, and the counts.

        Args:
            after, limit: as in `list_rounds`.

        Raises:
            CaiError: a side is missing, both are one run, or they hold different things.
        """
        with self._reading() as con:
            return self._sides.compare(con, asked, after=after, limit=max(1, limit))
