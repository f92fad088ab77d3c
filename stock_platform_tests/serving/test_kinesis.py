"""Every raw quote reaches the stream, and only what was not taken is sent again."""

import json

import polars as pl
import pytest

from stock_platform.domain.quotes import RAW_QUOTES
from stock_platform.errors import PermanentError
from stock_platform.serving.kinesis import QuoteStream
from stock_platform.settings import ServingSettings
from stock_platform_tests.serving.faulty import Faults, Forward, Reply, error
from stock_platform_tests.serving.made_quotes import made_quote


def opened(settings: ServingSettings) -> QuoteStream:
    stream = QuoteStream.open(settings)
    assert stream is not None
    stream.client.create_stream(StreamName=stream.stream, ShardCount=3)
    return stream


def records_of(stream: QuoteStream) -> list[dict]:
    shards = stream.client.list_shards(StreamName=stream.stream)["Shards"]
    iterators = [
        stream.client.get_shard_iterator(
            StreamName=stream.stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        for shard in shards
    ]
    return [
        json.loads(record["Data"])
        for iterator in iterators
        for record in stream.client.get_records(ShardIterator=iterator)["Records"]
    ]


def test_a_record_is_the_whole_quote_with_exact_numbers(aws: ServingSettings) -> None:
    stream = opened(aws)

    assert stream.put(made_quote()) == 1

    [record] = records_of(stream)
    assert record.keys() == dict(RAW_QUOTES).keys()
    assert (record["price"], record["bid"]) == ("132.060000", None)
    assert record["minute"] == "2026-11-20T17:00:00.000000Z"


def test_more_than_one_call_can_carry_arrives_whole(aws: ServingSettings) -> None:
    stream = opened(aws)
    quotes = pl.concat([made_quote(f"S{n:04d}") for n in range(1_203)])

    assert stream.put(quotes) == 1_203
    assert sorted(record["symbol"] for record in records_of(stream)) == quotes["symbol"].to_list()


def test_only_records_that_were_not_taken_are_sent_again(
    faulty_aws: ServingSettings, faults: Faults
) -> None:
    def take_the_first(body: dict, forward: Forward) -> Reply:
        answer = forward(body | {"Records": body["Records"][:1]})
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"}
        left = [refused] * (len(body["Records"]) - 1)
        return 200, {"FailedRecordCount": len(left), "Records": answer["Records"] + left}

    stream = opened(faulty_aws)
    faults.plan("PutRecords", take_the_first, error("InternalFailure", 500), take_the_first)

    stream.put(pl.concat([made_quote(symbol) for symbol in ("GOOG", "MSFT", "NVDA")]))

    assert sorted(record["symbol"] for record in records_of(stream)) == ["GOOG", "MSFT", "NVDA"]
    assert [len(body["Records"]) for body in faults.asked("PutRecords")] == [3, 2, 2, 1]


def test_without_a_stream_there_is_no_sink(aws: ServingSettings) -> None:
    assert QuoteStream.open(aws.model_copy(update={"quotes_stream": ""})) is None


def test_a_frame_of_other_columns_is_refused(aws: ServingSettings) -> None:
    with pytest.raises(PermanentError, match="RAW_QUOTES"):
        opened(aws).put(made_quote().drop("bid"))
