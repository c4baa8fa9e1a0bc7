"""`reviews`: the review queues of a workspace, and their votes as files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from cai_core.actions.vote_files import export_votes_to, import_votes
from cai_core.errors import ImportFormatError
from cai_core.evaluation.review_critique_export import CRITIQUE_FORMATS, CritiqueFormat
from cai_core.evaluation.review_export import MAX_FILE_BYTES, VOTE_FORMATS, VoteFormat
from cai_core.evaluation.review_queue import build_tally_standing, count_done
from cai_core.pipeline.human_labels import Disputed
from cai_core.records import LOCAL_ACTOR
from cai_core.workspace.files import get_workspace
from cai_core.workspace.review_queues import list_queues
from cai_core.workspace.review_votes import read_tally


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `reviews` to a command line's subcommands."""
    parser = subparsers.add_parser(
        "reviews",
        help="list review queues, export or import people's votes",
        description="List review queues, export or import people's votes.",
    )
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="every queue, and how far it has come")
    listing.set_defaults(run=run_list)
    export = commands.add_parser("export", help="write the votes and a data card beside them")
    export.add_argument("queue", metavar="QUEUE", help="its id")
    export.add_argument("file", type=Path, metavar="FILE")
    export.add_argument(
        "--format",
        choices=tuple(dict.fromkeys((*VOTE_FORMATS, *CRITIQUE_FORMATS))),
        help="left out: by the file's ending, .csv or else JSONL; human: as label recipes take it; "
        "sft: people's revisions, to fine-tune on",
    )
    export.add_argument(
        "--disputed",
        choices=get_args(Disputed),
        default="drop",
        help="in the format human: leave out what reviewers disagree about, or call it a tie",
    )
    export.set_defaults(run=run_export)
    importing = commands.add_parser("import", help="bring the votes of an export in")
    importing.add_argument("queue", metavar="QUEUE", help="its id")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.set_defaults(run=run_import)


def run_list(args: argparse.Namespace) -> int:
    """Print a line for each queue; the exit status."""
    del args
    workspace = get_workspace()
    queues, unread = list_queues(workspace)
    for queue in queues:
        standing = build_tally_standing(read_tally(workspace, queue.queue_id), {})
        done = count_done(queue.items, standing, queue.overlap)
        wanted = len(queue.items) * queue.overlap
        how = f"{'blind' if queue.blind else 'open'}  {queue.kind}"
        of = queue.run or "several runs"
        print(f"{queue.queue_id}  {done}/{wanted} votes  {how}  {queue.name}  of {of}")
    for words in unread:
        print(words, file=sys.stderr)
    if not queues:
        print("no review queues: make one on the page Review")
    return 0


def run_export(args: argparse.Namespace) -> int:
    """Write the file and its card; the exit status."""
    format: VoteFormat | CritiqueFormat = args.format or (
        "csv" if args.file.suffix.lower() == ".csv" else "jsonl"
    )
    card = export_votes_to(
        LOCAL_ACTOR,
        get_workspace(),
        queue=args.queue,
        format=format,
        out=args.file,
        disputed=args.disputed,
    )
    print(f"{args.file}\n{card}")
    return 0


def run_import(args: argparse.Namespace) -> int:
    """Bring the votes in and tell what was refused; the exit status."""
    try:
        with args.file.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ImportFormatError(
            f"{args.file}: cannot be read: {error.strerror}. Give an export of votes."
        ) from error
    read = import_votes(
        LOCAL_ACTOR, get_workspace(), queue=args.queue, content=content, file=args.file.name
    )
    for line in read.refused:
        print(f"{args.file}:{line.line}: refused: {line.reason}", file=sys.stderr)
    print(
        f"{args.file}: {len(read.votes)} votes taken, {read.known} were here already, "
        f"{len(read.refused)} refused"
    )
    return 0 if read.votes or read.known else 2
