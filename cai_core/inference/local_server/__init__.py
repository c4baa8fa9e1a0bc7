"""The bundled model server: vLLM's HTTP dialect over transformers, on a CPU or one GPU.

Only this package imports torch and transformers in `cai_core.inference`, and only when a
server is started; `launcher` and `client` talk to it over HTTP.
"""
