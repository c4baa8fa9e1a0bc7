"""Prompt sets: what chains begin with; add one, look into it, see what each version changed."""

import streamlit as st

from ui.constitution_address import show_message
from ui.look import show_title
from ui.prompts_detail import set_detail
from ui.prompts_list import set_list
from ui.prompts_upload import upload_form
from ui.prompts_words import STYLE

st.html(STYLE)
with st.container(key="prompts"):
    show_title("Prompt sets", "What chains begin with: shipped, uploaded, or from the hub.")
    with st.container(key="prompts_messages"):
        show_message()
    wanted = st.query_params.get("set", "")
    if wanted:
        set_detail(wanted)
    elif st.query_params.get("add", "") == "1":
        upload_form()
    else:
        set_list()
