"""Every error the workbench raises on purpose. Each message says where, what, and the fix."""


class CaiError(Exception):
    """Root of the tree: a message meant for the person at the page or the command line."""


class ConstitutionError(CaiError):
    """A constitution cannot be read or breaks a rule."""


class PromptFileError(CaiError):
    """A prompt file cannot be read at all (single bad lines are reported, not raised)."""


class RecipeError(CaiError):
    """A recipe names something unknown or impossible."""


class ImportFormatError(CaiError):
    """A file from elsewhere is not in the format it was said to be."""


class TemplateError(CaiError):
    """A prompt template lacks a file or field it needs to render."""


class WorkspaceError(CaiError):
    """The workspace is damaged, locked, or belongs to another process."""


class RunMismatchError(WorkspaceError):
    """A run folder holds a different recipe than the one asked for."""


class LockHeldError(WorkspaceError):
    """Another process holds the lock that was asked for."""


class WorkspaceOwnedError(WorkspaceError):
    """Another process owns the workspace's indexes. The message names its pid."""


class NotAllowedError(CaiError):
    """The actor's role may not do this."""


class VersionConflictError(CaiError):
    """Somebody saved a newer version of what is being edited.

    Attributes:
        head: hash of the version that is newest now.
    """

    def __init__(self, message: str, *, head: str):
        super().__init__(message)
        self.head = head


class WorldError(CaiError):
    """The demo world's data contradicts itself."""


class ModelError(CaiError):
    """Root for what a model endpoint or a model folder can do wrong."""


class AlarmRaised(ModelError):
    """An alarm stopped the training; what it trained last is saved as a checkpoint.

    Attributes:
        alarm: the name of what rang, e.g. `over-refusal`.
        step: optimizer steps done.
    """

    def __init__(self, message: str, *, alarm: str, step: int):
        super().__init__(message)
        self.alarm = alarm
        self.step = step


class UnknownModelError(ModelError):
    """No such model: neither bundled, nor a folder, nor served at the endpoint."""


class ServerUnavailableError(ModelError):
    """The model server cannot be reached, died, or never came up."""


class RequestRejectedError(ModelError):
    """The server refused the request (4xx). Final for that row; never retried.

    Attributes:
        status: HTTP status code, 400–499.
        param: the field the server named, or None.
    """

    def __init__(self, message: str, *, status: int = 400, param: str | None = None):
        super().__init__(message)
        self.status = status
        self.param = param


class ContextLengthError(RequestRejectedError):
    """Prompt and max_tokens together exceed the model's context. Nothing is cut silently."""


class RequestFailedError(ModelError):
    """One request kept failing while the server answered others. Final for that row."""


class Cancelled(CaiError):
    """The person pressed stop. What was finished before is kept."""


class EndpointError(CaiError):
    """An endpoint's configuration cannot be."""


class ScoringUnavailableError(CaiError):
    """A server cannot tell how probable an option is. The message names the other way."""
