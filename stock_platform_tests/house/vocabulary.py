"""The words this code does not use, and what is said instead (docs/glossary.md).

One word for one idea: where the field has a term (an exchange's, S3's, HTTP's, Dagster's,
Kafka's), that is the word; no process is spoken of as a person.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from stock_platform_tests.house.repository import text

_RENAMED = """
    Problem=PlatformError Transient=TransientError Permanent=PermanentError
    Malformed=InvalidDataError Refused=NotEntitledError Conflict=VersionConflictError
    FenceLost=LeaseLostError UploadGone=UploadNotFoundError Doubtful=DeliveryUnknownError
    NotThere=NotFoundError Torn=IncompleteRecordError Damaged=CorruptRecordError
    Answer=ProviderResponse sift=validate_bars Sifted=Validated says_the_same=same_values
    INSTANT=TIMESTAMP_US MONEY=PRICE Ledger=SessionCoverage unproven=unconfirmed
    Need=HealRange Asked=HealHistory fruitless=runs_without_progress
    worth_asking=retryable judge=apply_response
    Rules=SettlementPolicy Hopeless=UnfillableMinutes PATIENCE=GIVE_UP_AFTER
    more_in_minutes=minute_volume_above_daily out_of_order=invalid_ohlc
    last_signs=last_heard piece=get_range Entry=ObjectMeta checked_path=validated_path
    keep_part=append fold=compact unite=deduplicate Knowledge=LakeContext
    Asking=TickPlan trouble=error troubles=errors standing_troubles=health_alerts
    after_the_close=session_settlement fresh_quotes=quote_targets
    stream_observed=stream_observation every_night=nightly_retention
    every_saturday=weekly_report_schedule every_morning=reference_schedule
    Shelf=IndicatorStore Chain=IndicatorUpdater DailyFill=DailyBarIngest Filled=DailyBarIngest
    _Question=_Request _in_turn=_request_all Look=SidecarStatus look_at=fetch_status
    FollowingSettings=AutomationSettings asks_at_once=max_concurrent_requests
    Patience=RetryPolicy Settling=RevisionPolicy complaint=error_text refuse=reject
    QuotesInTurn=FallbackQuoteSource SharedBudget=SharedRateLimiter Line=FeedConnection
    Ears=FrameHandler Conversation=Handshake last_words=closing_status make_do=accept_partial
    heard_yes=any_confirmed _say_streaming=_mark_streaming Child=ManagedProcess
    until_told=run_until_stopped Newest=Conflator Tail=JournalReader Tailer=JournalConsumer
    Work=Sink Durable=DurableOffset Saver=CheckpointWriter
    thing=upload things=uploads _Trip=_UploadTask settle_memory=tune_gc_and_malloc
    PinnedFiles=SnapshotFileSystem Held=Listing _stranger=_external_table Told=DeliveryResult
    _tell=_deliver_once Courier=Mailer knock=check_connection last_call=before_send
    Sending=MailRecord as_sent=to_messages Remembered=SessionCache bends=modify
    replaces=substitute Examination=Check cure=remedy examined=run_check Lot=SymbolRows
    Places=RowLayout Carried=ResumedStates Gap=MissingRange Outage=FeedOutage
    expected_symbols=universe Ask=Request Reply=Response Book=PointInTimeMarket Taken=PollResult
    _note_authority=_record_success jumps=unexplained_jumps indicator_choice=selection
    indicator_history=lookback _told=_record_outage learn=seed doubt=invalidate
    remembered=on_checkpoint_saved forget=reset_delivery massive_words=responses
    losses=data_loss decide=select_sessions
    told=recorded asked=requested tell=report say=report said=reported says=reports
"""
REFUSED_NAMES = {old: better for old, _, better in (p.partition("=") for p in _RENAMED.split())}
"""Identifiers that were replaced, with what replaced them."""

REFUSED_PHRASES = {
    "can not": "cannot",
    "is told": "receives, is given",
    "are told": "receive, are given",
    "is asked": "is requested, is called",
    "are asked": "are requested, are called",
    "says": "states, returns, shows",
    "thinks": "assumes",
    "tells": "reports, names, shows",
    "hears": "receives",
    "gives up": "stops, fails",
    "gives back": "returns",
    "knows": "holds, reads, depends on",
}
"""Phrases of docstrings, comments and texts in the package, with plain ones."""

REFUSED_OPENINGS = ("Give ", "Gives ", "Say ", "Says ", "Tell ", "Tells ", "Ask ", "Asks ")
"""How a docstring does not begin: "Return ...", "Load ...", "Raise ...", "Request ..."."""


def refused_names(path: Path) -> Iterator[str]:
    """Return where a file uses an identifier that was replaced."""
    for token in _tokens(path):
        if token.type == tokenize.NAME and token.string in REFUSED_NAMES:
            better = REFUSED_NAMES[token.string]
            yield f"{path}:{token.start[0]} {token.string} (better: {better})"


def refused_phrases(path: Path) -> Iterator[str]:
    """Return where a file's texts speak of a process as of a person."""
    for token in _tokens(path):
        if token.type in _TEXTS:
            for match in _PHRASE.finditer(token.string):
                line = token.start[0] + token.string.count("\n", 0, match.start())
                phrase = " ".join(match[0].lower().split())
                yield f"{path}:{line} {phrase!r} (better: {REFUSED_PHRASES[phrase]})"


_TEXTS = {tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
_SPACED = "|".join(phrase.replace(" ", r"\s+") for phrase in REFUSED_PHRASES)
_PHRASE = re.compile(rf"\b({_SPACED})\b", re.IGNORECASE)


def _tokens(path: Path) -> Iterator[tokenize.TokenInfo]:
    return tokenize.generate_tokens(io.StringIO(text(path)).readline)
