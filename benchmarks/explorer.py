"""The explorers of critiques and comparisons at a million rows each, beside plain DuckDB and FTS5.

    python -m benchmarks.explorer [--rounds 1000000] [--comparisons 1000000] [--repeats 40]
        [--live 20] [--folder DIR]

Writes real run folders, lets the real ingest take them in, copies the same rows into plain tables,
and asks both sides in turn for the same answers. The last line is JSON; times are milliseconds,
each as [p50, p95]. With --folder what was built there before is used again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._explorer_plain import (  # noqa: E402
    COMPARISON_FIELDS,
    MOST,
    ROUND_FIELDS,
    Plain,
)
from benchmarks._explorer_world import HALF, list_vocabulary  # noqa: E402
from cai_core.actions.reviews import review_critique  # noqa: E402
from cai_core.records import LOCAL_ACTOR, CritiqueVerdict  # noqa: E402
from cai_core.workspace.index.comparison_views import ComparisonFilter  # noqa: E402
from cai_core.workspace.index.finding import build_key  # noqa: E402
from cai_core.workspace.index.owner import WorkspaceIndex  # noqa: E402
from cai_core.workspace.index.views import RoundFilter  # noqa: E402

RUNS = 20
_WORLD = [sys.executable, "-m", "benchmarks._explorer_world"]
Pair = tuple[Callable[[], Any], Callable[[], Any] | None]


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1_000_000, help="critique rows")
    parser.add_argument("--comparisons", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=40, help="of each question")
    parser.add_argument("--live", type=float, default=20, help="seconds of the live phase")
    parser.add_argument("--folder", type=Path, help="build here and keep it")
    parser.add_argument("--ingest", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--app", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.ingest is not None:
        print(json.dumps(_ingest(args.ingest)))
    elif args.app is not None:
        print(json.dumps(_use_app(args.app, args.repeats)))
    elif args.folder is not None:
        args.folder.mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(args.folder.resolve(), args)))
    else:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(measure(Path(folder), args)))


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All figures."""
    told: dict[str, Any] = {"rounds": args.rounds, "comparisons": args.comparisons}
    told["load_before"] = os.getloadavg()
    workspace = folder / "workspace"
    built = folder / "built.json"
    if not built.exists():
        built.write_text(json.dumps(_build(folder, workspace, args)))
    told |= json.loads(built.read_text())
    plain = Plain(folder)
    index = WorkspaceIndex.open(workspace)
    index.ingest(patience=600)
    begun = time.perf_counter()
    index.list_rounds(RoundFilter())
    index.list_comparisons(ComparisonFilter())
    told["first_lists_s"] = round(time.perf_counter() - begun, 2)
    asking = Asking(index, plain, workspace, args.repeats)
    told |= asking.ask_all()
    told["live"] = _measure_live(index, asking, workspace, args.live)
    index.close()
    plain.close()
    told |= _run_child("--app", workspace, "--repeats", str(args.repeats))
    told["load_after"] = os.getloadavg()
    figures = told["ours"]
    told["filter_p95_ms"] = max(figures[name][1] for name in ("filter", "filter_comparisons"))
    beside = told["duckdb"]
    told["filter_p95_duckdb_ms"] = max(beside[name][1] for name in ("filter", "filter_comparisons"))
    told["text_p95_ms"] = figures["text"][1]
    told["text_p95_fts5_ms"] = told["fts5"]["text"][1]
    return told


