"""Drift: whether a model is safer than the last one, and whether it stayed helpful."""

import streamlit as st

from cai_core.errors import CaiError
from cai_core.evaluation.measures import KEEPS, MEASURES
from cai_core.records import AccessRole
from ui import services
from ui.drift_address import FORM, MEASURE, RUN, open_form, read, read_reader
from ui.drift_data import list_evaluated, load_matrix
from ui.drift_flips import show_cell
from ui.drift_form import show_form, show_progress
from ui.drift_matrix import STYLE, show_matrix
from ui.drift_pin import choose_sides, find_sides
from ui.drift_reading import show_reading
from ui.drift_result import show_result
from ui.drift_schedules import show_schedules
from ui.drift_spot import show_spot_check
from ui.drift_suites import show_suites
from ui.drift_timeline import show_timeline
from ui.evidence_calibration import show_calibration
from ui.look import build_error, show_title
from ui.report_panel import show_report
from ui.runs_list import can
from ui.runs_words import STYLE as RUNS_STYLE

# A column for each: more are too narrow to print.
REPORTED = 5
st.html(RUNS_STYLE + STYLE)
show_title(
    "Drift",
    "Is this model safer than the last one, and did it stay helpful? Paired figures, and the "
    "answers behind them.",
)
evaluations = list_evaluated(services.workspace())
if read(FORM) and can(AccessRole.EDITOR):
    show_form(find_sides(evaluations).baseline if evaluations else None)
    st.stop()
show_progress()
if not evaluations:
    st.html(
        '<div class="cai-empty"><b>No evaluations yet.</b> A model is asked a suite of prompts and '
        "its answers are judged. A second evaluation is compared with the first one here.</div>"
    )
    st.button(
        "Evaluate a model",
        key="drift_first",
        type="primary",
        icon=":material/science:",
        disabled=not can(AccessRole.EDITOR),
        on_click=open_form,
    )
    show_suites()
    st.stop()

sides = find_sides(evaluations)
baseline, same = sides.baseline, sides.same
choose_sides(sides)
show_spot_check(baseline, same[-1])
names = {one.run: one for one in same}
candidates = [one.run for one in same if one.run != baseline.run]
try:
    with show_reading() as tell:
        rows = load_matrix(services.workspace(), baseline.run, candidates, read_reader(), tell)
except (CaiError, OSError) as error:
    st.html(build_error("These evaluations cannot be compared", str(error)))
    st.stop()
if rows:
    show_result(baseline, {row.run: row for row in rows}, names)
    show_matrix(baseline, rows, names)
    show_timeline(baseline, rows, same)
    show_calibration([baseline.run, *(row.run for row in rows)], key="drift")
    show_report([baseline.run, *(row.run for row in rows[:REPORTED])])
else:
    st.html(
        '<div class="cai-empty"><b>Nothing to compare with this baseline yet.</b> Spot check '
        "another model: it then stands here as a row.</div>"
    )
show_schedules(sides)
show_suites()
opened, measure = read(RUN), read(MEASURE)
if opened and (measure in MEASURES or measure.startswith(KEEPS)):
    row = next((one for one in rows if one.run == opened), None)
    show_cell(baseline, names.get(opened), row, measure)
