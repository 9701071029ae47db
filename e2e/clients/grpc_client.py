"""The official gRPC client against one function: all kinds of calls, trailers, failures.

Arguments: address of the gateway (host:port), host of the function. Prints "ok" when every step held.
"""

import queue
import sys

import grpc

address, host = sys.argv[1:]
WAIT_S = 30
options = [("grpc.default_authority", host), ("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1)]


def failed(call):
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError("it did not fail")


with grpc.insecure_channel(address, options=options) as channel:
    unary = channel.unary_unary("/echo.Echo/Unary")
    message, call = unary.with_call(b"hello", timeout=WAIT_S)
    assert message == b"hello"
    assert ("x-length", "5") in call.trailing_metadata(), call.trailing_metadata()
    # Longer than the limit of an ordinary request.
    long = b"x" * 8_000_000
    assert unary(long, timeout=WAIT_S) == long
    many = [unary.future(b"%d" % n, timeout=WAIT_S) for n in range(50)]
    assert [one.result() for one in many] == [b"%d" % n for n in range(50)]

    counted = channel.unary_stream("/echo.Echo/Count")(b"1000", timeout=WAIT_S)
    assert list(counted) == [b"message %d" % n for n in range(1000)]

    # Each message is answered before the next is sent: no part waits for the end of a body.
    said = queue.Queue()
    answers = channel.stream_stream("/echo.Echo/Chat")(iter(said.get, None), timeout=WAIT_S)
    for word in [b"one", b"two", b"three"]:
        said.put(word)
        assert next(answers) == b"you said " + word
    said.put(None)
    assert list(answers) == []

    code, details = failed(lambda: channel.unary_unary("/echo.Echo/Fail")(b"", timeout=WAIT_S))
    assert (code, details) == (grpc.StatusCode.FAILED_PRECONDITION, "not today"), (code, details)
    code, _ = failed(lambda: channel.unary_unary("/echo.Echo/Nothing")(b"", timeout=WAIT_S))
    assert code == grpc.StatusCode.UNIMPLEMENTED, code
print("ok")