def _build(folder: Path, workspace: Path, args: argparse.Namespace) -> dict[str, Any]:
    begun = time.monotonic()
    commands = [
        [*_WORLD, kind, str(workspace), "0", str(RUNS), str(size // RUNS)]
        for kind, size in (("chains", args.rounds), ("labels", args.comparisons))
    ]
    writers = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    assert all(writer.wait() == 0 for writer in writers)
    told: dict[str, Any] = {"write_s": round(time.monotonic() - begun, 1)}
    _say("the run folders are written", told)
    told |= _run_child("--ingest", workspace)
    _say("ingested", told)
    begun = time.monotonic()
    plain = Plain(folder)
    plain.build(workspace)
    plain.close()
    told["plain_build_s"] = round(time.monotonic() - begun, 1)
    _say("the plain tables are built", told)
    return told


def _ingest(workspace: Path) -> dict[str, Any]:
    """Make the indexes anew, in a process of its own for the sake of its memory."""
    index = WorkspaceIndex.open(workspace, fresh=True)
    begun, cpu = time.monotonic(), time.process_time()
    index.ingest()
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    report = index.report()
    index.close()
    names = ("index.duckdb", "search.sqlite")
    lines = report.rows + report.comparisons
    return {
        "rebuild_s": round(seconds, 1),
        "rebuild_cpu_s": round(cpu, 1),
        "ingested_rows": lines,
        "ingest_rows_per_s": round(lines / seconds),
        "rebuild_memory_mb": _peak_memory(),
        "disk_mb": {name: (workspace / name).stat().st_size >> 20 for name in names},
    }


class Asking:
    """Asks our side and the plain ones for the same answers, in turn."""

    def __init__(self, index: WorkspaceIndex, plain: Plain, workspace: Path, repeats: int):
        self.index = index
        self._plain = plain
        self._workspace = workspace
        self._repeats = repeats
        self._random = random.Random(5)
        self._words = _choose_words()
        facets = index.list_rounds(RoundFilter()).facets
        self._values = {name: [value for value, _ in facets[name]] for name in ROUND_FIELDS}
        facets = index.list_comparisons(ComparisonFilter()).facets
        self._compared = {name: [value for value, _ in facets[name]] for name in COMPARISON_FIELDS}

    def ask_all(self) -> dict[str, Any]:
        """Every question; p50 and p95 by side."""
        questions: dict[str, tuple[Callable[[], Pair], str]] = {
            "filter": (self.build_filter, "duckdb"),
            "next_page": (self._build_next, "duckdb"),
            "deep_page": (self._build_deep, "duckdb"),
            "filter_comparisons": (self.build_comparisons, "duckdb"),
            "text": (self.build_text, "fts5"),
            "text_count": (self._build_count, "fts5"),
            "text_comparisons": (self._build_text_comparisons, ""),
            "part_of_a_word": (self._build_part, ""),
            "two_words_in_order": (self._build_phrase, ""),
            "one_letter": (self._build_letter, ""),
            "pictures": (self._build_pictures, ""),
            "pictures_comparisons": (self._build_compared_pictures, ""),
            "open_chain": (self._build_chain, "duckdb"),
            "review": (self._build_review, ""),
        }
        told: dict[str, Any] = {"ours": {}, "duckdb": {}, "fts5": {}}
        for name, (build, side) in questions.items():
            ours, theirs = self._time(build)
            told["ours"][name] = _tell(ours)
            if side:
                told[side][name] = _tell(theirs)
            _say(name, {"ours": told["ours"][name], side or "-": _tell(theirs)})
        return told

    def _time(self, build: Callable[[], Pair]) -> tuple[list[float], list[float]]:
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(self._repeats + 2):
            sides = list(enumerate(build()))
            for side, ask in sides if number % 2 else sides[::-1]:
                if ask is not None:
                    begun = time.perf_counter()
                    ask()
                    if number >= 2:  # the first ones load what is kept from then on
                        times[side].append(1000 * (time.perf_counter() - begun))
        return times

    def _draw(self, values: dict[str, list[str]], count: int) -> dict[str, str]:
        names = self._random.sample(sorted(values), count)
        return {name: self._random.choice(values[name]) for name in names}

    def build_filter(self) -> Pair:
        """One to three fields, every count, the first page."""
        asked = self._draw(self._values, self._random.randint(1, 3))
        return (
            lambda: self.index.list_rounds(RoundFilter(**asked)),
            lambda: self._plain.list_rows("rounds", asked),
        )

    def build_comparisons(self) -> Pair:
        """The same of the comparisons."""
        asked = self._draw(self._compared, self._random.randint(1, 3))
        return (
            lambda: self.index.list_comparisons(ComparisonFilter(**asked)),
            lambda: self._plain.list_rows("comparisons", asked),
        )

    def _build_next(self) -> Pair:
        asked = self._draw(self._values, 1)
        page = self.index.list_rounds(RoundFilter(**asked), facets=False)
        place = self._plain.find_place(self._plain.page("rounds", asked)[-1][0])
        return (
            lambda: self.index.list_rounds(RoundFilter(**asked), after=page.next_key),
            lambda: self._plain.list_rows("rounds", asked, below=place),
        )

    def _build_deep(self) -> Pair:
        asked = self._draw(self._values, 1)
        (most,) = self._plain.con.execute("select count(*) from rounds").fetchall()[0]
        place = self._plain.find_place(self._random.randint(most // 20, most // 5))
        started_at, run, epoch, position = place
        key = build_key(started_at, run, epoch << 40 | position)
        return (
            lambda: self.index.list_rounds(RoundFilter(**asked), after=key),
            lambda: self._plain.list_rows("rounds", asked, below=place),
        )

    def build_text(self) -> Pair:
        """The first page for a word, with our counts of every field; FTS5 counts the matches only.

        Every fourth time it is the word that half the rows hold, with two fields set.
        """
        if self._random.random() < 0.25:
            word = HALF
            asked = {name: self._random.choice(self._values[name]) for name in _TWO}
        else:
            word, asked = self._random.choice(self._words), {}
        return (
            lambda: self.index.list_rounds(RoundFilter(text=word, **asked)),
            lambda: self._plain.search(word, asked),
        )

    def _build_count(self) -> Pair:
        word = self._random.choice(self._words)
        ours = self.index.list_rounds(RoundFilter(text=word), limit=1, facets=False)
        theirs = self._plain.count(word)
        assert ours.total == min(theirs, MOST - 1), (word, ours.total, theirs)
        return (
            lambda: self.index.list_rounds(RoundFilter(text=word), limit=1, facets=False).total,
            lambda: self._plain.count(word),
        )

    def _build_text_comparisons(self) -> Pair:
        word = self._random.choice([*self._words, HALF])
        return (lambda: self.index.list_comparisons(ComparisonFilter(text=word)), None)

    def _build_part(self) -> Pair:
        word = self._random.choice(self._words)
        start = self._random.randint(0, len(word) - 4)
        part = word[start : start + 4]
        return (lambda: self.index.list_rounds(RoundFilter(text=part)), None)

    def _build_phrase(self) -> Pair:
        page = self.index.list_rounds(RoundFilter(), limit=20, facets=False)
        words = (self._random.choice(page.rounds).critique or "").split()
        at = self._random.randrange(len(words) - 1)
        phrase = f'"{words[at]} {words[at + 1]}"'
        return (lambda: self.index.list_rounds(RoundFilter(text=phrase)), None)

    def _build_letter(self) -> Pair:
        letter = self._random.choice("aeioustrn")
        return (lambda: self.index.list_rounds(RoundFilter(text=letter)), None)

    def _build_pictures(self) -> Pair:
        asked = self._draw(self._values, self._random.randint(0, 1))
        return (lambda: self.index.picture_rounds(RoundFilter(**asked)), None)

    def _build_compared_pictures(self) -> Pair:
        asked = self._draw(self._compared, self._random.randint(0, 1))
        return (lambda: self.index.picture_comparisons(ComparisonFilter(**asked)), None)

    def _build_chain(self) -> Pair:
        asked = self._draw(self._values, 1)
        page = self.index.list_rounds(RoundFilter(**asked), facets=False)
        chain = self._random.choice(page.rounds).chain
        return (lambda: self.index.get_chain(chain), lambda: self._plain.chain(chain))

    def _build_review(self) -> Pair:
        page = self.index.list_rounds(RoundFilter(), facets=False)
        round_ = self._random.choice(page.rounds)

        def review() -> None:
            review_critique(
                LOCAL_ACTOR,
                self._workspace,
                chain=round_.chain,
                run=round_.run,
                round=round_.round,
                verdict=self._random.choice(list(CritiqueVerdict)),
                reason="As I read it.",
            )

        return review, None


_TWO = ("principle", "finding")


def _choose_words() -> list[str]:
    """Words from frequent to seldom, none of which is part of another: FTS5 finds whole ones."""
    words = list_vocabulary()
    joined = "\n".join(words)
    chosen = [words[at] for at in (3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000)]
    near = {word: words[words.index(word) :] for word in chosen}
    return [next(w for w in near[word] if len(w) >= 6 and joined.count(w) == 1) for word in chosen]


def _measure_live(
    index: WorkspaceIndex, asking: Asking, workspace: Path, seconds: float
) -> dict[str, Any]:
    """The same questions while a run writes 500 rows a second; how soon its rows are shown."""
    index.start()
    command = [*_WORLD, "live", str(workspace), "500", str(seconds)]
    times: dict[str, list[float]] = {"filter": [], "text": [], "filter_comparisons": []}
    builds = (asking.build_filter, asking.build_text, asking.build_comparisons)
    lags: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
        waiting: list[tuple[str, int, float]] = []
        ended = threading.Event()

        def listen() -> None:
            assert writer.stdout is not None
            for line in writer.stdout:
                run, rows, at = json.loads(line)
                # Of a chain's nine rows every second one is a critique, and shows a round.
                waiting.append((run, rows // 9 * 4 + rows % 9 // 2, at))
            ended.set()

        threading.Thread(target=listen, daemon=True).start()
        deadline = time.monotonic() + seconds + 60
        while time.monotonic() < deadline and not (ended.is_set() and not waiting):
            for name, build in zip(times, builds, strict=True):
                ours, _ = build()
                begun = time.perf_counter()
                ours()
                times[name].append(1000 * (time.perf_counter() - begun))
            if waiting:
                asked = RoundFilter(run=waiting[0][0])
                shown = index.list_rounds(asked, limit=1, facets=False)
                while waiting and (waiting[0][1] <= shown.total or shown.total_is_least):
                    lags.append(time.time() - waiting.pop(0)[2])
            time.sleep(0.05)
    return {
        "seconds": seconds,
        **{name: _tell(found) for name, found in times.items()},
        "lag_s": _tell(lags),
        "unseen_batches": len(waiting),
    }


def _use_app(workspace: Path, repeats: int) -> dict[str, Any]:
    """Full reruns of the page Critiques, in a process of its own for the sake of its memory."""
    os.environ["CAI_WORKSPACE"] = str(workspace)
    from streamlit.testing.v1 import AppTest

    from ui import services

    index = services.index()
    values = index.list_rounds(RoundFilter()).facets
    index.list_comparisons(ComparisonFilter())
    words, draw, times = _choose_words(), random.Random(6), []
    app = AppTest.from_function(_show_critiques, default_timeout=60)
    app.run()
    for number in range(repeats + 1):
        name = draw.choice(ROUND_FIELDS)
        app.query_params.clear()
        app.query_params[name] = draw.choice(values[name])[0]
        if number % 3 == 0:
            app.query_params["text"] = draw.choice([*words, HALF])
        begun = time.perf_counter()
        app.run()
        if number:
            times.append(1000 * (time.perf_counter() - begun))
        assert not app.exception, app.exception
    for word in words:
        index.list_comparisons(ComparisonFilter(text=word))
    services.close()
    rerun = _tell(times)
    return {"rerun_ms": rerun, "rerun_p95_ms": rerun[1], "memory_mb": _peak_memory()}


def _show_critiques() -> None:
    import streamlit as st

    from ui.explorer_links import CONSTITUTIONS, CRITIQUES, PLAYGROUND

    st.navigation(
        [st.Page(CRITIQUES, default=True), st.Page(PLAYGROUND), st.Page(CONSTITUTIONS)]
    ).run()


def _run_child(*arguments: str | Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.explorer", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _peak_memory() -> int:
    """The process's highest resident memory so far, in MiB."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(peak) >> 10


def _tell(times: Sequence[float]) -> list[float | None]:
    """p50 and p95; None where too little was measured."""
    if len(times) < 2:
        return [None, None]
    cuts = quantiles(times, n=100, method="inclusive")
    return [round(cuts[49], 2), round(cuts[94], 2)]


def _say(what: str, told: dict[str, Any]) -> None:
    print(f"{what}: {json.dumps(told)}", flush=True)


if __name__ == "__main__":
    main()
