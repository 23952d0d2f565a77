"""The errors of the package. Their text is for the user: what is wrong and what to do.

VoiceError
├── ConfigurationError   a setting, a file of patterns or tools is wrong: the program doesn't start
├── ResourceError        a model, a device or a service is missing: the node says so and goes on without it
├── AudioError           this sound can't be used: it is dropped, the next may be fine
├── ModelOutputError     what a model wrote is no tool call: it is dropped
└── ToolError            a tool could not do what was asked: the result says why
    ├── ToolTimeout      it did not answer in time
    └── ToolCanceled     it was to end, or not to begin
"""


class VoiceError(Exception):
    """The base of all errors that this package raises on purpose."""


class ConfigurationError(VoiceError):
    """A setting or a configuration file is wrong."""


class ResourceError(VoiceError):
    """A model, a device or a service is missing or broken."""


class AudioError(VoiceError):
    """A recording or a chunk of sound is unusable."""


class ModelOutputError(VoiceError):
    """What a model wrote can't be read as tool calls."""


class ToolError(VoiceError):
    """A tool could not do what was asked."""


class ToolTimeout(ToolError):
    """A tool did not answer in time."""


class ToolCanceled(ToolError):
    """A tool was told to end, or not to begin."""
