"""Transcripts made ahead: for their utterance and their pause only, and counted."""

from lfm_voice_ros.core.transcript_drafts import TranscriptDrafts
from lfm_voice_ros.core.types import Transcript

WORDS = Transcript("Look left.")


def counts(drafts: TranscriptDrafts) -> tuple[int, int]:
    return drafts.used, drafts.thrown_away


def test_a_draft_serves_its_utterance_once() -> None:
    drafts = TranscriptDrafts()
    drafts.keep("u1", (1, 0), WORDS)

    assert drafts.take("u1", (1, 0)) == WORDS
    assert drafts.take("u1", (1, 0)) is None
    assert counts(drafts) == (1, 0)


def test_a_draft_of_an_earlier_pause_is_thrown_away() -> None:
    drafts = TranscriptDrafts()
    drafts.keep("u1", (1, 0), WORDS)

    assert drafts.take("u1", (2, 0)) is None
    assert drafts.take("u1", (1, 0)) is None
    assert counts(drafts) == (0, 1)


def test_a_newer_draft_takes_the_place_of_an_older_one() -> None:
    drafts = TranscriptDrafts()
    drafts.keep("u1", (1, 0), Transcript("Look"))
    drafts.keep("u1", (2, 0), WORDS)

    assert drafts.take("u1", (2, 0)) == WORDS
    assert counts(drafts) == (1, 1)


def test_an_utterance_without_a_draft_leaves_that_of_another_alone() -> None:
    drafts = TranscriptDrafts()
    drafts.keep("u2", (2, 0), WORDS)

    assert drafts.take("u1", (2, 0)) is None
    assert drafts.take("u2", (2, 0)) == WORDS
    assert counts(drafts) == (1, 0)


def test_no_draft_is_wanted_of_an_utterance_that_has_come() -> None:
    drafts = TranscriptDrafts()
    drafts.end("u1")

    assert not drafts.wanted("u1")
    assert drafts.wanted("u2")


def test_what_is_forgotten_counts_as_thrown_away() -> None:
    drafts = TranscriptDrafts()
    drafts.keep("u1", (1, 0), WORDS)
    drafts.forget()
    drafts.forget()
    drafts.throw_away()

    assert drafts.take("u1", (1, 0)) is None
    assert counts(drafts) == (0, 2)
