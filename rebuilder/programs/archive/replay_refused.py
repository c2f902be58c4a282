"""Why recorded metadata is not written into an archive."""


class Refused(Exception):  # noqa: N818 - reads as what happened
    """The archive, or the record, is of a form that is not written; the text is the end of a sentence."""
