"""A gRPC server on port 9000 without generated code: messages are bytes.

/echo.Echo/Unary returns its message, /echo.Echo/Count streams the requested number of messages,
/echo.Echo/Chat answers each message on arrival, /echo.Echo/Fail fails with an application status.
"""

from concurrent import futures

import grpc


def unary(message, context):
    context.set_trailing_metadata((("x-length", str(len(message))),))
    return message


def count(message, context):
    for n in range(int(message)):
        yield b"message %d" % n


def chat(messages, context):
    for message in messages:
        yield b"you said " + message


def fail(message, context):
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not today")


handlers = grpc.method_handlers_generic_handler(
    "echo.Echo",
    {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
    },
)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=20), options=[("grpc.max_receive_message_length", -1)])
server.add_generic_rpc_handlers((handlers,))
server.add_insecure_port("0.0.0.0:9000")
server.start()
server.wait_for_termination()
